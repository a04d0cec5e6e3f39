#!/usr/bin/env python3
"""Makes a bundle: samtune for machines with neither Go nor network, as one folder and one tarball with its SHA-256.

Run by make bundle, with set-up's compiler flags in the environment, and by scripts/release.py. In the folder: the program and its CUDA
tests, stripped; LiteMedSAM's weights; manual pages and completions for shells; licences; the scripts of scripts/bundle, which find a
libtorch and start the program with it; and, unless --without-libtorch is given, the part of libtorch that the program is linked with.

The same sources give the same bytes: no path of this machine, no time and no user gets into them. What is dated has the date of
SOURCE_DATE_EPOCH, which make sets to that of the commit.
"""
import argparse
import hashlib
import json
import lzma
import os
import platform
import re
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import building
import setup

SCRIPTS = setup.REPO / "scripts" / "bundle"
LIMIT = 50_000_000  # bytes of a tarball without libtorch
MTIME = 315532800  # 1980-01-01, the age of every file in a tarball that is of no commit

# What any system has that can run the program; all else that it loads has to come with libtorch.
SYSTEM_LIBRARIES = {"linux-vdso.so.1", "ld-linux-x86-64.so.2", "libc.so.6", "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0",
                    "librt.so.1", "libstdc++.so.6", "libutil.so.1"}
# A name in libc10.so that tells its C++ ABI: of before GCC 5, and since.
ABI_NAMES = {True: "_ZN3c105ErrorC1ENS_14SourceLocationESs", False: "_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx11"}
# Each function in a section of its own, so that the linker leaves out the operators of libtorch that samtune never calls: most of 2,700.
SECTIONS = ["-O2", "-ffunction-sections", "-fdata-sections"]
LICENCE = re.compile(r"(licen[cs]e|copying|notice|patents)([.-].*)?$", re.IGNORECASE)

# How the folders of a bundle are compressed, each by what is in it: machine code by its jumps, numbers of four bytes by the place of
# a byte in them, libtorch quickly since it is large.
CODE = {"id": lzma.FILTER_X86}
FILTERS = {
    "bin": [CODE, {"id": lzma.FILTER_LZMA2, "preset": 9}],
    "libtorch": [CODE, {"id": lzma.FILTER_LZMA2, "preset": 1}],
    "weights": [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 2, "lp": 2}],
    "testdata": [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 2, "lp": 2}],
}
OTHERS = [{"id": lzma.FILTER_LZMA2, "preset": 6}]

# Where shells look for completions, below share.
COMPLETIONS = {"bash": "bash-completion/completions/samtune", "zsh": "zsh/site-functions/_samtune", "fish": "fish/vendor_completions.d/samtune.fish"}


def say(text):
    print("bundle: " + text, file=sys.stderr, flush=True)


def go_environment(f, env):
    """Returns the environment of the build. The program gets no search path for libraries, so that it runs with the libtorch that
    find-libtorch.sh has chosen or not at all; and the text of libtorch's assertions no path of this machine."""
    link = [flag for flag in f.link if not flag.startswith("-Wl,-rpath")]
    mapped = [f"-ffile-prefix-map={f.torch}=libtorch", f"-ffile-prefix-map={Path(f.compiler[0]).parent}=toolchain"]
    return dict(env, CGO_LDFLAGS=" ".join(map(setup.quoted, [*link, "-Wl,--gc-sections"])), CGO_CFLAGS=" ".join(SECTIONS),
                CGO_CXXFLAGS=" ".join(map(setup.quoted, [*f.compile, *mapped, *SECTIONS])))


def epoch(env):
    """Returns the time that everything in a bundle has, in seconds since 1970."""
    return int(env.get("SOURCE_DATE_EPOCH") or MTIME)


def compile_programs(folder, version, commit, tests, env):
    """Builds samtune and the tests of the packages into folder."""
    folder.mkdir(parents=True)
    # Go's and the linker's build ids stand for, among others, the paths of this machine.
    flags, link = ["-trimpath", "-buildvcs=false", "-ldflags"], "-s -w -buildid= -B none"
    say("compiling; the first time this takes some minutes, since it is done without this machine's paths")
    building.call(["go", "build", *flags, f"{link} -X main.version={version} -X main.commit={commit}", "-o", str(folder / "samtune"), "./cmd/samtune"], cwd=setup.REPO, env=env)
    for package in tests:
        building.call(["go", "test", "-c", *flags, link, "-o", str(folder / f"{Path(package).name}.test"), package], cwd=setup.REPO, env=env)


def write_share(folder, program, torch, time):
    """Has the program write its manual pages and completions into folder, in the places that they have below /usr/share."""
    (folder / "man" / "man1").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as home:  # nothing of this user's is to get into them
        env = {"PATH": os.environ["PATH"], "HOME": home, "TZ": "UTC", "LC_ALL": "C", "LD_LIBRARY_PATH": str(torch / "lib"), "SOURCE_DATE_EPOCH": str(time)}
        building.call([str(program), "docs", "--man", str(folder / "man" / "man1")], env=env)
        for shell, place in COMPLETIONS.items():
            (folder / place).parent.mkdir(parents=True)
            (folder / place).write_text(building.call([str(program), "completion", shell], env=env))


def compile_all(folder, f, version, commit, tests, env):
    """Makes in folder what bundles with and without libtorch have in common and that takes time: bin and share."""
    compile_programs(folder / "bin", version, commit, tests, go_environment(f, env))
    write_share(folder / "share", folder / "bin" / "samtune", f.torch, epoch(env))


def needed_glibc(programs):
    """Returns the oldest glibc that has all that the programs call."""
    versions = (m.groups() for p in programs for m in re.finditer(rb"GLIBC_(\d+)\.(\d+)\0", p.read_bytes()))
    return "{}.{}".format(*max((int(a), int(b)) for a, b in versions))


def loaded(program, torch):
    """Returns the libraries that the loader gives program with this libtorch, by name."""
    env = dict(os.environ, LD_TRACE_LOADED_OBJECTS="1", LD_LIBRARY_PATH=str(torch / "lib"))
    libraries = {}
    for line in building.call([str(program)], env=env).splitlines():
        m = re.match(r"\s+(\S+) => (.*?)(?: \(0x|$)", line)
        if m:
            libraries[m[1]] = m[2]
    return libraries


def copy_libtorch(libraries, torch, into):
    """Copies what of libtorch a program loads, each in its place beside the others, where they look for each other."""
    for name, place in sorted(libraries.items()):
        if name in SYSTEM_LIBRARIES:
            continue
        path = Path(os.path.normpath(place))
        for base in (torch, torch.parent / "nvidia"):
            if base in path.parents:
                target = into / base.name if base.name == "nvidia" else into / "torch"
                copy(path, target / path.relative_to(base))
                break
        else:
            raise setup.Stop(f"{name} is {place}, which is neither libtorch's nor of any system: use make bundle LIBTORCH=none")
    for name in ("build-version", "version.py"):
        if (torch / name).exists():
            copy(torch / name, into / "torch" / name)


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def licence_files(folder):
    return sorted(p for p in folder.iterdir() if p.is_file() and LICENCE.match(p.name))


def modules(packages, env):
    """Returns path, version and folder of each Go module that the packages and their tests are made of."""
    form = "{{with .Module}}{{if not .Main}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}{{end}}"
    lines = building.call(["go", "list", "-deps", "-test", "-f", form, *packages], cwd=setup.REPO, env=env).splitlines()
    return sorted({tuple(line.split("\t")) for line in lines if line})


def copy_licences(folder, packages, torch, env):
    """Copies the licences of all that is in the bundle, and writes an index. What has none stops it."""
    rows = []

    def add(what, version, name, base, files):
        if not files:
            raise setup.Stop(f"{what}: no licence file is in {base}, without which it can't be handed on")
        links = []
        for path in files:
            place = f"{name}/{path.relative_to(base)}"
            copy(path, folder / place)
            links.append(f"[{path.name}]({place})")
        rows.append(f"| {what} | {version} | {', '.join(links)} |")

    def go(*args):
        return building.call(["go", *args], cwd=setup.REPO, env=env).strip()

    add("samtune, and LiteMedSAM's weights, which have the same licence", "", "samtune", setup.REPO, licence_files(setup.REPO))
    goroot = Path(go("env", "GOROOT"))
    add("Go", go("env", "GOVERSION"), "go", goroot, licence_files(goroot))
    for path, version, place in modules(packages, env):
        add(path, version, path, Path(place), licence_files(Path(place)))
    if torch:
        infos = [i for pattern in ("torch-*", "nvidia_cuda_runtime*", "nvidia_cuda_cupti*") for i in sorted(torch.parent.glob(pattern + ".dist-info"))]
        for info in infos:
            package, version = info.name[:-len(".dist-info")].split("-")
            add(package, version, package, info, licence_files(info) + sorted(p for p in info.glob("licenses/**/*") if p.is_file()))
        if not infos:
            add("torch", "", "torch", torch, licence_files(torch))
        if list((torch / "lib").glob("libgomp*")):
            rows.append("| libgomp, which comes with torch | | GPL-3.0-or-later with the GCC Runtime Library Exception; sources: https://gcc.gnu.org |")
    (folder / "INDEX.md").write_text("# Licences of what is in this bundle\n\n| what | version | licence |\n|---|---|---|\n" + "\n".join(rows) + "\n")


def write_scripts(folder, values):
    """Copies the scripts, with @NAME@ in them replaced."""
    for source in sorted(SCRIPTS.iterdir()):
        text = re.sub(r"@([A-Z]+)@", lambda m: values[m[1]], source.read_text())
        target = folder / ("lib" if source.suffix == ".sh" else ".") / source.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)


def set_modes(folder):
    """Lets everybody read, and start what is there to be started: programs, and the scripts at the top, which have no suffix."""
    for path in [folder, *folder.rglob("*")]:
        started = path.is_dir() or path.parent.name == "bin" or path.parent == folder and path.suffix == ""
        path.chmod(0o755 if started else 0o644)


class Streams:
    """A file for tarfile to write into, which compresses what comes in streams of .xz, one after the other: each with
    filters that suit it. To what reads .xz they are one."""

    def __init__(self, file):
        self.file, self.kind, self.compressor, self.written = file, None, None, 0

    def begin(self, kind):
        if self.compressor is None or kind != self.kind:
            self.end()
            self.kind, self.compressor = kind, lzma.LZMACompressor(lzma.FORMAT_XZ, filters=FILTERS.get(kind, OTHERS))

    def end(self):
        if self.compressor:
            self.file.write(self.compressor.flush())
            self.compressor = None

    def write(self, data):
        self.file.write(self.compressor.compress(data))
        self.written += len(data)
        return len(data)

    def tell(self):
        return self.written


def pack(folder, target, time):
    """Writes folder into the tarball target, which comes to be whole or not at all: sorted, of one age, nobody's."""
    fresh = target.with_name(target.name + ".tmp")
    with open(fresh, "wb") as f:
        streams = Streams(f)
        streams.begin(None)
        with tarfile.open(fileobj=streams, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in [folder, *sorted(folder.rglob("*"))]:
                place = path.relative_to(folder)
                info = tar.gettarinfo(str(path), str(Path(folder.name) / place))
                info.mtime, info.uid, info.gid, info.uname, info.gname = time, 0, 0, "", ""
                streams.begin(place.parts[0] if place.parts else None)
                if info.isreg():
                    with open(path, "rb") as content:
                        tar.addfile(info, content)
                else:
                    tar.addfile(info)
        streams.end()
    os.replace(fresh, target)


def size(path):
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


def fill(folder, made, f, version, tests, with_libtorch, env):
    """Puts all of a bundle into folder; made is what compile_all made."""
    for part in ("bin", "share"):
        shutil.copytree(made / part, folder / part)
    weights = setup.cache_dir(env) / "weights" / setup.WEIGHTS_FILE
    if setup.sha256(weights) != setup.WEIGHTS_SHA256:
        raise setup.Stop(f"{weights} is damaged: remove it and run make setup again")
    copy(weights, folder / "weights" / weights.name)
    shutil.copytree(setup.REPO / "testdata" / "parity", folder / "testdata" / "parity")
    if with_libtorch:
        copy_libtorch(loaded(folder / "bin" / "samtune", f.torch), f.torch, folder / "libtorch")
    copy_licences(folder / "licences", ["./cmd/samtune", *tests], f.torch if with_libtorch else None, go_environment(f, env))
    write_scripts(folder, {
        "VERSION": version, "TORCH": ".".join(map(str, f.version[:2])), "ABI": ABI_NAMES[setup.old_abi(f.torch)],
        "GLIBC": needed_glibc(sorted((folder / "bin").iterdir())), "WEIGHTS": weights.name,
        "LIBTORCH": "whose part for the CPU is inside" if with_libtorch else "which is not inside"})
    set_modes(folder)


def bundle_name(version, with_libtorch):
    return f"samtune-{version}-{platform.system().lower()}-{platform.machine()}" + ("" if with_libtorch else "-without-libtorch")


def bundle(version, commit, out, tests, with_libtorch, env):
    """Makes the bundle in the folder out and returns the tarball's path."""
    f = building.flags(env)
    name = bundle_name(version, with_libtorch)
    folder, work, tarball = out / name, out / f"{name}.tmp", out / f"{name}.tar.xz"
    out.mkdir(parents=True, exist_ok=True)
    with setup.lock(out / ".lock"):
        shutil.rmtree(work, ignore_errors=True)  # of one that was killed
        compile_all(work / "made", f, version, commit, tests, env)
        fill(work / name, work / "made", f, version, tests, with_libtorch, env)
        shutil.rmtree(folder, ignore_errors=True)
        (work / name).rename(folder)
        shutil.rmtree(work)
        say("compressing")
        pack(folder, tarball, epoch(env))
        tarball.with_name(tarball.name + ".sha256").write_text(f"{setup.sha256(tarball)}  {tarball.name}\n")
    say(f"{tarball}: {size(tarball) / 1e6:.1f} MB, unpacked {size(folder) / 1e6:.1f} MB in {folder}")
    return tarball


def main():
    p = argparse.ArgumentParser(description="Makes a bundle for machines with neither Go nor network; called by make bundle.")
    p.add_argument("--version", required=True)
    p.add_argument("--commit", default="")
    p.add_argument("--out", type=Path, required=True, help="folder to make it in")
    p.add_argument("--without-libtorch", action="store_true")
    p.add_argument("tests", nargs="*", help="packages whose tests go along")
    args = p.parse_args()
    building.carry_out("bundle", "make bundle begins again",
                       lambda: bundle(args.version, args.commit, args.out, args.tests, not args.without_libtorch, dict(os.environ)))


if __name__ == "__main__":
    main()
