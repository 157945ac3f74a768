"""What is played in lesson 26: the real half-year as it was known in time, and the incidents and decoys that strike it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import ClassVar, NamedTuple

import numpy as np
import pandas as pd

from mlcourse.data import load
from mlcourse.features import FEATURES, FlightFeatures
from mlcourse.frame import Decision, scheduled

WATCH = 360  # minutes: the operator looks every six hours
NEW_YORK, DAY, NIGHT, LEAD = "America/New_York", 1440, 480, 120  # minutes; rates are counted at 08:00 UTC
KEY, GROUPS = ("carrier", "flight", "origin", "scheduled"), ("plane", "weather", "airport", "rates")
SENT = ("carrier", "flight", "origin", "dest", "scheduled", "arrival_hour", "distance",
        *(name for group in GROUPS for name in FEATURES[group]))  # fmt: skip


def minutes(moments: object) -> np.ndarray:
    """Minutes since 1970, UTC, of moments with their zone."""
    return pd.DatetimeIndex(moments).tz_convert("UTC").as_unit("us").asi8 // 60_000_000


def moments(minutes: object) -> pd.DatetimeIndex:
    """Moments (UTC) from minutes since 1970."""
    return pd.to_datetime(np.asarray(minutes, "int64") * 60, unit="s", utc=True)


def midnight(day: object) -> int:
    """Minute (UTC) at which a local date begins in New York."""
    return int(minutes([pd.Timestamp(day, tz=NEW_YORK)])[0])


def as_features(sent: pd.DataFrame) -> pd.DataFrame:
    """Features (n, 38) by the names of FEATURES, from flights as a request holds them (SENT, scheduled in minutes UTC)."""
    local = moments(sent.scheduled).tz_convert(NEW_YORK)
    clock = {"hour": local.hour, "minute": local.minute, "weekday": local.day_of_week}
    made = sent.assign(**{name: np.asarray(part, float) for name, part in clock.items()})
    return made[[name for names in FEATURES.values() for name in names]]


@dataclass(frozen=True, eq=False)
class World:
    """Flights in the order of their decisions: what was known of each then, and its fate; played from a local date on."""

    sent: pd.DataFrame  # columns SENT; scheduled in minutes since 1970, UTC
    fate: np.ndarray  # (n,) minutes late on arrival; NaN: cancelled or diverted
    first: str
    decision: Decision

    @cached_property
    def at(self) -> np.ndarray:
        """Minute (UTC) of each flight's decision (n,)."""
        return self.sent.scheduled.to_numpy() - LEAD

    @cached_property
    def bad(self) -> np.ndarray:
        """Whether each flight was bad (n,)."""
        return np.isnan(self.fate) | (self.fate >= self.decision.late)

    @property
    def past(self) -> int:
        """Number of flights before the first day, to learn from."""
        return int(np.searchsorted(self.at, midnight(self.first) - LEAD))

    @property
    def start(self) -> int:
        """Minute (UTC) at which the first watch begins; every fourth one begins when the rates are counted."""
        return (midnight(self.first) - LEAD - NIGHT) // WATCH * WATCH + NIGHT


class _Lookup(World):
    # Parts of the world that incidents copy from
    @cached_property
    def airports(self):
        return self.sent.reset_index().groupby("origin").indices

    @cached_property
    def groups(self):
        return {group: self.sent[list(FEATURES[group])].to_numpy() for group in GROUPS}


DEFAULT = Decision()


@cache
def real_world(first: str = "2013-07-01", decision: Decision = DEFAULT) -> World:
    """The year 2013, to be played from the local date `first` on; features are what `FlightFeatures` saw in time."""
    flights = load("flights")
    features = FlightFeatures(decision=decision).fit(flights).transform(flights)
    text = {name: features[name].astype("str") for name in ("carrier", "origin", "dest")}
    new = {"flight": flights.flight, "scheduled": minutes(scheduled(flights))}
    sent = features.assign(**text, **new, arrival_hour=features.arrival_hour.astype(int))[list(SENT)]
    return _world(sent, flights.arr_delay.to_numpy(float), first, decision)


def _world(sent, fate, first, decision):
    order = np.argsort(sent.scheduled.to_numpy(), kind="stable")
    return _Lookup(sent.iloc[order].reset_index(drop=True), fate[order], first, decision)


class Rates:
    """The four rates of `features`, from the outcomes that have arrived: late or false ones make late or false rates."""

    def __init__(self, world):
        sent = world.sent
        hour = moments(sent.scheduled).tz_convert(NEW_YORK).hour
        keys = [sent.origin, hour], [sent.carrier, sent.dest], [sent.carrier], [sent.origin]
        codes = (sent.groupby(key, sort=False).ngroup().to_numpy() for key in keys)
        self.codes = list(zip(codes, (30, 30, 7, 2), strict=True))
        self.scheduled = sent.scheduled.to_numpy()

    def count(self, night: int, known: np.ndarray, bad: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The rates (n, 4) of these rows, as counted in the night with this number."""
        first, last = np.searchsorted(self.scheduled, [(night - 62) * DAY, (night + 1) * DAY])
        counted, out = -(-(known[first:last] - NIGHT) // DAY), np.empty((len(rows), 4))
        for j, (code, days) in enumerate(self.codes):
            seen = first + np.flatnonzero((counted > night - days) & (counted <= night))
            n = np.bincount(code[seen], minlength=code.max() + 1)
            own = np.bincount(code[seen], bad[seen], len(n)) / np.maximum(n, 1)
            out[:, j] = np.where(n > 0, own, bad[seen].mean() if len(seen) else np.nan)[code[rows]]
        return out


class Answers(NamedTuple):
    """What came back for each flight sent, (n,) arrays: NaN and a fault where nothing usable did; waits are virtual seconds."""

    probability: np.ndarray
    act: np.ndarray
    version: np.ndarray
    fault: np.ndarray  # "" where all is well
    wait: np.ndarray
    shadow: np.ndarray  # what a challenger would have said, NaN where there is none


def answered(p: object, act: object, version: str = "", shadow: object = np.nan) -> Answers:
    """Answers without a fault, all of one version."""
    full = lambda value, kind: np.full(len(p), value, kind)
    return Answers(np.array(p, float), np.array(act, bool), full(version, object), full("", object), full(0.05, float),
                   np.broadcast_to(shadow, len(p)).astype(float))  # fmt: skip


def failed(answers: Answers, rows: object, text: str, seconds: float = 0.05) -> Answers:
    """The same answers without those of `rows`."""
    probability, act, _, fault, wait, _ = columns = [column.copy() for column in answers]
    probability[rows], act[rows], fault[rows], wait[rows] = np.nan, False, text, seconds
    return Answers(*columns)


@dataclass(frozen=True)
class Incident:
    """A fault from watch `start` to before `end`. A kind changes what is sent, what is answered, or what is reported."""

    start: int
    end: int
    where: str = ""  # the airport, carrier or destination it strikes
    name: ClassVar[str] = "nothing"
    remedy: ClassVar[tuple] = ("mend", "")  # what is to be done; a mend and a roll back end it
    days: ClassVar[tuple] = (8, 18)  # how long it lasts if nobody acts

    @property
    def feed(self) -> str:
        """Where it shows, one of FEEDS."""
        return self.remedy[1] or {"roll back": "service", "retrain": "schedule"}.get(self.remedy[0], "")

    def send(self, sent: pd.DataFrame, world: World, rng: np.random.Generator) -> pd.DataFrame:
        """What the service is sent in place of `sent`; the index names the flight, -1 is none of ours."""
        return sent

    def answer(self, answers: Answers, world: World, rng: np.random.Generator) -> Answers:
        """What comes back in place of `answers`."""
        return answers

    def report(
        self, fate: np.ndarray, acted: np.ndarray, origin: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Minutes reported in place of `fate` where labels are certain now; infinite: held back."""
        return fate


def _as_of(sent, world, group, minute):
    # A group's values at the same airport, as they were at another minute
    values, origins = np.empty((len(sent), len(FEATURES[group]))), sent.origin.to_numpy()
    for origin in set(origins):
        mine, rows = origins == origin, world.airports[origin]
        place = np.searchsorted(world.at[rows], np.broadcast_to(minute, len(sent))[mine], side="right") - 1
        values[mine] = world.groups[group][rows[np.maximum(place, 0)]]
    return sent.assign(**dict(zip(FEATURES[group], values.T, strict=True)))


def _strangers(sent, rows, *names):  # a name without a past has the rate of all
    return sent.assign(**{name: sent[name].mask(rows, sent[name].mean()) for name in names})


class _WeatherGone(Incident):
    name, remedy = "weather gone", ("mend", "weather")

    def send(self, sent, world, rng):
        return sent.assign(**dict.fromkeys(FEATURES["weather"], np.nan))


class _WeatherStuck(Incident):
    name, remedy = "weather stuck", ("mend", "weather")

    def send(self, sent, world, rng):
        return _as_of(sent, world, "weather", world.start + self.start * WATCH)


class _Celsius(Incident):
    name, remedy = "Celsius for Fahrenheit", ("mend", "weather")

    def send(self, sent, world, rng):  # and, as it comes with it, m/s for mph
        degrees = {name: (sent[name] - 32) / 1.8 for name in ("temp", "dewp")}
        winds = {
            name: sent[name] * 0.447
            for name in FEATURES["weather"]
            if name.startswith("wind_") and name != "wind_dir"
        }
        return sent.assign(**degrees, **winds)


class _Renamed(Incident):
    name, remedy = "carrier renamed", ("mend", "schedule")

    def send(self, sent, world, rng):
        renamed = sent.carrier == self.where
        new = sent.assign(carrier=sent.carrier.mask(renamed, "Q" + self.where[1]))
        return _strangers(new, renamed, "rate_carrier_dest_30d", "rate_carrier_7d")


class _AirportDelayed(Incident):
    name, remedy = "airport state delayed", ("mend", "airport")

    def send(self, sent, world, rng):
        return _as_of(sent, world, "airport", sent.scheduled.to_numpy() - LEAD - 240)


class _Repeated(Incident):
    name, remedy = "events repeated", ("mend", "schedule")

    def send(self, sent, world, rng):
        return sent.iloc[np.sort(np.r_[np.arange(len(sent)), np.flatnonzero(rng.random(len(sent)) < 0.4)])]


class _OutOfOrder(Incident):
    name, remedy = "events out of order", ("mend", "airport")

    def send(self, sent, world, rng):
        late = _as_of(
            sent, world, "airport", sent.scheduled.to_numpy() - LEAD - rng.integers(0, 480, len(sent))
        )
        mixed, names = rng.random(len(sent)) < 0.7, list(FEATURES["airport"])
        return sent.assign(**{name: np.where(mixed, late[name], sent[name]) for name in names})


class _Nulls(Incident):
    name, remedy = "nulls", ("mend", "airport")

    def send(self, sent, world, rng):
        names = list(FEATURES["airport"])
        holes = rng.random((len(sent), len(names))) < 0.4
        return sent.assign(**dict(zip(names, np.where(holes, np.nan, sent[names]).T, strict=True)))


class _NewAirport(Incident):
    name, remedy, days = "new airport", ("retrain", ""), (400, 401)

    def send(self, sent, world, rng):
        moved = sent.dest == self.where
        return _strangers(sent.assign(dest=sent.dest.mask(moved, "NEW")), moved, "rate_carrier_dest_30d")


class _Skew(Incident):  # a sender that takes New York's clock for UTC: five hours behind
    name, remedy = "clock skew", ("mend", "schedule")

    def send(self, sent, world, rng):
        return sent.assign(scheduled=sent.scheduled - 300, arrival_hour=(sent.arrival_hour - 5) % 24)


class _Burst(Incident):
    name, remedy, days = "traffic burst", ("mend", "schedule"), (3, 6)

    def send(self, sent, world, rng):
        copies = sent.iloc[np.tile(np.arange(len(sent)), 5)]
        copies = copies.assign(flight=9000 + np.arange(len(copies)) % 999).set_axis([-1] * len(copies))
        return pd.concat([sent, copies]).iloc[rng.permutation(6 * len(sent))]

    def answer(self, answers, world, rng):
        n = len(answers.fault)
        return failed(answers, rng.random(n) < 0.5, "429 too many requests", 2.0)


class _Slow(Incident):
    name, remedy = "slow dependency", ("mend", "airport")

    def answer(self, answers, world, rng):
        return failed(
            answers, rng.random(len(answers.fault)) < 0.35, "time-out: waited 2 s for the airport feed", 2.0
        )


class _Failing(Incident):
    name, remedy = "failing dependency", ("mend", "weather")

    def answer(self, answers, world, rng):
        return failed(answers, rng.random(len(answers.fault)) < 0.3, "503 from the weather feed")


class _LabelsLate(Incident):
    name, remedy, days = "labels late", ("mend", "labels"), (15, 25)

    def report(self, fate, acted, origin, rng):
        return np.full(len(fate), np.inf)


class _LabelsPoisoned(Incident):
    name, remedy, days = "labels poisoned", ("mend", "labels"), (15, 25)

    def report(self, fate, acted, origin, rng):
        return np.where((origin == self.where) & (rng.random(len(fate)) < 0.6), np.nan, fate)


class _FeedbackLoop(Incident):
    name, remedy, days = "feedback loop", ("mend", "labels"), (40, 60)

    def report(self, fate, acted, origin, rng):
        return np.where(
            acted & ~(fate < 15) & (rng.random(len(fate)) < 0.85), 10.0, fate
        )  # "handled": not late


class _BadScores(Incident):
    name, remedy = "deploy of wrong scores", ("roll back", "")

    def answer(self, answers, world, rng):
        p = answers.probability
        p = 6 * p / (1 + 5 * p)  # as a model that was told that half of all flights are bad
        known = np.isfinite(p)
        version = np.where(known, answers.version + "-hotfix", answers.version)
        return answers._replace(probability=p, act=known & (p > world.decision.break_even), version=version)


class _BadDeploy(Incident):
    name, remedy = "deploy that fails", ("roll back", "")

    def answer(self, answers, world, rng):
        rows = rng.random(len(answers.fault)) < 0.8
        return failed(
            answers._replace(version=answers.version + "-hotfix"), rows, "500 internal server error"
        )


INCIDENTS = {kind.name: kind for kind in (
    _WeatherGone, _WeatherStuck, _Celsius, _Renamed, _AirportDelayed, _Repeated, _OutOfOrder, _Nulls, _NewAirport,
    _Skew, _Burst, _Slow, _Failing, _LabelsLate, _LabelsPoisoned, _FeedbackLoop, _BadScores, _BadDeploy)}  # fmt: skip
DECOYS = {  # real days that look like trouble, and need nothing
    "holiday": ("2013-07-04", "2013-11-28", "2013-12-25"),
    "storm": ("2013-07-01", "2013-07-22", "2013-12-09"),
    "quiet week": ("2013-09-03", "2013-09-04", "2013-10-15", "2013-10-16", "2013-11-12"),
}
WHERE = {"carrier renamed": ("UA", "B6", "EV", "DL"), "new airport": ("ATL", "ORD", "LAX", "BOS"),
          "labels poisoned": ("EWR", "JFK", "LGA")}  # fmt: skip


def decoy_days(name: str, rng: np.random.Generator) -> tuple:
    """The real days of a decoy, in the order in which they are played."""
    real = [str(day) for day in rng.permutation(DECOYS[name])]
    return tuple((real * 7)[:7] if name == "quiet week" else real[:1])


def with_decoys(world: World, decoys: tuple, days: int) -> World:
    """The world with other real days in place of the drawn ones: their flights, features and fates together."""
    if not decoys:
        return world
    days = {first + k: day for _, first, real in decoys for k, day in enumerate(real) if first + k < days}
    moved, clock = np.zeros(len(world.fate), bool), world.sent.scheduled.to_numpy()
    sent, fate = [], []
    for day, source in days.items():
        to, end = (midnight(pd.Timestamp(world.first) + pd.Timedelta(days=day + j)) for j in (0, 1))
        start = midnight(source)
        rows = slice(*np.searchsorted(clock, [start, start + min(end - to, DAY)]))
        moved[slice(*np.searchsorted(clock, [to, end]))] = True
        sent.append(world.sent.iloc[rows].assign(scheduled=clock[rows] + to - start))
        fate.append(world.fate[rows])
    sent, fate = pd.concat([world.sent[~moved], *sent]), np.concatenate([world.fate[~moved], *fate])
    return _world(sent, fate, world.first, world.decision)
