"""Tests of bundles: python3 -m unittest scripts/test_bundle.py. They build nothing of samtune's: small programs and libraries,
made with gcc, stand in for it and for libtorch. make test-bundle tries a real bundle in an empty Debian."""
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import building  # noqa: E402
import bundle  # noqa: E402

PROGRAM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
void torch_here(void);
void c10_here(void);
int main(int n, char **args) {
	Dl_info a, b;
	if (!dladdr(torch_here, &a) || !dladdr(c10_here, &b)) return 9;
	printf("%s\n%s\n", a.dli_fname, b.dli_fname);
	for (int i = 1; i < n; i++) printf("[%s]", args[i]);
	return n > 1 && !strcmp(args[1], "fail") ? 7 : 0;
}
"""
VALUES = {"VERSION": "0.1.0", "TORCH": "2.11", "GLIBC": "2.34", "WEIGHTS": "w.pth", "ABI": bundle.ABI_NAMES[False], "LIBTORCH": "inside"}


def compiled(target, source, *flags):
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-x", "c", "-", "-o", str(target), *flags], input=source, text=True, check=True)


class Launcher(unittest.TestCase):
    """The scripts of a bundle, with libtorchs that are told apart by where they lie."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.made = Path(folder.name)
        for abi, name in bundle.ABI_NAMES.items():
            compiled(cls.made / f"libc10-{abi}.so", f"int {name};void c10_here(void){{}}", "-shared", "-fPIC", "-Wl,-soname,libc10.so")
        compiled(cls.made / "libtorch_cpu.so", "void torch_here(void){}", "-shared", "-fPIC", "-Wl,-soname,libtorch_cpu.so")
        compiled(cls.made / "libabsent.so", "void absent(void){}", "-shared", "-fPIC", "-Wl,-soname,libabsent.so")
        compiled(cls.made / "needy.so", "void absent(void);void torch_here(void){absent();}", "-shared", "-fPIC", "-Wl,-soname,libtorch_cpu.so",
                 f"-L{cls.made}", "-labsent")
        shutil.copy(cls.made / "libc10-False.so", cls.made / "libc10.so")
        compiled(cls.made / "program", PROGRAM, f"-L{cls.made}", "-ltorch_cpu", "-lc10", "-ldl")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve() / "a folder"
        self.bundle = self.root / "bundle"
        self.bundle.mkdir(parents=True)
        bundle.write_scripts(self.bundle, VALUES)
        (self.bundle / "bin").mkdir()
        for name in ("samtune", "a.test", "b.test"):
            shutil.copy(self.made / "program", self.bundle / "bin" / name)
        bundle.set_modes(self.bundle)
        self.empty = self.root / "path"  # a PATH with no Python
        self.empty.mkdir()
        for tool in ("dirname", "readlink", "grep", "tr", "sh"):
            os.symlink(shutil.which(tool), self.empty / tool)

    def torch(self, place, version="2.11.0+cu130", old_abi=False, cpu="libtorch_cpu.so"):
        folder = self.root / place
        (folder / "lib").mkdir(parents=True)
        shutil.copy(self.made / cpu, folder / "lib" / "libtorch_cpu.so")
        shutil.copy(self.made / f"libc10-{old_abi}.so", folder / "lib" / "libc10.so")
        if version:
            (folder / "version.py").write_text(f"from typing import Optional\n\n__all__ = ['__version__']\n__version__ = '{version}'\ndebug = False\n")
        return folder

    def call(self, *args, script="samtune", **env):
        return subprocess.run([str(self.bundle / script), *args], env={"PATH": str(self.empty), **{k: str(v) for k, v in env.items()}},
                              capture_output=True, text=True)

    def taken(self, **env):
        """Returns the folder of the libtorch that the program ran with."""
        out = self.call(**env)
        self.assertEqual(out.returncode, 0, out.stderr)
        torch, c10 = (Path(line).parent for line in out.stdout.splitlines()[:2])
        self.assertEqual(torch, c10)
        return torch.parent

    def refused(self, *words, **env):
        out = self.call(**env)
        self.assertEqual((out.returncode, out.stdout), (1, ""))
        for word in words:
            self.assertIn(word, out.stderr)

    def test_the_first_place_that_has_one_is_taken(self):
        named, conda, venv = self.torch("named"), self.torch("conda/lib/python3.12/site-packages/torch"), self.torch("venv/lib/python3.9/site-packages/torch")
        python = self.torch("python/torch")
        (python / "__init__.py").write_text("raise SystemExit('it was imported')")
        own = self.torch("bundle/libtorch/torch")
        path = f"{self.empty}:{Path(sys.executable).parent}"
        env = {"LIBTORCH": named, "VIRTUAL_ENV": self.root / "venv", "CONDA_PREFIX": self.root / "conda", "PYTHONPATH": self.root / "python", "PATH": path}
        self.assertEqual(self.taken(**env), named)
        del env["LIBTORCH"]
        self.assertEqual(self.taken(**env), own)
        shutil.rmtree(self.bundle / "libtorch")
        self.assertEqual(self.taken(**env), venv)
        shutil.rmtree(venv)
        self.assertEqual(self.taken(**env), conda)
        (conda / "version.py").write_text("__version__ = '2.12.0'\n")
        self.assertEqual(self.taken(**env), python)

    def test_nothing_found_says_where_was_looked(self):
        self.torch("venv/lib/python3.9/site-packages/torch", "2.9.1+cpu")
        self.refused("no libtorch 2.11 on this machine", "LIBTORCH is not set", "made without it", "it is libtorch 2.9.1+cpu, want 2.11", "CONDA_PREFIX is not set",
                     "python3: not on the PATH", "pip install 'torch==2.11.*'", VIRTUAL_ENV=self.root / "venv")

    def test_what_libtorch_names_is_taken_or_refused(self):
        self.torch("bundle/libtorch/torch")
        self.refused("LIBTORCH=/nowhere: it has no lib/libtorch_cpu.so", LIBTORCH="/nowhere")
        for place, words, arguments in (
                ("old", "it is libtorch 2.1.0+cu121, want 2.11", {"version": "2.1.0+cu121"}), ("longer", "it is libtorch 2.110.0, want 2.11", {"version": "2.110.0"}),
                ("unknown", "neither build-version nor version.py", {"version": ""}), ("abi", "another C++ ABI", {"old_abi": True})):
            self.refused(words, LIBTORCH=self.torch(place, **arguments))
        other = self.torch("distribution", version="")
        (other / "build-version").write_text("2.11.3+cpu\n")
        self.assertEqual(self.taken(LIBTORCH=other), other)

    def test_damaged_bundle_is_not_passed_over(self):
        own = self.torch("bundle/libtorch/torch")
        (own / "lib" / "libc10.so").unlink()
        self.torch("venv/lib/python3.9/site-packages/torch")
        self.refused("the bundle is damaged", VIRTUAL_ENV=self.root / "venv")

    def test_no_other_libtorch_is_loaded(self):
        other, named = self.torch("other"), self.torch("named")
        self.assertEqual(self.taken(LIBTORCH=named, LD_LIBRARY_PATH=other / "lib"), named)
        preload = other.parent / "preload.so"  # the loader takes a path without spaces alone, so it is called from there
        shutil.copy(other / "lib" / "libtorch_cpu.so", preload)
        out = subprocess.run(["sh", "-c", f"cd {shlex.quote(str(self.root))}; LD_PRELOAD=./preload.so LIBTORCH=named exec bundle/samtune"],
                             capture_output=True, text=True)
        self.assertEqual(out.returncode, 1)
        self.assertIn("libtorch_cpu.so would not come from", out.stderr)

    def test_missing_library_is_named(self):
        self.refused("libraries are missing", "libabsent.so => not found", LIBTORCH=self.torch("named", cpu="needy.so"))

    def test_program_of_another_machine(self):
        (self.bundle / "bin" / "samtune").write_bytes(b"\x7fELF" + bytes(60))
        self.refused("can't be started here", "glibc 2.34", LIBTORCH=self.torch("named"))

    def test_arguments_and_exit_code_are_handed_on(self):
        out = self.call("fail", "two words", "*", "", LIBTORCH=self.torch("named"))
        self.assertEqual((out.returncode, out.stdout.splitlines()[2]), (7, "[fail][two words][*][]"))

    def test_through_a_link_from_elsewhere(self):
        own = self.torch("bundle/libtorch/torch")
        os.symlink(self.bundle / "samtune", self.root / "link")
        out = subprocess.run(["../link"], cwd=self.empty, env={"PATH": str(self.empty)}, capture_output=True, text=True)
        self.assertEqual(Path(out.stdout.splitlines()[0]), own / "lib" / "libtorch_cpu.so")

    def test_run_tests(self):
        named = self.torch("named")
        out = self.call("-test.run", "X", script="run-tests", LIBTORCH=named)
        self.assertEqual(out.returncode, 0, out.stderr)
        self.assertEqual(out.stdout.count("[-test.v][-test.count=1][-test.run][CUDA][-test.run][X]"), 2)
        self.assertIn(f"libtorch 2.11.0+cu130 in {named}/lib", out.stdout)
        shutil.copy("/bin/false", self.bundle / "bin" / "a.test")
        out = self.call(script="run-tests", LIBTORCH=named)
        self.assertEqual(out.returncode, 1)
        self.assertIn("failed: bin/a.test", out.stderr)
        self.assertIn("== bin/b.test", out.stdout)


class InFolder(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()

    def write(self, name, content="x"):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path


class Contents(InFolder):
    def test_tarball_is_of_its_content_alone(self):
        sums = set()
        for time, mask in ((1, 0o022), (2 ** 30, 0o077)):
            before = os.umask(mask)
            self.addCleanup(os.umask, before)
            for name in ("b/bin/samtune", "b/weights/w.pth", "b/libtorch/torch/lib/x.so", "b/lib/find-libtorch.sh", "b/samtune", "b/README.md"):
                os.utime(self.write(name, name * 100), (time, time))
            bundle.set_modes(self.root / "b")
            bundle.pack(self.root / "b", self.root / "b.tar.xz", 1700000000)
            sums.add((self.root / "b.tar.xz").read_bytes())
            shutil.rmtree(self.root / "b")
        self.assertEqual(len(sums), 1)
        with tarfile.open(self.root / "b.tar.xz") as tar:
            members = tar.getmembers()
            self.assertEqual(tar.extractfile("b/weights/w.pth").read(), b"b/weights/w.pth" * 100)
        names = [m.name for m in members]
        self.assertEqual(names, sorted(names, key=lambda n: n.split("/")))
        self.assertEqual({(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members}, {(1700000000, 0, 0, "", "")})
        started = {m.name for m in members if m.isfile() and m.mode == 0o755}
        self.assertEqual(started, {"b/bin/samtune", "b/samtune"})
        self.assertFalse(list(self.root.glob("*.tmp")))

    def test_no_search_path_for_libraries_is_left(self):
        flags = building.Flags(["/t/cxx"], ["-I/a b/include"], ["-L/a b/lib", "-Wl,-rpath,/a b/lib", "-Wl,--as-needed"], Path("/a b"), (2, 11, 0))
        env = bundle.go_environment(flags, {"HOME": "/h"})
        self.assertEqual(env["CGO_LDFLAGS"], "'-L/a b/lib' -Wl,--as-needed -Wl,--gc-sections")
        sections = " ".join(bundle.SECTIONS)
        self.assertEqual(env["CGO_CFLAGS"], sections)
        self.assertEqual(env["CGO_CXXFLAGS"], f"'-I/a b/include' '-ffile-prefix-map=/a b=libtorch' -ffile-prefix-map=/t=toolchain {sections}")
        self.assertEqual(env["HOME"], "/h")

    def test_libraries_keep_their_places(self):
        torch = self.write("site/torch/version.py").parent
        self.write("site/torch/lib/libtorch_cpu.so")
        self.write("site/nvidia/cu13/lib/libcudart.so.13")
        found = {"libtorch_cpu.so": f"{torch}/lib/libtorch_cpu.so", "libcudart.so.13": f"{torch}/lib/../../nvidia/cu13/lib/libcudart.so.13", "libc.so.6": "/lib/libc.so.6"}
        bundle.copy_libtorch(found, torch, self.root / "out")
        self.assertEqual(sorted(str(p.relative_to(self.root / "out")) for p in (self.root / "out").rglob("*") if p.is_file()),
                         ["nvidia/cu13/lib/libcudart.so.13", "torch/lib/libtorch_cpu.so", "torch/version.py"])
        for name, place in (("libelse.so", "/opt/libelse.so"), ("libgone.so", "not found")):
            with self.assertRaisesRegex(bundle.setup.Stop, f"{name} is {place}, which is neither"):
                bundle.copy_libtorch({name: place}, torch, self.root / "out")

    def test_libraries_that_a_program_loads(self):
        compiled(self.root / "torch" / "lib" / "libx.so", "void x(void){}", "-shared", "-fPIC", "-Wl,-soname,libx.so")
        compiled(self.root / "program", "void x(void);int main(){x();}", f"-L{self.root}/torch/lib", "-lx")
        found = bundle.loaded(self.root / "program", self.root / "torch")
        self.assertEqual(found["libx.so"], f"{self.root}/torch/lib/libx.so")
        self.assertIn("libc.so.6", found)
        self.assertRegex(bundle.needed_glibc([self.root / "program"]), r"^2\.\d+$")

    def test_what_has_no_licence_is_not_handed_on(self):
        torch = self.write("site/torch/version.py").parent
        env = dict(os.environ)
        with self.assertRaisesRegex(bundle.setup.Stop, "torch: no licence file"):
            bundle.copy_licences(self.root / "licences", ["./configs"], torch, env)
        self.write("site/torch-2.11.0.dist-info/licenses/NOTICE")
        self.write("site/torch-2.11.0.dist-info/METADATA")
        bundle.copy_licences(self.root / "licences", ["./configs"], torch, env)
        index = (self.root / "licences" / "INDEX.md").read_text()
        for row in ("| samtune, and LiteMedSAM's", "| Go | go1.", "| github.com/BurntSushi/toml | v1.", "| torch | 2.11.0 | [NOTICE](torch/licenses/NOTICE) |"):
            self.assertIn(row, index)
        self.assertNotIn("METADATA", index)
        self.assertTrue((self.root / "licences" / "github.com" / "BurntSushi" / "toml" / "COPYING").exists())


if __name__ == "__main__":
    unittest.main()
