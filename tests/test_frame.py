"""Lesson 06: the money is right, and no label is used before it is certain."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlcourse.data import load
from mlcourse.frame import (
    Costs,
    Decision,
    StopRule,
    act_always,
    baselines,
    bill,
    decision_time,
    do_nothing,
    expected_cost,
    flight_savings,
    label,
    label_time,
    last_month_rate,
    net_savings,
    scheduled,
    sources,
)

START = pd.Timestamp("2013-03-01", tz="UTC")
laws = settings(deadline=None, max_examples=40)
probability = st.floats(0, 1)
decisions = st.builds(
    Decision,
    lead=st.sampled_from(["0h", "2h", "5h"]),
    label_delay=st.sampled_from(["2h", "13h", "30h"]),
    late=st.sampled_from([15, 30, 60]),
    act_cost=st.floats(0, 5_000),
    avoided=probability,
)


@st.composite
def frames(draw, least=0, most=25):
    row = st.tuples(
        st.integers(0, 70 * 24),
        st.integers(0, 59),
        st.sampled_from([np.nan, -5.0, 15.0, 29.0, 30.0, 200.0]),
        st.sampled_from(["EWR", "JFK", None]),
    )
    rows = draw(st.lists(row, min_size=least, max_size=most))
    hours, minutes, delays, origins = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pd.DataFrame(
        {
            "time_hour": START + pd.to_timedelta(np.array(hours, dtype=float), unit="h"),
            "minute": np.array(minutes, dtype=int),
            "arr_delay": np.array(delays, dtype=float),
            "origin": pd.Series(origins, dtype="str"),
            "hour": np.array(hours, dtype=int) % 3,
        }
    )


def by_hand(flights, decision, by, window, start):
    """The rate as its definition says it, flight by flight."""
    bad, asked, known = (
        label(flights, decision.late),
        decision_time(flights, decision),
        label_time(flights, decision),
    )
    rates = []
    for i in range(len(flights)):
        usable = (known <= asked[i]) & (known > asked[i] - pd.Timedelta(window))
        same = usable.copy()
        for c in by:
            same &= (flights[c] == flights[c][i]) | (flights[c].isna() & pd.isna(flights[c][i]))
        rates.append(bad[same].mean() if same.any() else bad[usable].mean() if usable.any() else start)
    return rates


# What a bad flight costs, and the figures behind it


def test_every_figure_has_a_source():
    table = sources(Decision())
    assert set(table.index) >= {f.name for f in fields(Costs)} | {"act_cost", "avoided"}
    assert (table.source.str.len() > 15).all() and (table.unit.str.len() > 0).all()
    published = table[~table.source.str.contains("measured|assumption")]
    assert published.source.str.contains(r"\b20\d\d\b").all(), "a published figure names its year"
    assert table.index[table.source.str.contains("assumption")].tolist() == ["act_cost", "avoided"]


def test_bill_adds_up():
    costs = Costs()
    table = bill(costs)
    assert table.total.tolist() == pytest.approx((table.airline + table.passengers).tolist())
    assert table.loc["late", "total"] == pytest.approx(84 * 63.53 + 84 / 60 * 105.5 * 47)
    assert table.loc["cancelled", "total"] == pytest.approx(3022 + 9.15 * 76.7 * 47)
    assert Decision().loss == table.loc["average", "total"]
    assert table.loc["late", "total"] < Decision().loss < table.loc["cancelled", "total"]


@laws
@given(st.sampled_from([f.name for f in fields(Costs)]), st.floats(0, 1))
def test_a_dearer_figure_never_makes_a_bad_flight_cheaper(name, share):
    less = replace(Costs(), **{name: getattr(Costs(), name) * share})
    assert bill(less).loc["average", "total"] <= Decision().loss + 1e-6


@pytest.mark.parametrize("wrong", (-1, np.nan, np.inf, True, "47", None, [1]))
def test_costs_refuse_what_is_no_amount(wrong):
    with pytest.raises(ValueError, match="passenger_hour must be"):
        Costs(passenger_hour=wrong)


@pytest.mark.parametrize(
    "wrong, why",
    (
        ({"lead": 2}, "lead must be a duration"),
        ({"lead": "-2h"}, "lead must be a duration"),
        ({"lead": "soon"}, "lead must be a duration"),
        ({"lead": None}, "lead must be a duration"),
        ({"label_delay": "29min"}, "label_delay must be at least 30"),
        ({"late": 0}, "late must be between 1"),
        ({"late": np.nan}, "late must be one finite number"),
        ({"act_cost": -1}, "act_cost must be between 0"),
        ({"avoided": 10}, "avoided must be between 0 and 1, got 10"),
        ({"costs": 16_000}, "costs must be a Costs"),
    ),
)
def test_decision_refuses(wrong, why):
    with pytest.raises(ValueError, match=why):
        Decision(**wrong)


def test_decision_is_frozen_and_comparable():
    with pytest.raises(AttributeError):
        Decision().act_cost = 1
    assert Decision(lead="2h") == Decision() and hash(Decision()) == hash(Decision(lead="120min"))
    assert replace(Decision(), act_cost=800).break_even == pytest.approx(2 * Decision().break_even)


# The label and its clocks


@laws
@given(frames(), st.integers(1, 90), st.integers(0, 60))
def test_label(flights, late, more):
    bad = label(flights, late)
    assert bad.dtype == bool and bad.name == "label" and bad.index.equals(flights.index)
    assert bad[flights.arr_delay.isna()].all()
    assert bad.tolist() == [not d < late for d in flights.arr_delay]
    assert not (label(flights, late + more) & ~bad).any(), "a stricter rule makes no flight worse"


@pytest.mark.parametrize("late", (1, 15, 30, 30.5))
def test_label_counts_the_very_minute(late):
    delays = [late, np.nextafter(late, 0), -60, np.nan]
    assert label(pd.DataFrame({"arr_delay": delays}), late).tolist() == [True, False, False, True]


@laws
@given(frames(), decisions)
def test_clocks(flights, decision):
    before = flights.copy()
    times = [f(flights, decision) for f in (decision_time, label_time)]
    assert ((times[1] - times[0]) == decision.lead + decision.label_delay).all()
    assert (scheduled(flights) - decision.lead).equals(times[0].rename("scheduled"))
    assert all(str(t.dt.tz) == "UTC" for t in times)
    pd.testing.assert_frame_equal(flights, before)


def test_clocks_know_the_zone():
    flights = pd.DataFrame(
        {"time_hour": [pd.Timestamp("2013-01-01 05:00", tz="America/New_York")], "minute": [15]}
    )
    assert scheduled(flights)[0] == pd.Timestamp("2013-01-01 10:15", tz="UTC")
    with pytest.raises(ValueError, match="times with their zone"):
        scheduled(flights.assign(time_hour=pd.Timestamp("2013-01-01 05:00")))


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match="missing: arr_delay"):
        label(pd.DataFrame({"minute": [1]}))
    with pytest.raises(ValueError, match="missing: time_hour, minute"):
        scheduled(pd.DataFrame({"arr_delay": [1.0]}))


# Dollars


@laws
@given(probability, decisions)
def test_the_cheaper_choice_changes_at_break_even(p, decision):
    act, wait = expected_cost(p, True, decision), expected_cost(p, False, decision)
    if abs(p - decision.break_even) * decision.prevented > 1e-6:
        assert (act < wait) == (p > decision.break_even)
    assert act == pytest.approx(decision.act_cost + p * (1 - decision.avoided) * decision.loss)
    assert wait == pytest.approx(p * decision.loss)


@laws
@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), decisions, st.randoms())
def test_net_savings_laws(pairs, decision, random):
    act, bad = (pd.Series([p[i] for p in pairs], dtype=bool) for i in (0, 1))
    total = net_savings(act, bad, decision)
    none = pd.Series(False, act.index)
    assert net_savings(none, bad, decision) == 0
    difference = np.sum(expected_cost(bad, none, decision)) - np.sum(expected_cost(bad, act, decision))
    assert total == pytest.approx(difference, abs=1e-4), "against doing nothing"
    order = random.sample(range(len(pairs)), len(pairs))
    assert total == pytest.approx(net_savings(act.iloc[order], bad.iloc[order], decision), abs=1e-4)
    half = len(pairs) // 2
    parts = [net_savings(act[s], bad[s], decision) for s in (slice(half), slice(half, None))]
    assert total == pytest.approx(sum(parts), abs=1e-4)
    ceiling = max(0, decision.prevented - decision.act_cost) * bad.sum()
    assert total <= ceiling + 1e-4, "nobody beats a desk that knows every label"
    assert flight_savings(act, bad, decision)[~act].eq(0).all()


@pytest.mark.parametrize("kind", (list, np.array, pd.Series))
def test_containers_agree(kind):
    act, bad, p = kind([True, False, True]), kind([True, True, False]), kind([0.1, 0.5, 0.9])
    assert net_savings(act, bad, Decision()) == pytest.approx(Decision().prevented - 800)
    assert np.shape(expected_cost(p, act, Decision())) == (3,)
    assert isinstance(net_savings(act, bad, Decision()), float)


@pytest.mark.parametrize(
    "act, bad, why",
    (
        ([0.3, 0.7], [True, False], "act must be true or false for each flight, got 0.3"),
        ([True, False], [np.nan, 1], "label must be true or false for each flight, got nan"),
        ([True], [True, False], "same length, got 1 and 2"),
        (pd.Series([True, False]), pd.Series([True, False], [1, 0]), "same index"),
    ),
)
def test_net_savings_refuses(act, bad, why):
    with pytest.raises(ValueError, match=why):
        net_savings(act, bad, Decision())


@pytest.mark.parametrize("p", (-0.01, 1.01, np.nan))
def test_expected_cost_refuses(p):
    with pytest.raises(ValueError, match="p must be between 0 and 1"):
        expected_cost([0.5, p], True, Decision())


# Baselines: strictly point in time


@laws
@given(
    frames(),
    decisions,
    st.sampled_from([(), ("origin",), ("origin", "hour")]),
    st.sampled_from(["3D", "30D"]),
)
def test_rate_is_what_its_definition_says(flights, decision, by, window):
    got = last_month_rate(flights, decision, by, window, start=0.4)
    assert got.tolist() == pytest.approx(by_hand(flights, decision, by, window, 0.4))
    assert got.name == "last_month_rate" and got.index.equals(flights.index) and got.between(0, 1).all()


@laws
@given(frames(least=1), decisions, st.data())
def test_labels_not_yet_certain_change_nothing(flights, decision, data):
    before = last_month_rate(flights, decision)
    i = data.draw(st.integers(0, len(flights) - 1))
    now = decision_time(flights, decision)[i]
    unknown = label_time(flights, decision) > now
    assert unknown[i], "a flight's own label is never known when it is decided"
    changed = flights.assign(
        arr_delay=flights.arr_delay.mask(unknown, data.draw(st.sampled_from([np.nan, 0.0, 99.0])))
    )
    decided = decision_time(flights, decision) <= now
    pd.testing.assert_series_equal(last_month_rate(changed, decision)[decided], before[decided])


@laws
@given(frames(least=2), decisions, st.randoms())
def test_rate_ignores_row_order_and_leaves_its_input(flights, decision, random):
    before = flights.copy()
    order = random.sample(range(len(flights)), len(flights))
    mixed = last_month_rate(flights.iloc[order], decision)
    pd.testing.assert_series_equal(mixed.sort_index(), last_month_rate(flights, decision))
    pd.testing.assert_frame_equal(flights, before)


def test_rate_uses_a_label_from_the_very_moment_it_is_certain():
    hours = START + pd.to_timedelta([0, 15, 30 * 24 + 14, 30 * 24 + 15], unit="h")
    flights = pd.DataFrame(
        {"time_hour": hours, "minute": 0, "arr_delay": [99.0, 0.0, 0.0, 0.0], "origin": "JFK", "hour": 5}
    )
    one_minute_early = flights.assign(minute=[1, 0, 0, 0])
    assert last_month_rate(flights, Decision())[1] == 1
    assert last_month_rate(one_minute_early, Decision(), start=0.5)[1] == 0.5
    assert last_month_rate(flights, Decision()).tolist()[2:] == [0.5, 0], (
        "after 30 days a label is out of the window"
    )


def test_rate_keeps_groups_with_a_missing_key_apart():
    hours = START + pd.to_timedelta([0, 0, 48, 48], unit="h")
    flights = pd.DataFrame(
        {"time_hour": hours, "minute": 0, "arr_delay": [99.0, 0.0, 0.0, 0.0], "tailnum": None}
    )
    flights["hour"] = [5, 6, 5, 6]
    assert last_month_rate(flights, Decision(), ["tailnum", "hour"]).tolist()[2:] == [1, 0]


@pytest.mark.parametrize("by", ("arr_delay", ["origin", "dep_delay"], ("air_time",)))
def test_rate_refuses_groups_known_only_later(by):
    with pytest.raises(ValueError, match="by must be known at decision time"):
        last_month_rate(FLIGHTS, Decision(), by)


def test_rate_refuses_a_window_without_unit():
    with pytest.raises(ValueError, match="window must be a duration"):
        last_month_rate(FLIGHTS, Decision(), window=30)


# The stop rule


def daily(n, dollars):
    """Flights, one a day, and acts that save `dollars[i]` times the price of one act."""
    hours = START + pd.to_timedelta(np.arange(n), unit="D")
    return pd.DataFrame({"time_hour": hours, "minute": 0, "arr_delay": np.where(dollars, 99.0, 0.0)})


def test_stop_rule_with_no_spread_is_plain_arithmetic():
    flights, decision = daily(40, np.ones(40)), Decision()
    week = 7 * (decision.prevented - decision.act_cost)
    got = StopRule("2013-03-31", week - 1).verdict(act_always(flights), flights, decision)
    assert got["weekly"] == pytest.approx(week) and got["upper"] == pytest.approx(week) and not got["stop"]
    assert StopRule("2013-03-31", week + 1).verdict(act_always(flights), flights, decision)["stop"] is True
    at_cost = StopRule("2013-03-31", got["upper"]).verdict(act_always(flights), flights, decision)
    assert at_cost["stop"] is False, "exactly the running cost is no reason to stop"


def test_stop_rule_counts_a_label_certain_at_its_midnight_and_wants_two_weeks():
    flights, decision = (
        daily(14, np.ones(14)),
        Decision(label_delay="4h"),
    )  # 4 h after UTC midnight it is New York's
    assert StopRule("2013-03-14", 1).verdict(act_always(flights), flights, decision)["days"] == 14
    with pytest.raises(ValueError, match="at least 14 days before 2013-03-13, got 13"):
        StopRule("2013-03-13", 1).verdict(act_always(flights), flights, decision)


def test_stop_rule_sees_only_labels_certain_on_its_date():
    rng = np.random.default_rng(1)
    flights, decision, rule = daily(60, rng.random(60) < 0.4), Decision(), StopRule("2013-04-10", 100)
    later = label_time(flights, decision) > pd.Timestamp("2013-04-10", tz="America/New_York")
    changed = flights.assign(arr_delay=flights.arr_delay.mask(later, 500.0))
    assert later.any() and rule.verdict(act_always(flights), changed, decision) == rule.verdict(
        act_always(flights), flights, decision
    )


def test_stop_rule_bound_grows_with_confidence_and_agrees_with_theory():
    flights, decision = daily(200, np.random.default_rng(2).random(200) < 0.5), Decision()
    upper = [
        StopRule("2014-01-01", 0, c).verdict(act_always(flights), flights, decision)["upper"]
        for c in (0.5, 0.9, 0.95, 0.99)
    ]
    assert upper == sorted(upper)
    saved = flight_savings(act_always(flights), label(flights), decision)
    assert upper[2] == pytest.approx(7 * (saved.mean() + 1.645 * saved.std() / np.sqrt(200)), rel=0.05)


@pytest.mark.parametrize(
    "wrong, why",
    (
        ({"weekly_cost": -1}, "weekly_cost must be between 0"),
        ({"confidence": 0.3}, "confidence must be between 0.5"),
        ({"on": "some day"}, "some day"),
        ({"on": None}, "on must be a date"),
    ),
)
def test_stop_rule_refuses(wrong, why):
    with pytest.raises(ValueError, match=why):
        StopRule(**({"on": "2013-04-01", "weekly_cost": 1} | wrong))
    with pytest.raises(ValueError, match="at least 14 days"):
        StopRule("2013-03-05", 1).verdict(act_always(FLIGHTS), FLIGHTS, Decision())


# The real year


FLIGHTS = daily(30, np.arange(30) % 2).assign(origin="JFK", hour=5)


@pytest.fixture(scope="module")
def year():
    return load("flights")


def test_baselines_on_the_real_year(year):
    table = baselines(year, Decision())
    bad = label(year)
    assert table.loc["do nothing"].tolist() == [0, pytest.approx(1 - bad.mean()), 0]
    assert table.loc["act always", "acts"] == len(year) == act_always(year).sum()
    assert not do_nothing(year).any()
    act = last_month_rate(year, Decision()) > Decision().break_even
    assert table.loc["last month's rate"].tolist() == pytest.approx(
        [act.sum(), (act == bad).mean(), net_savings(act, bad, Decision())]
    )
    ceiling = net_savings(bad, bad, Decision())
    assert table.net_savings["act always"] < 0 < table.net_savings["last month's rate"] < ceiling


def test_the_past_does_not_depend_on_the_future(year):
    """The first half of the year alone gives the same rates as the whole year."""
    half = year[scheduled(year) < pd.Timestamp("2013-07-01", tz="UTC")]
    whole = last_month_rate(year, Decision()).loc[half.index]
    pd.testing.assert_series_equal(last_month_rate(half, Decision()), whole)
