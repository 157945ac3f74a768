"""The learner's progress: one file, written whole, by many at once, never fatal."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
from conftest import ROOT
from test_exercises import ALL

from mlcourse.exercises.card import Desk
from mlcourse.exercises.engine import find, judge
from mlcourse.exercises.progress import Progress, folder
from mlcourse.jupyter import code


@pytest.fixture
def root(tmp_path):
    (tmp_path / ".mlcourse").mkdir()
    return tmp_path


def test_a_pass_stays_a_pass(root):
    p = Progress(root)
    for outcome in ("to do", "not yet", "passed", "fragile"):
        p.record("frame-1", outcome)
    p.took_hint("frame-1")
    assert Progress(root).read() == {
        "frame-1": {"outcome": "fragile", "passed": True, "tries": 3, "hints": 1}
    }
    p.reset("frame-1")
    assert Progress(root).read() == {}


def test_the_home_page_shows_every_exercise_and_the_installed_courses_map(root, monkeypatch, capsys):
    cells = code(ROOT / "nbs" / "index.ipynb")
    (root / "index.ipynb").write_text('{"cells": []}')  # an older one, kept by an update
    Progress(root).record("fraud-1", "passed")
    monkeypatch.chdir(root)
    scope = {"pd": pd}
    for cell in (cells[1], cells[2], cells[-1]):
        exec(cell, scope)
    assert scope["road"]["ready"].sum() >= 16
    said = capsys.readouterr().out
    assert said.count("■") == 1 and said.count("□") == len(ALL) - 1
    assert len({line.index(" of ") for line in said.splitlines()}) == 1, "in columns"


def test_the_folder_is_found_from_below(root, monkeypatch):
    below = root / "1_frame"
    below.mkdir()
    monkeypatch.chdir(below)
    assert folder() == root.resolve()
    assert folder(os.path.abspath(os.sep)) is None


def test_without_a_folder_it_counts_in_memory():
    p = Progress()
    p.record("frame-1", "passed")
    assert p.entry("frame-1")["passed"] and "Not saved" in p.trouble


def test_two_kernels_at_once_lose_nothing(root):
    code = ("import sys; from mlcourse.exercises.progress import Progress\np = Progress(sys.argv[1])\n"
            "for i in range(40): p.record(f'{sys.argv[2]}-{i}', 'passed'); p.took_hint('both-1')")  # fmt: skip
    kernels = [subprocess.Popen([sys.executable, "-c", code, str(root), name]) for name in "ab"]
    assert [k.wait(60) for k in kernels] == [0, 0]
    entries = Progress(root).read()
    assert len(entries) == 81 and entries["both-1"]["hints"] == 80


@pytest.mark.parametrize(
    "rubbish",
    [
        '{"version": 1, "exercises": {"frame-1": {"outc',
        "",
        "[]",
        '{"exercises": 3}',
        '{"exercises": {"a": 1}}',
    ],
)
def test_a_damaged_file_is_set_aside(root, rubbish):
    p = Progress(root)
    p.path.write_text(rubbish)
    p.record("frame-1", "passed")
    aside = list(p.path.parent.glob("progress.damaged-*.json"))
    assert [a.read_text() for a in aside] == [rubbish] and "damaged" in p.trouble
    assert Progress(root).entry("frame-1")["passed"]


def test_a_write_that_fails_leaves_the_old_file(root, monkeypatch):
    p = Progress(root)
    p.record("frame-1", "passed")
    before = p.path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    p.record("frame-2", "passed")
    assert "No space left" in p.trouble and p.entry("frame-2")["passed"], "kept in memory"
    assert p.path.read_bytes() == before and not list(p.path.parent.glob("*.part"))
    monkeypatch.undo()
    p.record("frame-3", "passed")
    assert set(Progress(root).read()) == {"frame-1", "frame-2", "frame-3"}, "saved as soon as there is space"
    assert p.trouble == ""


def test_what_could_not_be_saved_never_undoes_another_notebooks_work(root, monkeypatch):
    mine, other = Progress(root), Progress(root)
    other.record("frame-2", "not yet")
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        mine.record("frame-1", "not yet")
        mine.reset("frame-4")
    other.record("frame-1", "passed")
    other.record("frame-2", "passed")
    assert mine.entry("frame-1") == {"outcome": "not yet", "passed": True, "tries": 2, "hints": 0}
    mine.record("frame-3", "passed")
    assert {id: entry["passed"] for id, entry in Progress(root).read().items()} == dict.fromkeys(
        ("frame-1", "frame-2", "frame-3"), True
    )


def test_a_damaged_file_is_told_even_when_saving_begins_to_work_again(root, monkeypatch):
    p = Progress(root)
    with monkeypatch.context() as patch:
        patch.setattr(
            os, "fsync", lambda *args: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        p.record("frame-1", "passed")
    p.path.write_text("{")
    p.record("frame-2", "passed")
    assert "damaged" in p.trouble and set(Progress(root).read()) == {"frame-1", "frame-2"}


def test_solution_opens_after_two_tries_and_all_hints(root):
    exercise = find("frame-1")
    desk = Desk(exercise, Progress(root), judge(exercise, lambda *args: "wrong", 1))
    assert "2 more tries" in desk.show_solution()
    for _ in range(2):
        desk.progress.record(exercise.id, "not yet")
    assert "more hint" in desk.show_solution() and exercise.solutions[0].strip() not in desk.show_solution()
    for n in range(len(exercise.hints)):
        assert desk.take_hint().count("Hint") == n + 1
    opened = desk.show_solution()
    assert all(s.strip() in opened for s in exercise.solutions) and exercise.hints[-1] in opened


def test_what_the_answer_printed_is_on_the_card_as_text(root):
    exercise = find("frame-1")
    desk = Desk(
        exercise, Progress(root), judge(exercise, lambda *args: print("<b>", len(args)) or "wrong", 1)
    )
    assert desk.state()["printed"] == "<b> 3\n" and "\nYour code printed:\n<b> 3\n" in desk.text()
    desk = Desk(exercise, Progress(root), judge(exercise, exercise.reference, 1))
    assert desk.state()["printed"] == "" and "printed" not in desk.text()


def test_solution_opens_after_a_pass(root):
    exercise = find("frame-1")
    desk = Desk(exercise, Progress(root), judge(exercise, exercise.reference, 1))
    desk.progress.record(exercise.id, desk.outcome.kind)
    assert exercise.solutions[1].strip() in desk.show_solution()
    assert desk.counts()[0] == 1 and desk.state()["next"]["id"] == "frame-2"
    assert (
        json.loads(json.dumps(desk.bundle()))["application/vnd.mlcourse.outcome+json"]["outcome"] == "passed"
    )
