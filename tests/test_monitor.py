"""mlcourse.monitor, feeds and panel: distances as SciPy has them, levels that hold, point in time, rules that find their fault."""

import json
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from scipy.stats import binomtest, chi2_contingency, ks_2samp

from mlcourse.data import load
from mlcourse.features import FEATURES, FlightFeatures
from mlcourse.frame import Decision, decision_time, label, net_savings, scheduled
from mlcourse.monitor import (
    Reference,
    chi2,
    drift,
    estimate,
    gap,
    ks,
    matched,
    performance,
    psi,
    quality,
    reference,
    usual,
)
from mlcourse.panel import gauges, report
from mlcourse.report import money

DECISION = Decision()
KEY = ["carrier", "flight", "origin", "scheduled"]
counts = st.lists(st.integers(0, 400), min_size=3, max_size=9)


@given(counts, st.data())
@settings(max_examples=60, deadline=None)
def test_distances_are_scipys(past, data):
    new = data.draw(st.lists(st.integers(0, 400), min_size=len(past), max_size=len(past)))
    past, new = np.array(past), np.array(new)
    if not past.sum() or not new.sum():
        assert np.isnan(ks(past, new))
        return
    values = np.arange(len(past))
    found = ks_2samp(values.repeat(past), values.repeat(new), method="asymp").statistic
    assert ks(past, new) == pytest.approx(found)
    some = (past + new) > 0
    table = [past[some], new[some]]
    assert chi2(past, new) == pytest.approx(chi2_contingency(table, correction=False).statistic, abs=1e-6)
    total = 0.0
    for a, b in zip(past, new, strict=True):
        p, q = (a + 0.5) / (past.sum() + len(past) / 2), (b + 0.5) / (new.sum() + len(new) / 2)
        total += (q - p) * np.log(q / p)
    assert psi(past, new) == pytest.approx(total) and psi(past, new) == pytest.approx(psi(new, past))


def test_distances_take_stacks_of_counts():
    past, new = np.random.default_rng(0).integers(1, 99, (2, 4, 3, 6))
    for distance in (psi, ks, chi2):
        each = [[distance(past[i, j], new[i, j]) for j in range(3)] for i in range(4)]
        np.testing.assert_allclose(distance(past, new), each)


# Features that know nothing of each other, over days that differ as storms make them.
FEED = ["heat", "wind", "carrier"]


def made(days, seed=0, flights=80, start="2013-01-01"):
    rng = np.random.default_rng(seed)
    day = np.repeat(pd.date_range(start, periods=days), flights)
    storm = np.repeat(rng.normal(0, 3, days), flights)
    table = {"heat": rng.normal(50, 8, len(day)) + storm, "wind": rng.gamma(2, 4, len(day)) + abs(storm)}
    return pd.DataFrame(table | {"carrier": rng.choice(list("ABC"), len(day), p=[0.5, 0.3, 0.2])}), day


@pytest.fixture(scope="module")
def past():
    return reference(*made(60), draws=800)


def test_a_reference_goes_through_json(past):
    again = Reference.read(past.text())
    assert again == past and again.windows == (1, 7)
    X, day = made(7, 3)
    pd.testing.assert_frame_equal(drift(again, X, day), drift(past, X, day))
    assert len(past.text()) < 100_000


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", '{"hows": 1}', "not json", 5])
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"text must be what Reference\.text wrote"):
        Reference.read(text)


@pytest.mark.parametrize("key", ["hows", "counts", "days", "windows", "middle", "reach", "largest"])
def test_a_reference_with_a_part_of_another_kind_is_refused(past, key):
    whole = json.loads(past.text())
    for other in (None, 0, [], {}, "text", ["text"], [[1.0]], {"heat": 3}, {**whole, key: 3}):
        with pytest.raises(ValueError, match=r"text must be what Reference\.text wrote"):
            Reference.read(json.dumps(whole | {key: other}))


def test_a_reference_depends_on_its_seed_alone():
    assert reference(*made(30), draws=100) == reference(*made(30), draws=100)
    assert reference(*made(30), draws=100) != reference(*made(30), draws=100, seed=1)


def test_days_may_be_left_out_and_rows_lie_in_any_order():
    X, day = made(40)
    out = pd.DatetimeIndex(day).isin(pd.to_datetime(["2013-01-10", "2013-01-20"]))
    assert reference(X[~out], day[~out], draws=100).days == 38
    order = np.random.default_rng(1).permutation(len(X))
    assert reference(X.iloc[order], day[order], draws=100) == reference(X, day, draws=100)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda X, day: (X[:0], day[:0]), "X must be a DataFrame with a flight"),
        (lambda X, day: (X[[]], day), "X must be a DataFrame with a flight"),
        (lambda X, day: (X.to_numpy(), day), "got ndarray"),
        (lambda X, day: (X, day[:-1]), "day must be 2400 local dates"),
        (lambda X, day: (X, [*day[:-1], pd.NaT]), "none missing"),
        (lambda X, day: (X, pd.DatetimeIndex(day).tz_localize("UTC")), "local dates"),
        (lambda X, day: (X, np.full(len(X), "Monday")), "local dates"),
        (lambda X, day: (X, np.repeat(np.arange(30), 80)), "day must be 2400 local dates"),
        (lambda X, day: (X, np.repeat(np.arange(30.0), 80)), "day must be 2400 local dates"),
        (lambda X, day: (X, day - day[0]), "day must be 2400 local dates"),
        (lambda X, day: (X.assign(at=day), day), r"got datetime64\[.*\] in at: leave it out"),
        (lambda X, day: (X.assign(wait=day - day[0]), day), r"got timedelta64\[.*\] in wait: leave it out"),
        (lambda X, day: (X.set_axis([0, 1, 2], axis=1), day), "named by texts, each once, got"),
        (
            lambda X, day: (X.set_axis(["heat", "wind", "heat"], axis=1), day),
            "named by texts, each once, got",
        ),
        (lambda X, day: (X[:2000], day[:2000]), "days must be at least 28, got 25"),
    ],
)
def test_a_past_that_cannot_be_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        reference(*change(*made(30)), draws=100)


@pytest.mark.parametrize(
    ("term", "says"),
    [
        ({"windows": ()}, "windows must be a tuple of 1 to 7"),
        ({"windows": (0, 7)}, "windows must be a tuple of 1 to 7"),
        ({"windows": (8,)}, "windows must be a tuple of 1 to 7"),
        ({"windows": 7}, "windows must be a tuple of 1 to 7"),
        ({"windows": (1.5,)}, "windows must be a tuple of 1 to 7"),
        ({"bins": 1}, "bins must be at least 2, got 1"),
        ({"draws": 10}, "draws must be at least 100, got 10"),
    ],
)
def test_terms_that_cannot_be_are_refused(term, says):
    with pytest.raises(ValueError, match=says):
        reference(*made(30), **{"draws": 100, **term})


def test_drift_refuses_what_it_cannot_compare(past):
    X, day = made(7)
    for level in (0, 1, -1, 2):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            drift(past, X, day, level=level)
    with pytest.raises(ValueError, match="X lacks wind: send a feature that is not known as NaN"):
        drift(past, X.drop(columns="wind"), day)
    twice = pd.concat([X, X[["wind"]]], axis=1)
    with pytest.raises(ValueError, match=r"named by texts, each once, got \['wind'\]"):
        drift(past, twice, day)
    with pytest.raises(ValueError, match="days must be at least 7, got 3"):
        drift(reference(*made(30), windows=(7,), draws=100), *made(3))


def test_drift_has_a_row_for_each_window_and_feature(past):
    X, day = made(9, 5)
    table = drift(past, X.assign(more=1, **{"0": 1}).rename(columns={"0": 0}), day)
    assert list(table.index) == [(w, c) for w in (1, 7) for c in FEED]
    assert list(table) == ["psi", "ks", "chi2", "missing", "unknown", "test", "z", "p", "alarm"]
    assert table.ks.isna().tolist() == 2 * [False, False, True] and table.chi2.isna().sum() == 4
    assert table.p.between(0, 1).all() and not table.alarm.any()
    late = pd.DatetimeIndex(day) > pd.Timestamp("2013-01-02")
    pd.testing.assert_frame_equal(drift(past, X[late], day[late]), table)  # only the last seven days count
    assert list(drift(past, *made(3)).index.levels[0]) == [1]


PLANTED = {
    "warmer": ("heat", lambda X: X.assign(heat=X.heat + 20), {"psi", "ks"}),
    "missing": ("wind", lambda X: X.assign(wind=X.wind.mask(np.arange(len(X)) % 5 == 0)), {"missing"}),
    "all missing": ("wind", lambda X: X.assign(wind=None), {"missing", "psi"}),
    "text": ("heat", lambda X: X.assign(heat="warm"), {"unknown", "psi"}),
    "infinite": ("heat", lambda X: X.assign(heat=np.inf), {"unknown", "psi"}),
    "renamed": (
        "carrier",
        lambda X: X.assign(carrier=X.carrier.replace("C", "D")),
        {"unknown", "psi", "chi2"},
    ),
    "as category": (
        "carrier",
        lambda X: X.assign(carrier=pd.Categorical(X.carrier.replace("C", "D"))),
        {"unknown", "psi", "chi2"},
    ),
    "shares": (
        "carrier",
        lambda X: X.assign(carrier=np.where(np.arange(len(X)) % 2, "C", X.carrier)),
        {"chi2", "psi"},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_shift_rings_where_it_is(past, name):
    feature, change, tests = PLANTED[name]
    X, day = made(7, 11)
    table = drift(past, change(X), day)
    assert set(table[table.alarm].index.get_level_values("feature")) == {feature}
    assert set(table[table.alarm].test) <= tests


def rain(X, dry=0.0):
    """Four flights in five see the same value, `dry`, the least there is."""
    rng = np.random.default_rng(len(X))
    return np.where(rng.random(len(X)) < 0.8, dry, rng.gamma(2, 3, len(X)))


BELOW = {
    "-9999 for 0": (rain, lambda X: rain(X, -9999.0)),
    "one flight was lower": (
        lambda X: np.where(np.arange(len(X)) == 7, -1.0, rain(X)),
        lambda X: rain(X, -9999.0),
    ),
    "a constant": (lambda X: 1.0, lambda X: 0.0),
    "a bool": (lambda X: True, lambda X: False),
}


@pytest.mark.parametrize("name", BELOW)
def test_what_lies_below_a_least_value_of_many_is_seen(name):
    """Where the least value fills the first bin, lower ones are not counted as if they were it."""
    was, becomes = BELOW[name]
    X, day = made(40)
    known, (X, day) = reference(X.assign(rain=was(X)), day, draws=200), made(7, 11)
    assert not drift(known, X.assign(rain=was(X)), day).alarm.any()
    table = drift(known, X.assign(rain=becomes(X)), day)
    assert set(table[table.alarm].index) == {(1, "rain"), (7, "rain")}


whole = lambda X: (X.heat // 10).astype(int)
NAMES = {
    "a hole in the week": (
        lambda X: whole(X).astype("category"),
        lambda X: whole(X).astype(float).mask(X.wind > 60),
    ),
    "a hole in the past": (lambda X: whole(X).astype(float).mask(X.wind > 60).astype("category"), whole),
    "numbers as objects": (lambda X: X.heat.astype(object), lambda X: X.heat),
    "numbers or None": (lambda X: X.heat.astype(object).mask(X.wind > 60, None), lambda X: X.heat),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_value_has_one_name_however_its_column_is_stored(name):
    was, becomes = NAMES[name]
    X, day = made(40)
    known, (new, week) = reference(X.assign(kind=was(X)), day, draws=200), made(7, 11)
    table = drift(known, new.assign(kind=becomes(new)), week)
    assert not table.alarm.any() and (table.unknown == 0).all()
    table = drift(known, new.assign(kind="other"), week)
    assert table.alarm[7, "kind"] and table.unknown[7, "kind"] == 1


def test_inputs_are_left_alone(past):
    X, day = made(30)
    before, days = X.copy(), day.copy()
    drift(reference(X, day, draws=100), X, day)
    pd.testing.assert_frame_equal(X, before)
    assert (day == days).all()


def test_with_few_flights_no_level_is_known(past):
    X, day = made(7, 11, flights=30)
    table = drift(past, X.assign(heat=0.0), day)
    assert table.p.isna().all() and not table.alarm.any() and table.z.max() > 3


@pytest.mark.filterwarnings("error")
def test_a_flight_a_day_is_little_and_no_error():
    past = reference(*made(40, flights=1), draws=100)
    assert not drift(past, *made(7, 4, flights=1)).alarm.any()


def test_fewer_missing_than_before_is_no_fault():
    X, day = made(40)
    holes = np.random.default_rng(2).random(len(X)) < 0.3
    table = drift(reference(X.assign(wind=X.wind.mask(holes)), day, draws=300), *made(7, 4))
    assert "missing" not in set(table[table.alarm].test)


def holds(least, level):
    """Whether weeks whose least p is `least` ring as often as `level` states."""
    low, high = binomtest(int(np.sum(np.array(least) <= level)), len(least)).proportion_ci(0.999)
    return low <= level <= high


@pytest.mark.parametrize("days", [28, 90])
def test_the_level_holds_on_weeks_that_no_level_has_seen(days):
    """New days beside a past of their kind, looked at daily: however short it is, they ring as often as stated."""
    least, plain = [], []
    for seed in range(70):
        known = reference(*made(days, 100 + seed), draws=300)
        X, day = made(13, 9000 + seed)
        weeks = [(day >= d) & (day <= d + pd.Timedelta("6D")) for d in day.unique()[:7]]
        looks = [drift(known, X[w], day[w]) for w in weeks]
        least.append(min(look.p.min() for look in looks))
        plain.append(np.mean(np.array(known.largest) >= max(look.z.max() for look in looks)))
    assert holds(least, 0.02) and holds(least, 0.2)
    assert days > 28 or not holds(plain, 0.02)  # without Student's spread four weeks would not do


# A month and a half of real flights, their features and a model that knows a little.
@pytest.fixture(scope="module")
def flights():
    table = load("flights")
    return table[(table.month == 3) | ((table.month == 4) & (table.day <= 20))]


@pytest.fixture(scope="module")
def log(flights):
    X = FlightFeatures().fit(flights).transform(flights)
    bad = label(flights).to_numpy()
    rate = pd.Series(bad).groupby(flights.hour.to_numpy()).transform("mean").to_numpy()
    p = np.clip(rate + 0.004 * X.airport_delay_3h.fillna(0).to_numpy(), 0.01, 0.99)
    table = flights[["carrier", "flight", "origin"]].assign(scheduled=scheduled(flights))
    table = table.assign(
        at=decision_time(flights, DECISION) - pd.Timedelta("5min"), version="1", probability=p
    )
    table = table.assign(act=p > DECISION.break_even).join(X.drop(columns=["carrier", "origin"]))
    return table.sort_values("at", kind="stable")


@pytest.fixture(scope="module")
def came(flights):
    table = flights[["carrier", "flight", "origin", "arr_delay"]].assign(scheduled=scheduled(flights))
    hours = pd.to_timedelta(flights.arr_delay.fillna(60) + flights.air_time.fillna(0) + 40, unit="min")
    return table.assign(at=table.scheduled + hours)


NOW = pd.Timestamp("2013-04-05 16:00", tz="UTC")


def test_only_what_was_there_counts(log, came):
    table = matched(log, came, DECISION, NOW)
    pd.testing.assert_frame_equal(
        table, matched(log[log["at"] <= NOW], came[came["at"] <= NOW], DECISION, NOW)
    )
    young = table.scheduled + DECISION.label_delay > NOW
    assert table.bad[young].isna().all() and young.any() and not table.overdue[young].any()
    assert table.bad[~young].notna().mean() > 0.99
    after = matched(log, came, DECISION).set_index(KEY).bad
    known = table[table.bad.notna()].set_index(KEY).bad
    assert (after.reindex(known.index) == known).mean() > 0.99


def test_the_last_prediction_before_the_decision_counts(log, came):
    one = log.iloc[[100]]
    decided = one.scheduled.iloc[0] - DECISION.lead
    moments = [decided - pd.Timedelta("1h"), decided, decided + pd.Timedelta("1s")]
    several = pd.concat(
        [one.assign(at=t, probability=p) for t, p in zip(moments, (0.1, 0.2, 0.3), strict=True)]
    )
    for order in ([0, 1, 2], [2, 1, 0]):
        assert matched(several.iloc[order], came, DECISION).probability.tolist() == [0.2]
    early = matched(several, came, DECISION, decided - pd.Timedelta("1min"))
    assert early.probability.tolist() == [0.1]


def test_the_latest_outcome_counts(log, came):
    one = log.iloc[[100]]
    its = came.merge(one[KEY], on=KEY)
    wrong = pd.concat(
        [its.assign(arr_delay=0.0), its.assign(arr_delay=np.nan, at=its["at"] + pd.Timedelta("2h"))]
    )
    end = its["at"].iloc[0] + pd.Timedelta("30h")
    assert matched(one, wrong, DECISION, end).bad.tolist() == [1.0]
    assert matched(one, wrong.iloc[:1], DECISION, end).bad.tolist() == [0.0]
    nothing = matched(one, wrong[:0], DECISION, end)
    assert nothing.bad.isna().all() and nothing.overdue.all()


def test_day_is_new_yorks_date_of_the_decision(log, came):
    table = matched(log, came, DECISION)
    local = (table.scheduled - DECISION.lead).dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d")
    assert (table.day.dt.strftime("%Y-%m-%d") == local).all()


@pytest.mark.parametrize(
    ("says", "change"),
    [
        ("predictions must be a DataFrame, got a list", lambda p, o: ([], o)),
        ("predictions lacks act", lambda p, o: (p.drop(columns="act"), o)),
        ("outcomes lacks arr_delay", lambda p, o: (p, o.drop(columns="arr_delay"))),
        ("predictions must hold a prediction", lambda p, o: (p[:0], o)),
        (
            "at of predictions must be moments with their zone",
            lambda p, o: (p.assign(at=p["at"].dt.tz_localize(None)), o),
        ),
        ("scheduled of outcomes must be moments", lambda p, o: (p, o.assign(scheduled=pd.NaT))),
    ],
)
def test_a_log_that_cannot_be_is_refused(log, came, says, change):
    with pytest.raises(ValueError, match=says):
        matched(*change(log[:50], came[:50]), DECISION)


def test_now_needs_its_zone(log, came, normal):
    for now in ("2013-04-05", pd.NaT):
        with pytest.raises(ValueError, match="now must be a moment with its zone"):
            matched(log[:50], came[:50], DECISION, now)
        with pytest.raises(ValueError, match="now must be a moment with its zone"):
            quality(log[:50], normal, now)


def test_performance_counts_what_is_known(log, came):
    table = matched(log, came[::2], DECISION, NOW)
    days = performance(table, DECISION)
    known = table[table.bad.notna()]
    assert days[["flights", "known", "overdue"]].sum().tolist() == [
        len(table),
        len(known),
        table.overdue.sum(),
    ]
    assert days.saved.sum() == pytest.approx(net_savings(known.act, known.bad, DECISION))
    one = known[known.day == known.day.iloc[0]]
    found = days.loc[one.day.iloc[0]]
    assert found.brier == pytest.approx(((one.bad - one.probability) ** 2).mean())
    pairs = [
        (b > g) + (b == g) / 2 for b in one.probability[one.bad == 1] for g in one.probability[one.bad == 0]
    ]
    assert found.auc == pytest.approx(np.mean(pairs))
    for unknown in (days.observed, days.saved):  # nothing known is not nothing saved
        assert unknown.isna().tolist() == (days.known == 0).tolist() and unknown.isna().any()
    for p in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="probability of flights must be 0 to 1"):
            performance(table.assign(probability=p), DECISION)
    for act in (np.nan, None, 2, pd.array([pd.NA] * len(table), dtype="boolean")):
        with pytest.raises(ValueError, match="act of flights must be True or False in each row, got"):
            performance(table.assign(act=act), DECISION)
    for kind in (int, float, object, "boolean"):
        pd.testing.assert_frame_equal(performance(table.assign(act=table.act.astype(kind)), DECISION), days)


@pytest.fixture(scope="module")
def tables(log, came):
    table = matched(log, came, DECISION)
    return table[table.day < "2013-04-07"], table[table.day >= "2013-04-08"]


def test_an_estimate_sees_no_label(tables):
    past, new = tables
    said = estimate(new, past, DECISION)
    pd.testing.assert_frame_equal(said, estimate(new.assign(bad=1 - new.bad), past, DECISION))
    for name in ("bad", "brier", "saved"):
        assert (said[f"{name}_low"] <= said[f"{name}_high"]).all()
    day = new[new.day == said.index[0]]
    assert said.bad.iloc[0] == pytest.approx(day.probability.mean())
    worth = (day.act * (DECISION.prevented * day.probability - DECISION.act_cost)).sum()
    assert said.saved.iloc[0] == pytest.approx(worth)
    wide, slim = (estimate(new, past, DECISION, level=level) for level in (0.9, 0.5))
    assert (wide.saved_high - wide.saved_low > slim.saved_high - slim.saved_low).all()


def test_the_interval_covers_as_stated():
    rng, n = np.random.default_rng(3), 300
    day = np.repeat(pd.date_range("2013-01-01", periods=200), n)
    p = rng.beta(1, 4, len(day))
    storm = np.repeat(rng.normal(0, 0.4, 200), n)  # a day's flights are worse, or better, together
    bad = rng.random(len(day)) < 1 / (1 + np.exp(-np.log(p / (1 - p)) - storm))
    table = pd.DataFrame({"carrier": "AA", "flight": 1, "origin": "JFK", "scheduled": pd.Timestamp("2013-01-01", tz="UTC"),
                          "probability": p, "act": p > 0.2, "bad": bad.astype(float), "overdue": False, "day": day})  # fmt: skip
    past, new = table[day < pd.Timestamp("2013-04-11")], table[day >= pd.Timestamp("2013-04-11")]
    said, true = estimate(new, past, DECISION), performance(new, DECISION)
    inside = true.observed.between(said.bad_low, said.bad_high)
    low, high = binomtest(int(inside.sum()), len(inside)).proportion_ci(0.999)
    assert low <= 0.9 <= high
    coins = 1.64 * np.sqrt((p * (1 - p)).mean() / n)
    assert (said.bad_high - said.bad_low).mean() > 3 * coins  # coins alone would be far too narrow


def test_estimate_and_gap_refuse_what_cannot_be(tables):
    past, new = tables
    few = past[past.day < "2013-03-08"]
    for level, least in ((0.9, 19), (0.95, 39), (0.5, 14)):  # n days cover (n - 1) / (n + 1) at most
        with pytest.raises(ValueError, match=f"days with labels in past must be at least {least}, got"):
            estimate(new, few if level < 0.95 else past, DECISION, level)
    with pytest.raises(ValueError, match="days with labels in past must be at least 28, got"):
        gap(new, few, DECISION)
    for level in (0, 1):
        for call in (estimate, gap):
            with pytest.raises(ValueError, match="level must be between 0 and 1"):
                call(new, past, DECISION, level=level)
    with pytest.raises(ValueError, match="past lacks bad"):
        estimate(new, past.drop(columns="bad"), DECISION)
    for call in (estimate, gap):
        with pytest.raises(ValueError, match="probability of past"):
            call(new, past.assign(probability=2), DECISION)
        for act in (np.nan, None):
            with pytest.raises(ValueError, match="act of past must be True or False in each row, got"):
                call(new, past.assign(act=act), DECISION)


def told(days, seed, storm):
    """Days whose p is right, but for a storm that a day's flights share."""
    rng, n = np.random.default_rng(seed), 60
    p, shared = rng.beta(1, 4, days * n), rng.normal(0, storm, days).repeat(n)
    bad = rng.random(days * n) < 1 / (1 + (1 / p - 1) * np.exp(-shared))
    key = {"carrier": "AA", "flight": 1, "origin": "JFK", "scheduled": pd.Timestamp("2013-01-01", tz="UTC")}
    day = pd.date_range("2013-01-01", periods=days).repeat(n)
    return pd.DataFrame(
        key | {"probability": p, "act": p > DECISION.break_even, "bad": bad.astype(float), "day": day}
    )


@pytest.mark.parametrize("storm", [0, 0.4])
def test_the_level_of_gap_holds_where_p_is_right(storm):
    """Luck alone, with and without storms, against four weeks of past: counted twice it would never ring, or too often."""
    least = []
    for seed in range(50):
        past, new = told(28, seed, storm), told(13, 5000 + seed, storm)
        ends = new.day.unique()[6:]
        weeks = [new[(new.day <= d) & (new.day > d - pd.Timedelta("7D"))] for d in ends]
        least.append(min(gap(week, past, DECISION).p.min() for week in weeks))
    assert holds(least, 0.02) and holds(least, 0.2)


def test_gap_rings_when_p_has_lost_its_meaning(tables):
    past, new = tables
    week = new[new.day < "2013-04-15"]
    sound = gap(week, past, DECISION)
    assert list(sound.index) == [(w, m) for w in (1, 7) for m in ("bad", "brier", "saved")]
    assert gap(week.assign(probability=0.9), past, DECISION).alarm.any()
    worse = gap(week.assign(bad=1.0), past, DECISION)
    assert worse.alarm[7, "bad"] and worse.found[7, "bad"] == 1 and worse.z[7, "bad"] > 0
    assert gap(week.assign(bad=0.0), past, DECISION).z[7, "bad"] < 0
    assert (gap(week, past, DECISION, seed=1).p - sound.p).abs().max() < 0.1
    assert list(gap(week[week.day < "2013-04-10"], past, DECISION).index.levels[0]) == [1]
    assert gap(week.assign(bad=np.nan), past, DECISION).empty


first_day = lambda table: table.day == table.day.min()
SHADOW = {"nobody acts": lambda t: False, "acts on the first day": lambda t: t.act & first_day(t)}
SHADOW["one act"] = lambda t: first_day(t) & ~first_day(t).duplicated()
MEASURES = ["bad", "brier", "saved"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SHADOW)
def test_a_past_in_which_hardly_anybody_acts_judges_the_rest(name):
    """A measure that could not stray in the past has no level, and silences no other."""
    past, new = told(40, 1, 0.4), told(14, 2, 0.4)
    shadow = past.assign(act=SHADOW[name](past))
    for flights in (new, new.assign(act=False)):
        sound, lie = (
            gap(t, shadow, DECISION) for t in (flights, flights.assign(probability=new.probability * 0.1))
        )
        assert not sound.alarm.any()
        for table in (sound, lie):
            assert table.p.isna().groupby("measure").all()[MEASURES].tolist() == [False, False, True]
            assert table.p.drop("saved", level="measure").notna().all() and table.found.notna().all()
        assert lie.alarm[7, "bad"] and lie.alarm[7, "brier"] and not lie.alarm[7, "saved"]
    known, said = estimate(new, past, DECISION), estimate(new, shadow, DECISION)
    assert said[["saved_low", "saved_high"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(*(t.drop(columns=["saved_low", "saved_high"]) for t in (said, known)))


def test_days_without_an_act_say_nothing_of_how_far_savings_stray():
    """On two days in three nobody acts: the interval is that of the others, not narrower."""
    past, new = told(90, 1, 0.4), told(14, 2, 0.4)
    acts = past.day.dt.day_of_year % 3 == 0
    some = estimate(new, past.assign(act=past.act & acts), DECISION)
    pd.testing.assert_frame_equal(
        some.filter(like="saved"), estimate(new, past[acts], DECISION).filter(like="saved")
    )
    assert (some.saved_low < some.saved).all() and (some.saved < some.saved_high).all()


def test_the_interval_of_a_share_stays_a_share():
    past, few = told(40, 1, 0.4), told(3, 2, 0.4).groupby("day").head(5)
    for p in (0.02, 0.98):
        said = estimate(few.assign(probability=p), past, DECISION)
        for name in ("bad", "brier"):
            low, value, high = (said[name + end] for end in ("_low", "", "_high"))
            assert (low >= 0).all() and (low <= value).all() and (value <= high).all() and (high <= 1).all()
    assert said.bad_high.max() == 1


@pytest.fixture(scope="module")
def normal(log):
    local = log.scheduled.dt.tz_convert("America/New_York")
    return usual(log[local < "2013-04-10"])


@pytest.fixture(scope="module")
def two(log):
    local = log.scheduled.dt.tz_convert("America/New_York")
    return log[(local >= "2013-04-16") & (local < "2013-04-18")]


def test_usual_goes_through_json(normal, log):
    assert json.loads(json.dumps(normal)) == normal
    with pytest.raises(ValueError, match="days of predictions must be at least 28"):
        usual(log[:3000])
    with pytest.raises(ValueError, match="predictions lacks scheduled"):
        usual(log.drop(columns="scheduled"))


def test_sound_days_break_no_rule(log, normal):
    local = log.scheduled.dt.tz_convert("America/New_York").dt.normalize()
    for last in pd.date_range("2013-04-11", "2013-04-20", tz="America/New_York"):
        days = log[(local == last) | (local == last - pd.Timedelta("1D"))]
        assert quality(days, normal).empty, quality(days, normal)


later = pd.Timedelta("3h")
BROKEN = {
    "range": lambda t: t.assign(humid=t.humid + 60),
    "celsius": lambda t: t.assign(temp=(t.temp - 32) / 1.8),
    "kilometres": lambda t: t.assign(wind_speed=t.wind_speed * 1.609344),
    "inches": lambda t: t.assign(pressure=t.pressure / 33.8639),
    "stuck": lambda t: t.assign(temp=50.0),
    "gone": lambda t: t.assign(dewp=np.nan),
    "silence": lambda t: t[
        (t["at"] < t["at"].max() - pd.Timedelta("30h")) | (t["at"] > t["at"].max() - pd.Timedelta("15h"))
    ],
    "volume": lambda t: t[np.arange(len(t)) % 2 == 0],
    "repeated": lambda t: pd.concat([t, t[::5]]).sort_values("at", kind="stable"),
    "backwards": lambda t: t[::-1],
    "ahead": lambda t: t.assign(at=t["at"] - later),
}
NAMED = {"celsius": "unit", "kilometres": "unit", "inches": "unit", "backwards": "clock", "ahead": "clock"}


@pytest.mark.parametrize("name", BROKEN)
def test_each_fault_breaks_its_rule(two, normal, name):
    before = two.copy()
    found = quality(BROKEN[name](two), normal)
    assert NAMED.get(name, name) in set(found.rule), found
    assert list(found) == ["rule", "feature", "value", "limit", "mend"] and found.mend.str.len().min() > 10
    pd.testing.assert_frame_equal(two, before)


def test_silence_and_the_future(two, normal):
    last = two["at"].max()
    assert set(quality(two, normal, last + pd.Timedelta("20h")).rule) == {"silence"}
    assert set(quality(two[:0], normal).rule) == {"silence"}
    assert "clock" in set(quality(two, normal, last - pd.Timedelta("5h")).rule)
    with pytest.raises(ValueError, match="predictions must be a DataFrame"):
        quality(None, normal)
    with pytest.raises(ValueError, match="predictions lacks at"):
        quality(two.drop(columns="at"), normal)


def test_a_log_without_weather_is_judged_by_the_rest(two, normal):
    assert quality(two.drop(columns=[*FEATURES["weather"]]), normal).empty


@pytest.fixture(scope="module")
def looked(past, tables, two, normal):
    before, new = tables
    X, day = made(7, 11)
    found = drift(past, X.assign(heat=X.heat + 20), day)
    rules = quality(two.assign(temp=(two.temp - 32) / 1.8), normal)
    return (
        found,
        rules,
        performance(new, DECISION),
        estimate(new, before, DECISION),
        gap(new, before, DECISION),
    )


class Page(HTMLParser):
    """Tags, their attributes and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_by_itself(looked):
    page = report(*looked, title="<b>May & June</b>")
    read = Page(page)
    tags = {tag for tag, _ in read.tags}
    assert (
        not tags & {"script", "link", "img", "iframe", "b"} and "http" not in page and "url(http" not in page
    )
    assert page.startswith("<!doctype html><html lang=en>") and "&lt;b&gt;May &amp; June&lt;/b&gt;" in page
    pictures = [a for tag, a in read.tags if tag == "svg"]
    assert len(pictures) == 2 and all(a["role"] == "img" and len(a["aria-label"]) > 20 for a in pictures)
    regions = [a for _, a in read.tags if a.get("role") == "region"]
    assert regions and all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
    ids = [a["id"] for _, a in read.tags if "id" in a]
    assert len(ids) == len(set(ids))
    found, rules, days, said, _ = looked
    assert 'class="verdict no"' in page and len(rules) == 1 and found.alarm.sum() == 2
    assert "1 broken rule, 2 drift alarms, no broken promises." in read.words
    full = days[days.known == days.flights].join(said[["saved_low", "saved_high"]])
    inside = ((full.saved_low <= full.saved) & (full.saved <= full.saved_high)).sum()
    assert 0 < inside < len(full) < len(days)
    assert f"interval: {inside} of {len(full)}." in page
    assert report(*looked) == report(*looked)


def verdict(page):
    """The class and the words of a page's verdict."""
    kind = next(a["class"] for tag, a in Page(page).tags if a.get("class", "").startswith("verdict"))
    return kind, page.split(f'<p class="{kind}"><strong>')[1].split("</strong>")[0]


def test_what_was_not_judged_is_named_and_not_green(past, looked, two, normal):
    found, _, days, said, promises = looked
    quiet, sound = quality(two, normal), promises.assign(alarm=False)
    X, day = made(7, 11, flights=30)
    few, calm = drift(past, X, day), drift(past, *made(7, 3))
    none = "No broken rules, no drift alarms, no broken promises."
    assert verdict(report(calm, quiet, days, said, sound)) == ("verdict", none)
    why = "drift of 1 day (too few flights), drift of 7 days (too few flights)"
    assert verdict(report(few, quiet, days, said, sound)) == (
        "verdict open",
        f"No broken rules, no broken promises. Not judged: {why}.",
    )
    asked = "No broken rules, no drift alarms. Not judged: promises"
    assert verdict(report(calm, quiet, days, said)) == ("verdict open", f"{asked}.")
    assert verdict(report(calm, quiet, days, said, sound[:0])) == ("verdict open", f"{asked} (no labels).")
    shadow = sound.assign(p=sound.p.where(sound.index.get_level_values("measure") != "saved"))
    why = ", ".join(f"promise of saved over {w} (it hardly strayed in the past)" for w in ("1 day", "7 days"))
    assert verdict(report(calm, quiet, days, said, shadow)) == ("verdict open", f"{none} Not judged: {why}.")
    assert verdict(report(found, quiet, days)) == (
        "verdict no",
        "No broken rules, 2 drift alarms. Not judged: promises.",
    )
    broken = verdict(report(calm, quiet, days, said, sound.assign(alarm=True)))
    assert broken == ("verdict no", "No broken rules, no drift alarms, 6 broken promises.")


def test_the_page_says_which_labels_it_has(looked):
    found, rules, days, *_ = looked
    late = days.assign(known=days.known - days.known // 5, overdue=days.known // 5)
    known, overdue, young = late.known.sum(), late.overdue.sum(), (days.flights - days.known).sum()
    page = report(found, rules, late)
    assert f"Flights: {known:,} known, {overdue:,} overdue, {young:,} not yet certain." in page
    assert f"{known / late.flights.sum():.0%} of the labels are certain" in page and young > 0


def test_the_page_says_what_the_money_is(looked):
    found, rules, days, said, _ = looked
    total, known = float(days.saved.sum()), f" on {days.known.sum():,} flights with a label"
    assert total > 0 and f"{money(total)} saved{known}" in report(found, rules, days)
    lost = report(found, rules, days.assign(saved=-days.saved))
    assert (
        f"{money(total)} lost{known}" in lost and f"{money(total)} lost so far" in lost and "-$" not in lost
    )
    some = report(found, rules, days, said[:2])
    full = days[:2][(days.known == days.flights)[:2]].join(said[["saved_low", "saved_high"]])
    inside = full.saved.between(full.saved_low, full.saved_high).sum()
    assert len(full) and f"interval: {inside} of {len(full)}." in some
    for unsaid in (said.assign(saved_low=np.nan, saved_high=np.nan), said[:0]):
        assert "interval:" not in report(found, rules, days, unsaid)


def test_the_page_without_anything_wrong(looked, two, normal):
    found, _, days, said, promises = looked
    quiet = found.assign(alarm=False), quality(two, normal), days, said, promises.assign(alarm=False)
    page = report(*quiet)
    assert 'class="verdict"' in page and "No broken rules, no drift alarms, no broken promises." in page
    assert report(*quiet[:3]).startswith("<!doctype html>")
    young = days.assign(known=0, saved=np.nan, observed=np.nan)
    page = report(*quiet[:2], young, said)
    assert (
        "0% of the labels are certain" in page and "An unknown sum saved so far" in page and "$0" not in page
    )


def test_the_page_escapes_what_the_log_said(looked):
    found, rules, days, *_ = looked
    page = report(found, rules.assign(mend="<script>alert(1)</script>"), days)
    assert "<script" not in page and "&lt;script&gt;" in page


def samples(text):
    """Value of each sample, by its name and labels."""
    families = text_string_to_metric_families(text)
    return {(s.name, *sorted(s.labels.items())): s.value for f in families for s in f.samples}


def test_gauges_are_prometheus_text(looked):
    found, _, _, said, promises = looked
    seen = samples(gauges(*looked))
    heat = (("days", "7"), ("feature", "heat"))
    assert seen["mlcourse_drift_alarm", *heat] == 1
    assert seen["mlcourse_drift_psi", *heat] == pytest.approx(found.psi[7, "heat"])
    assert ("mlcourse_drift_chi2", *heat) not in seen
    assert seen["mlcourse_broken", ("feature", "temp"), ("rule", "unit")] == 1
    assert seen["mlcourse_estimate", ("measure", "saved_low")] == pytest.approx(said.saved_low.iloc[-1])
    for name in ("z", "p", "alarm"):
        value = seen[f"mlcourse_gap_{name}", ("days", "7"), ("measure", "brier")]
        assert value == pytest.approx(float(promises[name][7, "brier"]))
    assert not list(text_string_to_metric_families(gauges()))
    strange = found.rename(index={"heat": 'he"a\\t\n'}, level="feature")
    labels = [s.labels["feature"] for f in text_string_to_metric_families(gauges(strange)) for s in f.samples]
    assert 'he"a\\t\n' in labels


def test_what_was_not_judged_has_no_sample(past, looked):
    X, day = made(7, 11, flights=30)
    promises = looked[-1].assign(p=np.nan)
    seen = {name for name, *_ in samples(gauges(drift(past, X.assign(heat=500.0), day), gap=promises))}
    assert {"mlcourse_drift_z", "mlcourse_gap_z"} <= seen
    assert not seen & {f"mlcourse_{look}_{c}" for look in ("drift", "gap") for c in ("p", "alarm")}
    assert not samples(gauges(gap=promises[:0]))


def test_the_day_of_the_gauges_is_the_last_whose_labels_are_all_certain(log, came):
    """At four in the afternoon today is open; an overdue label is no reason to wait, it may never come."""
    days = performance(matched(log, came, DECISION, NOW), DECISION)
    late = days.assign(known=days.known - 1, overdue=days.overdue + 1)
    for table in (days, late):
        seen = samples(gauges(performance=table))
        whole = table[table.known + table.overdue == table.flights].iloc[-1]
        assert len(table) > whole.name.day and days.known.iloc[-1] < days.flights.iloc[-1]
        for name in ("flights", "known", "overdue", "saved"):
            assert seen["mlcourse_day", ("measure", name)] == pytest.approx(whole[name])
    assert not samples(gauges(performance=days.tail(1)))
    nothing = samples(gauges(performance=days.assign(known=0, overdue=days.flights, saved=np.nan)))
    assert nothing["mlcourse_day", ("measure", "known")] == 0
    assert ("mlcourse_day", ("measure", "saved")) not in nothing
