#!/usr/bin/env python3
"""Runs the same work in samtune and in Python by turns, A B A B, prints medians and ratios, and writes OUT/bench.json.

    make bench OUT=bench-out CASES=encode,step ROUNDS=3 THREADS=2

Every time is that of a process of its own. Seconds are those of the work, without imports and loading of weights; those of
start-up and of whole jobs are the wall time of the process. Memory is the process's peak. docs/reference/benchmarks.md says what each
case does. Needs Python 3.10 and nothing else: the Python sides run in an environment that is made once, from
bench/requirements.txt, in the user's cache folder, or in the one that --python names.
"""
import argparse
import datetime
import fcntl
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cases
from cases import BENCH, REPO, Side

MEMORY_GOAL = 0.6  # Go's peak memory as a part of Python's, in every row


class Stop(Exception):
    """The comparison can't go on; the text says why and what to do."""


def say(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def cache_dir():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samtune" / "bench"


def environment():
    """The Python of the environment that bench/requirements.txt describes, made where it is not there."""
    wanted = (BENCH / "requirements.txt").read_bytes()
    folder = cache_dir() / ("python-" + hashlib.sha256(wanted).hexdigest()[:12])
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            say(f"making a Python environment in {folder}: some 7 GB, once")
            for command in ([sys.executable, "-m", "venv", "--clear", folder / "env"],
                            [folder / "env/bin/python", "-m", "pip", "install", "--quiet", "--no-cache-dir", "-r", BENCH / "requirements.txt"]):
                if subprocess.run(command).returncode != 0:
                    raise Stop(f"{' '.join(map(str, command))} failed: mend that, or name an environment that has the packages with --python (PYTHON=)")
            (folder / "complete").touch()
    return folder / "env/bin/python"


def bundled(settings):
    """What a bundle's programs need in their environment: the libtorch of the Python that they are compared with, and the weights."""
    code = "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
    torch = subprocess.run([str(settings.python), "-c", code], capture_output=True, text=True).stdout.strip()
    if not torch:
        raise Stop(f"{settings.python} has no PyTorch, whose libtorch the bundle is to run with")
    if not (settings.bundle / "bin").is_dir():
        raise Stop(f"{settings.bundle} holds no bin: --bundle names the folder that make bundle made")
    path = [torch + "/lib"] + os.environ.get("LD_LIBRARY_PATH", "").split(":")
    return {"LD_LIBRARY_PATH": ":".join(filter(None, path)), "SAMTUNE_TEST_WEIGHTS": str(settings.bundle / "weights" / "lite_medsam.pth")}


def execute(side, settings):
    """Runs one process: {seconds, rss_mb, values}. A failure ends the comparison."""
    env = {**os.environ, **settings.env, **side.env}
    with open(settings.log, "ab") as log:
        began = time.perf_counter()
        process = subprocess.Popen([str(c) for c in side.command], cwd=side.cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        first, output = None, b""
        while block := os.read(process.stdout.fileno(), 1 << 16):
            first = first or time.perf_counter() - began
            output += block
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        log.write(output)
    if process.returncode != 0:
        raise Stop(f"{' '.join(map(str, side.command))} failed: {settings.log} says why")
    out = {"seconds": {"work": None, "wall": wall, "first": first}[side.clock], "rss_mb": usage.ru_maxrss / 1024, "values": {}}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith("BENCH "):
            found = json.loads(line[6:])
            out["values"] = found["values"]
            if side.clock == "work":
                out["seconds"] = found["seconds"]
    if side.values:
        out["values"] = side.values()
    if out["seconds"] is None:
        raise Stop(f"{' '.join(map(str, side.command))} printed no time: {settings.log} says why")
    return out


def measure(rows, settings):
    """Every row's Go side and Python sides in turn, round by round; a side that several rows share runs once a round."""
    rates = []
    for number in range(settings.rounds):
        done = {}

        def once(side, row=None, needs=None):
            key = json.dumps([[str(c) for c in side.command], side.env])
            if key not in done:
                say(f"round {number + 1} of {settings.rounds}: " + (f"{row.name}: " if row else "") + side.name)
                if side.reset:
                    side.reset()
                if side.given:
                    side = Side(**{**vars(side), "command": side.command + side.given(needs)})
                done[key] = execute(side, settings)
            return done[key]

        if settings.device == "cpu" and any(row.gflop for row in rows):
            rates.append(once(cases.sgemm(settings))["values"]["gflops"])
        for row in rows:
            go = once(row.go, row) if row.go else None
            if go:
                row.go_runs.append(go)
            for side in row.python:
                row.python_runs.setdefault(side.name, []).append(once(side, row, go))
    return statistics.median(rates) if rates else None


def agree(row, label):
    """Whether a Python side's values are Go's, or without a Go side those of the first library, as far as the row compares any: they may
    differ by a share of the largest."""
    if row.close is None:
        return True
    a, b = (row.go_runs or row.python_runs[row.python[0].name])[0]["values"], row.python_runs[label][0]["values"]
    largest = max(map(abs, a.values()), default=0)
    return all(k in b and abs(a[k] - b[k]) <= row.close * max(largest, 1e-3) for k in a)


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def summarise(row, rate):
    """A row of bench.json."""
    right = [k for k in row.python_runs if agree(row, k)]
    if not right:
        raise Stop(f"{row.name}: no Python side agrees with samtune: {row.go_runs[0]['values']}, {[(k, v[0]['values']) for k, v in row.python_runs.items()]}")
    best = min(right, key=lambda k: median(row.python_runs[k], "seconds"))
    runs = row.python_runs[best]
    out = {"name": row.name, "go_median_s": None, "py_median_s": median(runs, "seconds") * row.times, "ratio": None, "go_rss_mb": None,
           "py_rss_mb": median(runs, "rss_mb"), "goal": row.goal, "met": None, "rss_ratio": None, "rss_goal": MEMORY_GOAL, "rss_met": None,
           "go_share_of_limit": None, "py_share_of_limit": None, "python": best, "note": row.note,
           "go_runs": row.go_runs, "python_runs": row.python_runs, "disagree": [k for k in row.python_runs if k not in right]}
    if row.go_runs:
        out["go_median_s"], out["go_rss_mb"] = median(row.go_runs, "seconds"), median(row.go_runs, "rss_mb")
        out["ratio"], out["rss_ratio"] = out["go_median_s"] / out["py_median_s"], out["go_rss_mb"] / out["py_rss_mb"]
        out["rss_met"] = out["rss_ratio"] <= MEMORY_GOAL
    if row.goal is not None:
        out["met"] = out["ratio"] is not None and out["ratio"] <= row.goal
    if row.gflop and rate:
        for side in ("go", "py"):
            out[side + "_share_of_limit"] = row.gflop / rate / out[side + "_median_s"]
    return out


def table(rows):
    """The rows as text whose columns line up."""
    def seconds(v):
        return "–" if v is None else f"{v:.3f}" if v < 10 else f"{v:.1f}"

    def number(v, form):
        return "–" if v is None else format(v, form)

    def verdict(v):
        return {None: "–", True: "yes", False: "no"}[v]

    lines = [["case", "Go s", "Python s", "ratio", "goal", "met", "of limit", "Go MB", "Python MB", "ratio", "<= 0.6", "Python side"]]
    for r in rows:
        share = "–" if r["go_share_of_limit"] is None else f"{r['go_share_of_limit']:.0%} / {r['py_share_of_limit']:.0%}"
        lines.append([r["name"], seconds(r["go_median_s"]), seconds(r["py_median_s"]), number(r["ratio"], ".2f"), number(r["goal"], ".2f"), verdict(r["met"]),
                      share, number(r["go_rss_mb"], ".0f"), number(r["py_rss_mb"], ".0f"), number(r["rss_ratio"], ".2f"), verdict(r["rss_met"]), r["python"]])
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = [l[0].ljust(widths[0]) + "".join("  " + (c.rjust(w) if i < len(l) - 2 else c) for i, (c, w) in enumerate(zip(l[1:], widths[1:]))) for l in lines]
    return "\n".join(text + [f"{r['name']}: {r['note']}" for r in rows if r["note"]])


def machine(device):
    """What times depend on."""
    cpu = platform.processor()
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    gpu = {}
    if device != "cpu":
        try:
            gpu["gpu"] = subprocess.run(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"], capture_output=True, text=True).stdout.split("\n")[0]
        except FileNotFoundError:
            pass  # it is there with most drivers, not all
    return {"cpu": cpu, **gpu, "cores": os.cpu_count(), "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
            "system": platform.platform(), "load_before": os.getloadavg()[0]}


def asked(arguments):
    """The options of the command but those that name places of this machine."""
    places = {"--out", "--python", "--data", "--bundle"}
    return [a for before, a in zip([None, *arguments], arguments) if a not in places and before not in places]


def versions(settings):
    def output(*command):
        try:
            return subprocess.run([str(c) for c in command], cwd=REPO, capture_output=True, text=True).stdout.strip()
        except FileNotFoundError:
            return None

    names = [line.split("==")[0].strip() for line in (BENCH / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")]
    code = ("import importlib.metadata as m, json, sys\nthere = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}\n"
            "print(json.dumps({n: there.get(n) for n in sys.argv[1:]}))")
    packages = json.loads(output(settings.python, "-c", code, *names))
    if None in packages.values() and not settings.bundle:  # whose cases need few of them
        raise Stop(f"{settings.python} lacks {', '.join(n for n in packages if not packages[n])}: install it there, or leave --python (PYTHON=) out")
    return {"samtune": output(settings.bundle / "samtune" if settings.bundle else REPO / "bin/samtune", "--version"), "go": output("go", "env", "GOVERSION"),
            "python": output(settings.python, "--version"), **packages}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", default="bench-out", help="folder of bench.json and the log")
    p.add_argument("--cases", default="all", help="a list of: " + ", ".join(cases.ALL))
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--device", default="cpu", help="cpu, or cuda for the cases " + ", ".join(cases.ON_CUDA))
    p.add_argument("--python", help="Python of an environment that has the packages of bench/requirements.txt already")
    p.add_argument("--bundle", help="folder of an unpacked bundle: its programs are measured, and no Go is needed (encode, vit, lite, step)")
    p.add_argument("--data", default=os.environ.get("SAMTUNE_DATA"), help="folder that holds DRIVE/ (SAMTUNE_DATA)")
    p.add_argument("--images", type=int, default=20, help="pictures of the case encode, and test pictures of the Python jobs")
    p.add_argument("--shots", default="5,20", help="of the case job")
    p.add_argument("--steps", type=int, help="training steps of the cases job and sweep; the default is the recipe's")
    p.add_argument("--profile", help="fast: the jobs look at whole pictures alone, in a third of the steps")
    p.add_argument("--full", action="store_true", help="run all 15 Python jobs of the case sweep, not one of them 15 times")
    settings = p.parse_args()
    try:
        return compare(settings)
    except Stop as why:
        say(str(why))
        return 1


def compare(settings):
    names = cases.ALL if settings.cases == "all" else settings.cases.split(",")
    if unknown := [n for n in names if n not in cases.ALL]:
        raise Stop(f"there is no case {', '.join(unknown)}, only {', '.join(cases.ALL)}")
    if settings.device != "cpu":
        names = cases.ON_CUDA if settings.cases == "all" else names
        if left := [n for n in names if n not in cases.ON_CUDA]:
            raise Stop(f"case {', '.join(left)} has no side on a GPU: --cases {','.join(cases.ON_CUDA)}")
    if settings.bundle and (left := [n for n in names if n not in cases.ON_CUDA]):
        raise Stop(f"a bundle lacks what case {', '.join(left)} measures: --cases {','.join(cases.ON_CUDA)}")
    if settings.rounds < 1 or settings.threads < 1:
        raise Stop("rounds and threads have to be 1 or more")
    out = Path(settings.out).resolve()
    out.mkdir(parents=True, exist_ok=True)
    settings.out, settings.log, settings.cache = out, out / "log.txt", cache_dir()
    settings.log.write_text("")
    settings.cache.mkdir(parents=True, exist_ok=True)
    settings.python = Path(settings.python).absolute() if settings.python else environment()
    if settings.bundle:
        settings.bundle = Path(settings.bundle).resolve()
        settings.bundled = bundled(settings)
    settings.env = {"OMP_NUM_THREADS": str(settings.threads), "OPENBLAS_NUM_THREADS": str(settings.threads), "MKL_NUM_THREADS": str(settings.threads),
                    "SAMTUNE_BENCH_THREADS": str(settings.threads), "SAMTUNE_BENCH_DEVICE": settings.device}
    rows = []
    try:
        for name in names:
            rows += cases.MAKERS[name](settings)
    except cases.Missing as why:
        raise Stop(str(why)) from None
    record = {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "machine": machine(settings.device), "versions": versions(settings),
              "threads": settings.threads, "rounds": settings.rounds, "device": settings.device, "command": asked(sys.argv[1:])}
    record["sgemm_gflops"] = rate = measure(rows, settings)
    record["rows"] = [summarise(row, rate) for row in rows]
    part = out / "bench.json.part"
    part.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(part, out / "bench.json")
    m = record["machine"]
    print(f"{m['cpu']}, {settings.threads} threads, {settings.device}, {settings.rounds} rounds; load before {m['load_before']:.1f} on {m['cores']} cores"
          + (f"; sgemm {rate:.0f} GFLOP/s" if rate else ""))
    print(table(record["rows"]))
    print(f"written: {out / 'bench.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
