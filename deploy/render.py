"""What `kubectl kustomize FOLDER` prints, where there is no kubectl: `python deploy/render.py FOLDER`.

Knows the part of kustomize that this folder uses, and refuses the rest. tests/test_containers.py holds it equal to kubectl.
"""

from __future__ import annotations

import hashlib
import json
import sys
from copy import deepcopy
from pathlib import Path

import yaml

FIELDS = set("apiVersion kind resources namespace images configMapGenerator patches".split())
KEYS = {"containers": "name", "volumes": "name", "volumeMounts": "mountPath", "ports": "containerPort", "env": "name",
        "topologySpreadConstraints": "topologyKey"}  # fmt: skip
CLUSTER = ("Namespace",)  # kinds that lie in no namespace


def render(folder: Path | str) -> list[dict]:
    """The objects that the kustomization in `folder` makes, ConfigMaps under the name with their hash."""
    objects = build(Path(folder))
    names = {o["metadata"]["name"]: hashed(o) for o in objects if o["kind"] == "ConfigMap"}
    for thing in objects:
        if thing["kind"] == "ConfigMap":
            thing["metadata"]["name"] = names[thing["metadata"]["name"]]
        for reference in references(thing):
            reference["name"] = names.get(reference["name"], reference["name"])
    return objects


def build(folder: Path) -> list[dict]:
    """Objects of one kustomization and those below it, before names get a hash."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    if unknown := set(told) - FIELDS:
        raise ValueError(f"kustomization.yaml in {folder}: {sorted(unknown)} is not rendered; use kubectl kustomize")
    objects = [o for name in told.get("resources", []) for o in resource(folder / name)]
    for map in told.get("configMapGenerator", []):
        generate(objects, **map)
    for patch in told.get("patches", []):
        for change in load(folder / patch["path"]):
            target = find(objects, change["kind"], change["metadata"]["name"])
            objects[objects.index(target)] = merge(target, change)
    for thing in objects:
        if "namespace" in told and thing["kind"] not in CLUSTER:
            thing["metadata"]["namespace"] = told["namespace"]
        for container in pod(thing).get("containers", []):
            container["image"] = image(container["image"], told.get("images", []))
    return objects


def resource(path: Path) -> list[dict]:
    """Objects of a file, or of another kustomization's folder."""
    return build(path) if path.is_dir() else load(path)


def load(path: Path) -> list[dict]:
    """The YAML documents of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def find(objects: list[dict], kind: str, name: str) -> dict:
    """The object of that kind and name; ValueError if there is none."""
    for thing in objects:
        if (thing["kind"], thing["metadata"]["name"]) == (kind, name):
            return thing
    raise ValueError(f"no {kind} is called {name!r}: a patch or merge must name an object that is there")


def generate(objects: list[dict], name: str, literals: list[str], behavior: str = "create") -> None:
    """Add the ConfigMap `name` to the objects, or merge the literals into the one that is there."""
    data = dict(literal.split("=", 1) for literal in literals)
    if behavior == "merge":
        find(objects, "ConfigMap", name)["data"] |= data
    else:
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def merge(old, new):
    """A strategic merge: maps key by key (None removes), lists of named things by name, everything else replaced."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return deepcopy(new)
    merged = {k: deepcopy(v) for k, v in old.items() if k not in new}
    for key, value in new.items():
        if isinstance(value, list) and isinstance(old.get(key), list) and key in KEYS:
            merged[key] = merge_lists(old[key], value, KEYS[key])
        elif value is not None:
            merged[key] = merge(old.get(key), value)
    return merged


def merge_lists(old: list[dict], new: list[dict], key: str) -> list[dict]:
    """Items with the same `key` merged in their place; new ones come first, as kustomize has it."""
    changes = {item[key]: item for item in new}
    kept = [merge(item, changes[item[key]]) if item[key] in changes else deepcopy(item) for item in old]
    return [deepcopy(item) for item in new if item[key] not in {o[key] for o in old}] + kept


def pod(thing: dict) -> dict:
    """The pod's own specification in a Deployment; empty for other kinds."""
    return thing["spec"]["template"]["spec"] if thing["kind"] == "Deployment" else {}


def references(thing: dict) -> list[dict]:
    """Where a pod names a ConfigMap."""
    sources = [s for c in pod(thing).get("containers", []) for s in c.get("envFrom", [])]
    return [s["configMapRef"] for s in sources if "configMapRef" in s]


def image(name: str, changes: list[dict]) -> str:
    """The image's name with the new name and tag that `images` gives it."""
    base, _, tag = name.rpartition(":")
    for change in changes:
        if change["name"] == base:
            return f"{change.get('newName', base)}:{change.get('newTag', tag)}"
    return name


def hashed(map: dict) -> str:
    """The ConfigMap's name with kustomize's hash of its data."""
    content = {"data": map["data"], "kind": "ConfigMap", "name": ""}  # kustomize hashes before it names
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "ghkmt"))
    return f"{map['metadata']['name']}-{digest}"


if __name__ == "__main__":
    yaml.safe_dump_all(render(sys.argv[1]), sys.stdout, sort_keys=False)
