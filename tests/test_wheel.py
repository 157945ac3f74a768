"""The wheel, in an empty environment, offers the same course as the clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import LESSONS, ROOT
from tree import copy_tree

import start

EXAM = """
from pathlib import Path
import mlcourse
from mlcourse.exercises.engine import exercises, judge
assert Path(mlcourse.__file__).is_relative_to({place!r}), mlcourse.__file__
for lesson in {lessons!r}:
    for exercise in exercises(lesson):
        print(exercise.id, judge(exercise, exercise.answer(exercise.solutions[0])).kind)
"""


def call(*command, **more):
    """What a command prints; its failure is the test's."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A copy of the tree, and the commands of an environment with its wheel and what that asks for, no more."""
    folder = tmp_path_factory.mktemp("wheel")
    tree = copy_tree(folder / "tree")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", tree)
    (wheel,) = (folder / "dist").glob("*.whl")
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or pytest.skip("uv could not be had here")
    call(uv, "venv", "--python", sys.executable, folder / "env")
    commands = folder / "env" / start.BIN.name
    listing = subprocess.run(
        [sys._base_executable, "-m", "pip", "config", "list"], capture_output=True, text=True
    )
    indexes = start.indexes(listing.stdout)
    where = ["--python", commands / "python", "--index-strategy=unsafe-best-match", *indexes]
    call(uv, "pip", "install", *where, "-c", ROOT / "constraints.txt", wheel)
    return tree, commands


@pytest.fixture
def away(tmp_path):
    """An environment of variables and a folder that know nothing of the clone."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "MLCOURSE"))}
    return {"cwd": tmp_path, "env": env}


def files(folder):
    """Content of each file of the folder, by its path in it; hidden folders left out."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    shown = (
        path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in shown}


def test_package_and_lessons_are_those_of_the_tree(installed, away):
    tree, commands = installed
    where = call(commands / "python", "-c", "import mlcourse; print(mlcourse.__file__)", **away)
    wanted = files(tree / "mlcourse")
    for top in ("nbs", "projects", "deploy"):
        wanted |= {f"{top}/{name}": content for name, content in files(tree / top).items()}
    inside = files(Path(where.strip()).parent)
    assert sorted(inside) == sorted(wanted)
    assert [name for name in wanted if inside[name] != wanted[name]] == []


def test_learn_lays_what_it_lays_in_a_clone(installed, away, tmp_path):
    tree, commands = installed
    call(commands / "mlcourse", "learn", tmp_path / "here", "--no-start", **away)
    call(sys.executable, "-m", "mlcourse", "learn", tmp_path / "there", "--no-start", cwd=tree)
    here = files(tmp_path / "here")
    assert here == files(tmp_path / "there") and len(here) >= len(LESSONS) + 2


def test_right_answers_pass(installed, away):
    _, commands = installed
    code = EXAM.format(place=str(commands.parent), lessons=[path.stem.partition("_")[2] for path in LESSONS])
    said = call(commands / "python", "-c", code, **away).splitlines()
    assert len(said) >= 3 * len(LESSONS)
    assert [line for line in said if not line.endswith(" passed")] == []
