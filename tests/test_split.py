"""mlcourse.split: laws of the parts on made flights, agreement with looking through every row and with scikit-learn."""

import copy
import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score, cross_validate
from sklearn.tree import DecisionTreeClassifier

from mlcourse.data import load
from mlcourse.frame import Decision, decision_time, label_time, scheduled
from mlcourse.split import GroupedRollingOrigin, RollingOrigin, audit, by_time

NEW_YORK = "America/New_York"
HOUR = pd.Timedelta("1h")
DECISION = Decision()


def made(moments, planes=None):
    """Flights scheduled at these local moments of New York, in this order, with labels of their own as index."""
    times = pd.DatetimeIndex(moments).tz_localize(NEW_YORK, ambiguous=True, nonexistent="shift_forward")
    hour = pd.Series(times.tz_convert("UTC").floor("h").as_unit("us"))
    table = pd.DataFrame({"time_hour": hour, "minute": times.minute, "origin": "JFK", "carrier": "UA"})
    table["flight"] = np.arange(len(table))
    table["tailnum"] = pd.Series(planes if planes is not None else "N1", table.index, dtype="str")
    return table.set_axis(np.arange(len(table))[::-1] + 1000)


def spread(n, days=100, start="2013-01-05", seed=0, planes=12):
    """`n` flights on so many days, in no order, some without a plane."""
    rng = np.random.default_rng(seed)
    minutes = np.concatenate([np.arange(days) * 1440 + 600, rng.integers(0, days * 1440, n - days)])
    names = [None if p == 0 else f"N{p}" for p in rng.integers(0, planes + 1, n)]
    moments = pd.Timestamp(start) + pd.to_timedelta(rng.permutation(minutes), unit="min")
    return made(moments, names)


flights_of_two_weeks = st.lists(st.integers(0, 14 * 1440), min_size=2, max_size=40)
decisions = st.builds(
    Decision,
    lead=st.integers(0, 30).map(lambda h: h * HOUR),
    label_delay=st.integers(1, 60).map(lambda h: h * HOUR),
)


# By time


@settings(max_examples=80, deadline=None)
@given(flights_of_two_weeks, decisions, st.integers(1, 13), st.integers(1, 6), st.sampled_from([3, 11, 7]))
def test_by_time_agrees_with_looking_through_every_row(minutes, decision, first, length, month):
    start = pd.Timestamp(2013, month, 1 if month != 3 else 5)  # the clocks change on 10 March and 3 November
    flights = made(start + pd.to_timedelta(minutes, unit="min"))
    begin = start + pd.Timedelta(days=first)
    end = begin + pd.Timedelta(days=length)
    at = [t.tz_convert(NEW_YORK) for t in scheduled(flights)]
    test = [begin.date() <= t.date() < end.date() for t in at]
    cut = min([t - decision.lead for t, tested in zip(at, test, strict=True) if tested], default=None)
    train = [cut is not None and t + decision.label_delay <= cut for t in at]
    if not any(test) or not any(train):
        with pytest.raises(ValueError, match="got none; they reach from"):
            by_time(flights, begin, decision, end)
        return
    got = by_time(flights, begin, decision, str(end.date()))
    assert all(isinstance(part, np.ndarray) and part.dtype == bool for part in got)
    assert got[0].tolist() == train and got[1].tolist() == test
    assert audit(flights, *got, decision)["rows"].iloc[:2].sum() == 0


def test_by_time_does_not_mind_the_order_and_changes_nothing():
    flights = spread(300)
    before = flights.copy()
    parts = by_time(flights, "2013-03-01", DECISION)
    rows = np.random.default_rng(1).permutation(len(flights))
    for part, mixed in zip(parts, by_time(flights.iloc[rows], "2013-03-01", DECISION), strict=True):
        np.testing.assert_array_equal(mixed, part[rows])
    pd.testing.assert_frame_equal(flights, before)
    double = flights.set_axis([7] * len(flights))  # labels need not differ
    np.testing.assert_array_equal(by_time(double, "2013-03-01", DECISION), parts)


def test_by_time_at_the_very_moment():
    """A label certain at the moment of the first decision trains; a minute later it does not."""
    flights = made(["2013-02-28 11:00", "2013-02-28 11:01", "2013-03-01 02:00", "2013-02-28 23:59"])
    train, test = by_time(flights, "2013-03-01", DECISION)  # 02:00 less two hours is 11:00 and 13 hours
    assert train.tolist() == [True, False, False, False] and test.tolist() == [False, False, True, False]
    longer = Decision(label_delay="13h 1min")
    with pytest.raises(ValueError, match="a label to train on that is certain before 2013-03-01"):
        by_time(flights, "2013-03-01", longer)


def test_the_day_is_the_local_one():
    flights = made(["2013-08-30 12:00", "2013-08-31 23:30", "2013-09-01 00:30", "2013-09-02 00:00"])
    assert by_time(flights, "2013-09-01", DECISION, "2013-09-02")[1].tolist() == [False, False, True, False]


def test_night_when_the_clock_goes_back():
    """1:30 comes twice on 3 November; the label of the second is certain an hour later."""
    zone = pd.Timestamp("2013-11-03 05:00", tz="UTC")  # 1:00 in New York, for the first time
    flights = made(["2013-11-01 12:00", "2013-11-03 12:00", "2013-11-03 12:00", "2013-11-04 00:00"])
    flights["time_hour"] = [flights.time_hour.iloc[0], zone, zone + HOUR, flights.time_hour.iloc[3]]
    flights["minute"] = [0, 30, 30, 0]
    decision = Decision(lead="2h", label_delay="21h")  # the first decision: 3 November, 22:00 there, 3:00 UTC
    train, test = by_time(flights, "2013-11-04", decision)
    assert test.tolist() == [False, False, False, True]
    assert train.tolist() == [True, True, False, False]


def test_a_longer_label_delay_or_lead_only_takes_training_rows():
    flights = spread(400)
    train, test = by_time(flights, "2013-03-01", DECISION)
    for other in (Decision(label_delay="5D"), Decision(lead="30h")):
        fewer, same = by_time(flights, "2013-03-01", other)
        assert not (fewer & ~train).any() and fewer.sum() < train.sum() and (same == test).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_from": "2013-13-01"}, "test_from must be a local date"),
        ({"test_from": "2013-03-01 10:00"}, "test_from must be a local date"),
        ({"test_from": pd.Timestamp("2013-03-01", tz="UTC")}, "test_from must be a local date"),
        ({"test_from": None}, "test_from must be a local date"),
        ({"test_from": 3}, "test_from must be a local date"),
        ({"until": "soon"}, "until must be a local date"),
        ({"until": "2013-03-01"}, r"until must be after test_from \(2013-03-01\), got 2013-03-01"),
        ({"until": "2013-02-01"}, r"until must be after test_from \(2013-03-01\), got 2013-02-01"),
        ({"test_from": "2014-01-01"}, "a flight to test from 2014-01-01 until .* reach from 2013-01-05 to"),
        ({"test_from": "2013-01-05"}, "a label to train on that is certain before 2013-01-05, got none"),
        ({"test_from": "1999-01-01"}, "a label to train on"),
        ({"decision": None}, "decision must be a Decision"),
        ({"decision": "2h"}, "decision must be a Decision"),
    ],
)
def test_by_time_refuses(change, message):
    arguments = {"test_from": "2013-03-01", "decision": DECISION} | change
    with pytest.raises(ValueError, match=message):
        by_time(spread(200), **arguments)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: f.drop(columns="minute"), "missing: minute"),
        (lambda f: f.assign(time_hour=f.time_hour.dt.tz_localize(None)), "times with their zone"),
        (lambda f: f.assign(time_hour=f.time_hour.mask(f.flight < 3)), "but 3 lack one"),
        (lambda f: f.assign(minute=f.minute.mask(f.flight == 5)), "but 1 lack one"),
        (lambda f: f[:0], "one flight at least"),
        (lambda f: f.to_numpy(), "must be a DataFrame"),
    ],
)
def test_flights_that_cannot_be_split(damage, message):
    flights = damage(spread(200))
    for split in (by_time, lambda f, start, d: RollingOrigin(f, d, start)):
        with pytest.raises(ValueError, match=message):
            split(flights, "2013-03-01", DECISION)


# Rolling origin


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6), decisions, st.integers(1, 9), st.sampled_from(["7D", "MS", "10D", "W-MON"]),
    st.sampled_from([None, "14D", "2MS"]),
)  # fmt: skip
def test_laws_of_the_folds(seed, decision, shift, every, window):
    flights = spread(400, seed=seed)
    start = pd.Timestamp("2013-02-01") + pd.Timedelta(days=shift)
    cv = RollingOrigin(flights, decision, start, every=every, window=window)
    at, day = (
        scheduled(flights),
        scheduled(flights).dt.tz_convert(NEW_YORK).dt.tz_localize(None).dt.normalize(),
    )
    decided, certain = decision_time(flights, decision), label_time(flights, decision)
    folds = list(cv.split(flights))
    assert len(folds) == cv.get_n_splits() == len(cv.folds)
    tested = np.concatenate([test for _, test in folds])
    np.testing.assert_array_equal(np.sort(tested), np.flatnonzero(day >= start))  # once each
    for train, test in folds:
        assert certain.iloc[train].max() <= decided.iloc[test].min()
        assert at.iloc[train].max() < at.iloc[test].min()
        if window is None:  # nothing that is known is left out
            np.testing.assert_array_equal(train, np.flatnonzero(certain <= decided.iloc[test].min()))
    if window is None:
        assert all(set(a) <= set(b) for (a, _), (b, _) in pairwise(folds))
    for (_, a), (_, b) in pairwise(folds):
        assert day.iloc[a].max() < day.iloc[b].min()


def test_agrees_with_time_series_split():
    """One flight a day, sorted: the same folds as scikit-learn's, its gap being the days the labels take."""
    flights = made(pd.Timestamp("2013-04-01 12:00") + pd.to_timedelta(np.arange(100), unit="D"))
    for delay, gap in ((13, 0), (24 - 2, 0), (24, 1), (70, 2), (71, 3)):
        decision = Decision(label_delay=delay * HOUR)
        for window, most in ((None, None), ("30D", 30 - gap)):
            cv = RollingOrigin(flights, decision, "2013-05-21", every="10D", window=window)
            theirs = TimeSeriesSplit(5, test_size=10, gap=gap, max_train_size=most).split(flights)
            for ours, their in zip(cv.split(flights), theirs, strict=True):
                for part, other in zip(ours, their, strict=True):
                    np.testing.assert_array_equal(part, other)


def test_months_follow_the_calendar():
    flights = made(pd.Timestamp("2013-01-01 09:00") + pd.to_timedelta(np.arange(150), unit="D"))
    folds = RollingOrigin(flights, DECISION, "2013-02-10", until="2013-05-06", window="MS").folds
    starts, ends = (folds[c].dt.strftime("%m-%d").to_list() for c in ("test_from", "test_to"))
    assert starts == ["02-10", "03-01", "04-01", "05-01"] and ends == ["02-28", "03-31", "04-30", "05-05"]
    assert folds.train_from.dt.strftime("%m-%d").to_list() == ["02-01", "02-01", "03-01", "04-01"]
    assert (folds.train_to < folds.test_from).all() and (folds.gap == 0).all()


def test_table_of_folds_counts_what_split_gives():
    flights = spread(500)
    cv = RollingOrigin(flights, Decision(label_delay="3D"), "2013-02-15", every="20D")
    for row, (train, test) in zip(cv.folds.itertuples(), cv.split(), strict=True):
        at = scheduled(flights).dt.tz_convert(NEW_YORK).dt.tz_localize(None)
        assert (row.train, row.test) == (len(train), len(test))
        assert row.train_to == at.iloc[train].max() and row.test_from == at.iloc[test].min()
        between = (at > row.train_to) & (at < row.test_from)
        assert row.gap == between.sum() > 0
    assert repr(cv) == "RollingOrigin(3 folds, 2013-02-15 to 2013-04-14)"


def test_serves_scikit_learn():
    flights = spread(600)
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(600, 3)), flights.index, columns=list("abc"))
    y = pd.Series(X.a + rng.normal(size=600) > 0.5, flights.index)
    cv = RollingOrigin(flights, DECISION, "2013-02-15", every="20D")
    scores = cross_val_score(LogisticRegression(), X, y, cv=cv, scoring="roc_auc")
    by_hand = [
        cross_val_score(LogisticRegression(), X, y, cv=[fold], scoring="roc_auc")[0] for fold in cv.split()
    ]
    np.testing.assert_allclose(scores, by_hand)
    np.testing.assert_allclose(
        cross_val_score(LogisticRegression(), X.to_numpy(), y.to_numpy(), cv=cv, scoring="roc_auc"), scores
    )
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 3]}, cv=cv)
    assert clone(search).fit(X, y).n_splits_ == cv.get_n_splits(X, y) == len(scores)
    again = copy.deepcopy(cv)
    assert all(
        np.array_equal(a, b)
        for f, g in zip(cv.split(X), again.split(X), strict=True)
        for a, b in zip(f, g, strict=True)
    )
    found = cross_validate(DummyClassifier(), X, y, cv=cv, return_indices=True)["indices"]
    assert all(np.array_equal(a, b) for a, (b, _) in zip(found["train"], cv.split(), strict=True))


def test_rows_that_are_not_the_flights_are_refused():
    flights = spread(200)
    cv = RollingOrigin(flights, DECISION, "2013-03-01")
    X, y = flights[["flight"]], pd.Series([True, False] * 100, flights.index)
    for other in (X[1:], X.to_numpy()[:10], [[1]] * 7):
        with pytest.raises(ValueError, match="X must have a row for each of the splitter's 200 flights"):
            next(cv.split(other))
    for other in (X[::-1], X.reset_index(drop=True)):
        with pytest.raises(ValueError, match="X must have the index of the splitter's flights"):
            next(cv.split(other))
    with pytest.raises(ValueError, match="y must have the index"):
        next(cv.split(X, y[::-1]))
    with pytest.raises(ValueError, match="y must have a row for each"):
        next(cv.split(X, y[:-1]))


def test_one_class_is_named():
    flights = spread(300)
    cv = RollingOrigin(flights, DECISION, "2013-02-15", until="2013-04-01", every="20D")
    train, test = next(cv.split())
    y = np.tile([True, False], 150)
    lonely = y.copy()
    lonely[train] = False
    with pytest.raises(ValueError, match="the train part of fold 0, from 2013-02-15, all are False"):
        list(cv.split(flights, lonely))
    lonely = y.copy()
    lonely[test] = True
    with pytest.warns(UserWarning, match="the test part of fold 0, from 2013-02-15, all are True"):
        list(cv.split(flights, lonely))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(cv.split(flights, y))
        list(cv.split(flights, np.arange(300.0)))  # minutes of delay have more than two values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"every": "12h"}, "every must be whole days such as '7D' or months such as 'MS', got '12h'"),
        ({"every": "-1D"}, "every must be"),
        ({"every": "0D"}, "every must be"),
        ({"every": "often"}, "every must be"),
        ({"every": None}, "every must be"),
        ({"window": "90min"}, "window must be"),
        ({"window": "-7D"}, "window must be"),
        ({"window": 30}, "window must be"),
        ({"window": "1D", "decision": Decision(label_delay="9D")}, "a label to train on"),
        ({"until": "2013-02-01"}, "until must be after"),
        ({"until": "2013-09-01"}, "a flight to test from 2013-05-01 until 2013-06-01, got none"),
    ],
)
@pytest.mark.parametrize("splitter", [RollingOrigin, GroupedRollingOrigin])
def test_periods_that_cannot_be_used(splitter, change, message):
    arguments = {"decision": DECISION, "test_from": "2013-03-01"} | change
    with pytest.raises(ValueError, match=message):
        splitter(spread(2000), **arguments)


def test_a_month_without_flights_is_named():
    flights = spread(2000, days=150)
    month = scheduled(flights).dt.tz_convert(NEW_YORK).dt.month
    with pytest.raises(ValueError, match="a flight to test from 2013-04-01 until 2013-05-01, got none"):
        RollingOrigin(flights[month != 4], DECISION, "2013-03-01")


# Groups


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(0, 5), st.sampled_from([None, "1MS"]))
def test_laws_of_groups(seed, shares, random_state, window):
    flights = spread(1500, seed=seed, planes=60)
    arguments = {"shares": shares, "random_state": random_state, "window": window, "every": "MS"}
    cv = GroupedRollingOrigin(flights, DECISION, "2013-03-01", **arguments)
    base = list(RollingOrigin(flights, DECISION, "2013-03-01", window=window).split())
    folds = list(cv.split(flights))
    assert len(folds) == cv.get_n_splits() == len(base) * shares
    plane = flights.tailnum.reset_index(drop=True)
    for number, (train, test) in enumerate(folds):
        assert not set(plane[train].dropna()) & set(plane[test].dropna())
        whole, period = base[number // shares]
        assert set(train) <= set(whole) and set(test) <= set(period)
        lost = plane[np.setdiff1d(whole, train)].dropna()
        kept = set(plane[train].dropna())
        assert not kept & set(lost)  # a plane is held out whole
    for at, (_, period) in enumerate(base):
        tested = np.concatenate([test for _, test in folds[at * shares : (at + 1) * shares]])
        np.testing.assert_array_equal(np.sort(tested), period)  # once each, those without a plane too


def test_a_plane_keeps_its_share():
    """Neither other rows, nor their order, nor later flights move a plane; another random_state does."""
    flights = spread(1500, planes=60)

    def shares(table, **how):
        found = {}
        cv = GroupedRollingOrigin(table, DECISION, "2013-03-01", until="2013-04-01", shares=3, **how)
        for share, (_, test) in enumerate(cv.split()):
            found |= dict.fromkeys(table.index[test], share)
        return found

    whole = shares(flights)
    mixed = flights.iloc[np.random.default_rng(2).permutation(len(flights))]
    assert shares(mixed) == whole
    part = shares(flights.iloc[::2])
    assert part == {row: whole[row] for row in part}
    assert shares(flights, random_state=1) != whole
    assert 0.15 < np.mean([share == 0 for share in whole.values()]) < 0.55


def test_other_groups_than_planes():
    flights = spread(1500)
    flights["dest"] = np.random.default_rng(0).integers(1, 40, len(flights))  # numbers may name groups
    cv = GroupedRollingOrigin(flights, DECISION, "2013-03-01", by="dest", shares=2, every="MS")
    assert all(audit(flights, *fold, DECISION, by="dest")["rows"]["same dest"] == 0 for fold in cv.split())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "pilot"}, "flights must have the columns pilot; missing: pilot"),
        ({"shares": 1}, "shares must be a whole number, 2 or more, got 1"),
        ({"shares": 2.5}, "shares must be a whole number"),
        ({"shares": True}, "shares must be a whole number"),
        ({"random_state": -1}, "random_state must be a whole number, 0 or more, got -1"),
        ({"random_state": None}, "random_state must be a whole number"),
        ({"shares": 50}, "more groups, or fewer than 50 shares"),
    ],
)
def test_groups_that_cannot_be_used(change, message):
    with pytest.raises(ValueError, match=message):
        GroupedRollingOrigin(spread(400), DECISION, "2013-03-01", **change)


# Audit


def test_audit_counts_each_fault():
    flights = made(
        ["2013-03-01 08:00", "2013-03-01 20:00", "2013-03-02 09:00", "2013-03-02 09:50", "2013-03-03 07:00"],
        ["N1", "N2", "N1", None, None],
    )
    found = audit(flights, [0, 1, 3], [2, 4], DECISION)
    assert found.index.to_list() == [
        "label not certain", "row in both parts", "same flight, sent twice", "same airport and hour", "same tailnum"
    ]  # fmt: skip
    assert found["of"].to_list() == ["train"] + ["test"] * 4
    assert found["rows"].to_list() == [2, 0, 0, 1, 1] and found["share"].to_list() == [2 / 3, 0, 0, 0.5, 0.5]
    both = audit(flights, [0, 1], [1, 4], DECISION)["rows"]
    assert both["row in both parts"] == 1 and both["same tailnum"] == 1
    twice = pd.concat([flights, flights.iloc[[2]].set_axis([99])])
    assert audit(twice, [2], [5], DECISION)["rows"].to_list() == [1, 0, 1, 1, 1]
    apart = flights.assign(origin=["JFK", "JFK", "JFK", "LGA", "JFK"])
    assert audit(apart, [0, 1, 3], [2, 4], DECISION)["rows"]["same airport and hour"] == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_audit_takes_masks_or_positions(seed):
    flights, rng = spread(200, seed=seed % 50), np.random.default_rng(seed)
    part = rng.choice(3, 200)
    masks = part == 0, part == 1
    got = audit(flights, *masks, DECISION)
    pd.testing.assert_frame_equal(got, audit(flights, *map(np.flatnonzero, masks), DECISION))
    rows = rng.permutation(200)
    pd.testing.assert_frame_equal(got, audit(flights.iloc[rows], *(m[rows] for m in masks), DECISION))
    assert got.share.between(0, 1).all() and (got["rows"] >= 0).all()


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([], [1], "train must"),
        (np.zeros(200, bool), [1], "train must choose some of the 200 flights"),
        ([0], [200], "test must be 200 bools, or positions from 0 to 199"),
        ([-1], [3], "train must be 200 bools"),
        ([0.5], [3], "train must be 200 bools"),
        (np.ones(9, bool), [3], "train must choose some of the 200 flights"),
    ],
)
def test_audit_refuses(train, test, message):
    with pytest.raises(ValueError, match=message):
        audit(spread(200), train, test, DECISION)
    with pytest.raises(ValueError, match="missing: carrier"):
        audit(spread(200).drop(columns="carrier"), [0], [1], DECISION)


# The year


def test_the_split_of_the_course():
    flights = load("flights")
    train, test = by_time(flights, "2013-09-01", DECISION)
    assert (
        (flights.month[test] >= 9).all()
        and (flights.month[~test] <= 8).all()
        and flights.month[train].max() == 8
    )
    gap = flights[~train & ~test]
    assert gap.groupby(["month", "day"]).size().index.to_list() == [(8, 31)] and gap.hour.min() == 14
