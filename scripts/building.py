"""What scripts share that build with set-up's compiler and flags, which .samtune/env.sh has put into their environment."""
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import setup


class Flags(NamedTuple):
    compiler: list  # command
    compile: list
    link: list
    torch: Path  # folder that holds lib and include
    version: tuple  # of libtorch, as (2, 11, 0)


def flags(env):
    missing = [name for name in ("CXX", "CGO_CXXFLAGS", "CGO_LDFLAGS") if not env.get(name)]
    if missing:
        raise setup.Stop(f"{', '.join(missing)} not set: call this by make, or source .samtune/env.sh first")
    compiler, compile_flags, link = (shlex.split(env[name]) for name in ("CXX", "CGO_CXXFLAGS", "CGO_LDFLAGS"))
    libraries = [Path(f[2:]) for f in link if f.startswith("-L") and (Path(f[2:]) / "libtorch_cpu.so").exists()]
    if not libraries:
        raise setup.Stop("no -L folder of CGO_LDFLAGS holds libtorch_cpu.so: run make setup again")
    torch = libraries[0].parent
    return Flags(compiler, compile_flags, link, torch, setup.version_of(torch))


def call(command, **kwargs):
    """Runs a command and returns what it prints; where it fails, what it said is the reason to stop."""
    out = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if out.returncode != 0:
        raise setup.Stop(f"{shlex.join(command)}: exit code {out.returncode}\n{(out.stdout + out.stderr).strip()}")
    return out.stdout


def carry_out(name, again, work):
    """Does a script's work. What stops it ends the script with a message under its name; again says what the next call does."""
    try:
        work()
    except (setup.Stop, OSError) as e:
        sys.exit(f"{name}: {e}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; {again}")
