"""Lesson 01's own promises: the whole road fits in 40 lines and runs alone, and its table of columns is the real one."""

import nbformat
from conftest import LESSONS

from mlcourse.data import load
from mlcourse.exercises.role import EITHER, GATE, LANDING, PLAN


def cells():
    path = next(p for p in LESSONS if p.stem == "01_role")
    return [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]


def test_the_road_fits_in_40_lines_and_runs_alone():
    road = [source for source in cells() if source.startswith("# step ")]
    steps = ("understand", "data", "train", "validate", "deploy", "monitor")
    assert all(any(step in source.splitlines()[0] for source in road) for step in steps)
    code = [
        line for source in road for line in source.splitlines() if line.strip() and not line.startswith("#")
    ]
    assert 20 < len(code) < 40
    scope = {}
    for source in [s for s in cells() if s.startswith(("import ", "from "))] + road:
        exec(compile(source, "road", "exec"), scope)
    assert list(scope["months"].index) == [6, 7, 8, 9, 10, 11, 12]
    assert scope["score"](scope["flights"].head(1)).keys() == {"probability", "act"}


def test_columns_are_those_of_the_table():
    assert {*PLAN, *GATE, *LANDING, *EITHER} == set(load("flights").columns)
