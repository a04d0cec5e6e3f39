#!/usr/bin/env python3
"""Reads a finished run's event files with the tensorboard package and compares them with what the run wrote elsewhere.

    python3 -m venv venv && venv/bin/pip install tensorboard setuptools
    venv/bin/python bench/check_events.py runs/NAME        every figure of the run: exit code 1 where one differs
    venv/bin/python bench/check_events.py --vector         the records that internal/tfevents is tested against
"""
import io
import json
import pathlib
import sys

import numpy as np
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

TRAIN = {"train/loss": "loss", "train/learning_rate": "lr", "train/gradient_norm": "grad_norm", "validation/dice": "val_dice"}


def vector():
    out = io.BytesIO()
    writer = RecordWriter(out)
    writer.write(event_pb2.Event(file_version="brain.Event:2").SerializeToString())
    event = event_pb2.Event(wall_time=300, step=300)
    event.summary.value.add(tag="loss", simple_value=0.5)
    writer.write(event.SerializeToString())
    print(out.getvalue().hex())


def load(folder):
    events = event_accumulator.EventAccumulator(str(folder), size_guidance={event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0})
    return events.Reload()


def differing(name, got, want):
    """Says where two lists of (step, value) differ; values are float32 in event files."""
    want = [(step, float(np.float32(value))) for step, value in want]
    if got == want:
        return 0
    print(f"{name}: {got[:3]}... ({len(got)}), want {want[:3]}... ({len(want)})")
    return 1


def scalars(events, tag):
    return [(e.step, e.value) for e in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []


def check(run):
    results = json.loads((run / "results.json").read_text())
    own = results["training"]["decoder"]
    files = wrong = compared = 0
    for log in sorted(run.glob("train*.jsonl")):
        parts = log.name.split(".")[1:-1] or [own]
        events = load(run / "events" / "/".join(parts))
        points = [json.loads(line) for line in log.read_text().splitlines()]
        for tag, key in TRAIN.items():
            want = [(p["step"], p[key]) for p in points if key in p]
            wrong += differing(f"{log.name} {tag}", scalars(events, tag), want)
            compared += len(want)
        files += 1
    methods = [("zeroshot-" + kind, 0, m) for kind, m in results["before"].items()]
    if results["after"]:
        methods.append((own, results["training"]["best_step"], results["after"]))
    for other in results.get("others") or []:
        methods.append((other["key"], other["training"]["best_step"], other["method"]))
    for name, step, method in methods:
        events = load(run / "events" / name)
        for metric, summary in method.items():
            if isinstance(summary, dict) and summary["mean"] is not None:
                wrong += differing(f"{name} {metric}", scalars(events, "test/" + metric), [(step, summary["mean"])])
                compared += 1
        files += 1
    whole = load(run / "events")
    pictures = {tag: whole.Images(tag)[0].encoded_image_string for tag in whole.Tags()["images"]}
    overlays = {"cases/" + p.name.split("-")[0]: p.read_bytes() for p in (run / "overlays").glob("*.png")}
    if pictures != overlays:
        wrong += 1
        print(f"pictures {sorted(pictures)}, want those of {sorted(overlays)}")
    text = whole.Tensors("config")[0].tensor_proto.string_val[0].decode()
    if f'benchmark = "{results["benchmark"]}"' not in text:
        wrong += 1
        print(f"config holds {text[:80]!r}")
    print(f"{run}: {files + 1} event files, {compared} numbers, {len(pictures)} pictures, {len(text.splitlines())} lines of settings: {wrong} differ")
    return wrong > 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--vector"]:
        vector()
    elif len(sys.argv) == 2:
        sys.exit(check(pathlib.Path(sys.argv[1])))
    else:
        sys.exit(__doc__)
