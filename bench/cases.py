"""The cases of bench/run.py: what is run on either side, what has to agree, and what is aimed at."""
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
    """A benchmark of one of the packages, whose test binary is built once."""
    binary = settings.out / "build" / (package + ".test")
    if binary not in built:
        binary.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run(["go", "test", "-c", "-o", binary, "./" + package], cwd=REPO).returncode != 0:
            raise Missing(f"go test -c ./{package} failed: make setup, then . .samtune/env.sh")
        built.add(binary)
    anchored = "/".join(f"^{part}$" for part in pattern.split("/"))
    return Side("samtune", [binary, "-test.run=^$", "-test.bench=" + anchored, f"-test.benchtime={loops}x", "-test.timeout=0"],
                {"SAMTUNE_BENCH_" + k: str(v) for k, v in env.items()}, REPO / package)


built = set()


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
    eager = python(settings, "python_encode.py", *arguments, name="eager")
    compiled = python(settings, "python_encode.py", *arguments, "--compiled", name="torch.compile")
    more = dict(close=5e-2 if half(settings) else 1e-3, gflop=75 * count)
    return [Row(f"encode {count} pictures", go, [eager], 0.6, **more), Row("the same, compiled", go, [compiled], 1.0, **more)]


def vit(settings):
    weights = prepared(settings, settings.cache / "vit_b.pth", "python_encode.py", "weights", settings.cache / "vit_b.pth")
    batch, precision = (8, "bfloat16") if half(settings) else (1, "float32")
    go = go_benchmark(settings, "model", "BenchmarkViTBEncode", VITB=weights, BATCH=batch, PRECISION=precision)
    official = python(settings, "python_encode.py", "vit", weights, "--batch", batch, "--precision", precision, name="segment-anything")
    return [Row("ViT-B, 1024 pixels", go, [official], 0.7, close=5e-2 if half(settings) else 1e-3)]


def step(settings):
    rows = []
    for batch, loops in ((1, 10), (8, 3)):
        go = go_benchmark(settings, "train", "BenchmarkStep", loops, BATCH=batch)
        arguments = ["--batch", batch, "--steps", loops]
        sides = [python(settings, "python_step.py", *arguments, name="one pass")]
        if batch > 1:
            sides.append(python(settings, "python_step.py", *arguments, "--accumulate", name="accumulated"))
        rows.append(Row(f"training step, batch {batch}", go, sides, 0.85, close=1e-3, gflop=3 * 3.6 * batch))
    return rows


def head(settings):
    folder = settings.cache / "fit"
    prepared(settings, folder / "features.f32", "python_head.py", "make", folder)
    go = go_benchmark(settings, "train", "BenchmarkConvexFit", FIT=folder)
    solvers = [python(settings, "python_head.py", "fit", folder, "--solver", solver, name="scikit-learn " + solver, given=lambda run: ["--loss", run["values"]["loss"]])
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
            go = None if kind == "volume" else go_benchmark(settings, "eval", f"BenchmarkSurface/{kind}/{metric}", 5)
            sides = [Side(name, [settings.python, BENCH / "python_metrics.py", kind, metric, name]) for name in names]
            rows.append(Row(f"{metric}, {title}", go, sides, 0.2, close=1e-6, note="" if go else "samtune scores volumes slice by slice: it has no side in three dimensions"))
    return rows


MAKERS = {"encode": encode, "vit": vit, "step": step, "head": head, "metrics": metrics}
ALL = list(MAKERS)
ON_CUDA = ["encode", "vit", "step"]
