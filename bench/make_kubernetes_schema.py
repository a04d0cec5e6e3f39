#!/usr/bin/env python3
"""Writes sweep/testdata/job.schema.json: the JSON schema of a Kubernetes Job and of all that it refers to, without
the descriptions, from the strict schemas (no field that Kubernetes does not know) in the package kubernetes-validate.

    pip install kubernetes-validate==1.37.0
    python3 bench/make_kubernetes_schema.py [VERSION]

With --check FILE... it validates manifests against every version of Kubernetes that the package knows, from 1.29 on.
"""

import json
import pathlib
import sys

import kubernetes_validate.utils
import yaml

PREFIX = "/api/_definitions.json#/$defs/"


def strip(node, refs):
    """A schema without descriptions, its references turned to this file's own definitions and collected in refs."""
    if isinstance(node, list):
        return [strip(n, refs) for n in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key == "description" and isinstance(value, str):
            continue
        if key == "$ref":
            name = value.rsplit("/", 1)[1]
            refs.add(name)
            value = "#/$defs/" + name
        out[key] = strip(value, refs)
    return out


def bundle(version):
    folder = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{version}.0-local-strict"
    all_defs = json.loads((folder / "_definitions.json").read_text())["$defs"]
    refs, defs = set(), {}
    job = strip(json.loads((folder / "job-batch-v1.json").read_text()), refs)
    while refs - defs.keys():
        for name in sorted(refs - defs.keys()):
            defs[name] = strip(all_defs[name], refs)
    job.pop("$schema", None)
    job["$comment"] = f"Kubernetes {version}, strict; made by bench/make_kubernetes_schema.py"
    job["$defs"] = dict(sorted(defs.items()))
    return job


def check(files):
    for version in kubernetes_validate.utils.all_versions():
        if tuple(map(int, version.split(".")[:2])) < (1, 29):
            continue
        for f in files:
            kubernetes_validate.validate(yaml.safe_load(pathlib.Path(f).read_text()), kubernetes_validate.utils.major_minor(version), strict=True)
            print(f"Kubernetes {version}: {f} is valid")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        check(sys.argv[2:])
    else:
        out = pathlib.Path(__file__).parent.parent / "sweep" / "testdata" / "job.schema.json"
        out.write_text(json.dumps(bundle(sys.argv[1] if len(sys.argv) > 1 else "1.36"), indent=None, separators=(",", ":")) + "\n")
        print(out, out.stat().st_size, "bytes")
