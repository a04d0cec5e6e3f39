"""Runs what the tutorial and the how-to pages show, and compares what is printed with what they say is printed.

    python3 scripts/test_docs.py [PAGE...] [--keep DIR] [--full]

A page is worked through from top to bottom in an empty folder, in one shell, with this tree's bin/samtune as samtune:

    ```console            commands after "$ ", with what they print below; "..." stands for anything, in a line or for lines
    ```sh                 commands; what they print is not shown
    ```toml, ```csv, ```json   a file, if the line above says which: <!-- file: eyes.toml -->

A line <!-- run: WHAT --> above a block changes how it is done: `not, REASON` leaves it out; `exit N` expects that exit code;
`needs NAME` leaves it out where the data set or program is missing; `short ARGUMENTS` adds arguments to the samtune commands
of the block, so that they take seconds (--full does without), after which numbers of what is printed are not compared.
Numbers that depend on the machine, as times, are not compared in any case. <!-- place: /lab --> in a page lets its /lab be the folder. All pages share
a feature cache, which is removed with the folders."""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["docs/tutorial.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs/how-to").glob("*.md"))]
BLOCK = re.compile(r"^(?P<marks>(?:<!-- (?:run|file): [^\n]* -->\n)*)```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
RUN = {"console", "sh"}
FILES = {"toml", "csv", "json"}  # without a place they would not be tried
SHOWN = {"text"}
MACHINE = re.compile(r"\d+:\d\d(?::\d\d)?|\d+(?:\.\d+)? ?(?:s/image|s|MiB|GiB|GB|MB|kB)\b|-[0-9a-f]{6,12}\b|20\d\d-\d\d-\d\d")
LIMIT = 900  # seconds a block


@dataclass
class Block:
    line: int
    kind: str
    text: str
    marks: dict = field(default_factory=dict)


def blocks(page):
    for m in BLOCK.finditer(page):
        marks = dict(re.findall(r"<!-- (run|file): (.*?) -->", m["marks"]))
        yield Block(page[:m.start("text")].count("\n") + 1, m["kind"], m["text"], marks)


def commands(block):
    """The commands of a block and what each is said to print; None: nothing is said."""
    if block.kind == "sh":
        return [(block.text.rstrip("\n"), None)]
    out = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            out.append([line[2:], []])
        elif line.startswith("> ") and out and not out[-1][1]:
            out[-1][0] += "\n" + line[2:]
        elif out:
            out[-1][1].append(line)
    return [(command, shown or None) for command, shown in out]


def normal(line, short):
    """A line as it is compared: what depends on the machine is alike, and so is what a short run changes."""
    line = MACHINE.sub("#", line.rstrip())
    if short:
        line = re.sub(r"[-+]?\d[\d.,]*(?:e-?\d+)?", "#", line)
    return re.sub(r" {2,}|-{3,}", " ", line)


def differs(shown, printed, short):
    """Why printed lines are not those shown, in which ... stands for anything; empty where they are."""
    shown, printed = ([normal(l, short) for l in "\n".join(lines).strip("\n").split("\n")] for lines in (shown, printed))
    pattern = ""
    for line in shown:
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
    if re.fullmatch(pattern, "".join(l + "\n" for l in printed)):
        return ""
    return "shown:\n  " + "\n  ".join(shown) + "\nprinted:\n  " + "\n  ".join(printed)


def shorten(command, arguments):
    """A command with arguments added to each samtune call in it that computes."""
    return re.sub(r"^((?:\w+=\S+ )*samtune (?:finetune|zeroshot|sweep|compare|encode|evaluate)\b[^|>#&;\n]*?)(?=\s*(?:[|>#&;\n]|$))", rf"\1 {arguments}", command, flags=re.M)


def unmet(needs):
    """What of a list of needs is missing: `data NAME` or a program's name."""
    for need in map(str.strip, needs.split(",")):
        what, _, name = need.partition(" ")
        there = (Path(os.environ.get("SAMTUNE_DATA") or "/nowhere") / name).is_dir() if what == "data" else shutil.which(need)
        if not there:
            return need
    return None


def cache_home(within):
    """An empty cache folder beside the weights of the real one, as XDG_CACHE_HOME."""
    real = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samtune"
    (within / "samtune").mkdir(parents=True)
    (within / "samtune/weights").symlink_to(real / "weights")
    return within


def run_page(name, folder, cache, full):
    """Works through a page; returns how many blocks were run, why others were not, and what was wrong."""
    ran, left, wrong = 0, [], []
    env = {**os.environ, "PATH": f"{ROOT / 'bin'}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(cache), "COLUMNS": "160", "NO_COLOR": "1"}
    page = (ROOT / name).read_text()
    for line in re.findall(r"^\n    \S.*$", re.sub(r"^```.*?^```$", "", page, flags=re.M | re.S), re.M):
        wrong.append(f"{name}: an indented block, which can't be run: fence it: {line.strip()}")
    if place := re.search(r"<!-- place: (\S+) -->", page):
        page = page.replace(place[1], str(folder))
    for block in blocks(page):
        where = f"{name}:{block.line}"
        if block.kind in FILES and "file" in block.marks:
            path = folder / block.marks["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            ran += 1
            continue
        if block.kind not in RUN:
            if block.kind not in SHOWN:
                wrong.append(f"{where}: a block of {block.kind} that is neither run nor written to a file")
            continue
        how, _, rest = block.marks.get("run", "").partition(" ")
        if how == "not,":
            left.append(f"{where}: {rest}")
            continue
        if how == "needs" and (missing := unmet(rest)):
            left.append(f"{where}: {missing} is not here")
            continue
        expected, short = int(rest) if how == "exit" else 0, how == "short" and not full
        ran += 1
        for command, shown in commands(block):
            done = subprocess.run(["bash", "-ec", shorten(command, rest) if short else command], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=LIMIT)
            # what is shown is what a user keeps, the results; a message is shown where the command fails
            printed = (done.stdout + done.stderr if expected else done.stdout).splitlines()
            if done.returncode != expected:
                wrong.append(f"{where}: {command}\nexit code {done.returncode}, want {expected}: {done.stderr[-1500:]}")
                return ran, left, wrong  # what follows builds on it
            if shown is not None and (why := differs(shown, printed, short)):
                wrong.append(f"{where}: {command}\n{why}")
    return ran, left, wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("pages", nargs="*", default=PAGES)
    p.add_argument("--keep", type=Path, help="work there and leave what the pages make")
    p.add_argument("--full", action="store_true", help="run every command as it is shown")
    args = p.parse_args()
    total, failed = 0, 0
    with tempfile.TemporaryDirectory(prefix="samtune-docs-") as temporary:
        place = args.keep or Path(temporary)
        cache = cache_home(Path(temporary) / "cache")
        for name in args.pages:
            began = time.monotonic()
            folder = place.resolve() / Path(name).stem
            folder.mkdir(parents=True, exist_ok=True)
            ran, left, wrong = run_page(name, folder, cache, args.full)
            total, failed = total + ran, failed + len(wrong)
            print(f"{name}: {ran} blocks run in {time.monotonic() - began:.0f} s, {len(left)} left out, {len(wrong)} wrong", flush=True)
            for line in left:
                print("  left out " + line)
            for text in wrong:
                print("  " + text.replace("\n", "\n    "))
    print(f"{total} blocks run, {failed} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
