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
import shutil
import sys
import time
from pathlib import Path

import building
import setup

MODULE = "github.com/wangkuiyi/gotorch"
NAME = "libcgotorch.so"
COMPILE = ["-std=c++17", "-fPIC"]
LINK = ["-shared", "-ltorch_cpu", "-lc10"]


def say(text):
    print("gotorch: " + text, file=sys.stderr, flush=True)


def key(sources, f):
    """Names a build by all that decides it."""
    h = hashlib.sha256()
    for path in sources:
        content = path.read_bytes()
        h.update(f"{path.name} {len(content)}\n".encode() + content)
    h.update(json.dumps([f.compiler, f.compile, COMPILE, f.link, LINK, f.version]).encode())
    return h.hexdigest()[:12]


def build(folder, module, sources, f):
    """Compiles and links into folder, which comes to be whole or not at all. All sources go into one unit: libtorch's
    headers, on which the compiler spends its time, are read once."""
    began = time.monotonic()
    say("compiling its C++ half, once: about half a minute")
    fresh = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    fresh.mkdir(parents=True)
    try:
        unit = fresh / "unit.cc"
        unit.write_text("".join(f'#include "cgotorch/{p.name}"\n' for p in sources if p.suffix == ".cc"))
        building.call([*f.compiler, *f.compile, *COMPILE, f"-I{module}", str(unit), f"-Wl,-soname,{folder / NAME}", *f.link, *LINK, "-o", str(fresh / NAME)])
        unit.unlink()
        (fresh / "COMPLETE.json").write_text(json.dumps(setup.listing(fresh)))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"built {folder / NAME} in {time.monotonic() - began:.0f} s")


def library(env):
    """Returns the folder of libcgotorch.so, building it where it is not complete."""
    f = building.flags(env)
    module = Path(json.loads(building.call(["go", "mod", "download", "-json", MODULE], cwd=setup.REPO))["Dir"])
    sources = sorted(p for p in (module / "cgotorch").iterdir() if p.suffix in (".cc", ".h"))
    cache = setup.cache_dir(env)
    folder = cache / f"gotorch-{key(sources, f)}"
    if not setup.complete(folder):
        with setup.lock(cache / ".gotorch.lock"):
            for leftover in cache.glob("gotorch-*.tmp-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            if not setup.complete(folder):
                build(folder, module, sources, f)
    return folder


def main():
    building.carry_out("gotorch", "the next call begins again", lambda: print(library(os.environ)))


if __name__ == "__main__":
    main()
