"""What scripts share that try short runs: the program, settings with which a run takes seconds, and the files that hold its result."""
import re
from pathlib import Path

SAMTUNE = Path(__file__).resolve().parent.parent / "bin" / "samtune"

# A short training whose middle is easy to hit.
SETTINGS = ["train.steps=12", "train.checkpoint_every=2", "train.validate_every=6", "train.device=cpu", 'eval.prompts=["box"]']

RESULTS = re.compile(r"per_case\.csv|split\.toml|train.*\.jsonl|checkpoints/.*/weights\.safetensors")


def sets(settings):
    """The arguments that give settings."""
    return [word for s in settings for word in ("--set", s)]


def result_files(run):
    """The files of a run whose bytes must repeat, by their names within it."""
    return {name: path for path in sorted(run.rglob("*")) if path.is_file() and RESULTS.fullmatch(name := str(path.relative_to(run)))}
