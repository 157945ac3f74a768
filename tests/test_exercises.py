"""Every exercise of the course, proved: the starter is to do, both solutions pass, each mistake gets its own message."""

import pkgutil
import re

import mutants
import nbformat
import pytest
from conftest import LESSONS, PROJECTS, ROOT

import mlcourse.exercises
from mlcourse.exercises.engine import TO_DO, ____, exercises, find, judge
from mlcourse.folder import Lesson

NAMES = [m.name for m in pkgutil.iter_modules(mlcourse.exercises.__path__)]
ALL = [e for name in NAMES for e in exercises(name)]
each = pytest.mark.parametrize("exercise", ALL, ids=[e.id for e in ALL])
SEEDS = range(5)


def test_there_are_exercises():
    assert len(ALL) >= 3 * len(LESSONS)
    assert len({e.id for e in ALL}) == len(ALL)


@each
def test_is_complete(exercise):
    assert 2 <= len(exercise.hints) <= 3 and len(exercise.solutions) == 2 and len(exercise.mistakes) >= 3
    assert len(set(exercise.solutions)) == 2
    for attribute in ("name", "message", "code"):
        assert len({getattr(m, attribute) for m in exercise.mistakes}) == len(exercise.mistakes)
    assert find(exercise.id).title == exercise.title


@each
def test_starter_is_to_do(exercise):
    assert judge(exercise, exercise.answer(exercise.starter)).kind == TO_DO
    assert judge(exercise, ____).kind == TO_DO


@each
@pytest.mark.parametrize("which", (0, 1))
def test_solutions_pass(exercise, which):
    for seed in SEEDS:
        outcome = judge(exercise, exercise.answer(exercise.solutions[which]), seed)
        assert outcome.kind == "passed", f"seed {seed}: {outcome.message}"


@each
def test_each_mistake_gets_its_own_message(exercise):
    for mistake in exercise.mistakes:
        for seed in SEEDS:
            outcome = judge(exercise, exercise.answer(mistake.code), seed)
            assert outcome.kind in ("not yet", "fragile"), f"{mistake.name}: {outcome}"
            others = [m.name for m in exercise.mistakes if m.message in outcome.message]
            assert others == [mistake.name], f"{mistake.name}, seed {seed}: {outcome.message}"


@each
@pytest.mark.filterwarnings("ignore")  # a mutant may divide by zero
def test_mutants_of_right_answers_are_caught(exercise, record_property):
    made = [mutant for code in exercise.solutions for mutant in mutants.mutants(code)]
    alive = [mutant for mutant in made if survives(exercise, mutant)]
    record_property("mutants", len(made))
    assert made and not alive, f"{len(alive)} of {len(made)} mutants pass:\n\n" + "\n\n".join(alive)


def survives(exercise, code):
    try:
        answer = exercise.answer(code)
    except Exception:
        return False
    return all(judge(exercise, answer, seed).kind == "passed" for seed in range(3))


@each
def test_lesson_holds_the_starter(exercise):
    """The cell of the lesson is the exercise's starter, a blank line, and the check."""
    lesson = exercise.id.rpartition("-")[0]
    places = {Lesson(p.relative_to(ROOT), "").name: p for p in PROJECTS} | {
        p.stem.partition("_")[2]: p for p in LESSONS
    }
    notebook = nbformat.read(places[lesson], 4)
    cell = next(c.source for c in notebook.cells if f'check("{exercise.id}"' in c.source)
    code = re.sub(r"^#\|.*\n", "", cell, flags=re.M)
    expected = f'{exercise.starter.strip()}\n\ncheck("{exercise.id}", {exercise.name})'
    assert re.sub(r"\n{2,}", "\n\n", code.strip()) == re.sub(r"\n{2,}", "\n\n", expected)
