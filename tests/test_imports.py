"""Imports point one way, importing is quick and has no side effect, and no module is a drawer for odds and ends."""

import ast
import os
import re
import subprocess
import sys
from functools import cache

import pytest
from conftest import ROOT

# The lessons' modules in the order of the course: each may use those before it.
ORDER = (
    "frame data clean features split models neural train scale evaluate decide registry serve monitor retrain incidents services "
    "stage simulate"
).split()
PACKAGE = ROOT / "mlcourse"
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "nbs" not in p.relative_to(PACKAGE).parts)
NAMES = {p: ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for p in FILES}
HEAVY = "torch tensorflow keras mlflow optuna dask ray sklearn scipy skops pandera matplotlib duckdb IPython anywidget".split()
MAY_LOAD = {
    name: {"sklearn", "scipy"}
    for name in "clean features models decide retrain incidents services stage simulate".split()
}
DRAWERS = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "config",
    "plot",
    "plots",
    "misc",
    "core",
    "base",
    "tools",
}


def layer(name):
    """A module's place: what knows nothing of the course, its number in ORDER, the learner's folder, exercises, the command."""
    part = name.split(".")[1] if "." in name else ""
    if part in ORDER:
        return ORDER.index(part)
    below = {"": -1, "_modidx": -1, "asgi": -1, "durable": -1, "feeds": ORDER.index("serve")}
    return (below | {"folder": len(ORDER), "exercises": len(ORDER) + 1}).get(part, len(ORDER) + 2)


def imports(tree, package):
    """Full names that a module imports, wherever in it, relative ones made absolute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            )
            module = ".".join(filter(None, [base, node.module]))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def upward(name, source, package="mlcourse"):
    """Imports of `name` that point up, or sideways among the lessons' modules."""
    found = [i for i in imports(ast.parse(source), package) if i.split(".")[0] == "mlcourse"]
    return [
        i
        for i in found
        if layer(i) > layer(name) or (layer(i) == layer(name) and name.split(".")[1] in ORDER)
    ]


@pytest.mark.parametrize("path", FILES, ids=[NAMES[p] for p in FILES])
def test_imports_point_down(path):
    package = NAMES[path] if path.name == "__init__.py" else NAMES[path].rpartition(".")[0]
    assert not upward(NAMES[path], path.read_text(encoding="utf-8"), package)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mlcourse.frame", "from mlcourse.data import load"),
        ("mlcourse.frame", "def f():\n    import mlcourse.data"),
        ("mlcourse.data", "from mlcourse import clean"),
        ("mlcourse.clean", "from mlcourse.exercises import check"),
        ("mlcourse.clean", "from .cli import main"),
        ("mlcourse.exercises.frame", "from mlcourse.cli import main"),
        ("mlcourse.folder", "from mlcourse.exercises.progress import Progress"),
        ("mlcourse", "from mlcourse.frame import label"),
        ("mlcourse.data", "from mlcourse.utils import x"),
        ("mlcourse.durable", "from mlcourse.frame import label"),
    ],
)
def test_an_upward_import_is_seen(name, source):
    assert upward(name, source)


def test_a_downward_import_is_fine():
    assert not upward(
        "mlcourse.clean", "import numpy\nfrom mlcourse.data import load\nfrom mlcourse import frame"
    )
    assert not upward(
        "mlcourse.exercises.clean", "from mlcourse.exercises.engine import Case\nimport mlcourse.clean"
    )
    assert not upward("mlcourse.cli", "from mlcourse.exercises import check\nfrom mlcourse import folder")


def drawers(paths):
    """Files and folders named after no idea of their own."""
    return [p for p in paths if {part.removesuffix(".py").strip("_") for part in p.parts} & DRAWERS]


def test_no_drawers():
    files = [p.relative_to(PACKAGE) for p in FILES]
    assert not drawers(files)
    assert len(drawers([files[0].with_name("helpers.py"), files[0].with_name("_utils.py")])) == 2


PROBE = """
import os, sys, threading
mine = lambda: {{k: v for k, v in os.environ.items() if not k.startswith("KMP_")}}  # scikit-learn sets those
before, threads = mine(), threading.active_count()
import {name}
assert mine() == before, "importing changes the environment"
assert threading.active_count() == threads, "importing starts a thread"
print(*sorted({{m.split(".")[0] for m in sys.modules}}))
"""


@cache
def loaded(name):
    """Top-level modules loaded by importing `name` in a fresh process; fails if it writes or changes anything."""
    command = [sys.executable, "-W", "error::DeprecationWarning:mlcourse", "-c", PROBE.format(name=name)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stderr and done.stdout.count("\n") == 1, (
        f"importing {name} writes {done.stdout}{done.stderr}"
    )
    return set(done.stdout.split())


LESSON_MODULES = [name for name in ORDER if (PACKAGE / f"{name}.py").exists()]


@pytest.mark.parametrize("name", [*LESSON_MODULES, "exercises"])
def test_importing_loads_nothing_heavy(name):
    heavy = loaded(f"mlcourse.{name}") & set(HEAVY) - MAY_LOAD.get(name, set())
    assert not heavy, f"import {', '.join(sorted(heavy))} where it is used, inside the function"


@pytest.mark.parametrize("path", [p for p in FILES if p.stem not in ("__main__",)], ids=lambda p: NAMES[p])
def test_importing_has_no_side_effect(path):
    loaded(NAMES[path])


def test_heavy_imports_are_seen():
    assert "matplotlib" in loaded("matplotlib.ticker") & set(HEAVY)
    with pytest.raises(AssertionError, match="writes"):
        loaded("this")


def test_bare_package_is_light():
    assert not loaded("mlcourse") & {"numpy", "pandas", "pyarrow", "rich", "typer", *HEAVY}


def test_bare_package_imports_in_a_fifth_of_a_second():
    def seconds():
        command = [sys.executable, "-X", "importtime", "-c", "import mlcourse"]
        log = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stderr
        return int(re.search(r"\|\s*(\d+) \|\s+mlcourse$", log, re.M)[1]) / 1e6

    assert min(seconds() for _ in range(3)) < 0.2
