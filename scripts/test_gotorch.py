"""Tests of the build of gotorch's C++ half: python3 -m unittest scripts/test_gotorch.py. They compile nothing."""
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))
import gotorch  # noqa: E402

COMPILER = """#!/usr/bin/env python3
import pathlib, sys
log = pathlib.Path(sys.argv[0]).with_name("calls")
log.write_text((log.read_text() if log.exists() else "") + " ".join(sys.argv[1:]) + "\\n")
pathlib.Path(sys.argv[sys.argv.index("-o") + 1]).write_text("library")
sys.exit(1 if log.with_name("fail").exists() else 0)
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.module = self.root / "module"
        (self.module / "cgotorch").mkdir(parents=True)
        for name in ("b.cc", "a.cc", "a.h", "build.sh"):
            (self.module / "cgotorch" / name).write_text(name)
        lib = self.root / "torch" / "lib"
        lib.mkdir(parents=True)
        (lib / "libtorch_cpu.so").touch()
        (lib.parent / "version.py").write_text("__version__ = '2.11.0+cu130'\n")
        (self.root / "cache" / "samtune").mkdir(parents=True)
        compiler = self.root / "cxx"
        compiler.write_text(COMPILER)
        compiler.chmod(0o755)
        self.env = {"CXX": str(compiler), "CGO_CXXFLAGS": "-I'/a b'", "CGO_LDFLAGS": f"-L{self.root} -L{lib}", "XDG_CACHE_HOME": str(self.root / "cache")}
        real = gotorch.building.call

        def call(command, **kwargs):
            return json.dumps({"Dir": str(self.module)}) if command[0] == "go" else real(command, **kwargs)

        for module, target, value in ((gotorch.building, "call", call), (gotorch, "say", lambda text: None)):
            patch = mock.patch.object(module, target, value)
            patch.start()
            self.addCleanup(patch.stop)

    def calls(self):
        log = self.root / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def test_built_once_in_one_unit(self):
        folder = gotorch.library(self.env)
        self.assertEqual(gotorch.library(self.env), folder)
        (call,) = self.calls()
        for flag in ("-I/a b", f"-I{self.module}", f"-Wl,-soname,{folder}/libcgotorch.so", "-ltorch_cpu", "-std=c++17"):
            self.assertIn(flag, call)
        self.assertEqual(sorted(os.listdir(folder)), ["COMPLETE.json", "libcgotorch.so"])

    def test_another_name_for_another_content(self):
        folders = [gotorch.library(self.env)]
        (self.module / "cgotorch" / "a.h").write_text("other")
        folders.append(gotorch.library(self.env))
        self.env["CGO_CXXFLAGS"] = "-DX"
        folders.append(gotorch.library(self.env))
        (self.root / "torch" / "version.py").write_text("__version__ = '2.1.0'\n")
        folders.append(gotorch.library(self.env))
        self.assertEqual(len(set(folders)), 4)
        (self.module / "cgotorch" / "build.sh").write_text("no source")
        self.assertEqual(gotorch.library(self.env), folders[-1])

    def test_failure_leaves_nothing_and_says_what_the_compiler_said(self):
        (self.root / "fail").touch()
        with self.assertRaisesRegex(gotorch.setup.Stop, "exit code 1"):
            gotorch.library(self.env)
        self.assertEqual([p.name for p in (self.root / "cache" / "samtune").iterdir() if p.is_dir()], [])

    def test_damaged_library_is_built_again(self):
        folder = gotorch.library(self.env)
        (folder / "libcgotorch.so").write_text("")
        gotorch.library(self.env)
        self.assertEqual((folder / "libcgotorch.so").read_text(), "library")

    def test_flags_are_needed(self):
        del self.env["CXX"]
        with self.assertRaisesRegex(gotorch.setup.Stop, "CXX not set: call this by make"):
            gotorch.library(self.env)


if __name__ == "__main__":
    unittest.main()
