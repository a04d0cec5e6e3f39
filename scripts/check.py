#!/usr/bin/env python3
"""Holds the tree against what its pages promise; called by make check, beside gofmt, go vet, staticcheck and deadcode.

imports   each package imports of the others what scripts/imports.txt lists, which stands above it there
comments  each package says what it is
links     links of the pages lead to files that are there, and to headings that are in them

Names of checks choose some of them. Every finding is one line; there are none in a tree that is in order.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

REPO = Path(__file__).resolve().parent.parent
BINDINGS = ("github.com/sugarme/gotch", "github.com/wangkuiyi/gotorch")  # of libtorch, which are in the table too

FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|<(?:a|img)\b[^>]*?\b(?:href|src)=\"([^\"]+)\"|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)


def call(*command, cwd):
    out = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"check: {' '.join(command)}: {out.stderr.strip()}")
    return out.stdout


def packages(tree):
    """Returns, by its path in the module, what each package imports, what its tests import, and what it says of itself."""
    form = '{{.ImportPath}}\t{{join .Imports " "}}\t{{join .TestImports " "}} {{join .XTestImports " "}}\t{{.Name}}\t{{.Doc}}'
    module = call("go", "list", "-m", cwd=tree).strip()
    found = {}

    def inside(imports):
        ours = {i[len(module) + 1:] for i in imports.split() if i.startswith(module + "/")}
        return ours | {i for i in imports.split() if i.startswith(BINDINGS)}

    for tags in ("", "gotorch"):
        for line in call("go", "list", "-tags", tags, "-f", form, "./...", cwd=tree).splitlines():
            path, imports, tests, name, doc = line.split("\t")
            before = found.get(path[len(module) + 1:], (set(), set(), name, doc))
            found[path[len(module) + 1:]] = (before[0] | inside(imports), before[1] | inside(tests), name, doc)
    return found


def read_table(text):
    """Returns the rows of imports.txt, in order: what each package may import."""
    rows = {}
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if line:
            name, _, allowed = line.partition(":")
            rows[name.strip()] = allowed.split()
    return rows


def wrong_imports(table, found):
    """Says where the table and the packages disagree. The table's order is the direction: a row names what stands above it."""
    problems = [f"scripts/imports.txt: {name} is no package" for name in table if name not in found]
    above = set()
    for name, allowed in table.items():
        problems += [f"scripts/imports.txt: {name} may not import {i}, which does not stand above it" for i in allowed
                     if i not in above and not i.startswith(BINDINGS)]
        above.add(name)
        if name in found:
            imports, tests = found[name][:2]
            problems += [f"{name} imports {i}, which scripts/imports.txt does not allow" for i in sorted(imports - set(allowed))]
            problems += [f"scripts/imports.txt: {name} does not import {i} any more" for i in allowed if i not in imports]
            problems += [f"the tests of {name} import {i}, which stands below it in scripts/imports.txt" for i in sorted(tests - above - set(allowed))]
    return problems + [f"{name} is not in scripts/imports.txt" for name in found if name not in table]


def check_imports(tree):
    return wrong_imports(read_table((tree / "scripts" / "imports.txt").read_text()), packages(tree))


def check_comments(tree):
    problems = []
    for path, (_, _, name, doc) in packages(tree).items():
        start = f"Command {Path(path).name} " if name == "main" else f"Package {name} "
        if not doc.startswith(start):
            problems.append(f"{path}: its package comment does not begin with {start.strip()!r}, but: {doc[:40]!r}")
    return problems


def plain(heading):
    """Returns a heading's text without its marks."""
    heading = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[`*]", "", heading)


def anchors(text):
    """Returns the names that GitHub gives to the headings of a page."""
    names, seen = set(), {}
    for heading in HEADING.findall(FENCE.sub("", text)):
        name = re.sub(r"[^\w\- ]", "", plain(heading).lower()).replace(" ", "-")
        n = seen.get(name, 0)
        seen[name] = n + 1
        names.add(f"{name}-{n}" if n else name)
    return names | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def broken_links(page, text):
    """Says which links of a page lead nowhere. What lies on other machines is not looked at."""
    problems = []
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))
    for target in (next(filter(None, groups)) for groups in LINK.findall(text)):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        place, _, anchor = target.partition("#")
        path = page.parent / unquote(place) if place else page
        if not path.exists():
            problems.append(f"{page}: {target} is not there")
        elif anchor and path.suffix == ".md" and unquote(anchor) not in anchors(path.read_text()):
            problems.append(f"{page}: {target}: no heading there is called so")
    return problems


def check_links(tree):
    names = call("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md", cwd=tree).split("\0")
    return [p for name in names if name and (tree / name).exists() for p in broken_links(tree / name, (tree / name).read_text())]


CHECKS = {"imports": check_imports, "comments": check_comments, "links": check_links}


def main():
    p = argparse.ArgumentParser(description="Holds the tree against what its pages promise; called by make check.")
    p.add_argument("checks", nargs="*", metavar="|".join(CHECKS), help="the checks to make; all where none is named")
    args = p.parse_args()
    unknown = [name for name in args.checks if name not in CHECKS]
    if unknown:
        p.error(f"no check {unknown[0]}: there are {', '.join(CHECKS)}")
    problems = [f"{name}: {line}" for name in args.checks or CHECKS for line in CHECKS[name](REPO)]
    for line in problems:
        print(line.replace(f"{REPO}/", ""), file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
