"""mlcourse.decide: exact thresholds, calibrators, acts as the clock runs, a gate that each fault fails, a card of numbers."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from mlcourse.decide import (
    Calibrated,
    Calibrator,
    Gate,
    at_capacity,
    gate_from_past,
    hindsight,
    model_card,
    regret,
    savings_curve,
    threshold,
)
from mlcourse.evaluate import scores, slices
from mlcourse.frame import Costs, Decision, net_savings

DECISION = Decision()
EVEN = DECISION.break_even
START = pd.Timestamp("2013-09-01", tz="UTC")
NONE, ALL = 1.0, -1.0

flights = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.30000000000000004, 0.7, 1.0]), st.booleans()), min_size=1
)


def columns(rows):
    p, y = zip(*rows, strict=True)
    return np.array(p), np.array(y)


# Thresholds


@given(flights)
def test_curve_tells_every_rule(rows):
    p, y = columns(rows)
    curve = savings_curve(p, y, DECISION)
    assert len(curve) == len(set(p)) + 1 and curve.threshold.is_monotonic_decreasing
    for cut, acts, saved in curve.itertuples(index=False):
        assert acts == (p > cut).sum()
        assert saved == pytest.approx(net_savings(p > cut, y, DECISION), abs=1e-6)


@given(flights)
def test_threshold_is_the_best_with_fewest_acts(rows):
    p, y = columns(rows)
    best = threshold(p, y, DECISION)
    rules = [ALL, *p, NONE]
    assert net_savings(p > best, y, DECISION) >= max(net_savings(p > c, y, DECISION) for c in rules) - 1e-6
    equals = [c for c in rules if net_savings(p > c, y, DECISION) > net_savings(p > best, y, DECISION) - 1e-6]
    assert (p > best).sum() == min((p > c).sum() for c in equals)


@pytest.mark.parametrize(("y", "cut"), [(False, NONE), (True, ALL)])
def test_labels_of_one_kind(y, cut):
    assert threshold([0.0, 0.4, 1.0], [y] * 3, DECISION) == cut
    assert threshold([0.5], [y], DECISION) == cut


def test_a_cut_lies_midway_so_that_it_serves_new_flights():
    assert threshold([0.2, 0.6], [False, True], DECISION) == pytest.approx(0.4)
    free = replace(DECISION, act_cost=0)
    assert threshold([0.2, 0.6], [False, False], free) == NONE  # nothing gained: nobody bothered


def test_on_calibrated_p_the_best_threshold_is_the_break_even():
    rng = np.random.default_rng(0)
    p = rng.beta(1, 4, 400_000)
    y = rng.random(len(p)) < p
    assert threshold(p, y, DECISION) == pytest.approx(EVEN, abs=0.03)
    assert net_savings(p > EVEN, y, DECISION) > 0.99 * savings_curve(p, y, DECISION).savings.max()


BAD = [
    ([], [], "p must be between 0 and 1"),
    ([0.2, np.nan], [True, False], "none missing, got .nan"),
    ([0.2, 1.1], [True, False], "got .1.1"),
    ([-0.1], [True], "got .-0.1"),
    ([[0.2]], [True], "shape"),
    ([0.2, 0.3], [True], "y must be true or false for each of 2 flights"),
    ([0.2], [2], "y must be true or false"),
    ([0.2], [np.nan], "y must be true or false"),
    ([0.2], ["yes"], "y must be true or false"),
]


@pytest.mark.parametrize(("p", "y", "message"), BAD)
def test_bad_input_is_refused(p, y, message):
    when = pd.Series(pd.date_range(START, periods=np.size(p), freq="min"))
    tries = [
        lambda: savings_curve(p, y, DECISION),
        lambda: threshold(p, y, DECISION),
        lambda: hindsight(p, y, np.zeros(np.size(p)), DECISION),
        lambda: Calibrator().fit(p, y),
    ]
    if message.startswith("p") or "got" in message or message == "shape":
        tries.append(lambda: at_capacity(p, when, 2, DECISION))
    for attempt in tries:
        with pytest.raises(ValueError, match=message):
            attempt()


# Calibration


def storms(seed=0, n=20_000):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 5, n)
    return p, rng.random(n) < p


METHODS = ["logistic", "isotonic"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bend", [lambda p: p**0.5, lambda p: p / (p + 0.2 * (1 - p)), lambda p: 0.3 * p])
def test_mends_what_is_bent(method, bend):
    (p, y), (later, truth) = storms(0), storms(1)
    said = Calibrator(method).fit(bend(p), y).predict(bend(later))
    assert abs(said - later).mean() < 0.4 * abs(bend(later) - later).mean()
    lost = [
        net_savings(later > EVEN, truth, DECISION) - net_savings(q > EVEN, truth, DECISION)
        for q in (said, bend(later))
    ]
    assert lost[0] < 0.3 * lost[1] and lost[0] < 0.03 * net_savings(later > EVEN, truth, DECISION)


@pytest.mark.parametrize("method", METHODS)
def test_a_map_never_falls_and_stays_a_probability(method):
    p, y = storms()
    said = Calibrator(method).fit(p, y).predict(np.linspace(0, 1, 1001))
    assert (np.diff(said) >= 0).all() and said.min() >= 0 and said.max() <= 1
    if method == "logistic":
        assert (np.diff(said) > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_p_that_was_higher_for_good_flights(method):
    p, y = storms()
    low, high = Calibrator(method).fit(1 - p, y).predict([0.2, 0.8])
    assert low == high if method == "isotonic" else low > high + 0.5


def test_p_next_to_certain_are_alike():
    p, y = storms()
    said = Calibrator().fit(p, y).predict([0, 1e-12, 1e-9, 2e-9])
    assert said[0] == said[1] == said[2] < said[3]


def test_agrees_with_scikit_learn():
    p, y = storms()
    odds = np.log(p / (1 - p))[:, None]
    ours = Calibrator().fit(p, y).predict(p)
    np.testing.assert_allclose(
        ours, LogisticRegression(tol=1e-9).fit(odds, y).predict_proba(odds)[:, 1], atol=1e-5
    )
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y)
    np.testing.assert_array_equal(Calibrator("isotonic").fit(p, y).predict(p), theirs.predict(p))


@pytest.mark.parametrize("method", METHODS)
def test_extreme_p_and_labels_that_p_tells_apart(method):
    p, y = np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, False, True, True])
    said = Calibrator(method).fit(p, y).predict(p)
    assert np.isfinite(said).all() and (said[2:] > said[:2]).all()
    flat = Calibrator(method).fit(np.full(4, 0.9), [True, False, False, False]).predict([0.9])
    assert flat == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("method", METHODS)
def test_calibrator_is_pure_clonable_and_forgets(method):
    p, y = storms()
    before = p.copy(), y.copy()
    first = Calibrator(method).fit(p, y)
    np.testing.assert_array_equal(clone(first).fit(p, y).predict(p), first.predict(p))
    series = Calibrator(method).fit(pd.Series(p, range(7, 7 + len(p))), pd.Series(y))
    np.testing.assert_array_equal(series.predict(p), first.predict(p))
    np.testing.assert_array_equal(first.fit(1 - p, y).fit(p, y).predict(p), series.predict(p))
    np.testing.assert_array_equal(before[0], p), np.testing.assert_array_equal(before[1], y)
    with pytest.raises(NotFittedError):
        Calibrator(method).predict(p)


@pytest.mark.parametrize("y", [[True, True], [False, False]])
def test_one_kind_of_label_teaches_nothing(y):
    with pytest.raises(ValueError, match="good and bad flights, got 2 of one kind"):
        Calibrator().fit([0.1, 0.2], y)


def test_unknown_method():
    with pytest.raises(ValueError, match="method must be 'logistic' or 'isotonic', got 'beta'"):
        Calibrator("beta").fit([0.1, 0.2], [True, False])


def test_calibrated_keeps_its_model_frozen():
    p, y = storms()
    X = pd.DataFrame({"odds": np.log(p / (1 - p)), "more": 0.0})
    model = LogisticRegression(class_weight="balanced").fit(X[:10_000], y[:10_000])
    coef = model.coef_.copy()
    both = Calibrated(FrozenEstimator(model)).fit(X[10_000:], y[10_000:])
    said = both.predict_proba(X)
    np.testing.assert_array_equal(model.coef_, coef)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert abs(said[:, 1] - p).mean() < 0.1 * abs(model.predict_proba(X)[:, 1] - p).mean()
    np.testing.assert_array_equal(both.predict(X), said[:, 1] > 0.5)
    again = clone(both).fit(X[10_000:], y[10_000:])
    np.testing.assert_array_equal(again.predict_proba(X), said)
    with pytest.raises(NotFittedError):
        Calibrated(LogisticRegression()).fit(X, y)
    with pytest.raises(NotFittedError):
        Calibrated(model).predict_proba(X)


# As the clock runs


@st.composite
def boards(draw):
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    minute = rng.integers(0, draw(st.sampled_from([30, 90, 400])), n)
    p = np.round(rng.random(n), draw(st.sampled_from([1, 6])))
    return p, START + pd.to_timedelta(minute, unit="min"), draw(st.integers(0, 6))


PRICES = [None, 0.0, 0.6]


def hours(when):
    return pd.DatetimeIndex(when).floor("h")


@settings(deadline=None)
@given(boards(), st.sampled_from(PRICES))
def test_never_more_than_the_capacity_and_never_at_a_loss(board, price):
    p, when, n = board
    act = at_capacity(p, when, n, DECISION, price)
    assert act.dtype == bool and pd.Series(act).groupby(hours(when)).sum().max() <= n
    assert (p[act] > EVEN).all() and (p[act] >= (price or 0)).all()


@settings(deadline=None)
@given(boards(), st.sampled_from(PRICES), st.integers(0, 400), st.integers(0, 2**32 - 1))
def test_no_decision_depends_on_what_comes_later(board, price, cut, seed):
    p, when, n = board
    past = np.asarray(when <= START + pd.Timedelta(minutes=cut))
    other = np.where(past, p, np.random.default_rng(seed).random(len(p)))
    one, two = (at_capacity(x, when, n, DECISION, price) for x in (p, other))
    np.testing.assert_array_equal(one[past], two[past])


@settings(deadline=None)
@given(boards(), st.sampled_from(PRICES), st.integers(0, 2**32 - 1))
def test_the_order_of_the_rows_does_not_matter(board, price, seed):
    p, when, n = board
    assume(
        len(set(zip(p, when, strict=True))) == len(p)
    )  # two equals at one moment: either may have the slot
    order = np.random.default_rng(seed).permutation(len(p))
    act = at_capacity(p, when, n, DECISION, price)
    np.testing.assert_array_equal(at_capacity(p[order], when[order], n, DECISION, price), act[order])


@settings(deadline=None)
@given(boards())
def test_limits_of_capacity(board):
    p, when, n = board
    assert not at_capacity(p, when, 0, DECISION).any()
    for price in (None, 0.0):
        np.testing.assert_array_equal(at_capacity(p, when, len(p), DECISION, price), p > EVEN)
    naive = when.tz_localize(None)
    np.testing.assert_array_equal(at_capacity(p, naive, n, DECISION), at_capacity(p, when, n, DECISION))
    here = pd.Series(when.tz_convert("America/New_York"), range(5, 5 + len(p)))
    np.testing.assert_array_equal(at_capacity(p, here, n, DECISION), at_capacity(p, when, n, DECISION))


@settings(deadline=None)
@given(boards(), st.sampled_from([0.0, 0.6]))
def test_a_fixed_price_serves_who_comes_first(board, price):
    p, when, n = board
    done, act = {}, np.zeros(len(p), dtype=bool)
    for i in sorted(range(len(p)), key=lambda i: (when[i], -p[i])):
        hour = hours(when)[i]
        act[i] = p[i] > EVEN and p[i] >= price and done.get(hour, 0) < n
        done[hour] = done.get(hour, 0) + act[i]
    np.testing.assert_array_equal(at_capacity(p, when, n, DECISION, price), act)


def by_hand(p, when, n):
    """The price from the last 60 minutes, as the docstring says it."""
    act, left, clock, when = np.zeros(len(p), dtype=bool), {}, list(hours(when)), list(when)
    for i in sorted(range(len(p)), key=lambda i: (when[i], -p[i])):
        hour = clock[i]
        later = [j for j in range(len(p)) if clock[j] == hour and (when[j], -p[j], j) >= (when[i], -p[i], i)]
        seen = sorted(p[j] for j in range(len(p)) if when[i] - pd.Timedelta("1h") <= when[j] < when[i])[::-1]
        served = left.get(hour, n) * len(seen) // len(later)
        price = seen[served] if served < len(seen) else 0
        act[i] = left.get(hour, n) > 0 and p[i] > EVEN and p[i] >= price
        left[hour] = left.get(hour, n) - act[i]
    return act


@settings(deadline=None, max_examples=25)
@given(boards())
def test_the_price_of_a_slot_is_what_its_share_of_the_last_hour_reached(board):
    p, when, n = board
    np.testing.assert_array_equal(at_capacity(p, when, n, DECISION), by_hand(p, when, n))


@pytest.mark.parametrize("seed", range(5))
def test_the_price_in_a_crowded_hour(seed):
    """400 flights seen, 100 due, 10 slots: a tenth can be served, so the price is the 41st highest p of the 400."""
    seen = np.random.default_rng(seed).permutation(np.linspace(0.3, 0.99, 400))
    when = START + pd.to_timedelta([*np.arange(400) // 7, *[60] * 100], unit="min")
    price = np.sort(seen)[::-1][40]
    for p, acts in ((price, True), (price - 1e-9, False)):
        board = np.concatenate([seen, [p], np.zeros(99)])
        assert at_capacity(board, when, 10, DECISION)[400] == acts


def season(seed, n=40_000):
    rng = np.random.default_rng(seed)
    hour = rng.integers(0, 800, n)
    storm = np.cumsum(rng.normal(0, 0.5, 800)) * 0.3  # hours resemble the hour before
    p = 1 / (1 + np.exp(-(rng.normal(-2, 1, n) + storm[hour] - storm.mean())))
    return p, START + pd.to_timedelta(60 * hour + rng.integers(0, 60, n), unit="min")


@pytest.mark.parametrize("n", [1, 3, 8])
def test_a_live_price_lies_between_first_come_and_hindsight(n):
    p, when = season(n)
    gain = DECISION.prevented * p - DECISION.act_cost
    peek = (pd.Series(-p).groupby(hours(when)).rank(method="first") <= n).to_numpy() & (p > EVEN)
    first, live, best = (
        gain[a].sum() for a in (at_capacity(p, when, n, DECISION, 0), at_capacity(p, when, n, DECISION), peek)
    )
    assert first < live < best and live - first > 0.4 * (best - first)


def test_equal_p_do_not_starve_each_other():
    when = pd.date_range(START, periods=240, freq="min")
    act = at_capacity(np.full(240, 0.6), when, 3, DECISION)
    assert (pd.Series(act).groupby(hours(when)).sum() == 3).all()


@pytest.mark.parametrize("n", [-1, 2.5, 2.0, np.nan, None, "3", True])
def test_capacity_is_a_whole_number(n):
    with pytest.raises(ValueError, match="per_hour must be a whole number"):
        at_capacity([0.5], pd.DatetimeIndex([START]), n, DECISION)
    assert at_capacity([0.5], pd.DatetimeIndex([START]), np.int64(1), DECISION).all()


@pytest.mark.parametrize("when", [[START], [START, pd.NaT], [1, 2], ["2013-09-01", "2013-09-02"]])
def test_moments_are_known_times(when):
    with pytest.raises(ValueError, match="when must be 2 moments"):
        at_capacity([0.5, 0.5], when, 1, DECISION)


@pytest.mark.parametrize("price", [np.nan, -0.1, 1.5, [0.5, 0.5, 0.5]])
def test_a_price_is_a_probability(price):
    with pytest.raises(ValueError):
        at_capacity([0.5, 0.5], pd.DatetimeIndex([START, START]), 1, DECISION, price)


def test_capacity_changes_none_of_its_inputs():
    p, when = season(0, 500)
    kept, times = p.copy(), when.copy()
    prices = np.full(500, 0.3)
    at_capacity(p, when, 2, DECISION), at_capacity(p, when, 2, DECISION, prices)
    np.testing.assert_array_equal(p, kept)
    assert when.equals(times) and (prices == 0.3).all()


# Regret


@given(flights, st.data())
def test_regret_is_what_is_left(rows, data):
    p, y = columns(rows)
    act = np.array(data.draw(st.lists(st.booleans(), min_size=len(p), max_size=len(p))))
    assert regret(y, y, DECISION) == pytest.approx(0, abs=1e-6)
    assert regret(act, y, DECISION) >= -1e-6
    dear = replace(DECISION, act_cost=1e6)  # never worth it: doing nothing is perfect
    assert regret(act & False, y, dear) == 0 and regret(act, y, dear) >= 0


def test_hindsight_by_month():
    p, y = storms(n=5000)
    month = np.random.default_rng(1).choice(["Oct", "Sep"], 5000)
    table = hindsight(p, y, month, DECISION)
    assert table.index.to_list() == ["Oct", "Sep"] and table.flights.sum() == 5000
    assert ((table.perfect >= table.best) & (table.best >= table.saved)).all()
    np.testing.assert_allclose(table.regret, table.best - table.saved)
    for group, row in table.iterrows():
        here = month == group
        assert row.best_threshold == threshold(p[here], y[here], DECISION)
        assert row.saved == pytest.approx(net_savings(p[here] > EVEN, y[here], DECISION))
        assert row.perfect == pytest.approx(net_savings(y[here], y[here], DECISION))
    series = pd.Series(p, np.arange(5000)[::-1])
    pd.testing.assert_frame_equal(hindsight(series, y, pd.Series(month, range(9, 5009)), DECISION), table)
    half = hindsight(p, y, month, DECISION, at=0.5)
    assert (
        half.saved.sum() == pytest.approx(net_savings(p > 0.5, y, DECISION))
        and (half.best == table.best).all()
    )


def test_groups_must_be_known():
    for by in (["a", None], ["a"], [["a", "b"]]):
        with pytest.raises(ValueError, match="by must be known for each of 2 flights"):
            hindsight([0.1, 0.2], [True, False], by, DECISION)


# The gate


class Test:
    """A made test of 90 days; `p` is true."""

    __test__ = False

    def __init__(self, seed=0, days=90, a_day=150):
        rng = np.random.default_rng(seed)
        self.day = np.repeat(pd.date_range("2013-09-01", periods=days).to_numpy(), a_day)
        shock = np.repeat(rng.normal(0, 0.3, days), a_day)
        self.p = 1 / (1 + np.exp(-(rng.normal(-1.8, 1.3, len(self.day)) + shock)))
        self.y = rng.random(len(self.p)) < self.p
        self.act = self.p > EVEN
        self.rate = rng.random(len(self.p)) < 0.05
        self.by = pd.DataFrame(
            {
                "origin": rng.choice(["EWR", "JFK"], len(self.p)),
                "carrier": rng.choice(list("ABCDE"), len(self.p)),
            }
        )

    def judge(self, gate=None, **other):
        given = {
            "y": self.y,
            "p": self.p,
            "day": self.day,
            "baseline": self.rate,
            "champion": self.act,
            "slices": self.by,
        }
        return (gate or GATE).judge(**{**given, **other})


GATE = Gate(DECISION, champion=2500.0, slice=1000.0)


@pytest.fixture(scope="module")
def made():
    return Test()


def failed(verdict):
    return verdict.index[~verdict.passed].to_list()


def test_a_good_model_passes(made):
    verdict = made.judge()
    assert failed(verdict) == [] and verdict.passed.dtype == bool
    assert ((verdict.low <= verdict.value) & (verdict.value <= verdict.high)).all()
    assert verdict.index.to_list() == ["days", "money", "baseline", "champion", "calibration", "slice"]


def planted(made):
    """Faults, by the one check that must stop them."""
    few = made.day < made.day[0] + np.timedelta64(50, "D")
    cut = {k: getattr(made, k)[few] for k in ("y", "p", "day")}
    yield (
        "days",
        made.judge(
            replace(GATE, calibration=0.05),
            **cut,
            baseline=made.rate[few],
            champion=made.act[few],
            slices=made.by[few],
        ),
    )
    worst, loose = np.ones(len(made.p), bool), replace(GATE, slice=1e6)
    careless = np.where(
        made.p > 0.02, np.maximum(made.p, 0.26), made.p
    )  # acts nearly always: loses less than always
    yield "money", made.judge(replace(loose, calibration=1), p=careless, baseline=worst, champion=worst)
    yield "baseline", made.judge(baseline=made.act)
    yield "champion", made.judge(champion=made.act & made.y)
    yield "calibration", made.judge(p=np.where(made.act, 0.9, made.p / 3))
    ours = (made.by.carrier == "C").to_numpy()
    yield (
        "slice",
        made.judge(replace(GATE, calibration=1), p=np.where(ours, 0.3, made.p), champion=made.act | ours),
    )


def test_each_fault_is_stopped_by_its_own_check(made):
    for check, verdict in planted(made):
        assert failed(verdict) == [check], verdict.to_string()
        assert "is not" in verdict.reason[check]
    assert verdict.reason["slice"].startswith("carrier = C: low")


def test_what_is_not_given_fails(made):
    for name in ("baseline", "champion", "slices"):
        verdict = made.judge(**{name: None})
        check = name.removesuffix("s")
        assert failed(verdict) == [check] and f"not measured: {name} is not given" in verdict.reason[check]
        assert verdict.loc[check, ["value", "low", "high"]].isna().all()


def test_the_gate_takes_no_luck_off_and_corrects_for_all_slices(made):
    verdict, error = made.judge(), ("calibration_error",)
    found = scores(made.y, made.p, made.day, error).loc["calibration_error"]
    assert verdict.high["calibration"] >= max(found.high, found.value) > min(found.high, found.value)
    alone = slices(made.y, made.p, made.by, made.day, DECISION).savings_low.min() / 90
    assert verdict.low["slice"] < alone < verdict.value["slice"]


def hole(x):
    x = np.array(x, dtype=float)
    x[3] = np.nan
    return x


def test_what_is_not_known_fails(made):
    everything = ["days", "money", "baseline", "champion", "calibration", "slice"]
    assert failed(made.judge(p=hole(made.p))) == everything
    assert failed(made.judge(y=hole(made.y))) == everything
    assert failed(made.judge(p=made.p[:-1])) == everything
    assert failed(made.judge(p=made.p + 1)) == everything
    unknown = pd.Series(made.day)
    unknown[3] = pd.NaT
    assert failed(made.judge(day=unknown)) == everything
    assert failed(made.judge(p=[], y=[], day=[])) == everything
    assert failed(made.judge(baseline=hole(made.rate))) == ["baseline"]
    assert failed(made.judge(champion=made.act[:5])) == ["champion"]
    assert failed(made.judge(slices=made.by[:5])) == ["slice"]
    assert failed(made.judge(slices=made.by[[]])) == ["slice"]
    one = np.full(len(made.day), "2013-09-01")
    assert failed(made.judge(replace(GATE, days=1), day=one)) == everything[1:]


def test_a_model_that_never_acts_is_not_released(made):
    verdict = made.judge(p=made.p / 10)
    assert {"money", "baseline", "champion"} < set(failed(verdict))
    assert not made.judge(p=made.p * 0, baseline=made.act & False).passed[["money", "baseline"]].any()


def test_labels_of_one_kind_are_judged_without_an_error(made):
    assert {"money", "calibration"} <= set(failed(made.judge(y=made.y & False)))
    assert "calibration" in failed(made.judge(y=made.y | True))


def test_the_interval_must_clear_the_limit(made):
    verdict = made.judge()
    for check in ("money", "baseline", "calibration"):
        row = verdict.loc[check]
        inside = replace(
            GATE, **{check: (row.low + row.value) / 2 if check != "calibration" else row.high * 0.99}
        )
        assert failed(made.judge(inside)) == [check]
    assert failed(made.judge(replace(GATE, days=90))) == [] and failed(
        made.judge(replace(GATE, days=91))
    ) == ["days"]
    assert failed(made.judge(replace(GATE, champion=0))) == ["champion"]  # it is the champion: not better


def test_dollars_are_a_day(made):
    later = made.day + np.timedelta64(365, "D")
    double = {k: np.tile(getattr(made, k), 2) for k in ("y", "p")} | {"day": np.r_[made.day, later]}
    twice = made.judge(
        **double,
        baseline=np.tile(made.rate, 2),
        champion=np.tile(made.act, 2),
        slices=pd.concat([made.by] * 2),
    )
    once = made.judge()
    np.testing.assert_allclose(twice.value[1:], once.value[1:], atol=1e-9)
    assert ((twice.high - twice.low) < (once.high - once.low))[["money", "baseline", "slice"]].all()


def test_the_verdict_is_seeded_and_free_of_order_and_index(made):
    pd.testing.assert_frame_equal(made.judge(), made.judge())
    order = np.random.default_rng(0).permutation(len(made.p))
    mixed = {k: pd.Series(getattr(made, k)[order], order) for k in ("y", "p", "day")}
    found = made.judge(
        **mixed, baseline=made.rate[order], champion=made.act[order], slices=made.by.iloc[order]
    )
    pd.testing.assert_frame_equal(found, made.judge())
    assert not made.judge(seed=1).low.equals(made.judge().low)


def past_gate(made, rows=slice(None), **other):
    y, p, day, champion, by = (x[rows] for x in (made.y, made.p, made.day, made.rate, made.by))
    return gate_from_past(y, p, day, champion, by, DECISION, **other)


def test_margins_are_half_widths_of_the_past_for_so_many_days(made):
    gate, strict = past_gate(made, days=90), made.judge(Gate(DECISION), champion=made.rate)
    assert gate.champion == pytest.approx(strict.value["champion"] - strict.low["champion"])
    assert max(gate.slice.values()) >= strict.value["slice"] - strict.low["slice"] - 1e-9
    assert set(gate.slice) == {(c, v) for c in made.by for v in made.by[c].unique()}
    few = past_gate(made, days=10)
    assert few.champion == pytest.approx(3 * gate.champion)
    assert few.slice == pytest.approx({name: 3 * margin for name, margin in gate.slice.items()})
    assert (few.days, gate.days, gate.money, gate.calibration) == (10, 90, 0, Gate().calibration)


def test_a_slice_is_judged_by_its_own_margin(made):
    gate = past_gate(made, days=90)
    assert failed(made.judge(gate)) == []
    ours = (made.by.carrier == "C").to_numpy()
    stopped = made.judge(
        replace(gate, calibration=1), p=np.where(ours, 0.3, made.p), champion=made.act | ours
    )
    assert failed(stopped) == ["slice"] and stopped.reason["slice"].startswith("carrier = C: low")
    assert stopped.limit["slice"] == -gate.slice["carrier", "C"]
    renamed = made.by.replace({"carrier": {"C": "new"}})  # no past, no margin
    unseen = made.judge(gate, p=np.where(ours, 0.3, made.p), slices=renamed)
    assert unseen.reason["slice"].startswith("carrier = new: low")
    assert unseen.limit["slice"] == 0


def test_a_slice_without_an_act_loses_nothing(made):
    verdict = made.judge(Gate(DECISION), p=made.p * 0)
    assert verdict.passed["slice"] and verdict.low["slice"] == 0


def test_a_past_that_cannot_be_measured_is_refused(made):
    with pytest.raises(ValueError, match="champion must be true or false"):
        gate_from_past(made.y, made.p, made.day, made.rate[:5], made.by, DECISION)
    with pytest.raises(ValueError, match="p must be between 0 and 1"):
        gate_from_past(made.y, made.p + 1, made.day, made.rate, made.by, DECISION)


def test_a_model_worse_by_the_margin_seldom_passes():
    rng, released = np.random.default_rng(3), 0
    gate = Gate(DECISION, champion=1000.0)
    day = np.repeat(np.arange(80), 40)
    for _ in range(100):  # acts on good flights cost: on average 2.5 acts a day, 1,000 dollars
        worse = rng.random(len(day)) < 2.5 / 40
        p = np.where(worse, 0.5, 0.1)
        found = gate.judge(np.zeros(len(day), bool), p, day, champion=np.zeros(len(day), bool))
        released += found.passed["champion"]
    assert released <= 9  # of 100; at 2.5 % each, more would be luck of one in 2,000


@pytest.mark.parametrize(
    "limits",
    [
        {"money": -1},
        {"days": np.nan},
        {"slice": np.inf},
        {"champion": "1"},
        {"baseline": None},
        {"calibration": True},
        {"slice": {("origin", "EWR"): -1.0}},
    ],
)
def test_limits_are_numbers(limits):
    with pytest.raises(ValueError, match=f"{next(iter(limits))} must be "):
        Gate(DECISION, **limits)


@pytest.mark.parametrize("confidence", [0.4, 1, 1.5])
def test_confidence_is_a_share(confidence):
    with pytest.raises(ValueError, match=r"confidence must be between 0\.5"):
        Gate(DECISION, confidence=confidence)


# The card


def numbers(text):
    return set(re.findall(r"\d+(?:[.,]\d+)*", text))


def inputs(seed, months):
    """Everything that a card is made from, every figure drawn anew."""
    rng = np.random.default_rng(seed)
    draw = lambda *shape: np.round(rng.uniform(0.1, 0.9, shape), 4)
    cost = Costs(*(float(x) for x in rng.uniform(20, 90, 7)), cancelled_share=float(draw(1)[0]))
    hours = [pd.Timedelta(minutes=int(m)) for m in rng.integers(100, 1000, 2)]
    decision = Decision(
        hours[0], float(rng.integers(11, 19)), hours[1], cost, float(rng.uniform(300, 500)), float(draw(1)[0])
    )
    day = lambda n: pd.Series(pd.to_datetime(rng.choice(months, n)))
    data = {
        part: (rng.random(n) < draw(1)[0], day(n))
        for part, n in zip(("train", "test"), rng.integers(200, 900, 2), strict=True)
    }
    names = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), (3, 6))
    features = pd.Series(draw(3), ["".join(n) for n in names])
    three = lambda *rows: pd.DataFrame(draw(len(rows), 3), rows, ["value", "low", "high"])
    checks = ("money", "calibration", "slice", "days")[: 2 + 2 * (seed % 2)]
    reasons = [f"low {draw(1)[0]}" for _ in checks]
    gate = three(*checks).assign(limit=draw(len(checks)), passed=True, reason=reasons)
    gate.loc["money", "passed"] = seed % 2 == 0
    bins = pd.DataFrame(draw(4, 2), rng.integers(10**6, 10**7, 4), ["predicted", "observed"])
    slices = pd.DataFrame(
        draw(2, 2), pd.MultiIndex.from_tuples([("origin", "EWR"), ("origin", "JFK")]), ["gap", "p"]
    )
    lineage = {
        "numpy": ".".join(map(str, rng.integers(10, 99, 3))),
        "model": str(rng.integers(2**40, 2**60)),
    }
    return (
        "".join(names[0]),
        decision,
        data,
        features,
        three("roc_auc", "log_loss"),
        gate,
        bins,
        slices,
        lineage,
    )


ONE = inputs(0, pd.date_range("2013-09-01", "2013-12-31"))
TWO = inputs(1, pd.date_range("2016-02-11", "2018-07-25"))


def test_every_figure_comes_from_an_argument():
    one, two = (model_card(*given) for given in (ONE, TWO))
    cited = numbers(
        " ".join(str(c.metadata) for c in Costs.__dataclass_fields__.values())
    )  # what sources() cites
    assert numbers(one) & numbers(two) <= cited, numbers(one) & numbers(two) - cited
    assert len(numbers(one)) > 60
    text = [re.sub(r"\d+(?:[.,]\d+)*", "0", card) for card in (one, two)]
    assert text[0] != text[1]


def test_each_argument_is_shown():
    whole = model_card(*ONE)
    for at in range(len(ONE)):
        changed = [*ONE]
        changed[at] = TWO[at]
        assert model_card(*changed) != whole
    for name in ("roc_auc", "log_loss"):
        for value in ONE[4].loc[name]:
            assert f"{value:.4g}" in whole
    assert f"{ONE[1].break_even:.4g}" in whole and f"{ONE[1].act_cost:.4g}" in whole


def test_the_card_says_what_failed_and_what_was_not_tested():
    released, stopped = model_card(*ONE), model_card(*TWO)
    assert "**Released: 2 of 2 checks passed.**" in released and "Failed" not in released
    assert "**Not released: 3 of 4 checks passed.**" in stopped and "Failed: money (low" in stopped
    assert "Not tested in: January, February, March, April, May, June, July, August." in released
    assert "Not tested in: no month of the year is absent." in stopped
    for features in (ONE[3] * 0, ONE[3] * 0 + 0.6):
        missing = "Missing in more than half" in model_card(*ONE[:3], features, *ONE[4:])
        assert missing == (features.max() > 0.5)


def test_what_is_not_given_is_called_so():
    card = model_card(*ONE[:6])
    assert card.count("Not given.") == 3  # calibration, slices, lineage
    unmeasured = ONE[5].assign(value=np.nan, passed=False)
    assert "not measured" in model_card(*ONE[:5], unmeasured)
    assert "**Not released: 0 of 0 checks passed.**" in model_card(*ONE[:5], ONE[5][:0])
    with pytest.raises(ValueError, match="data must hold a part"):
        model_card(ONE[0], ONE[1], {}, *ONE[3:6])


NASTY = "a|b\n# c `d` *e* _f_ [g](h) <script> $x$ ~~i~~ \\ &amp; - j"


def test_text_cannot_break_the_page():
    features = pd.Series([0.1], [NASTY])
    gate = ONE[5].assign(reason=NASTY)
    card = model_card(NASTY, *ONE[1:3], features, ONE[4], gate, lineage={NASTY: NASTY}, use="1. " + NASTY)
    plain = model_card("x", *ONE[1:3], pd.Series([0.1], ["x"]), ONE[4], ONE[5], lineage={"x": "x"}, use="x")
    lines = [[line for line in text.splitlines() if line.strip()] for text in (card, plain)]
    assert len(lines[0]) == len(lines[1])
    for ours, theirs in zip(*lines, strict=True):
        bare = re.sub(r"\\.", "", ours)
        assert bare.count("|") == theirs.count("|") and bare.startswith("#") == theirs.startswith("#")
        assert not re.search(r"[`<>$~]", bare) and ours[:2] != "1."


def test_a_table_has_as_many_cells_in_every_row():
    for block in re.findall(r"(?:^\|.*\n)+", model_card(*ONE), flags=re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1
