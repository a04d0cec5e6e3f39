#!/usr/bin/env python3
"""Kills samtune at random moments, again and again, and looks whether anything is lost: make torture.

finetune, encode, sweep and weights export work on a tiny data set that is made here. Each is killed with SIGKILL at a
random moment and started again, until it ends by itself. After every kill: no checkpoint that does not verify, no file
under its final name that is cut short, and what was finished is still there, unchanged. At the end: the same bytes as
those of a run that nobody disturbed. KILLS says how many (60), SEED draws other moments. As many jobs as there are cores
live at a time, on one thread each.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import short_runs
from short_runs import SAMTUNE

SHORT = ["train.threads=1", *short_runs.SETTINGS]
SETTINGS = ["decoder=plain", "compare=[]", *SHORT]
BENCHMARK = """
name = "blobs"
title = "blobs"
task = "torture"
targets = ["blob"]
engine = "pairs"
folders = ["blobs"]
nsd_tolerance = 1.0
[[layout]]
name = "train and test"
[layout.pool]
image = "train/{id}.png"
mask = "train_masks/{id}.png"
[layout.test]
image = "test/{id}.png"
mask = "test_masks/{id}.png"
"""


class Lost(Exception):
    """Something was lost or differs."""


def say(text):
    print(text, flush=True)


def png(path, width, height, channels, pixels):
    """Writes 8-bit pixels, rows one after the other."""
    rows = b"".join(b"\0" + bytes(pixels[y * width * channels:(y + 1) * width * channels]) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if channels == 3 else 0, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def data_set(folder):
    """Makes pictures with a bright disc each and returns the benchmark's file."""
    side, draw = 64, random.Random(7)
    for part, count in (("train", 3), ("test", 2)):
        for i in range(count):
            x0, y0, r = draw.randrange(20, 44), draw.randrange(20, 44), draw.randrange(8, 16)
            inside = [(x - x0) ** 2 + (y - y0) ** 2 < r * r for y in range(side) for x in range(side)]
            grey = [min(255, 60 + 120 * v + draw.randrange(50)) for v in inside]
            png(folder / "blobs" / part / f"{part}{i}.png", side, side, 3, [v for g in grey for v in (g, g // 2, g // 3)])
            png(folder / "blobs" / f"{part}_masks" / f"{part}{i}.png", side, side, 1, [255 * v for v in inside])
    path = folder / "blobs.toml"
    path.write_text(BENCHMARK)
    return path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_files(folder):
    """The files of a run whose bytes must repeat, with their hashes."""
    return {name: digest(path) for name, path in short_runs.result_files(folder).items()}


def check_whole(folder):
    """Every file under its final name is whole: checkpoints verify, safetensors have their length, JSON reads."""
    for path in folder.rglob("*"):
        if any(part.startswith(".") or ".tmp" in part for part in path.relative_to(folder).parts) or not path.is_file():
            continue
        if path.name == "MANIFEST.json":
            for name, entry in json.loads(path.read_text())["files"].items():
                if digest(path.parent / name) != entry["sha256"]:
                    raise Lost(f"checkpoint {path.parent}: {name} does not verify")
        elif path.suffix == ".safetensors":
            raw = path.read_bytes()
            size = struct.unpack("<Q", raw[:8])[0] if len(raw) >= 8 else -1
            header = json.loads(raw[8:8 + size]) if 0 <= size <= len(raw) - 8 else None
            if header is None or 8 + size + max(t["data_offsets"][1] for n, t in header.items() if n != "__metadata__") != len(raw):
                raise Lost(f"{path} is cut short: {len(raw)} bytes")
        elif path.suffix == ".json" and path.parent.name != ".state":
            json.loads(path.read_text())


class Job:
    """A command that is killed until it ends; folder holds all that it writes."""
    name, group = "", True

    def __init__(self, work, benchmark):
        self.work, self.benchmark = work, benchmark
        self.cache = work / "cache of all"  # filled once: what a job does not test is not done again each time

    def prepare(self, folder):
        folder.mkdir(parents=True)

    def result(self, folder):
        """Hashes of what the job leaves, by name."""
        raise NotImplementedError

    def done(self, folder):
        """Hashes of what is finished already and must stay."""
        return {}


class Finetune(Job):
    name = "finetune"

    def command(self, folder):
        return ["finetune", "--benchmark", self.benchmark, "--shots", "2", "--cache", self.cache, "--out", folder / "run", *short_runs.sets(SETTINGS)]

    def result(self, folder):
        return run_files(folder / "run")

    def done(self, folder):
        return {"results.json": digest(folder / "run" / "results.json")} if (folder / "run" / "results.json").exists() else {}


class Encode(Job):
    name = "encode"

    def command(self, folder):
        return ["encode", "--benchmark", self.benchmark, "--cache", folder / "cache", *short_runs.sets(SETTINGS)]

    def result(self, folder):
        return {p.name: digest(p) for p in folder.rglob("*.safetensors") if not p.name.startswith(".")}

    def done(self, folder):
        return self.result(folder)


class Sweep(Job):
    name = "sweep"

    def command(self, folder):
        return ["sweep", "--benchmark", self.benchmark, "--shots", "1,2", "--seeds", "1", "--decoders", "plain", "--cache", self.cache, "--out", folder / "sweep",
                "--replace", *short_runs.sets(SHORT)]

    def result(self, folder):
        found = {}
        for run in sorted((folder / "sweep" / "runs").iterdir()):
            found.update({f"{run.name}/{name}": sum for name, sum in run_files(run).items()})
        return found

    def done(self, folder):
        return {str(p): digest(p) for p in folder.glob("sweep/runs/*/results.json")}


class Export(Job):
    name = "export"

    def command(self, folder):
        return ["weights", "export", self.work / "finetune-reference" / "run", "--out", folder / "model.safetensors"]

    def result(self, folder):
        return {p.name: digest(p) for p in folder.glob("*.safetensors") if not p.name.startswith(".")}

    def done(self, folder):
        return self.result(folder)


def start(job, folder):
    log = open(folder / "log.txt", "ab")
    try:
        return subprocess.Popen([str(a) for a in [SAMTUNE, *job.command(folder)]], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    finally:
        log.close()


def wait_for_children(session):
    """Waits until the last process that a job started has ended: its children end by themselves when it is gone."""
    deadline = time.monotonic() + 90
    while True:
        alive = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                alive.append(stat.parent.name)
        if not alive:
            return
        if time.monotonic() > deadline:
            raise Lost(f"processes {', '.join(alive)} of a job that was killed go on")
        time.sleep(0.05)


def undisturbed(job, folder):
    job.prepare(folder)
    began = time.monotonic()
    if start(job, folder).wait() != 0:
        raise Lost(f"{job.name}, not disturbed, fails: {(folder / 'log.txt').read_text()[-500:]}")
    check_whole(folder)
    return job.result(folder), time.monotonic() - began


def life(job, folder, want, longest, draw, kills_left):
    """Kills a job until it ends by itself, or until no kill is left, and returns the number of kills."""
    job.prepare(folder)
    kills = 0
    while True:
        process = start(job, folder)
        if kills < kills_left:
            try:
                process.wait(longest * draw.random() * draw.random())  # early moments more often: what goes on after a kill takes less than the whole
            except subprocess.TimeoutExpired:
                before = job.done(folder)
                # All of it at once, as when the power goes; or the parent alone, whose children then have to end.
                (os.killpg if draw.random() < 0.7 else os.kill)(process.pid, signal.SIGKILL)
                process.wait()
                wait_for_children(process.pid)
                kills += 1
                check_whole(folder)
                after = job.done(folder)
                for name, sum in before.items():
                    if after.get(name) != sum:
                        raise Lost(f"{job.name}: {name} was finished before the kill and is {'another' if name in after else 'gone'} after it")
                continue
        if process.wait() != 0:
            raise Lost(f"{job.name} fails after {kills} kills: {(folder / 'log.txt').read_text()[-800:]}")
        check_whole(folder)
        got = job.result(folder)
        if got != want:
            differing = sorted(n for n in want.keys() | got.keys() if want.get(n) != got.get(n))
            raise Lost(f"{job.name} after {kills} kills differs from an undisturbed one in {', '.join(differing[:5])}")
        return kills


class Tally:
    """Kills and ends of each job, and which job is next. Lives that go on have their kills set aside."""

    def __init__(self, jobs, kills):
        self.jobs, self.left = jobs, kills
        self.killed, self.ended, self.aside = ({job.name: 0 for job in jobs} for _ in range(3))
        self.lives, self.lock = 0, threading.Lock()

    def next(self):
        """The job that had the smallest part of the kills so far, its life's number and how many kills it may take; None: all are dealt out."""
        with self.lock:
            budget = min(self.left, 12)
            if budget == 0:
                return None
            job = min(self.jobs, key=lambda j: self.killed[j.name] + self.aside[j.name])
            self.left -= budget
            self.aside[job.name] += budget
            self.lives += 1
            return job, self.lives, budget

    def ends(self, job, budget, kills):
        with self.lock:
            self.aside[job.name] -= budget
            self.left += budget - kills
            self.killed[job.name] += kills
            self.ended[job.name] += 1


def torture(work, kills, seed, at_a_time):
    benchmark = data_set(work)
    jobs = [kind(work, benchmark) for kind in (Finetune, Encode, Sweep, Export)]
    want, longest = {}, {}
    for job in jobs:
        want[job.name], longest[job.name] = undisturbed(job, work / f"{job.name}-reference")
        if not want[job.name]:
            raise Lost(f"{job.name} left nothing to compare")
        say(f"{job.name:9} undisturbed: {longest[job.name]:.1f} s, {len(want[job.name])} files")
    tally, lost = Tally(jobs, kills), threading.Event()

    def lane(number):
        draw = random.Random(f"{seed} {number}")
        while not lost.is_set() and (dealt := tally.next()):
            job, number, budget = dealt
            folder = work / f"life-{number}"
            try:
                tally.ends(job, budget, life(job, folder, want[job.name], longest[job.name], draw, budget))
            except BaseException:
                lost.set()
                raise
            shutil.rmtree(folder)

    with ThreadPoolExecutor(at_a_time) as pool:
        for done in [pool.submit(lane, n) for n in range(at_a_time)]:
            done.result()
    while tally.left:  # a lane may have ended before another one gave kills back
        lane(at_a_time)
    for job in jobs:
        say(f"{job.name:9} {tally.killed[job.name]} kills, {tally.ended[job.name]} times to its end: the same bytes")
    say(f"{sum(tally.killed.values())} kills: nothing is lost")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kills", type=int, default=60)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="lives at a time")
    args = p.parse_args()
    work = Path(tempfile.mkdtemp(prefix="samtune-torture-"))
    try:
        torture(work, args.kills, args.seed, args.jobs)
    except Lost as e:
        sys.exit(f"torture: {e}\nwhat it left is in {work}")
    except KeyboardInterrupt:
        sys.exit(130)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
