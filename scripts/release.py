#!/usr/bin/env python3
"""Makes the files of a release: make release VERSION=v0.1.0.

They are, in the folder --out: the bundle with libtorch's part for the CPU and the one without libtorch, a bill of materials for each
(CycloneDX), manual pages and completions for shells, and SHA256SUMS over them all. They are made from what is committed and
nothing else, so a tree with changes is refused, and they are dated by the commit: who makes them again gets the same bytes.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import building
import bundle
import sbom
import setup

VERSION = re.compile(r"v(\d+\.\d+\.\d+(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)")
SHOWN = 5  # changed files that are named


def say(text):
    print("release: " + text, file=sys.stderr, flush=True)


def number(version):
    """Returns a version without its v."""
    m = VERSION.fullmatch(version)
    if not m:
        raise setup.Stop(f"VERSION={version}: want v and three numbers, as in make release VERSION=v0.1.0, or v0.2.0-rc.1")
    return m[1]


def git(tree, *args):
    out = subprocess.run(["git", *args], cwd=tree, capture_output=True, text=True)
    if out.returncode != 0:
        raise setup.Stop(f"git {' '.join(args)}: {out.stderr.strip()}: a release is made from a clone of samtune with git")
    return out.stdout


def committed(tree, version):
    """Returns the commit that the tree is at, and its time. A tree that holds something else is refused, and a tag that says otherwise."""
    changes = git(tree, "status", "--porcelain", "--untracked-files=normal").splitlines()
    if changes:
        more = [f"  and {len(changes) - SHOWN} more"] if len(changes) > SHOWN else []
        raise setup.Stop("\n".join(["the tree has changes that are not committed; commit, stash or remove them first:", *changes[:SHOWN], *more]))
    commit = git(tree, "rev-parse", "HEAD").strip()
    if git(tree, "tag", "--list", version) and (tagged := git(tree, "rev-list", "-n", "1", version).strip()) != commit:
        raise setup.Stop(f"{version} is already the tag of commit {tagged[:12]}, and this is {commit[:12]}: check it out, or take another version")
    return commit, int(git(tree, "log", "-1", "--format=%ct"))


def own_libtorch(f, env):
    """Refuses any libtorch but the one that set-up fetches: the bill of materials knows the licences of no other."""
    if f.torch != setup.cache_dir(env) / f"libtorch-{setup.DEFAULT}" / "torch":
        raise setup.Stop(f"{f.torch} is not the libtorch {setup.DEFAULT} that make setup fetches: run make release without LIBTORCH and CUDA"
                         f" (a choice of CUDA=12 is undone by removing {setup.cache_dir(env) / 'libtorch.version'})")


def check_size(tarball):
    """Refuses a bundle without libtorch that is larger than people on a slow line were promised."""
    if (size := tarball.stat().st_size) >= bundle.LIMIT:
        raise setup.Stop(f"{tarball.name} has {size:,} bytes, want less than {bundle.LIMIT:,}: look for what need not be in it")


def write_sums(folder):
    """Writes SHA256SUMS over all files in folder, as sha256sum --check reads them."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name != "SHA256SUMS")
    (folder / "SHA256SUMS").write_text("".join(f"{setup.sha256(p)}  {p.name}\n" for p in files))


def make(work, done, version, commit, tests, env):
    """Makes the files of the release in the folder done, with the help of the folder work."""
    f = building.flags(env)
    own_libtorch(f, env)
    made, packages = work / "made", ["./cmd/samtune", *tests]
    bundle.compile_all(made, f, version, commit, tests, env)
    for with_libtorch in (False, True):
        name = bundle.bundle_name(version, with_libtorch)
        folder = work / name
        bundle.fill(folder, made, f, version, tests, with_libtorch, env)
        bill = sbom.bill(folder, version, commit, packages, setup.BUILDS[setup.DEFAULT], bundle.go_environment(f, env))
        inside = folder / "licences" / "sbom.cdx.json"
        inside.write_text(sbom.text(bill))
        bundle.set_modes(folder)
        shutil.copy(inside, done / f"{name}.cdx.json")
        say(f"compressing {name}; {sbom.count(bill['components'])} components are inside")
        bundle.pack(folder, done / f"{name}.tar.xz", bundle.epoch(env))
        if not with_libtorch:
            check_size(done / f"{name}.tar.xz")
        shutil.rmtree(folder)
    share = (made / "share").rename(work / f"samtune-{version}-man-and-completions")
    bundle.set_modes(share)
    bundle.pack(share, done / f"{share.name}.tar.xz", bundle.epoch(env))
    write_sums(done)


def release(version, out, tests, env):
    """Makes the release in the folder out, into which its files come when all of them are whole."""
    name = number(version)
    commit, time = committed(setup.REPO, version)
    env = dict(env, SOURCE_DATE_EPOCH=str(time))
    out.mkdir(parents=True, exist_ok=True)
    with setup.lock(out / ".lock"):
        work = out / f"samtune-{name}-release.tmp"
        shutil.rmtree(work, ignore_errors=True)  # of one that was killed
        done = work / "done"
        done.mkdir(parents=True)
        make(work, done, name, commit, tests, env)
        for path in sorted(done.iterdir()):
            path.chmod(0o644)
            os.replace(path, out / path.name)
            say(f"{out / path.name}: {bundle.size(out / path.name):,} bytes")
        shutil.rmtree(work)


def main():
    p = argparse.ArgumentParser(description="Makes the files of a release; called by make release.")
    p.add_argument("--version", required=True)
    p.add_argument("--out", type=Path, default=Path("dist"), help="folder to make them in")
    p.add_argument("--check", action="store_true", help="only say whether one can be made of this tree")
    p.add_argument("tests", nargs="*", help="packages whose tests go along")
    args = p.parse_args()

    def work():
        if args.check:
            number(args.version)
            committed(setup.REPO, args.version)
        else:
            release(args.version, args.out, args.tests, dict(os.environ))

    building.carry_out("release", "make release begins again", work)


if __name__ == "__main__":
    main()
