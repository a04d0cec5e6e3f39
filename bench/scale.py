#!/usr/bin/env python3
"""How samtune's time and memory grow with the number of images, shots and tiles, and with the images' side.

    make bench-scale OUT=bench-out IMAGES=5,50,500

Everything is generated. Each line of the table is one process; what starting it and reading its features takes is measured by the same
command again, when all is in the cache, and taken off. Prints a table and writes OUT/scale.json and scale.csv (axis, value, seconds, per_unit_s, rss_mb)
and, for each axis, the cost of a unit at its largest value over that at its smallest: about 1 is linear growth."""
import argparse
import datetime
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from cases import REPO, Side
from run import Stop, execute

SAMTUNE = REPO / "bin/samtune"
LOG = Path(tempfile.gettempdir()) / f"samtune-scale-{os.getpid()}.txt"  # what the processes print
WHOLE = ["decoder=linear", "compare=[]", "head.scales=[1]", "head.mirrors=none", "head.features=[\"pixels\",\"stage0\",\"stage1\"]", "head.ridges=[1e-3]",
         "head.threshold=0.5", "eval.prompts=[\"box\"]"]  # each picture once through the encoder


def samtune(*arguments, settings=()):
    """Runs samtune; returns its wall time in seconds and its peak memory in MB."""
    side = Side("samtune", [SAMTUNE, *arguments, "--quiet", "--device", "cpu", *(a for s in settings for a in ("--set", s))], clock="wall")
    done = execute(side, SimpleNamespace(env={}, log=LOG))
    return done["seconds"], done["rss_mb"]


def generated(folder, pool, test):
    """The TOML file of a benchmark of generated photographs of the retina."""
    path = folder / f"eyes_{pool}_{test}.toml"
    path.write_text(f'name = "eyes_{pool}_{test}"\ntitle = "generated"\ntask = "scale"\ntargets = ["vessels"]\nengine = "fundus"\npool = {pool}\ntest = {test}\n')
    return path


def pictures(folder, side, count=4):
    """The TOML file of a benchmark of noise with bright bars, of any side."""
    draw, inside = random.Random(side), bytes(150 + b * 100 // 255 for b in range(256))
    outside = bytes(b * 100 // 255 for b in range(256))
    root = folder / f"side_{side}"
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        first, image, mask = draw.randrange(side // 4, side // 2), [], []
        for y in range(side):
            noise, bar = draw.randbytes(3 * side), range(first, first + side // 5)
            image.append(noise.translate(inside if y in bar else outside))
            mask.append((b"\xff" if y in bar else b"\0") * side)
        (root / f"images/p{i}.ppm").write_bytes(b"P6 %d %d 255\n" % (side, side) + b"".join(image))
        (root / f"masks/p{i}.pgm").write_bytes(b"P5 %d %d 255\n" % (side, side) + b"".join(mask))
    path = folder / f"side_{side}.toml"
    path.write_text(f'name = "side_{side}"\ntitle = "noise"\ntask = "scale"\ntargets = ["bar"]\nengine = "pairs"\nfolders = ["side_{side}"]\n'
                    '[[layout]]\nname = "noise"\n[layout.pool]\nimage = "images/{id}.ppm"\nmask = "masks/{id}.pgm"\n')
    return path


def encoding(bench, cache, settings):
    """Seconds and memory of encoding a whole benchmark into an empty cache, without what the same command takes again."""
    shutil.rmtree(cache, ignore_errors=True)
    seconds, rss = samtune("encode", "--benchmark", bench, "--cache", cache, settings=settings)
    again, _ = samtune("encode", "--benchmark", bench, "--cache", cache, settings=settings)
    return seconds - again, rss


def measure(args, folder):
    cache, rows = folder / "cache", []

    def row(axis, value, units, seconds, rss):
        rows.append({"axis": axis, "value": value, "seconds": round(seconds, 3), "per_unit_s": round(seconds / units, 4), "rss_mb": round(rss)})
        print(f"{axis:24} {value:>6}  {seconds:9.2f} s  {seconds / units:9.4f} s each  {rss:6.0f} MB", flush=True)

    for n in args.images:
        row("images, encoded", n, n, *encoding(generated(folder, 3, n - 3), cache, WHOLE))
    bench = generated(folder, 5, 4)
    for grid in args.grids:
        row("tiles of an image", grid * grid, 9 * grid * grid, *encoding(bench, cache, ["decoder=plain", "compare=[]", f"views.grid={grid}"]))
    bench = generated(folder, max(args.shots), 4)
    samtune("encode", "--benchmark", bench, "--cache", cache, settings=WHOLE)
    for n in args.shots:
        out = folder / f"run_{n}"
        _, rss = samtune("finetune", "--benchmark", bench, "--cache", cache, "--shots", n, "--out", out, settings=WHOLE)
        row("shots, head fitted", n, n, json.loads((out / "results.json").read_text())["seconds"]["train"], rss)
    for side in args.sides:
        bench, out = pictures(folder, side), folder / f"run_side_{side}"
        _, rss = samtune("finetune", "--benchmark", bench, "--cache", cache, "--shots", 1, "--out", out, settings=WHOLE)
        done = json.loads((out / "results.json").read_text())["seconds"]
        row("side, read and scored", side, side * side / 1e6, done["setup"] + done["evaluate"], rss)
    return rows


def main():
    numbers = lambda text: [int(n) for n in text.split(",")]
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=Path, default=Path("bench-out"))
    p.add_argument("--images", type=numbers, default=[5, 50, 500])
    p.add_argument("--grids", type=numbers, default=[1, 2, 3, 4])
    p.add_argument("--shots", type=numbers, default=[1, 5, 10, 20])
    p.add_argument("--sides", type=numbers, default=[512, 1024, 2048, 4096])
    args = p.parse_args()
    if min(args.images) < 4:
        p.error("--images: want 4 or more")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="samtune-scale-") as folder:
        try:
            rows = measure(args, Path(folder))
        except Stop as why:
            sys.exit(f"scale: {why}")
    LOG.unlink(missing_ok=True)
    growth = {}
    for axis in dict.fromkeys(r["axis"] for r in rows):
        of = [r for r in rows if r["axis"] == axis]
        growth[axis] = {"per_unit": of[-1]["per_unit_s"] / of[0]["per_unit_s"], "rss": of[-1]["rss_mb"] / of[0]["rss_mb"]}
        print(f"{axis:24} from {of[0]['value']} to {of[-1]['value']}: a unit costs {growth[axis]['per_unit']:.2f} times as much, memory {growth[axis]['rss']:.2f} times")
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scale.json").write_text(json.dumps({"rows": rows, "growth": growth}, indent=1) + "\n")
    with open(args.out / "scale.csv", "w") as table:
        print(f"# `make bench-scale IMAGES={','.join(map(str, args.images))}`, {datetime.date.today()}, {os.cpu_count()} cores, load before {load:.1f}.", file=table)
        print("what grows,to,seconds,seconds each,peak memory MB", file=table)
        for r in rows:
            print(f'"{r["axis"]}",{r["value"]},{r["seconds"]:.2f},{r["per_unit_s"]:.4f},{r["rss_mb"]}', file=table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
