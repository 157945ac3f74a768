"""Retraining: which labels may teach, what calls for it, who wins on the same days, each step of a release, the way back."""

from hashlib import blake2b

import numpy as np
import pandas as pd
import pytest

from mlcourse.data import load
from mlcourse.decide import gate_from_past
from mlcourse.evaluate import Interval
from mlcourse.features import FlightFeatures
from mlcourse.frame import Decision, flight_savings, label, scheduled
from mlcourse.models import make_model
from mlcourse.registry import Refused, Registry
from mlcourse.retrain import (
    Release,
    Trigger,
    challenge,
    contradicted,
    duel,
    in_canary,
    learnable,
    prove,
    settle,
)

DECISION, ZONE, NAME = Decision(), "America/New_York", "bad-flights"
GOOD, VAGUE, AWFUL = Interval(0, -1, 1), Interval(0, -9e3, 9e3), Interval(-9e3, -1e4, -8e3)


@pytest.fixture
def flights():
    rng = np.random.default_rng(0)
    n, day = 9000, np.repeat(np.arange(30), 300)
    p = rng.uniform(0.05, 0.5, n)
    when = pd.Timestamp("2013-08-01 12:00", tz="UTC") + pd.to_timedelta(day, "D")
    return pd.DataFrame({"carrier": "UA", "flight": np.arange(n) + 1, "origin": rng.choice(["EWR", "JFK", "LGA"], n),
                         "scheduled": when, "day": pd.Timestamp("2013-08-01") + pd.to_timedelta(day, "D"),
                         "bad": (rng.random(n) < p).astype(float), "probability": p})  # fmt: skip


# ---------------------------------------------------------------- which labels may teach


def test_only_labels_that_are_certain_teach(flights):
    now = pd.Timestamp("2013-08-10 12:00", tz="UTC")
    may = learnable(flights, now, DECISION, without=(("2013-08-02", "2013-08-03"),))
    assert set(flights.day[may].dt.day) == {1, 4, 5, 6, 7, 8, 9}
    assert not learnable(flights.assign(bad=np.nan), now, DECISION).any()
    assert learnable(flights, now, DECISION, "3D").sum() == 600


def test_a_label_is_certain_at_this_very_moment_and_not_before(flights):
    certain = flights.scheduled.iloc[0] + DECISION.label_delay
    assert learnable(flights, certain, DECISION).sum() == 300
    assert not learnable(flights, certain - pd.Timedelta("1us"), DECISION).any()


def test_what_came_later_changes_nothing(flights):
    now = pd.Timestamp("2013-08-10 12:00", tz="UTC")
    later = flights.scheduled + DECISION.label_delay > now
    for bad in (1.0, 0.0, np.nan):
        changed = flights.assign(bad=flights.bad.mask(later, bad))
        may = learnable(changed, now, DECISION)
        assert (may == learnable(flights, now, DECISION)).all() and not may[later].any()
        both = [contradicted(table[may]) for table in (flights, changed)]
        pd.testing.assert_frame_equal(*both)


@pytest.mark.parametrize(
    ("what", "match"),
    [
        (lambda f: learnable(f, pd.Timestamp("2013-08-10"), DECISION), "time zone"),
        (
            lambda f: learnable(f, f.scheduled.iloc[0], DECISION, without=(("2013-08-03", "2013-08-02"),)),
            "first, last",
        ),
        (lambda f: learnable(f.drop(columns="bad"), f.scheduled.iloc[0], DECISION), "missing: bad"),
        (lambda f: learnable(f.assign(scheduled=f.day), f.scheduled.iloc[0], DECISION), "scheduled must be"),
        (lambda f: Trigger(drift=0), "every and drift must be at least 1"),
        (lambda f: Trigger(every=0), "every and drift"),
        (lambda f: Trigger(price=np.nan), "the others at least 0"),
        (lambda f: Trigger(rest=-1), "the others at least 0"),
        (lambda f: contradicted(f.drop(columns=["origin", "day"])), "missing: day, origin"),
        (lambda f: duel(f.drop(columns="day"), f.bad, f.bad, DECISION), "missing: day"),
        (lambda f: duel(f, f.bad[1:], f.bad, DECISION), "must answer each"),
        (lambda f: duel(f[:300], f.bad[:300], f.bad[:300], DECISION), "at least 2 days, got 1"),
        (lambda f: duel(f.assign(bad=np.nan), f.bad, f.bad, DECISION), "at least 2 days, got 0"),
        (lambda f: in_canary(f, 1.5), "share must be"),
        (lambda f: in_canary(f, np.nan), "share must be"),
        (lambda f: in_canary(f.drop(columns="flight"), 0.5), "missing: flight"),
        (lambda f: in_canary(f.assign(scheduled=f.day), 0.5), "time zone"),
        (lambda f: in_canary(f.assign(scheduled=f.scheduled.mask(f.index == f.index[0])), 0.5), "none NaT"),
        (lambda f: Trigger().reason(f.day[0], [f.day[0] + pd.Timedelta("1D")]), "trained must not"),
        (lambda f: Release("2", -1, 28), "margin must be"),
        (lambda f: Release("2", np.nan, 28), "margin must be"),
        (lambda f: Release("2", 100, 6), "days at least 7"),
        (lambda f: Release("2", 100, 7, "undone").next(GOOD, 7), "version 2 is undone"),
    ],
)
def test_each_error_names_argument_and_rule(flights, what, match):
    with pytest.raises(ValueError, match=match):
        what(flights)


def test_a_feed_contradicts_itself_and_a_storm_does_not(flights):
    struck = (flights.day == "2013-08-07") & (flights.origin == "JFK")
    found = contradicted(flights.assign(bad=flights.bad.where(~struck, 1.0)))
    assert found.origin.tolist() == ["JFK"] and found.day.tolist() == [pd.Timestamp("2013-08-07")]
    mean = (1 - flights.probability[struck]).mean()
    assert found.excess.tolist() == [pytest.approx(mean)]
    storm = flights.assign(bad=flights.bad.where(flights.day != "2013-08-07", 1.0))
    assert contradicted(storm).empty and contradicted(flights).empty
    for few in (flights[:10], flights[flights.origin == "JFK"], flights.assign(bad=np.nan), flights[:0]):
        assert contradicted(few).columns.tolist() == ["day", "origin", "excess"] and contradicted(few).empty


# ---------------------------------------------------------------- what calls, who wins


def test_a_trigger_rests_and_keeps_its_budget():
    day = pd.Timestamp("2013-01-01")
    later = lambda n: day + pd.Timedelta(days=n)
    trigger = Trigger(every=30, drift=5, rest=10, price=1000, budget=2500)
    assert trigger.reason(day, []) == "schedule" and not trigger.reason(later(9), [day], performance=True)
    assert trigger.reason(later(10), [day], performance=True) == "performance"
    assert not trigger.reason(later(90), [day, later(40)])  # the budget is spent
    assert trigger.reason(later(366), [day, later(40)]) == "schedule"  # and comes back after a year
    runs = [range(16, 21), range(15, 20), (14, 15, 16, 17, 19, 20)]
    assert [trigger.reason(later(20), [day], [later(k) for k in run]) for run in runs] == [
        "drift, 5 days",
        "",
        "",
    ]


def test_a_duel_is_antisymmetric_and_on_common_flights(flights):
    p, q, at = flights.probability, 1 - flights.probability.to_numpy(), DECISION.break_even
    there, back = duel(flights, p, q, DECISION), duel(flights, q, p, DECISION)
    assert there.value == pytest.approx(-back.value) and there.high < 0
    holes = np.where(np.arange(len(q)) % 3 == 0, np.nan, q)
    some = flights[np.isfinite(holes)]
    common = duel(some, some.probability, 1 - some.probability, DECISION)
    assert duel(flights, p, holes, DECISION) == common
    unknown = flights.assign(bad=flights.bad.where(np.isfinite(holes)))
    assert duel(unknown, p, q, DECISION) == common
    gain = flight_savings(q > at, flights.bad == 1, DECISION) - flight_savings(
        p > at, flights.bad == 1, DECISION
    )
    assert there.value == pytest.approx(gain.sum() / 30)


def test_an_interval_of_a_duel_holds_what_it_says(flights):
    """Of days that differ by luck alone, 95 % intervals hold zero about as often as they say."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(200):
        one, two = rng.uniform(0, 0.5, (2, len(flights[:6000])))
        found = duel(flights[:6000].assign(bad=rng.integers(0, 2, 6000)), one, two, DECISION)
        held += found.low <= 0 <= found.high
    assert 0.85 < held / 200 < 0.995


# ---------------------------------------------------------------- step by step


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_a_canary_has_its_share_and_grows(flights, share):
    inside = in_canary(flights, share, "2")
    assert abs(inside.mean() - share) < 4 * np.sqrt(share * (1 - share) / len(flights))
    assert not (inside & ~in_canary(flights, min(1, share + 0.1), "2")).any()
    assert (inside != in_canary(flights, share, "3")).any()
    assert abs(inside[flights.origin == "JFK"].mean() - share) < 0.05
    assert in_canary(flights, 1).all() and not in_canary(flights, 0).any()


def test_a_canary_is_the_same_in_every_process_and_table(flights):
    inside = in_canary(flights, 0.3, "2")
    assert (in_canary(flights[::-1], 0.3, "2")[::-1] == inside).all()
    assert in_canary(flights[:0], 0.3).tolist() == []
    same = flights.assign(scheduled=flights.scheduled.dt.tz_convert(ZONE).dt.as_unit("ns"),
                          flight=flights.flight.astype("int16"), carrier=flights.carrier.astype("category"))  # fmt: skip
    assert (in_canary(same, 0.3, "2") == inside).all()
    first = flights.iloc[0]
    text = f"2 UA 1 {first.origin} {int(first.scheduled.timestamp()) // 60}"
    spot = int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64
    assert (
        in_canary(flights[:1], spot + 1e-9, "2").all() and not in_canary(flights[:1], spot - 1e-9, "2").any()
    )


def test_a_release_needs_proof_and_looks_once():
    new = Release("2", 2500, 14)
    assert new.next(GOOD, 13) == new and new.next(VAGUE, 13) == new and new.next(VAGUE, 14).stage == "undone"
    steps = [new]
    for _ in range(3):
        steps.append(steps[-1].next(GOOD, 14))
    assert [(r.stage, r.share) for r in steps] == [
        ("shadow", 0),
        ("canary", 0.1),
        ("canary", 0.5),
        ("champion", 1),
    ]
    for release in steps:
        assert release.next(AWFUL, 6) == release
        undone = release.next(AWFUL, 7)
        assert (undone.stage, undone.share) == ("undone", 0) and "-9,000 dollars a day" in undone.why
    assert steps[3].next(VAGUE, 99) == steps[3] == steps[3].next(GOOD, 99)


@pytest.mark.parametrize("stage", ["shadow", "canary"])
@pytest.mark.parametrize("days", [14, 28, 90])
def test_nothing_goes_on_without_proof(stage, days):
    start = Release("2", 2500, 14, stage, 0.1 if stage == "canary" else 0.0)
    for value, low, high in np.random.default_rng(0).normal(0, 4000, (500, 3)).tolist():
        low, value, high = sorted((low, value, high))
        after = start.next(Interval(value, low, high), days)
        assert (after.share > start.share) == (low > -2500)
    missing = start.next(Interval(np.nan, np.nan, np.nan), days)
    assert missing.stage == "undone" and start.next(Interval(np.nan, np.nan, np.nan), 13) == start


# ---------------------------------------------------------------- the real year, and a real registry


@pytest.fixture(scope="module")
def year():
    """April to October: every fourth flight with its features, and what a model of April and May said."""
    tables = load("flights")
    made = FlightFeatures().fit(tables)
    tables = tables[tables.month.between(4, 10)][::4]
    X, y = made.transform(tables), label(tables).astype(float)
    table = tables[["carrier", "flight", "origin"]].assign(scheduled=scheduled(tables), bad=y)
    local = (table.scheduled - DECISION.lead).dt.tz_convert(ZONE).dt.tz_localize(None)
    spring = (local < "2013-06-01").to_numpy()
    model = make_model("boosting", max_iter=20).fit(X[spring], y[spring])
    table = table.assign(day=local.dt.normalize(), probability=model.predict_proba(X)[:, 1])
    return X, table, model


def between(table, first, last):
    return table.day.between(first, last).to_numpy()


def test_no_real_storm_is_called_a_broken_feed(year):
    _, table, _ = year
    table = table[between(table, "2013-06-01", "2013-10-31")]
    excess = (table.bad - table.probability).groupby(table.day).mean()
    assert (excess > 0.15).sum() >= 3, "there are days on which the model is surprised everywhere"
    assert contradicted(table, least=30).empty


@pytest.mark.parametrize("where", ["EWR", "JFK", "LGA"])
def test_days_of_a_broken_feed_are_found_and_left_out(year, where):
    _, table, _ = year
    rows = between(table, "2013-07-20", "2013-09-01")
    struck = rows & (table.origin == where) & between(table, "2013-08-05", "2013-08-14")
    struck &= np.random.default_rng(1).random(len(table)) < 0.6
    told = table.assign(bad=table.bad.where(~struck, 1.0))
    found = contradicted(told[rows], least=30)
    assert set(found.origin) == {where} and found.day.between("2013-08-05", "2013-08-14").all()
    assert len(found) >= 8
    out = [(day, day) for day in found.day]
    may = learnable(told, pd.Timestamp("2013-09-01", tz=ZONE), DECISION, without=out)
    assert not told.day[may].isin(found.day).any() and may[between(table, "2013-08-16", "2013-08-30")].all()
    assert struck[may].sum() <= 0.25 * struck.sum()


@pytest.fixture(scope="module")
def saved(year, tmp_path_factory):
    """A registry with a weak champion, and what a gate needs of the past."""
    X, table, model = year
    weak = make_model("boosting", max_iter=3).fit(
        X[between(table, "2013-04-01", "2013-04-14")], table.bad[between(table, "2013-04-01", "2013-04-14")]
    )
    registry = Registry(tmp_path_factory.mktemp("registry"))
    registry.promote(NAME, registry.save(weak, NAME, example=X[:200]), force="the first")
    return registry, weak, model


def judged(year, champion, first="2013-06-01", last="2013-08-15"):
    X, table, model = year
    rows = between(table, first, last)
    p, q = champion.predict_proba(X[rows])[:, 1], model.predict_proba(X[rows])[:, 1]
    flights = table[rows].assign(probability=p)
    gate = gate_from_past(flights.bad, q, flights.day, p > DECISION.break_even, flights[["origin"]], DECISION)
    return rows, flights, q, gate


def test_a_whole_round(year, saved):
    """Reason, shadow, gate, canary, champion, harm, undone; each step stands in the registry with its reason."""
    from dataclasses import replace

    (X, _, _), (registry, weak, model) = year, saved
    rows, flights, q, gate = judged(year, weak)
    gate = replace(gate, calibration=0.2)
    two = challenge(registry, NAME, model, X[:200], "performance", {"left out": "2013-08-10"})
    assert registry.current(NAME) == "1" and registry.current(NAME, "shadow") == two
    with pytest.raises(Refused, match="did not pass"):
        registry.promote(NAME, two)
    three = prove(registry, NAME, X[rows], flights, gate, flights[["origin"]])
    found = registry.load(NAME, three)
    assert found.gate.passed.all(), found.gate.to_string()
    facts = {"reason": "performance", "challenges": "1", "left out": "2013-08-10", "shadow": two}
    assert facts.items() <= found.lineage.items() and found.lineage["judged"] == "2013-06-01 to 2013-08-15"
    assert (found.predict(X[:50]) == registry.load(NAME, two).predict(X[:50])).all()
    ahead = duel(flights, flights.probability, q, DECISION)
    assert found.gate.value["champion"] == pytest.approx(ahead.value, rel=1e-6)

    release = Release(three, gate.champion, 28)
    assert settle(registry, NAME, release) == "1"  # the shadow decides nothing
    for share in (0.1, 0.5):
        release = release.next(ahead, 28)
        assert settle(registry, NAME, release) == "1" == settle(registry, NAME, release)
        assert registry.current(NAME, "canary") == three and release.share == share
    release = release.next(ahead, 28)
    assert settle(registry, NAME, release) == three == settle(registry, NAME, release)
    assert settle(registry, NAME, release.next(ahead, 40)) == three
    with pytest.raises(Refused, match="challenged 1, but 3 decides"):  # a second release that came too late
        late = registry.save(model, NAME, example=X[:200], lineage=facts, gate=found.gate)
        settle(registry, NAME, Release(late, 100, 28, "canary", 0.1))
    assert registry.rollback(NAME, reason="the desk asks for it") == "1"
    for _ in range(2):  # nothing brings back by itself what somebody took away
        with pytest.raises(Refused, match=f"{three} was champion and was taken back"):
            settle(registry, NAME, release)
    assert registry.promote(NAME, three) == settle(registry, NAME, release) == three
    undone = release.next(Interval(-9e4, -1e5, -8e4), 7)
    assert settle(registry, NAME, undone) == "1" == settle(registry, NAME, undone)
    assert registry.current(NAME, "canary") == "1"
    story = registry.history(NAME)
    story = [
        *story[story.action != "save"][["action", "alias", "version"]].itertuples(index=False, name=None)
    ]
    assert story == [
        ("promote", "champion", "1"), ("promote", "shadow", two), ("promote", "canary", three), ("promote", "canary", three),
        ("promote", "champion", three), ("rollback", "champion", "1"), ("promote", "champion", three),
        ("rollback", "champion", "1"), ("promote", "canary", "1")]  # fmt: skip
    assert "-90,000 dollars a day" in registry.history(NAME).reason.iloc[-2]


def test_a_failing_gate_stops_the_release_and_force_is_undone(year, saved):
    (X, _, _), (registry, weak, _) = year, saved
    rows, flights, _, gate = judged(year, weak, "2013-06-01", "2013-06-30")  # too few days
    before = registry.current(NAME)
    challenge(registry, NAME, weak, X[:200], "a whim")
    failed = prove(registry, NAME, X[rows], flights, gate, flights[["origin"]])
    assert not registry.load(NAME, failed).gate.passed["days"]
    for stage, share in (("canary", 0.1), ("champion", 1.0)):
        with pytest.raises(Refused, match="did not pass"):
            settle(registry, NAME, Release(failed, 100, 28, stage, share, "because I say so"))
    assert registry.current(NAME) == before
    registry.promote(NAME, failed, force="no time")
    watch = Release(failed, 100, 28, "champion", 1.0)
    assert settle(registry, NAME, watch.next(GOOD, 7)) == failed
    assert settle(registry, NAME, watch.next(AWFUL, 7)) == before


def test_a_proof_against_a_champion_that_left_is_refused(year, saved):
    (X, _, model), (registry, weak, _) = year, saved
    rows, flights, _, gate = judged(year, weak, "2013-06-01", "2013-06-30")
    champion = registry.current(NAME)
    challenge(registry, NAME, model, X[:200], "schedule")
    holes = flights.assign(bad=flights.bad.where(np.arange(len(flights)) > 0))
    silent = flights.assign(probability=flights.probability.where(np.arange(len(flights)) % 2 > 0))
    slices = flights[["origin"]]
    for args, match in (
        ((X[rows], holes, gate, slices), f"of {len(flights) - 1} labelled flights"),
        ((X[rows], silent, gate, slices), "champion's answer to each"),  # silence is not "does not act"
        ((X[rows][1:], flights, gate, slices), "labelled flights"),
        ((X[rows], flights, gate, slices[1:]), "labelled flights"),
        (
            (X[rows].drop(columns="rate_airport_hour_30d"), flights, gate, slices),
            "X must have the columns rate",
        ),
        ((X[rows], flights.drop(columns="bad"), gate, slices), "missing: bad"),
    ):
        with pytest.raises(ValueError, match=match):
            prove(registry, NAME, *args)
    registry.promote(NAME, registry.save(weak, NAME, example=X[:200]), force="another one")
    with pytest.raises(Refused, match=f"challenged {champion}"):
        prove(registry, NAME, X[rows], flights, gate, flights[["origin"]])
    registry.rollback(NAME)
