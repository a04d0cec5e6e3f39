"""Tests of releases: python3 -m unittest scripts/test_release.py. The bundle whose bill is written holds a small Go program and files
that stand in for libtorch's; whether a release made twice has the same bytes is tried by make release itself, in two clones."""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import building  # noqa: E402
import bundle  # noqa: E402
import release  # noqa: E402
import sbom  # noqa: E402
import setup  # noqa: E402
from test_bundle import InFolder  # noqa: E402

TORCH_LICENCE = """Name: FP16
License: MIT
Files: /pytorch/third_party/FP16
  For details, see the files concatenated below: /pytorch/third_party/FP16/LICENSE

Name: FP16
License: BSD-3-Clause
Files: /pytorch/third_party/other/FP16

Name: NVTX
License: Apache-2.0 with exception
Files: /pytorch/third_party/NVTX
"""
LIBRARIES = ["torch/lib/libc10.so", "torch/lib/libtorch_cpu.so", "torch/lib/libgomp.so.1", "nvidia/cu13/lib/libcudart.so.13",
             "nvidia/cu13/lib/libcupti.so.13"]


class Refusals(InFolder):
    def git(self, *args):
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"]
        subprocess.run(["git", *who, *args], cwd=self.root, check=True, capture_output=True, env=dict(os.environ, GIT_COMMITTER_DATE="1700000000 +0000"))

    def clone(self):
        self.git("init", "-q")
        self.write(".gitignore", "/dist/\n")
        self.write("a.go")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "first")

    def test_versions(self):
        for version, want in (("v0.1.0", "0.1.0"), ("v10.20.30", "10.20.30"), ("v1.0.0-rc.1", "1.0.0-rc.1")):
            self.assertEqual(release.number(version), want)
        for version in ("", "0.1.0", "v0.1", "v0.1.0.0", "v0.1.0+abc", "v0.1.0-", "v0.1.0-a..b", "V0.1.0", "v0.1.0\n", "v0.1.0/../x", "v0.1.0 "):
            with self.assertRaisesRegex(setup.Stop, "want v and three numbers", msg=repr(version)):
                release.number(version)

    def test_clean_tree_has_a_commit_and_its_time(self):
        self.clone()
        self.write("dist/samtune.tar.xz")  # ignored
        commit, time = release.committed(self.root, "v0.1.0")
        self.assertRegex(commit, "^[0-9a-f]{40}$")
        self.assertEqual(time, 1700000000)

    def test_changed_tree(self):
        self.clone()
        for name in ("a.go", "new.go"):
            with self.subTest(name):
                path, before = self.root / name, (self.root / name).read_text() if (self.root / name).exists() else None
                self.write(name, "changed")
                with self.assertRaisesRegex(setup.Stop, rf"changes that are not committed(.|\n)*{name}"):
                    release.committed(self.root, "v0.1.0")
                path.unlink() if before is None else path.write_text(before)
        for i in range(9):
            self.write(f"many{i}")
        with self.assertRaisesRegex(setup.Stop, "and 4 more"):
            release.committed(self.root, "v0.1.0")

    def test_no_clone(self):
        with self.assertRaisesRegex(setup.Stop, "made from a clone of samtune"):
            release.committed(self.root, "v0.1.0")

    def test_tag_of_another_commit(self):
        self.clone()
        self.git("tag", "-a", "v0.1.0", "-m", "v0.1.0")
        release.committed(self.root, "v0.1.0")
        self.write("a.go", "second")
        self.git("commit", "-q", "-a", "-m", "second")
        with self.assertRaisesRegex(setup.Stop, "v0.1.0 is already the tag of commit"):
            release.committed(self.root, "v0.1.0")
        release.committed(self.root, "v0.1.1")

    def test_large_bundle(self):
        tarball = self.write("a.tar.xz", "12345")
        with mock.patch.object(bundle, "LIMIT", 6):
            release.check_size(tarball)
        with mock.patch.object(bundle, "LIMIT", 5), self.assertRaisesRegex(setup.Stop, "a.tar.xz has 5 bytes, want less than 5"):
            release.check_size(tarball)

    def test_another_libtorch(self):
        env = {"XDG_CACHE_HOME": str(self.root)}
        own = building.Flags([], [], [], self.root / "samtune" / "libtorch-2.11.0" / "torch", (2, 11, 0))
        release.own_libtorch(own, env)
        with self.assertRaisesRegex(setup.Stop, "/opt/torch is not the libtorch 2.11.0"):
            release.own_libtorch(own._replace(torch=Path("/opt/torch")), env)


class Bill(unittest.TestCase):
    """The bill of a bundle that holds a small Go program."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.bundle = Path(folder.name).resolve() / "samtune-0.1.0"
        cls.program = cls.bundle / "bin" / "samtune"
        cls.env = dict(os.environ, CGO_ENABLED="0", SOURCE_DATE_EPOCH="1700000000")
        building.call(["go", "build", "-trimpath", "-o", str(cls.program), "./scripts/licences"], cwd=setup.REPO, env=cls.env)
        cls.write(f"weights/{setup.WEIGHTS_FILE}", "x")
        cls.write("licences/torch/licenses/LICENSE", TORCH_LICENCE)
        for name in LIBRARIES:
            cls.write(f"libtorch/{name}", name + " mkl_blas")
        cls.bill = cls.made()
        cls.components = list(cls.walk(cls.bill["components"]))

    @classmethod
    def write(cls, name, content):
        path = cls.bundle / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    @classmethod
    def made(cls, epoch="1700000000"):
        return sbom.bill(cls.bundle, "0.1.0", "abc", ["./scripts/licences"], setup.BUILDS["2.11.0"], dict(cls.env, SOURCE_DATE_EPOCH=epoch))

    @classmethod
    def walk(cls, components):
        for c in components:
            yield c
            yield from cls.walk(c.get("components", []))

    def test_everything_has_a_licence_and_a_name_of_its_own(self):
        for c in self.components:
            self.assertTrue(c["licenses"], c)
            for licence in c["licenses"]:
                self.assertTrue(licence.get("expression") or licence["license"].get("id") or licence["license"]["name"], c)
            self.assertIn(c["type"], ("library", "file", "machine-learning-model"))
            for h in c.get("hashes", []):
                self.assertEqual(h["alg"], "SHA-256")
                self.assertRegex(h["content"], "^[0-9a-f]{64}$")
        refs = [c["bom-ref"] for c in self.components] + [self.bill["metadata"]["component"]["bom-ref"]]
        self.assertEqual(len(refs), len(set(refs)))
        self.assertEqual(sbom.count(self.bill["components"]), len(self.components))
        self.assertEqual(self.bill["dependencies"][0], {"ref": "samtune", "dependsOn": [c["bom-ref"] for c in self.bill["components"]]})
        self.assertEqual((self.bill["bomFormat"], self.bill["specVersion"], self.bill["version"]), ("CycloneDX", "1.6", 1))
        self.assertRegex(self.bill["serialNumber"], "^urn:uuid:[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$")
        self.assertEqual(self.bill["metadata"]["timestamp"], "2023-11-14T22:13:20Z")

    def test_every_module_and_library_is_listed(self):
        by_name = {c["name"]: c for c in self.components}
        lines = subprocess.run(["go", "version", "-m", str(self.program)], capture_output=True, text=True, check=True).stdout.splitlines()
        modules = [line.split("\t")[2:4] for line in lines if line.startswith("\tdep\t")]
        self.assertTrue(modules)
        for path, version in modules:
            self.assertEqual(by_name[path]["version"], version)
        self.assertEqual(by_name["github.com/google/licensecheck"]["licenses"], [{"license": {"id": "BSD-3-Clause"}}])
        self.assertEqual("go" + by_name["std"]["version"], lines[0].split()[-1])
        for name in LIBRARIES:
            self.assertEqual(by_name[f"libtorch/{name}"]["hashes"][0]["content"], setup.sha256(self.bundle / "libtorch" / name))
        self.assertEqual(by_name["libtorch/torch/lib/libgomp.so.1"]["licenses"], [{"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}])
        self.assertEqual(by_name["FP16"]["licenses"], [{"license": {"id": "BSD-3-Clause"}}, {"license": {"id": "MIT"}}])
        self.assertEqual(by_name["NVTX"]["licenses"], [{"license": {"name": "Apache-2.0 with exception"}}])
        for name in ("LiteMedSAM", "nvidia-cuda-runtime", "nvidia-cuda-cupti", sbom.MKL["name"]):
            self.assertIn(name, by_name)

    def test_repeats_and_needs_no_libtorch(self):
        (self.bundle / "libtorch").rename(self.bundle / "away")
        self.addCleanup((self.bundle / "away").rename, self.bundle / "libtorch")
        first, later = self.made(), self.made("1700000001")
        self.assertNotEqual(later["metadata"].pop("timestamp"), first["metadata"].pop("timestamp"))
        self.assertEqual(sbom.text(later), sbom.text(first))
        self.assertEqual({"torch", "nvidia-cuda-runtime"} & {c["name"] for c in first["components"]}, set())

    def test_unknown_library(self):
        path = self.write("other/torch/lib/libnew.so.2", "x")
        with self.assertRaisesRegex(setup.Stop, "libnew.so.2: no licence is known of it"):
            sbom.library_components(path.parents[2], setup.BUILDS["2.11.0"])

    def test_unknown_licence(self):
        own = self.write("other/LICENSE", "All rights reserved.")
        self.assertEqual(sbom.recognised([own], self.env), {str(own): []})
        with self.assertRaisesRegex(setup.Stop, "example.com/m: its licence is not recognised"):
            sbom.chosen([], "example.com/m")
        with self.assertRaisesRegex(setup.Stop, "its licence is AGPL-3.0"):
            sbom.chosen(["AGPL-3.0", "MIT"], "example.com/m")


class Files(InFolder):
    def test_sums(self):
        for name in ("b.tar.xz", "a.json"):
            self.write(name, name)
        for _ in range(2):
            release.write_sums(self.root)
        self.assertEqual([line.split("  ")[1] for line in (self.root / "SHA256SUMS").read_text().splitlines()], ["a.json", "b.tar.xz"])
        subprocess.run(["sha256sum", "--check", "--strict", "--status", "SHA256SUMS"], cwd=self.root, check=True)
        self.write("a.json", "changed")
        self.assertNotEqual(subprocess.run(["sha256sum", "--check", "--status", "SHA256SUMS"], cwd=self.root).returncode, 0)

    def test_manual_pages_and_completions(self):
        program = self.write("program", """#!/bin/sh
case $1 in
docs) echo "dated $SOURCE_DATE_EPOCH, data=$SAMTUNE_DATA" >"$3/samtune.1" ;;
completion) echo "for $2" ;;
esac
""")
        program.chmod(0o755)
        with mock.patch.dict(os.environ, {"SAMTUNE_DATA": "/mine"}):
            bundle.write_share(self.root / "share", program, Path("/nowhere"), 42)
        texts = {str(p.relative_to(self.root / "share")): p.read_text() for p in (self.root / "share").rglob("*") if p.is_file()}
        self.assertEqual(texts, {
            "man/man1/samtune.1": "dated 42, data=\n", "bash-completion/completions/samtune": "for bash\n", "zsh/site-functions/_samtune": "for zsh\n",
            "fish/vendor_completions.d/samtune.fish": "for fish\n"})


if __name__ == "__main__":
    unittest.main()
