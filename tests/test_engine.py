"""The engine against answers that misbehave: each gets a message, none an exception, none a pass."""

import threading
import time

import numpy as np
import pandas as pd
import pytest

from mlcourse.exercises import guard
from mlcourse.exercises.compare import changed, describe, difference, same
from mlcourse.exercises.engine import (
    FRAGILE,
    NOT_YET,
    PASSED,
    TO_DO,
    Case,
    Exercise,
    Mistake,
    ____,
    find,
    judge,
)


class Share(Exercise):
    id = "toy-1"
    title = "Share of true values"
    starter = "def share(flags):\n    return ____\n"
    hints = ("A mean.", "Of nothing, say 0.")
    solutions = (
        "def share(flags):\n    return float(np.mean(flags)) if len(flags) else 0.0",
        "def share(flags):\n    return sum(map(int, flags)) / max(1, len(flags))",
    )
    mistakes = (
        Mistake(
            "counts", "def share(flags):\n    return float(np.sum(flags))", "That is a count, not a share."
        ),
        Mistake(
            "the other share",
            "def share(flags):\n    return 1 - float(np.mean(flags)) if len(flags) else 0.0",
            "You count the false ones.",
        ),
        Mistake(
            "empties its input",
            "def share(flags):\n    n = max(1, len(flags))\n    s = sum(map(int, flags)) / n\n"
            "    flags[:] = flags[::-1]\n    return s",
            "You turn the list round.",
        ),
    )
    seconds = 1.0

    def cases(self, rng):
        yield Case(([True, False, False, False, True],))
        yield Case(([*(rng.random(20) < 0.3), True],))
        yield Case(([],), edge="no flags at all")


TOY = Share()
RIGHT = TOY.reference


def outcome(answer, exercise=TOY):
    return judge(exercise, answer, seed=1)


def test_four_outcomes():
    assert outcome(____).kind == outcome(TOY.answer(TOY.starter)).kind == TO_DO
    assert outcome(lambda flags: 7).kind == NOT_YET
    fragile = outcome(lambda flags: sum(flags) / len(flags))
    assert (
        fragile.kind == FRAGILE
        and "no flags at all" in fragile.message
        and "ZeroDivisionError" in fragile.message
    )
    assert outcome(RIGHT).kind == PASSED


def test_a_blank_left_inside_is_to_do():
    assert outcome(lambda flags: ____ / len(flags)).kind == TO_DO
    assert outcome(lambda flags: ____.mean()).kind == TO_DO
    assert outcome(lambda flags: sum(flags) / ____).kind == TO_DO


def test_mistakes_are_known_by_what_they_do():
    def written_otherwise(flags):
        n = 0
        for flag in flags:
            n = n + bool(flag)
        return n

    assert outcome(written_otherwise).mistake == "counts"
    assert "You turn the list round." in outcome(TOY.answer(TOY.mistakes[2].code)).message


def loops(flags):
    while True:
        try:
            sum(flags)
        except:  # noqa: E722
            pass


def test_an_endless_loop_is_stopped():
    said = outcome(loops)
    assert said.kind == NOT_YET and "was stopped after" in said.message and "three rows" in said.message
    assert not [t for t in threading.enumerate() if t.name == "mlcourse-check"], "the loop is really over"


class Hasty(Share):
    seconds = 0.2


def test_a_loop_that_cannot_be_stopped_is_told(monkeypatch):
    monkeypatch.setattr(guard._stop, "__defaults__", (0.2,))
    said = outcome(lambda flags: time.sleep(3), Hasty())
    assert said.kind == NOT_YET and "restart the kernel" in said.message


def test_a_right_answer_is_not_stopped_for_what_others_compute():
    def waits(flags):
        time.sleep(0.1)
        return RIGHT(flags)

    assert outcome(waits, Hasty()).kind == PASSED


def test_a_flood_of_text_is_held_back(capsys):
    def prints(flags):
        print("x" * 1_000_000)
        return RIGHT(flags)

    said = outcome(prints)
    assert said.kind == PASSED and "3,000,003 characters" in said.message
    assert capsys.readouterr().out == ""


def test_what_the_failing_case_printed_is_told_first_of_all():
    def prints(flags):
        print("of", len(flags))
        return sum(flags) / len(flags) if len(flags) != 21 else 7

    said = outcome(prints)
    assert (said.kind, said.printed) == (NOT_YET, "of 21\n"), (
        "neither of the right case nor of the edge after it"
    )
    said = outcome(lambda flags: print("of", len(flags)) or sum(flags) / len(flags))
    assert (said.kind, said.printed) == (FRAGILE, "of 0\n")
    assert outcome(lambda flags: print("right") or RIGHT(flags)).printed == ""
    assert outcome(lambda flags: sum(flags)).printed == ""
    quiet = lambda flags: print("an edge") if not len(flags) else 7
    nameless = type("Nameless", (Share,), {"mistakes": ()})()
    assert outcome(quiet, nameless).printed == "", "the case that failed was silent"
    assert outcome(lambda flags: print("here") or 1 / 0).printed == "here\n"
    assert outcome(lambda flags: print("x" * 500, end="")).printed == "x" * 500
    assert outcome(lambda flags: print("x" * 999)).printed == "x" * 500 + "…"
    assert outcome(lambda flags: print("asked") or 2, Asks()).printed == "asked\n"
    assert outcome(lambda flags: print("round") or loops(flags), Hasty()).printed == "round\n"


def test_replacing_numpy_is_undone():
    mean = np.mean

    def patches(flags):
        np.mean = lambda x: 0.4
        return np.mean(flags)

    said = outcome(patches)
    assert said.kind == NOT_YET and "numpy.mean" in said.message and np.mean is mean


def test_numpy_replaced_before_the_check_is_undone():
    mean = np.mean
    np.mean = lambda x: 0.4
    said = outcome(lambda flags: np.mean(flags))
    assert said.kind == NOT_YET and "numpy.mean" in said.message and np.mean is mean
    assert outcome(RIGHT).kind == PASSED


@pytest.mark.parametrize("answer, words", [
    (3, "must be a function"),
    (None, "must be a function"),
    (lambda: 1, "TypeError"),
    (lambda flags: None, "returned None"),
    (lambda flags: (f for f in flags), "returned a generator"),
    (lambda flags: map(int, flags), "returned a map"),
    (lambda flags: float("nan"), "Where does the NaN come from"),
    (lambda flags: exit(), "SystemExit"),
    (lambda flags: flags.nothing, "AttributeError"),
    (lambda flags: (lambda f: f(f))(lambda f: f(f)), "RecursionError"),
    (lambda flags: "0.4", "expected"),
    (lambda flags: pd.DataFrame(), "expected"),
])  # fmt: skip
def test_wrong_kinds_of_answer(answer, words):
    said = outcome(answer)
    assert said.kind == NOT_YET and words in said.message


def test_a_changed_input_makes_a_right_answer_fragile():
    def sorts(flags):
        flags.sort()
        return RIGHT(flags)

    assert outcome(sorts).kind == FRAGILE


class Asks(Share):
    def check(self, answer, rng):
        self.require(0 <= self.ask(answer, [True, False]) <= 1, "A share lies between 0 and 1.")


def test_an_own_check_sees_a_changed_input():
    def sorts(flags):
        flags.sort()
        return 0.5

    assert outcome(sorts, Asks()).kind == FRAGILE
    assert outcome(lambda flags: 2, Asks()).message == "A share lies between 0 and 1."
    assert outcome(lambda flags: 0.5, Asks()).kind == PASSED


def test_a_check_that_could_not_run_is_never_passed():
    class Broken(Share):
        def check(self, answer, rng):
            raise RuntimeError("no data")

    said = outcome(RIGHT, Broken())
    assert said.kind == NOT_YET and "not judged" in said.message and "no data" in said.message


def test_documented_errors_are_asked_for():
    class Strict(Share):
        solutions = ("def share(flags):\n    if not len(flags):\n        raise ValueError('flags is empty')\n"
                     "    return float(np.mean(flags))",) * 2  # fmt: skip

    assert outcome(Strict().reference, Strict()).kind == PASSED
    said = outcome(RIGHT, Strict())
    assert said.kind == FRAGILE and "share([]) should raise ValueError, but gave 0." in said.message
    said = outcome(lambda flags: np.mean(flags) if flags else {}[0], Strict())
    assert "should raise ValueError, but raised KeyError: 0 at `" in said.message


class Kept(Share):
    """What is promised of the index is judged; where nothing is promised, any container will do."""

    starter = "def share(flags):\n    return ____\n"
    solutions = ("def share(flags):\n    return flags + 1", "def share(flags):\n    return 1 + flags")
    mistakes = (Mistake("minus", "def share(flags):\n    return flags - 1", "Add it."),)
    index = True

    def cases(self, rng):
        yield Case((pd.Series([1.0, 2.0, 4.0], [7, 5, 6]),))
        yield Case((pd.Series([], dtype=float),), edge="no rows")


def test_a_promised_index_is_judged():
    assert [outcome(Kept().answer(code), Kept()).kind for code in Kept.solutions] == [PASSED] * 2
    assert outcome(lambda flags: (flags + 1).sort_index().reindex(flags.index), Kept()).kind == PASSED
    for lost in (lambda flags: (flags + 1).reset_index(drop=True), lambda flags: flags.to_numpy() + 1):
        said = outcome(lost, Kept())
        assert said.kind == NOT_YET and "the index is lost" in said.message
    said = outcome(lambda flags: (flags + 1).sort_index(), Kept())
    assert said.kind == NOT_YET and "rows are in another order" in said.message
    assert outcome(lambda flags: (flags - 1).reset_index(drop=True), Kept()).mistake == "minus"
    free = type("Free", (Kept,), {"index": False})()
    assert outcome(lambda flags: list(flags + 1), free).kind == PASSED


def test_same_seed_same_outcome():
    wrong = lambda flags: sum(flags)
    assert judge(TOY, wrong, 5) == judge(TOY, wrong, 5)
    assert judge(TOY, wrong).seed != judge(TOY, wrong).seed


def test_ctrl_c_reaches_the_learner_and_stops_the_answer(monkeypatch):
    def interrupted(self, timeout=None):
        if timeout and timeout >= 1:
            raise KeyboardInterrupt
        return join(self, timeout)

    before, join = threading.enumerate(), threading.Thread.join
    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        guard.run(lambda: loops([1]), 5)
    assert set(threading.enumerate()) <= set(before)


@pytest.mark.parametrize("got, want", [
    ([1.0, 2.0], np.array([1, 2])),
    (pd.Series([1.0, np.nan]), [1.0, np.nan]),
    (np.float64(0.3), 0.1 + 0.2),
    (pd.DataFrame({"b": [2], "a": [1]}), pd.DataFrame({"a": [1], "b": [2]}, index=[9])),
    ({"a": [1, 2]}, {"a": np.array([1, 2])}),
    (np.True_, True),
    (np.array(0.3), 0.3),
    (0.3, np.array(0.3)),
    ([], np.array([], dtype=bool)),
    (np.int64(3), 3),
    (["a", None], ["a", None]),
])  # fmt: skip
def test_same_in_any_container(got, want):
    assert same(got, want)


@pytest.mark.parametrize("got, want", [
    ([1.0, 2.0], [2.0, 1.0]), ([1.0], [1.0, 1.0]), (1.0, [1.0]), (0.0, False), (1, True), (np.nan, 0.0),
    ("1", 1), ({1}, {2}), (None, 0), (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})), (0.3001, 0.3),
    ({"a": 1}, {"a": 1, "b": 2}), ([[1, 2]], [1, 2]), ([1, 0], np.array([True, False])), (np.array(1), [1]),
])  # fmt: skip
def test_not_the_same(got, want):
    assert not same(got, want)


def test_changed_looks_at_order_columns_and_index():
    frame = pd.DataFrame({"a": [2, 1]}, index=[5, 6])
    assert not changed((frame.copy(), object()), (frame, object()))
    for other in (frame.sort_values("a"), frame.assign(b=1), frame.reset_index(drop=True)):
        assert changed((other,), (frame,))


def test_describe_is_short():
    for value in (
        np.zeros((300, 4)),
        list(range(10**5)),
        "x" * 10**6,
        pd.Series(np.zeros(999)),
        {i: i for i in range(999)},
        (np.full(9, 1e-300),) * 6,
    ):
        assert len(describe(value)) <= 200


def test_find_names_what_there_is():
    for id in ("nonsense", "nonsense-1", "engine-1", "../x-1"):
        with pytest.raises(ValueError, match="id must name an exercise"):
            find(id)


@pytest.mark.parametrize("got, want, words", [
    (1.5, 2.5, "gave 1.5, expected 2.5."),
    (np.nan, 0.0, "Where does the NaN come from"),
    ((np.float64(7.5), "high"), (6.0, "low"), "gave (7.5, 'high'), expected (6, 'low')."),
    ((1, np.zeros(9)), (1, np.array([*[0.0] * 8, 2])), "wrong in part 2 of 2: gave 0 at position 8, expected 2."),
    (([1, 0],), ([True, False],), "wrong in part 1 of 1: gave [1, 0], expected [True, False]."),
    (list(range(20)), [*range(12), 9, *range(13, 20)], "gave 12 at position 12, expected 9."),
    ([([1], [2, 3])] * 9, [([1, 2], [3])], "gave [([1], [2, 3])"),
    (np.zeros(9), np.zeros(12), "gave 9 values, expected 12"),
    (pd.Series(np.zeros(9)), 0.0, "expected 0."),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]}), "columns ['a'], expected ['b']"),
    (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1, 2]}), "gave 1 rows, expected 2"),
    (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]}), "in column `a`: gave [1, 2], expected [1, 3]"),
])  # fmt: skip
def test_difference_names_the_place(got, want, words):
    assert words in difference(got, want)
