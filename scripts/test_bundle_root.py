#!/usr/bin/env python3
"""Tries bundles in an empty Debian: make test-bundle.

Bundles are made with and without libtorch, the latter twice, from two folders, which has to give the same bytes. A root is unpacked
from Debian's packages: libc, libstdc++, a shell, coreutils, grep and Python, with no Go, no compiler, no cache and no network. In it a
user who may write nowhere but into one folder runs the program, a short fine-tuning and the GPU's tests, with libtorch
from each place in which one is looked for, and gets told what is wrong where none fits.

It takes minutes, needs root and apt, and says that it is skipped where it can't be done. All that it makes lies in one temporary folder,
which is removed in the end.
"""
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import setup
from bundle import LIMIT

REPO = setup.REPO
PACKAGES = ["libstdc++6", "dash", "coreutils", "grep", "python3-minimal"]
VERSION = "0.0.0+trial"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
USER = 65534

# A run on generated pictures that takes a minute.
RUN = ["finetune", "--shots", "1", "--decoder", "plain", "--compare", "none", "--set", "views.grid=1", "--set", "train.steps=2",
       "--set", 'eval.prompts=["box"]', "--out", "/trial/run"]

BEGAN = time.monotonic()


class Failed(Exception):
    """The test failed; the message says why."""


class Skipped(Exception):
    """This machine can't do it; the message says why."""


def say(text):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {text}", flush=True)


def call(*command, **kwargs):
    """Runs a command and returns what it prints."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise Failed(f"{' '.join(str(c) for c in command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_machine():
    for program in ("apt-get", "dpkg", "unshare", "chroot"):
        if not shutil.which(program):
            raise Skipped(f"{program} is not on this machine")
    if os.geteuid() != 0:
        raise Skipped("only root can enter another root")
    if subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "mount", "--make-rprivate", "/"], capture_output=True).returncode != 0:
        raise Skipped("this machine does not let root mount file systems")


def make(folder, out, *variables):
    """Makes a bundle from the clone in folder and returns its tarball."""
    call("make", "bundle", f"OUT={out}", f"VERSION={VERSION}", f"COMMIT={COMMIT}", *variables, cwd=folder, env=dict(os.environ, SOURCE_DATE_EPOCH="1700000000"))
    (tarball,) = out.glob("*.tar.xz")
    sum_file = tarball.with_name(tarball.name + ".sha256")
    call("sha256sum", "--check", "--status", sum_file.name, cwd=out)
    return tarball


def copy_clone(folder):
    """Copies what git knows of the clone, so that the same sources lie in another folder."""
    for name in call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPO).split("\0"):
        if name and (REPO / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO / name, folder / name)


def unpack_debian(work, root):
    """Downloads packages with all that they need, as apt does where nothing is installed, and unpacks them."""
    state, archives = work / "status", work / "archives"
    state.touch()
    (archives / "partial").mkdir(parents=True)
    options = ["-o", f"Dir::State::status={state}", "-o", f"Dir::Cache::archives={archives}", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]
    command = ["apt-get", *options, "-y", "--no-install-recommends", "--download-only", "install", *PACKAGES]
    if subprocess.run(command, capture_output=True).returncode != 0:
        if (update := subprocess.run(["apt-get", "update"], capture_output=True, text=True)).returncode != 0:
            raise Skipped(f"Debian's packages can't be reached: {update.stderr.strip()}")
        call(*command)
    for package in sorted(archives.glob("*.deb")):
        call("dpkg", "-x", package, root)
    if not (root / "bin" / "sh").exists():  # the link that dash's installation makes
        os.symlink("dash", root / "bin" / "sh")
    for folder in ("proc", "dev", "tmp", "trial", "etc"):
        (root / folder).mkdir(exist_ok=True)
    for folder in ("tmp", "trial"):
        (root / folder).chmod(0o1777)


class Root:
    """An empty Debian, entered as a user who owns nothing in it but /trial."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *command, cwd="/trial", **env):
        words = ["env", "-i", f"--chdir={cwd}", "PATH=/usr/bin:/bin", "HOME=/trial/home", *[f"{k}={v}" for k, v in env.items()], *command]
        enter = ('mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && root=$0 && '
                 f'exec chroot --userspec={USER}:{USER} "$root" "$@"')
        return subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", enter, str(self.folder), *words],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)

    def expect(self, what, code, words, *command, **env):
        """Runs a command and wants this exit code, and these words in what it prints."""
        done = self.run(*command, **env)
        text = done.stdout + done.stderr
        lacking = [w for w in words if w not in text]
        if done.returncode != code or lacking:
            raise Failed(f"{what}: exit code {done.returncode}, want {code}; lacking: {lacking}\n{text}")
        say(what)
        return text


def libtorch_for(root, source, place, version):
    """Puts libtorch into the root as pip lays it out, with a PyTorch that must not be imported, and returns its torch folder."""
    target = root / place.lstrip("/")
    shutil.copytree(source, target, copy_function=os.link)
    (target / "torch" / "__init__.py").write_text("raise SystemExit('PyTorch was imported')\n")
    set_version(target / "torch", version)
    return f"{place}/torch"


def set_version(torch, version):
    """Lets version.py name another version, by which the libtorchs are told apart."""
    (torch / "version.py").unlink()
    (torch / "version.py").write_text(f"__version__ = '{version}'\n")


def unpack(tarball, into):
    with tarfile.open(tarball) as tar:
        tar.extractall(into)
    return "/" + str((into / tarball.name[:-len(".tar.xz")]).relative_to(into.parent))


def try_without_libtorch(root, bundle, libtorch):
    samtune, tests = f"{bundle}/samtune", f"{bundle}/run-tests"
    root.expect("no libtorch anywhere: said, with what to do", 1,
                ["no libtorch 2.11", "VIRTUAL_ENV is not set", "/usr/bin/python3 has no PyTorch", "pip install 'torch==2.11.*'"], samtune, "version")
    good = libtorch_for(root.folder, libtorch, "/opt/site", "2.11.0+named")
    root.expect("LIBTORCH is taken", 0, [f"samtune {VERSION}, libtorch 2.11.0+named"], samtune, "version", LIBTORCH=good)
    old = libtorch_for(root.folder, libtorch, "/opt/old", "2.9.1+cu128")
    root.expect("another version is refused", 1, [f"LIBTORCH={old}: it is libtorch 2.9.1+cu128, want 2.11"], samtune, "version", LIBTORCH=old)
    root.expect("another libtorch in LD_LIBRARY_PATH is not loaded", 0, ["libtorch 2.11.0+named"], samtune, "version", LIBTORCH=good, LD_LIBRARY_PATH=f"{old}/lib")
    (root.folder / "opt/old/nvidia/cu13/lib/libcudart.so.13").unlink()
    set_version(root.folder / "opt/old/torch", "2.11.0+cu130")
    root.expect("a library that PyTorch lacks is named", 1, ["libcudart.so.13 => not found", "nvidia packages"], samtune, "version", LIBTORCH=old)

    libtorch_for(root.folder, libtorch, "/opt/python", "2.11.0+python")
    python = {"PYTHONPATH": "/opt/python"}
    root.expect("python3's PyTorch is found and not imported", 0, ["libtorch 2.11.0+python"], samtune, "version", **python)
    libtorch_for(root.folder, libtorch, "/trial/venv/lib/python3.12/site-packages", "2.11.0+venv")
    root.expect("the active environment comes before it", 0, ["libtorch 2.11.0+venv"], samtune, "version", VIRTUAL_ENV="/trial/venv", **python)

    text = root.expect("fine-tuning on generated pictures, from a folder that can't be written to", 0, ["/trial/run"], samtune, *RUN, LIBTORCH=good)
    for name in ("results.json", "report.html"):
        if not (root.folder / "trial" / "run" / name).exists():
            raise Failed(f"fine-tuning left no {name}:\n{text}")
    root.expect("the tests say that there is no GPU", 0, ["--- SKIP: TestCUDAParity", "--- SKIP: TestCUDATraining", "no NVIDIA driver"], tests, LIBTORCH=good)
    root.expect("LiteMedSAM's tests that need no GPU find their data", 0, ["--- PASS: TestLiteMedSAM"], tests, "-test.run", "^TestLiteMedSAM", LIBTORCH=good)


def trial(work):
    small = make(REPO, work / "one", "LIBTORCH=none")
    say(f"a bundle without libtorch: {small.stat().st_size / 1e6:.1f} MB")
    if small.stat().st_size >= LIMIT:
        raise Failed(f"it is not below {LIMIT / 1e6:.0f} MB")
    copy_clone(work / "clone")
    again = make(work / "clone", work / "two", "LIBTORCH=none")
    if small.read_bytes() != again.read_bytes():
        raise Failed(f"{small} and {again}, made of the same sources in another folder, differ")
    for program in (work / "one").glob("samtune-*/bin/*"):
        for path in (str(REPO), str(setup.cache_dir(os.environ)), str(work)):
            if path.encode() in program.read_bytes():
                raise Failed(f"{program.name} has this machine's {path} in it")
    say("made again from another folder: the same bytes, and no path of this machine in them")
    whole = make(REPO, work / "whole")
    say(f"a bundle with libtorch: {whole.stat().st_size / 1e6:.1f} MB")

    root = Root(work / "root")
    unpack_debian(work, root.folder)
    opt = root.folder / "opt"
    opt.mkdir(exist_ok=True)
    for program in ("go", "gcc", "pip"):
        if root.run("sh", "-c", f"command -v {program}").returncode == 0:
            raise Failed(f"{program} is in the empty Debian")
    say("an empty Debian is there, of " + " ".join(sorted(p.name.split("_")[0] for p in (work / "archives").glob("*.deb"))))

    bundle = unpack(whole, opt)
    root.expect("with libtorch inside it needs nothing else", 0, [f"samtune {VERSION}, libtorch 2.11"], f"{bundle}/samtune", "version")
    libtorch = root.folder / bundle.lstrip("/") / "libtorch"
    moved = shutil.move(libtorch, work / "libtorch")
    shutil.rmtree(root.folder / bundle.lstrip("/"))
    try_without_libtorch(root, unpack(small, opt), moved)


def main():
    try:
        check_machine()
        with tempfile.TemporaryDirectory(prefix="samtune-bundle-") as folder:
            os.chmod(folder, 0o755)
            trial(Path(folder).resolve())
    except Skipped as reason:
        print(f"test-bundle: SKIPPED: {reason}", file=sys.stderr)
        return 0
    except (Failed, subprocess.TimeoutExpired) as problem:
        print(f"test-bundle: {problem}", file=sys.stderr)
        return 1
    say("done, and all files of the test are gone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
