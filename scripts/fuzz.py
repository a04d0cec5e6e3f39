"""Runs every fuzz target for a while, as many at a time as there are cores, and says how many executions each had.

    python3 scripts/fuzz.py [--time 30s] [--only NAME] [--out DIR]

A crash ends with exit code 1; its input is left in the target's testdata/fuzz, where every later run of the tests tries it again."""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXECS = re.compile(r"elapsed: (\d+m)?(\d+)s, execs: (\d+) .*?new interesting: (\d+) \(total: (\d+)\)")


def targets(only):
    """Fuzz targets by package folder."""
    out = {}
    for path in sorted(ROOT.rglob("*_test.go")):
        for name in re.findall(r"^func (Fuzz\w+)\(", path.read_text(), re.M):
            if re.search(only, name):
                out.setdefault(path.parent, []).append(name)
    return out


def build(package, folder):
    """The package's tests with the instruments of fuzzing."""
    binary = folder / (str(package.relative_to(ROOT)).replace("/", "_") + ".test")
    # which target is named matters not: the binary holds them all
    subprocess.run(["go", "test", "-c", "-fuzz", "^FuzzNone$", "-o", binary, "./" + str(package.relative_to(ROOT))], cwd=ROOT, check=True)
    return binary


def fuzz(binary, package, name, duration, cache):
    """Runs one target; returns its row and, of a crash, what it printed."""
    done = subprocess.run([binary, "-test.run=^$", f"-test.fuzz=^{name}$", f"-test.fuzztime={duration}", "-test.fuzzminimizetime=1x", "-test.parallel=1",
                           f"-test.fuzzcachedir={cache / package.name}"], cwd=package, capture_output=True, text=True)
    text = done.stdout + done.stderr
    seen = EXECS.findall(text)
    execs, corpus = (int(seen[-1][2]), int(seen[-1][4])) if seen else (0, 0)
    # Go sometimes calls it a failure that the time is over (golang.org/issue/75804); a crash leaves an input.
    over = "context deadline exceeded" in text and "Failing input written" not in text and "panic:" not in text
    return {"package": str(package.relative_to(ROOT)), "target": name, "executions": execs, "corpus": corpus, "ok": done.returncode == 0 or over}, text


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--time", default="30s", help="of each target, as Go writes durations")
    p.add_argument("--only", default="", help="a regular expression of names")
    p.add_argument("--out", type=Path, help="folder of fuzz.json")
    p.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    args = p.parse_args()
    cache = Path(subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True).stdout.strip()) / "fuzz" / "samtune"
    with tempfile.TemporaryDirectory(prefix="samtune-fuzz-") as folder:
        work = [(build(package, Path(folder)), package, name) for package, names in targets(args.only).items() for name in names]
        if not work:
            sys.exit(f"no fuzz target is called {args.only}")
        rows, failed = [], 0
        with ThreadPoolExecutor(args.jobs) as pool:
            for row, text in pool.map(lambda w: fuzz(*w, args.time, cache), work):
                rows.append(row)
                print(f"{row['package']:20} {row['target']:28} {row['executions']:>10,} executions, corpus {row['corpus']:>5,}" + ("" if row["ok"] else "  CRASH"), flush=True)
                if not row["ok"]:
                    failed += 1
                    print(text)
    print(f"{len(rows)} targets, {sum(r['executions'] for r in rows):,} executions, {failed} crashed")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "fuzz.json").write_text(json.dumps({"time": args.time, "rows": rows}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
