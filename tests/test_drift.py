"""Lesson 24, by its own definitions: worlds differ only as said, fixes know nothing later, the diagnosis holds on other seeds."""

import ast
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import LESSONS
from threadpoolctl import threadpool_limits

from mlcourse.exercises.engine import find

NOTEBOOK = next(path for path in LESSONS if path.stem == "24_drift")
DATA = {"flights", "log", "first", "season", "COLUMNS", "CAUSES"}
each_cause = pytest.mark.parametrize(
    "cause", ["broken feed", "covariate drift", "prior drift", "concept drift", "noise"]
)


def defines(node):
    """Whether a statement defines: an import, a function, a lambda, or the lesson's data."""
    if isinstance(node, ast.Assign):
        names = {n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)}
        return isinstance(node.value, ast.Lambda) or bool(names & DATA)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef)


@pytest.fixture(scope="module")
def lesson():
    """The lesson's definitions and data, without its runs."""
    scope = {}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if cell.cell_type == "code":
            body = [node for node in ast.parse(cell.source).body if defines(node)]
            exec(compile(ast.Module(body, []), NOTEBOOK.name, "exec"), scope)
    with threadpool_limits(1):  # as the lesson does
        yield SimpleNamespace(**{k: v for k, v in scope.items() if not k.startswith("__")})


@pytest.fixture(scope="module")
def noise(lesson):
    """A world in which nothing is planted."""
    return lesson.world("noise", 7)


def test_only_certain_labels_of_whole_days_are_known(lesson):
    rows = lesson.span("2013-07-01", "2013-07-15")
    for day in ("2013-07-04", "2013-07-09", "2013-07-15"):
        known, midnight = lesson.known(rows, day), pd.Timestamp(day, tz="America/New_York")
        assert (known.scheduled + lesson.decision.label_delay).max() <= midnight
        assert known.day.max() == pd.Timestamp(day) - pd.Timedelta("2D")
        assert len(known) == (rows.day <= known.day.max()).sum()


@each_cause
def test_a_world_differs_only_as_it_says(lesson, noise, cause):
    rows = lesson.world(cause, 7)
    same = noise.loc[rows.index]
    differs = [c for c in noise if not rows[c].equals(same[c])]
    planted = {"broken feed": ["temp", "dewp"], "concept drift": ["bad"]}
    assert differs == planted.get(cause, [])
    if cause == "concept drift":
        moved = rows[rows.bad != same.bad]
        assert set(moved.carrier) == {"UA", "EV"} and moved.week.min() == 13
        assert moved.groupby("carrier", observed=True).bad.mean().to_dict() == {"EV": 0, "UA": 1}
    gone = noise.drop(rows.index)
    if cause == "prior drift":
        assert (
            gone.bad.all()
            and gone.week.min() == 13
            and 0.6 < len(gone) / noise[noise.week >= 13].bad.sum() < 0.7
        )
    elif cause == "covariate drift":
        assert ((gone.hour >= 16) == (gone.week < 13)).all()
    else:
        assert gone.empty


def test_worlds_are_the_real_season_dealt_anew(lesson, noise):
    assert (
        noise.index.equals(lesson.season.index)
        and (noise.day.dt.day_of_week == noise.date.dt.day_of_week).all()
    )
    assert noise.groupby("date").day.nunique().max() == noise.groupby("day").date.nunique().max() == 1
    assert (noise.scheduled - lesson.season.scheduled == noise.day - noise.date).all()
    assert not lesson.world("noise", 8).week.equals(noise.week)


def test_no_fix_knows_what_comes_later(lesson, noise):
    """Labels that are not certain at the end of week 14 may be anything: no act changes."""
    known = lesson.known(noise[noise.week < 15], noise.day[noise.week >= 15].min()).index
    other = noise.assign(bad=noise.bad.where(noise.index.isin(known), ~noise.bad))
    assert (other.bad != noise.bad).sum() > 30_000
    before, after = lesson.fixes(noise), lesson.fixes(other)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


def test_labels_that_are_known_do_matter(lesson, noise):
    told = noise.assign(bad=noise.bad ^ (noise.week == 13))
    before, after = lesson.fixes(noise), lesson.fixes(told)
    changed = {name for name in before if (before[name] != after[name]).any()}
    assert changed == {"recalibrate", "retrain", "move the cut"}


def test_mending_is_as_if_the_feed_were_well(lesson, noise):
    broken = lesson.fixes(lesson.world("broken feed", 7))
    nothing = lesson.fixes(noise)["nothing"]
    assert (broken["nothing"] != nothing).mean() > 0.01
    assert (broken["mend"] != nothing).mean() < 1e-4  # the last digits of °C
    some = noise.iloc[:50]
    rules = pd.DataFrame({"rule": "unit", "feature": ["temp", "dewp"], "mend": "°C: convert it back"})
    back = lesson.mended(lesson.celsius(some), rules)
    np.testing.assert_allclose(back[["temp", "dewp"]], some[["temp", "dewp"]])
    assert lesson.mended(some, rules.iloc[:0]).equals(some)


def test_the_first_evidence_that_speaks_names_the_cause(lesson):
    silent = {"rules": 0, "slices": 1.0, "inputs": 1.5, "promises": 0}
    order = ["broken feed", "concept drift", "covariate drift", "prior drift"]
    speaks = [{"rules": 2}, {"slices": 0.01}, {"inputs": 2.5}, {"promises": 3}]
    assert lesson.diagnose(**silent) == "noise"
    for i, cause in enumerate(order):
        assert lesson.diagnose(**silent | speaks[i]) == cause
        for later in speaks[i + 1 :]:
            assert lesson.diagnose(**silent | later | speaks[i]) == cause


@each_cause
def test_the_diagnosis_holds_on_other_seeds(lesson, cause):
    seeds = range(21, 27) if cause == "noise" else range(21, 24)
    said = [lesson.diagnose(**lesson.evidence(lesson.world(cause, seed))) for seed in seeds]
    assert said.count(cause) >= (5 if cause == "noise" else 2), said


def test_one_shift_keeps_the_order(lesson):
    p = np.random.default_rng(0).uniform(0, 1, 500)
    moved = lesson.shifted(np.r_[0, p, 1], 0.2)
    assert abs(moved.mean() - 0.2) < 1e-6 and moved.min() >= 0 and moved.max() <= 1
    np.testing.assert_array_equal(np.argsort(moved[1:-1]), np.argsort(p))


def made(share, n, rng):
    """Flights whose P(x given y) never changes, and the p of a model that is right for a share of 0.3."""
    bad = rng.random(n) < share
    x = rng.normal(1.5 * bad)
    odds = 0.3 / 0.7 * np.exp(1.5 * x - 1.125)
    return bad, odds / (1 + odds)


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_shares_without_labels_are_right_under_prior_drift(lesson, share):
    rng = np.random.default_rng(3)
    (past, before), (bad, p) = made(0.3, 40_000, rng), made(share, 40_000, rng)
    assert abs(lesson.saerens(p, 0.3) - bad.mean()) < 0.015
    from_acts = find("drift-3").reference(p > 0.4, before > 0.4, past)
    assert abs(from_acts - bad.mean()) < 0.015
    assert share == 0.3 or abs(p.mean() - bad.mean()) > 0.03


def test_moving_the_cut_is_correcting_every_probability():
    cut_for, undo, rng = find("drift-1").reference, find("decide-2").reference, np.random.default_rng(5)
    for _ in range(50):
        p, cut, (old, new) = rng.random(200), rng.random(), rng.uniform(0.02, 0.98, 2)
        np.testing.assert_array_equal(p > cut_for(cut, old, new), undo(p, old, new) > cut)


def test_weights_make_the_past_like_the_new_days(lesson):
    learned, _, new, _ = lesson.parts(lesson.world("covariate drift", 7))
    w = lesson.weights(learned, new)
    assert abs(w.mean() - 1) < 1e-9 and w.min() >= 0
    hour = np.average(learned.hour, weights=w)
    assert abs(hour - new.hour.mean()) < 0.4 < abs(learned.hour.mean() - new.hour.mean())
    both = pd.concat([learned.assign(bad=False), new.assign(bad=True)])
    q = lesson.chance(lesson.model(both), learned)
    np.testing.assert_allclose(w, find("drift-2").reference(q, len(learned), len(new), 20))


def test_money_is_counted_by_day(lesson, noise):
    rows = noise[noise.week == 3]
    everyone = lesson.daily(np.ones(len(rows), bool), rows)
    expected = lesson.decision.prevented * rows.bad.sum() - lesson.decision.act_cost * len(rows)
    assert len(everyone) == 7 and everyone.sum() == pytest.approx(expected)
    low, high = lesson.a_day(everyone)[1:]
    assert low < everyone.mean() < high
    priced = lesson.priced(pd.DataFrame({"all": everyone}), pd.DataFrame({"all": everyone}))
    assert priced.value["all"] == pytest.approx(everyone.mean() / 1e3)  # a date that comes twice counts once
