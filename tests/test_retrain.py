"""Retraining: which labels may teach, what calls for it, who wins on the same days, and the way back."""

import numpy as np
import pandas as pd
import pytest

from mlcourse.evaluate import Interval
from mlcourse.frame import Decision, flight_savings
from mlcourse.retrain import Release, Trigger, contradicted, duel, in_canary, learnable, settle


@pytest.fixture
def flights():
    rng = np.random.default_rng(0)
    n, day = 9000, np.repeat(np.arange(30), 300)
    p = rng.uniform(0.05, 0.5, n)
    when = pd.Timestamp("2013-08-01 12:00", tz="UTC") + pd.to_timedelta(day, "D")
    return pd.DataFrame({"carrier": "UA", "flight": np.arange(n), "origin": rng.choice(["EWR", "JFK", "LGA"], n),
                         "scheduled": when, "day": pd.Timestamp("2013-08-01") + pd.to_timedelta(day, "D"),
                         "bad": (rng.random(n) < p).astype(float), "probability": p})  # fmt: skip


def test_only_labels_that_are_certain_teach(flights):
    now = pd.Timestamp("2013-08-10 12:00", tz="UTC")
    may = learnable(flights, now, Decision(), without=(("2013-08-02", "2013-08-03"),))
    assert set(flights.day[may].dt.day) == {1, 4, 5, 6, 7, 8, 9}
    assert not learnable(flights.assign(bad=np.nan), now, Decision()).any()
    assert learnable(flights, now, Decision(), "3D").sum() == 600
    with pytest.raises(ValueError, match="time zone"):
        learnable(flights, pd.Timestamp("2013-08-10"), Decision())
    with pytest.raises(ValueError, match="first, last"):
        learnable(flights, now, Decision(), without=(("2013-08-03", "2013-08-02"),))
    with pytest.raises(ValueError, match="missing: bad"):
        learnable(flights.drop(columns="bad"), now, Decision())


def test_a_feed_contradicts_itself_and_a_storm_does_not(flights):
    struck = (flights.day == "2013-08-07") & (flights.origin == "JFK")
    found = contradicted(flights.assign(bad=flights.bad.where(~struck, 1.0)))
    assert found.origin.tolist() == ["JFK"] and str(found.day[0].date()) == "2013-08-07"
    storm = flights.day == "2013-08-07"
    assert (
        contradicted(flights.assign(bad=flights.bad.where(~storm, 1.0))).empty and contradicted(flights).empty
    )
    assert contradicted(flights[:10]).empty


def test_a_duel_is_antisymmetric_and_on_common_flights(flights):
    q = 1 - flights.probability.to_numpy()
    there, back = (
        duel(flights, flights.probability, q, Decision()),
        duel(flights, q, flights.probability, Decision()),
    )
    assert there.value == pytest.approx(-back.value) and there.high < 0
    holes = np.where(np.arange(len(q)) % 3 == 0, np.nan, q)
    some = flights[np.isfinite(holes)]
    assert duel(flights, flights.probability, holes, Decision()) == duel(
        some, some.probability, 1 - some.probability, Decision()
    )
    at = Decision().break_even
    gain = flight_savings(q > at, flights.bad == 1, Decision()) - flight_savings(
        flights.probability > at, flights.bad == 1, Decision()
    )
    assert there.value == pytest.approx(gain.sum() / 30)
    with pytest.raises(ValueError, match="must answer each"):
        duel(flights, q[1:], q, Decision())


def test_a_trigger_rests_and_keeps_its_budget():
    day = pd.Timestamp("2013-01-01")
    trigger = Trigger(every=30, rest=10, price=1000, budget=2500)
    later = lambda n: day + pd.Timedelta(days=n)
    assert trigger.reason(day, []) == "schedule" and trigger.reason(later(9), [day], performance=True) == ""
    assert trigger.reason(later(10), [day], performance=True) == "performance"
    assert trigger.reason(later(90), [day, later(40)]) == ""  # the budget is spent
    assert trigger.reason(later(20), [day], [later(k) for k in range(14, 18)]) == ""
    assert trigger.reason(later(20), [day], [later(k) for k in range(14, 19)]) == "drift on 5 of 7 days"
    with pytest.raises(ValueError, match="trained must not"):
        trigger.reason(day, [later(1)])


def test_the_canary_grows_and_keeps_its_flights(flights):
    small, large = in_canary(flights, 0.1), in_canary(flights, 0.4)
    assert abs(small.mean() - 0.1) < 0.02 and not (small & ~large).any()
    assert (in_canary(flights, 0.5, "other") != in_canary(flights, 0.5)).any()
    with pytest.raises(ValueError, match="share must be"):
        in_canary(flights, 2)


def test_a_release_needs_proof_and_has_a_way_back():
    good, bad, vague = Interval(0, -1, 1), Interval(-9e3, -1e4, -8e3), Interval(0, -9e3, 9e3)
    new = Release("2")
    assert new.next(good, 13) == new and new.next(vague, 59) == new
    canary = new.next(good, 14)
    champion = canary.next(good, 14)
    assert (canary.stage, canary.share, champion.stage, champion.share) == ("canary", 0.1, "champion", 1.0)
    assert {r.next(bad, 1).stage for r in (new, canary, champion)} == {"undone"}
    assert new.next(vague, 60).stage == "undone" and champion.next(vague, 99) == champion
    with pytest.raises(ValueError, match="is undone"):
        new.next(bad, 1).next(good, 14)


def test_the_registry_follows():
    class Registry:
        now, done = "1", []

        def current(self, name):
            return self.now

        def promote(self, name, version):
            self.done.append(version)
            self.now = version
            return version

        def rollback(self, name, reason):
            self.now = "1"
            return "1"

    registry = Registry()
    assert settle(registry, "m", Release("2", "canary")) == "1" and not registry.done
    assert (
        settle(registry, "m", Release("2", "champion"))
        == "2"
        == settle(registry, "m", Release("2", "champion"))
    )
    assert registry.done == ["2"] and settle(registry, "m", Release("2", "undone", "worse")) == "1"
