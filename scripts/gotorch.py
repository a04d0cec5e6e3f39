#!/usr/bin/env python3
"""Builds gotorch's C++ half, libcgotorch.so, against the libtorch that samtune is built with, and prints its folder.

Run by make with set-up's compiler flags in the environment (. .samtune/env.sh). The library lies in the user's cache
folder under a name that stands for its content: gotorch's sources, libtorch's version, and the flags. So it is
compiled once, and a second clone finds it.

Its own name (SONAME) is its whole path. A program that was linked with it finds it by that name, and no flag that Go's
build cache minds has to change: gotch would be compiled again for it.
"""
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import setup

MODULE = "github.com/wangkuiyi/gotorch"
NAME = "libcgotorch.so"
COMPILE = ["-std=c++17", "-fPIC"]
LINK = ["-shared", "-ltorch_cpu", "-lc10"]


def say(text):
    print("gotorch: " + text, file=sys.stderr, flush=True)


def call(command, **kwargs):
    """Runs a command and returns what it prints; where it fails, what it said is the reason to stop."""
    out = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if out.returncode != 0:
        raise setup.Stop(f"{shlex.join(command)}: exit code {out.returncode}\n{(out.stdout + out.stderr).strip()}")
    return out.stdout


def flags(env):
    """Returns set-up's compiler, its flags and the linker's, and the version of the libtorch that they name."""
    missing = [name for name in ("CXX", "CGO_CXXFLAGS", "CGO_LDFLAGS") if not env.get(name)]
    if missing:
        raise setup.Stop(f"{', '.join(missing)} not set: call it by make test-gotorch, or source .samtune/env.sh first")
    compiler, compile_flags, link_flags = (shlex.split(env[name]) for name in ("CXX", "CGO_CXXFLAGS", "CGO_LDFLAGS"))
    libraries = [Path(f[2:]) for f in link_flags if f.startswith("-L") and (Path(f[2:]) / "libtorch_cpu.so").exists()]
    if not libraries:
        raise setup.Stop("no -L folder of CGO_LDFLAGS holds libtorch_cpu.so: run make setup again")
    return compiler, compile_flags + COMPILE, link_flags, setup.version_of(libraries[0].parent)


def key(sources, compiler, compile_flags, link_flags, version):
    """Names a build by all that decides it."""
    h = hashlib.sha256()
    for path in sources:
        content = path.read_bytes()
        h.update(f"{path.name} {len(content)}\n".encode() + content)
    h.update(json.dumps([compiler, compile_flags, link_flags, LINK, version]).encode())
    return h.hexdigest()[:12]


def build(folder, module, sources, compiler, compile_flags, link_flags):
    """Compiles and links into folder, which comes to be whole or not at all. All sources go into one unit: libtorch's
    headers, on which the compiler spends its time, are read once."""
    began = time.monotonic()
    say("compiling its C++ half, once: about half a minute")
    fresh = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    fresh.mkdir(parents=True)
    try:
        unit = fresh / "unit.cc"
        unit.write_text("".join(f'#include "cgotorch/{p.name}"\n' for p in sources if p.suffix == ".cc"))
        call([*compiler, *compile_flags, f"-I{module}", str(unit), f"-Wl,-soname,{folder / NAME}", *link_flags, *LINK, "-o", str(fresh / NAME)])
        unit.unlink()
        (fresh / "COMPLETE.json").write_text(json.dumps(setup.listing(fresh)))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"built {folder / NAME} in {time.monotonic() - began:.0f} s")


def library(env):
    """Returns the folder of libcgotorch.so, building it where it is not complete."""
    compiler, compile_flags, link_flags, version = flags(env)
    module = Path(json.loads(call(["go", "mod", "download", "-json", MODULE], cwd=setup.REPO))["Dir"])
    sources = sorted(p for p in (module / "cgotorch").iterdir() if p.suffix in (".cc", ".h"))
    cache = setup.cache_dir(env)
    folder = cache / f"gotorch-{key(sources, compiler, compile_flags, link_flags, version)}"
    if not setup.complete(folder):
        with setup.lock(cache / ".gotorch.lock"):
            if not setup.complete(folder):
                build(folder, module, sources, compiler, compile_flags, link_flags)
    return folder


def main():
    try:
        print(library(os.environ))
    except (setup.Stop, OSError) as e:
        sys.exit(f"gotorch: {e}")
    except KeyboardInterrupt:
        sys.exit("gotorch: interrupted; the next call begins again")


if __name__ == "__main__":
    main()
