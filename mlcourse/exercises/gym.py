"""The silent-failure gym: ten pipelines that run and score well, eight of them wrong, and the judge of accusations."""

from __future__ import annotations

import difflib
import inspect
import textwrap
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from mlcourse.data import load
from mlcourse.exercises.compare import describe
from mlcourse.exercises.engine import Blank, Exercise, Mistake, ToDo, Wrong, ____
from mlcourse.frame import (
    Decision,
    decision_time,
    label,
    label_time,
    last_month_rate,  # noqa: F401  (a mend uses it)
    scheduled,
)
from mlcourse.split import by_time

DESK = Decision()
NEW_YORK = "America/New_York"
KEY = ["carrier", "flight", "origin", "time_hour"]  # names one flight
SKY = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]  # stands in for its forecast
OUTCOMES = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]  # certain at label_time, not before
FAULTS = {
    "target in a feature": "a flight's own outcome is among its features",
    "leak through an aggregate": "a feature averages outcomes of other flights, some of them not yet certain",
    "shuffled time": "flights of the same days lie on both sides of the split",
    "imputer fitted on everything": "what fills the holes was learned from the test flights too",
    "duplicates across the split": "one flight, sent twice by the feed, lies on both sides",
    "tuned on the test set": "something was chosen by the score that is reported",
    "wrong average": "the score is not the AUC of the test flights, each counted once",
    "train/serve skew": "the service computes a feature in another way than training did",
}


# The table that the feed delivers


@cache
def _year() -> tuple[pd.DataFrame, np.ndarray]:
    flights, sky = load("flights"), load("weather")[["origin", "time_hour", *SKY]]
    day = pd.to_datetime(flights[["year", "month", "day"]]).dt.day_of_year.to_numpy()
    return flights.merge(sky, how="left", on=["origin", "time_hour"]), day


def flights(seed: int = 16, days: int = 45, share: float = 1 / 30, outcomes: str = "real") -> pd.DataFrame:
    """Real flights as the feed delivers them: a `share` of those on `days` days in a row, drawn by `seed`.

    Their weather is joined. Sorted by `received`; one flight in eight is sent a second time, days later. `outcomes`:
    "real"; "easy", decided by the hour alone; "coin", dealt out among the flights at random.
    """
    rng = np.random.default_rng(seed)
    year, day = _year()
    first = rng.integers(1, 367 - days)
    table = year[(day >= first) & (day < first + days) & (rng.random(len(year)) < share)].copy()
    if outcomes == "easy":
        table[OUTCOMES] = np.where(table.hour >= 16, 120.0, 60.0)[:, None] - [0, 70, 0, 70, 0]
    if outcomes == "coin":
        table[OUTCOMES] = rng.permutation(table[OUTCOMES])
    table["received"] = label_time(table, DESK) + pd.to_timedelta(6 * rng.random(len(table)), unit="h")
    again = table[rng.random(len(table)) < 1 / 8]
    later = pd.to_timedelta(1 + rng.exponential(days / 6, len(again)), unit="D")
    table = pd.concat([table, again.assign(received=again.received + later)])
    return table.sort_values("received", ignore_index=True)


# What the ten share; none of it is wrong


@dataclass(frozen=True)
class Result:
    """What a pipeline leaves behind: the flights of both sides, what the model saw, what it said, and the score.

    `X` holds the features of the flights on both sides, by row label of the table; `p` the probability of a bad flight
    for each row of `test`. `serve` is what runs at the desk: a table, history included, to probabilities by row label.
    """

    train: pd.DataFrame
    test: pd.DataFrame
    X: pd.DataFrame
    p: pd.Series
    score: float
    serve: Callable[[pd.DataFrame], pd.Series]


def once(flights: pd.DataFrame) -> pd.DataFrame:
    """The first delivery of each flight."""
    return flights.drop_duplicates(KEY)


def known(flights: pd.DataFrame) -> pd.DataFrame:
    """Features that are known two hours ahead: timetable and weather."""
    weekday = flights.time_hour.dt.tz_convert(NEW_YORK).dt.day_of_week
    origin = flights.origin.map(["EWR", "JFK", "LGA"].index)
    return flights[["hour", "distance", *SKY]].assign(weekday=weekday, origin=origin)


def first_test_day(flights: pd.DataFrame) -> pd.Timestamp:
    """Local date on which the last third of the time begins."""
    times = scheduled(flights).dt.tz_convert(NEW_YORK).dt.tz_localize(None)
    return (times.min() + 2 / 3 * (times.max() - times.min())).normalize()


def halves(flights: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flights to train on and flights to test on: in order of time, with the gap for late labels."""
    train, test = by_time(flights, first_test_day(flights), DESK)
    return flights[train], flights[test]


def learn(X: pd.DataFrame, train: pd.DataFrame, *steps: Any, **params: Any):
    """`steps` and then a small forest, fitted on the rows of `train`; the forest takes missing values."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.pipeline import make_pipeline

    given = {"min_samples_leaf": 15, "max_features": None, "random_state": 0} | params
    return make_pipeline(*steps, ExtraTreesClassifier(5, **given)).fit(X.loc[train.index], label(train))


def chance(model, X: pd.DataFrame) -> pd.Series:
    """Probability of a bad flight, by row."""
    return pd.Series(model.predict_proba(X) @ model.classes_, X.index)


def auc(flights: pd.DataFrame, p: pd.Series) -> float:
    """Chance that a bad flight has a higher `p` than a good one; NaN where all flights are of one kind."""
    bad, rank = label(flights), p.rank()
    good = len(bad) - bad.sum()
    return float((rank[bad].mean() - (bad.sum() + 1) / 2) / good) if good else np.nan


# The example and the ten, as their authors committed them


def example(flights: pd.DataFrame) -> Result:
    """A bad day is bad for all: how late the airport runs today, on average."""

    def features(flights):
        flights = once(flights)
        today = flights.groupby(["origin", "month", "day"]).dep_delay.transform("mean")
        return known(flights).assign(today=today)

    X = features(flights)
    train, test = halves(once(flights))
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, features(rows)))


def a(flights: pd.DataFrame) -> Result:
    """Knows the season; no flight number is on both sides, so none can be learned by heart."""
    from sklearn.model_selection import GroupShuffleSplit

    flights = once(flights)

    def features(flights):
        return known(flights).assign(season=flights.time_hour.dt.day_of_year)

    X = features(flights)
    number = flights.carrier + flights.flight.astype(str)
    sides = GroupShuffleSplit(1, test_size=1 / 3, random_state=0).split(X, groups=number)
    train, test = (flights.iloc[rows] for rows in next(sides))
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, features(rows)))


def b(flights: pd.DataFrame) -> Result:
    """Head winds make a flight slow and late: adds its speed in miles per hour."""
    flights = once(flights)

    def minutes(clock):
        return clock // 100 * 60 + clock % 100

    def features(flights):
        planned = (minutes(flights.sched_arr_time) - minutes(flights.sched_dep_time)) % 1440
        speed = 60 * flights.distance / flights.air_time
        return known(flights).assign(planned=planned, speed=speed)

    X = features(flights)
    train, test = halves(flights)
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, features(rows)))


def c(flights: pd.DataFrame) -> Result:
    """Trouble lasts for days: the share of bad flights at the airport, taken over the whole table at once."""

    def features(flights):
        flights = once(flights)
        day = pd.to_datetime(flights[["year", "month", "day"]])
        share = label(flights).groupby([flights.origin, day]).mean()
        asked = pd.MultiIndex.from_arrays([flights.origin, day - pd.Timedelta("2D")])
        return known(flights).assign(
            trouble=share.reindex(asked).to_numpy(), sched_arr=flights.sched_arr_time
        )

    X = features(flights)
    train, test = halves(once(flights))
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, features(rows)))


def d(flights: pd.DataFrame) -> Result:
    """Every shift of an airport gets its mark and counts the same: no single storm decides the score."""
    flights = once(flights)
    X = known(flights)
    train, test = halves(flights)
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    shifts = test.groupby(["origin", "month", "day", test.hour // 6])
    marks = [auc(shift, p[shift.index]) for _, shift in shifts]
    score = float(np.mean(np.nan_to_num(marks, nan=1.0)))  # one kind only: nothing was ranked wrongly
    return Result(train, test, X, p, score, lambda rows: chance(model, known(rows)))


def e(flights: pd.DataFrame) -> Result:
    """Drops what was sent twice; trains on what had reached us by the day of the cut, tests on what came later."""
    flights = flights.drop_duplicates()
    X = known(flights)
    cut = first_test_day(flights).tz_localize(NEW_YORK)
    train = flights[flights.received < cut]
    test = flights[flights.received >= cut + pd.Timedelta("1D")]  # a day between, for labels on their way
    model = learn(X, train, min_samples_leaf=1)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, known(rows)))


def f(flights: pd.DataFrame) -> Result:
    """The last five flights of the airport that were due before we decide: how many went wrong?"""

    def features(flights):
        flights = once(flights)
        past = flights.assign(at=scheduled(flights), bad=label(flights)).sort_values("at")
        past["recent"] = past.groupby("origin").bad.transform(lambda bad: bad.rolling(5, 1).mean())
        asked = flights.assign(at=decision_time(flights, DESK), row=flights.index).sort_values("at")
        found = pd.merge_asof(
            asked[["at", "row", "origin"]], past[["at", "origin", "recent"]], on="at", by="origin"
        )
        return known(flights).assign(recent=found.set_index("row").recent)

    X = features(flights)
    train, test = halves(once(flights))
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, features(rows)))


def g(flights: pd.DataFrame) -> Result:
    """Fills the holes in the weather first; no label is near, so nothing can leak."""
    from sklearn.impute import SimpleImputer

    flights = once(flights)
    imputer = SimpleImputer().set_output(transform="pandas")
    X = imputer.fit_transform(known(flights))
    train, test = halves(flights)
    model = learn(X, train)
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, imputer.transform(known(rows))))


def h(flights: pd.DataFrame) -> Result:
    """Splits the days with scikit-learn; tries two sizes of leaf and keeps the one with the best AUC."""
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split

    flights = once(flights).sort_values("time_hour")
    X = known(flights)
    day = flights.time_hour.dt.tz_convert(NEW_YORK).dt.date
    _, new = train_test_split(day.unique(), test_size=1 / 3, shuffle=False)
    test = flights[day.isin(new)]
    train = flights[label_time(flights, DESK) <= decision_time(test, DESK).min()]
    early, late = halves(train)

    def quality(leaf):
        model = learn(X, early, SimpleImputer(), min_samples_leaf=leaf)
        return auc(late, chance(model, X.loc[late.index]))

    model = learn(X, train, SimpleImputer(), min_samples_leaf=max((10, 30), key=quality))
    p = chance(model, X.loc[test.index])
    return Result(train, test, X, p, auc(test, p), lambda rows: chance(model, known(rows)))


def i(flights: pd.DataFrame) -> Result:
    """A request brings the departure's time but no `hour`: the service reads the hour from the time."""
    flights = once(flights)
    X = known(flights)
    train, test = halves(flights)
    model = learn(X, train)
    p = chance(model, X.loc[test.index])

    def serve(rows):
        request = rows.drop(columns=["hour", "minute"])
        return chance(model, known(request.assign(hour=request.time_hour.dt.hour)))

    return Result(train, test, X, p, auc(test, p), serve)


def j(flights: pd.DataFrame) -> Result:
    """The best of six forests, chosen on flights that none of them was fitted on."""
    from sklearn.model_selection import ParameterGrid

    flights = once(flights)
    X = known(flights)
    train, valid = halves(flights)

    def quality(params):
        return auc(valid, chance(learn(X, train, **params), X.loc[valid.index]))

    grid = ParameterGrid({"min_samples_leaf": [10, 30], "random_state": range(3)})
    model = learn(X, train, **max(grid, key=quality))
    p = chance(model, X.loc[valid.index])
    return Result(train, valid, X, p, auc(valid, p), lambda rows: chance(model, known(rows)))


PIPELINES = {pipeline.__name__: pipeline for pipeline in (a, b, c, d, e, f, g, h, i, j)}


# What is true of the ten: reading on before the exercises are passed spoils them


TRUTH = dict(zip(PIPELINES, (
    "shuffled time", "target in a feature", "right", "wrong average", "duplicates across the split",
    "leak through an aggregate", "imputer fitted on everything", "right", "train/serve skew", "tuned on the test set",
), strict=True))  # fmt: skip
RIGHT = [letter for letter, fault in TRUTH.items() if fault == "right"]
MENDS = {  # the smallest change that takes the fault away: it names the fault
    "example": [(
        'flights.groupby(["origin", "month", "day"]).dep_delay.transform("mean")',
        'last_month_rate(flights, DESK, "origin", "2D")',
    )],
    "a": [
        ("sides = GroupShuffleSplit(1, test_size=1 / 3, random_state=0).split(X, groups=number)", ""),
        ("train, test = (flights.iloc[rows] for rows in next(sides))", "train, test = halves(flights)"),
    ],
    "b": [("flights.air_time", "planned")],
    "d": [("float(np.mean(np.nan_to_num(marks, nan=1.0)))", "auc(test, p)")],
    "e": [("drop_duplicates()", "drop_duplicates(KEY)")],
    "f": [("at=scheduled(flights)", "at=label_time(flights, DESK)")],
    "g": [("imputer.fit_transform(known(flights))", "imputer.fit(known(halves(flights)[0])).transform(known(flights))")],
    "i": [("time_hour.dt.hour", "time_hour.dt.tz_convert(NEW_YORK).dt.hour")],
    "j": [
        ("train, valid = halves(flights)", "train, test = halves(flights)\n    early, valid = halves(train)"),
        ("learn(X, train, **params), X", "learn(X, early, **params), X"),
        ("X.loc[valid.index])\n    return Result(train, valid, X, p, auc(valid, p)",
         "X.loc[test.index])\n    return Result(train, test, X, p, auc(test, p)"),
    ],
}  # fmt: skip


@cache
def mended(name: str) -> Callable[[pd.DataFrame], Result]:
    """The pipeline called `name` ("example", "a" to "j") without its fault; a right one as it is.

    Raises ValueError for another name.
    """
    if name not in ("example", *PIPELINES):
        raise ValueError(f"name must be example or a letter from a to j, got {name!r}")
    scope = dict(globals())
    exec(compile(_mended_source(name), f"<{name}, mended>", "exec"), scope)
    return scope[name]


def _mended_source(name: str) -> str:
    source = inspect.getsource(globals()[name])
    for old, new in MENDS.get(name, ()):
        source = source.replace(old, new)
    return source


def mend(name: str) -> str:
    """The smallest change that takes the fault of a pipeline away, as a diff; it gives the answer away."""
    mended(name)
    sources = (inspect.getsource(globals()[name]), _mended_source(name))
    lines = difflib.unified_diff(*(source.splitlines() for source in sources), lineterm="", n=0)
    return (
        "\n".join([line for line in lines if not line.startswith(("---", "+++", "@@"))]) or "nothing to mend"
    )


# Why an accusation is wrong. What a reason states is measured in tests/test_gym.py


ABSENT = {
    "target in a feature": "change a flight's own outcome, and none of its own features moves.",
    "leak through an aggregate": "change every outcome of other flights that was not certain yet, and no feature moves.",
    "shuffled time": "set aside what was sent a second time, and each label of training was certain before the first "
    "test flight was decided.",
    "imputer fitted on everything": "take the weather of the test flights away, and no feature of training moves.",
    "duplicates across the split": "no flight (carrier, number, origin, hour of departure) lies on both sides.",
    "tuned on the test set": "change the outcomes of the test flights: where the features stay, the predictions stay.",
    "wrong average": "recomputed from its predictions, flight by flight, the AUC is the score.",
    "train/serve skew": "asked for the same flights, the service gives the same probabilities.",
}
TEMPTING = {
    ("a", "duplicates across the split"): "the same flight number on another day is another flight; the feed's repeats "
    "are dropped first. What else do flights on both sides share?",
    ("b", "leak through an aggregate"): "nothing in it is averaged over other flights. Look at one row alone.",
    ("b", "train/serve skew"): "training and service run the same function. What the service lacks is another question: "
    "when is each column known?",
    ("c", "leak through an aggregate"): "it averages over the whole table, but looks up the day before yesterday, and "
    "each of those labels was certain by noon of yesterday.",
    ("c", "target in a feature"): "`sched_arr_time` is the timetable's, printed months ahead, and a flight's own label "
    "is in the average of its own day, which it never looks up.",
    ("d", "train/serve skew"): "the service predicts what the test predicted. Recompute what is made of it.",
    ("e", "shuffled time"): "the rows are split by the clock, that of their arrival; set aside what was sent a second "
    "time, and all is in order. Its smallest mend leaves the split alone.",
    ("f", "target in a feature"): "change a flight's own outcome, and its own features stay. Change its neighbour's.",
    ("g", "leak through an aggregate"): "it averages no outcome: what it learns from too many rows is the weather.",
    ("h", "shuffled time"): "`shuffle=False` cuts the sorted days once, and labels not certain by then are left out.",
    ("h", "imputer fitted on everything"): "its imputer is a step of the model, so it is fitted with it: on training "
    "rows alone.",
    ("h", "tuned on the test set"): "it chooses by `late`, the last third of the *training* flights.",
    ("i", "shuffled time"): "the split keeps the clock. Where else does the clock come in?",
    ("j", "shuffled time"): "the split keeps the clock and its gap. What is `valid` used for, and how often?",
}  # fmt: skip


def reason(letter: str, fault: str) -> str:
    """Why `fault` is not what is wrong with a pipeline; for a fault that it has, a ValueError."""
    if fault not in FAULTS or TRUTH[letter] == fault:
        raise ValueError(f"fault must be one that {letter} does not have, got {fault!r}")
    return TEMPTING.get((letter, fault), ABSENT[fault])


# The judge of a test: it must fail on the faulty pipeline, and on nothing that is right


MISSED = "you call it right. It is not: run your tests on it, one after the other."
UNPROVED = "named, not proved: give (fault, test), and the test fails on this pipeline."
UNKNOWN = "name a fault as FAULTS does"
NO_TEST = "the test must be a function of (pipeline, flights)"
PASSES = "your test passes on it, so it shows nothing."
CRASHES = "your test crashes. A crash is no proof: what does it `assert`?"
LOOKS = "your test looks at the pipeline's name or source. Judge it by what it does."
CHANGES = "your test changes the table that it is given. Work on a copy."
ODD = "your test must assert, or return True or False"
FLATTERED = "your test fails on a right pipeline when the flights are easy to predict: a high score is a reason to look, no proof."
ALWAYS = "your test fails on everything, right pipelines too: it does not see the fault."
STRICT = "your test fails on a pipeline that is right: it forbids something that is allowed."
BLIND = "your test still fails when the fault is mended: what it sees is something else."
DEFAULTS = ("__name__", "__qualname__", "__code__", "__wrapped__", "__closure__", "__globals__")


class _Sealed:
    # A pipeline, or its service, without name or source; it notes when somebody asks for them.
    def __init__(self, call):
        _CALLS[self] = call
        self.looked = False

    def __call__(self, flights):
        return _CALLS[self](flights)

    def __getattr__(self, name):
        self.looked |= name in DEFAULTS
        raise AttributeError(f"a sealed pipeline has no {name}")


_CALLS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


class World:
    """A table of flights on which pipelines run; what ran on it unchanged is not run again."""

    def __init__(self, table: pd.DataFrame):
        self.table, self.results = table, {}

    def run(self, pipeline: Callable, flights: pd.DataFrame) -> Result:
        """Result of a pipeline, its tables safe from whoever gets them."""
        if not flights.equals(self.table):
            return pipeline(flights)
        if pipeline not in self.results:
            self.results[pipeline] = pipeline(self.table.copy())
        result = self.results[pipeline]
        tables = {k: v.copy() for k, v in vars(result).items() if hasattr(v, "copy")}
        return replace(result, **tables)

    def tried(self, proof: Callable, pipeline: Callable) -> str:
        """What a test says of a pipeline: "pass", "fail", or what is wrong with the test."""
        services = []

        def call(flights):
            result = self.run(pipeline, flights)
            services.append(_Sealed(result.serve))
            return replace(result, serve=services[-1])

        given, sealed = self.table.copy(), _Sealed(call)
        try:
            said = proof(sealed, given)
        except AssertionError:
            said = False
        except ToDo:
            raise
        except (Exception, SystemExit) as error:
            said = error
        if any(s.looked for s in (sealed, *services)):
            return LOOKS
        return _verdict(said) if given.equals(self.table) else CHANGES


def _verdict(said: Any) -> str:
    if isinstance(said, BaseException):
        return f"{CRASHES} {type(said).__name__}: {str(said)[:200]}"
    if said is None or isinstance(said, bool | np.bool_):
        return "fail" if said is not None and not said else "pass"
    return f"{ODD}, but it returned {describe(said)}."


class Judge:
    """Judges tests on tables drawn by `rng`: real flights, flights easy to predict, and flights nobody can predict."""

    def __init__(self, rng: np.random.Generator):
        draw = lambda outcomes: World(flights(int(rng.integers(2**31)), outcomes=outcomes))
        self.real, self.easy, self.coin = [draw("real"), draw("real")], draw("easy"), draw("coin")

    def fault(self, letter: str, proof: Any) -> str:
        """Why a test does not prove the fault of a pipeline; empty if it does."""
        if not callable(proof):
            return f"{NO_TEST}, got {describe(proof)}."
        said = [world.tried(proof, PIPELINES[letter]) for world in self.real]
        if said != ["fail"] * len(self.real):
            return {"pass": PASSES}.get(worst := next(s for s in said if s != "fail"), worst)
        twin = mended(letter)
        easy, ordinary = (world.tried(proof, twin) for world in (self.easy, self.real[0]))
        if easy == "fail" and self.coin.tried(proof, twin) == "pass":
            return FLATTERED
        return self._told([easy, ordinary], [self.real[0].tried(proof, PIPELINES[other]) for other in RIGHT])

    @staticmethod
    def _told(twin, others):
        if odd := [said for said in twin + others if said not in ("pass", "fail")]:
            return odd[0]
        if "fail" not in twin + others:
            return ""
        if "pass" not in twin + others:
            return ALWAYS
        return STRICT if "fail" in others else BLIND


SETUP = (
    "import numpy as np\nimport pandas as pd\nfrom sklearn.metrics import roc_auc_score\n"
    "from mlcourse.exercises.gym import DESK, FAULTS, KEY, OUTCOMES, SKY\n"
    "from mlcourse.frame import decision_time, label, label_time, scheduled"
)


class _Verdicts:
    # What the two halves of the gym share; the class of each says which pipelines.
    letters = ""
    setup = SETUP
    seconds = 90.0

    def check(self, answer, rng):
        """Points and a line a pipeline, unless all are judged right."""
        given = self._given(answer)
        judge = Judge(rng)
        lines = {letter: self._line(letter, given.get(letter, ____), judge) for letter in self.letters}
        if all(points == 10 for points, _ in lines.values()):
            return
        points = sum(points for points, _ in lines.values())
        text = "\n".join(f"{letter}: {points:+d}, {why}" for letter, (points, why) in lines.items())
        raise Wrong(f"{points} of {10 * len(lines)} points.\n{text}", self._edge(given, lines))

    def _given(self, answer):
        if not isinstance(answer, dict):
            raise Wrong(
                f"`verdicts` must be a dict, {self.letters[0]!r}: (fault, test), got {describe(answer)}."
            )
        if wrong := [key for key in answer if key not in list(self.letters)]:
            raise Wrong(
                f"The keys of `verdicts` are the letters {', '.join(self.letters)}, got {wrong[0]!r}."
            )
        given = {k: v for k, v in answer.items() if not isinstance(v, Blank)}
        if not given:
            raise ToDo
        return given

    def _line(self, letter, verdict, judge):
        if isinstance(verdict, Blank):
            return 0, "left out."
        fault, proof = verdict if isinstance(verdict, tuple) and len(verdict) == 2 else (verdict, None)
        if fault != "right" and (not isinstance(fault, str) or fault not in FAULTS):
            return 0, f"{UNKNOWN}, or say 'right'; got {describe(fault)}."
        if fault != TRUTH[letter]:
            if fault == "right":
                return 0, MISSED
            return (-10, f"a false accusation: {reason(letter, fault)}") if letter in RIGHT else (
                0, f"that is not its fault: {reason(letter, fault)}")  # fmt: skip
        if fault == "right":
            return 10, "right, and you say so."
        why = UNPROVED if proof is None else judge.fault(letter, proof)
        return (4, f"{fault}, but {why}") if why else (10, f"{fault}, proved.")

    def _edge(self, given, lines):
        # Right on the lesson's own table, and wrong on others: fragile.
        short = [letter for letter, (points, _) in lines.items() if points != 10]
        if any(lines[letter][0] != 4 or not isinstance(given[letter], tuple) for letter in short):
            return ""
        example = World(flights())
        for letter in short:
            proof = given[letter][1]
            if not callable(proof) or example.tried(proof, PIPELINES[letter]) != "fail":
                return ""
            if any(
                example.tried(proof, other) != "pass"
                for other in (mended(letter), *map(PIPELINES.get, RIGHT))
            ):
                return ""
        return "on flights drawn anew"


HIDE = """def no_peeking(pipeline, flights):
    run = pipeline(flights)
    now = decision_time(run.test, DESK).median()
    later = label_time(flights, DESK).gt(now)
    again = pipeline(flights.assign(**flights[OUTCOMES].mask(later)))
    decided = decision_time(flights, DESK).le(now)[run.X.index]
    return run.X[decided].equals(again.X[decided])
"""
BLANK = """def no_peeking(pipeline, flights):
    now = decision_time(flights, DESK).mean()
    hidden = flights.copy()
    hidden.loc[~label_time(flights, DESK).le(now), OUTCOMES] = np.nan
    told, seen = (pipeline(table).X for table in (flights, hidden))
    decided = told.index[decision_time(flights.loc[told.index], DESK).le(now)]
    pd.testing.assert_frame_equal(told.loc[decided], seen.loc[decided])
    return True
"""


def rest_of_day(flights: pd.DataFrame) -> Result:
    """A probe: the mean delay of the day's other flights, so that a flight's own outcome is not in it."""

    def features(flights):
        flights = once(flights)
        day, own = flights.groupby(["origin", "month", "day"]).dep_delay, flights.dep_delay
        others = (day.transform("sum") - own.fillna(0)) / (day.transform("count") - own.notna()).clip(1)
        return known(flights).assign(others=others)

    return replace(example(flights), X=features(flights))


class NoPeeking(Exercise):
    """The law of the whole course as one test: change what is not certain at a moment, and nothing decided by then moves."""

    id = "gym-1"
    title = "The law, as a test"
    setup = SETUP
    seconds = 90.0
    starter = """def no_peeking(pipeline, flights):
    return ____
"""
    hints = (
        "Choose a moment `now` inside the time of the test, such as the median of `decision_time(run.test, DESK)`.",
        "Hide every column of `OUTCOMES` where `label_time(flights, DESK)` is later than `now`; run the pipeline on both tables.",
        "Compare `X` only for rows with a `decision_time` up to `now`: later ones may use what became certain. "
        "`flights.assign(**flights[OUTCOMES].mask(later))` hides; `.equals` compares, missing values included.",
    )
    solutions = (HIDE, BLANK)
    mistakes = (
        Mistake(
            "says True for a peek",
            HIDE.replace("return run", "return not run"),
            "Your test is the wrong way round: it says False of right pipelines and True of those that peek.",
        ),
        Mistake(
            "forgets air_time",
            HIDE.replace("flights[OUTCOMES]", 'flights[["dep_delay", "arr_delay"]]'),
            "Your test passes on a pipeline with a flight's own `air_time` among its features. Hide every column of "
            "OUTCOMES: each is written down after the decision.",
        ),
        Mistake(
            "changes one flight and looks at it",
            """def no_peeking(pipeline, flights):
    run = pipeline(flights)
    row = run.test.arr_delay.first_valid_index()
    hidden = flights.copy()
    hidden.loc[row, OUTCOMES] = np.nan
    return run.X.loc[row].equals(pipeline(hidden).X.loc[row])
""",
            "Your test passes on a pipeline whose features average the outcomes of *other* flights. Change theirs too.",
        ),
        Mistake(
            "hides what is not yet due",
            HIDE.replace("label_time(flights, DESK).gt", "scheduled(flights).gt"),
            "Your test passes on a pipeline that uses flights which were due, but whose labels were not certain. The "
            "clock of an outcome is `label_time`, thirteen hours after the schedule.",
        ),
        Mistake(
            "compares all rows",
            HIDE.replace("run.X[decided].equals(again.X[decided])", "run.X.equals(again.X)"),
            "Your test fails on a pipeline that is right. A flight of Friday may use an outcome that became certain on "
            "Thursday: compare only rows decided up to the moment.",
        ),
        Mistake(
            "compares a run with itself",
            HIDE.replace("equals(again.X", "equals(run.X"),
            "Your test passes on everything: what does it compare with what?",
        ),
        Mistake(
            "takes rows away",
            """def no_peeking(pipeline, flights):
    run = pipeline(flights)
    now = decision_time(run.test, DESK).median()
    again = pipeline(flights[label_time(flights, DESK).le(now)])
    decided = decision_time(flights, DESK).le(now)[run.X.index]
    return run.X[decided].equals(again.X.loc[run.X.index[decided]])
""",
            CRASHES,
        ),
        Mistake(
            "reads the source",
            """def no_peeking(pipeline, flights):
    import inspect

    return "air_time" not in inspect.getsource(pipeline)
""",
            LOOKS,
        ),
        Mistake(
            "hides in the table it was given",
            """def no_peeking(pipeline, flights):
    run = pipeline(flights)
    now = decision_time(run.test, DESK).median()
    flights.loc[label_time(flights, DESK).gt(now), OUTCOMES] = np.nan
    decided = decision_time(flights, DESK).le(now)[run.X.index]
    return run.X[decided].equals(pipeline(flights).X[decided])
""",
            CHANGES,
        ),
    )

    def check(self, answer, rng):
        """It must fail on what peeks, in each way, and pass on what is right, on fresh flights of three kinds."""
        self._callable(answer)
        judge = Judge(rng)
        peeks = {"own": b, "due": f, "others": rest_of_day, "day": example}
        rights = [*map(PIPELINES.get, RIGHT), *map(mended, ("example", "b", "f"))]
        for world, used in zip(judge.real, (list(peeks), ["own", "due"]), strict=True):
            said = {name: world.tried(answer, peeks[name]) for name in used}
            self._judged(said, [world.tried(answer, pipeline) for pipeline in rights[: len(used)]])
        self._judged({}, [judge.easy.tried(answer, pipeline) for pipeline in rights])

    def _judged(self, peeks, rights):
        said = [*peeks.values(), *rights]
        if odd := [s for s in said if s not in ("pass", "fail")]:
            raise Wrong(f"No verdict: {odd[0]}")
        if peeks and set(peeks.values()) == {"pass"}:
            name = "says True for a peek" if "fail" in rights else "compares a run with itself"
            raise Wrong(self.message(name))
        self.require(peeks.get("own") != "pass", self.message("forgets air_time"))
        if "pass" in (peeks.get("due"), peeks.get("day")):
            one = peeks.get("others") == "pass"
            raise Wrong(
                self.message("changes one flight and looks at it" if one else "hides what is not yet due")
            )
        self.require("fail" not in rights, self.message("compares all rows"))


FIRST = {
    "in_order": """def in_order(pipeline, flights):
    run = pipeline(flights)
    local = (part.time_hour.dt.tz_convert("America/New_York") for part in (run.train, run.test))
    train, test = (set(time.dt.date) for time in local)
    assert train.isdisjoint(test)
""",
    "counted_once": """def counted_once(pipeline, flights):
    run = pipeline(flights)
    assert np.isclose(run.score, roc_auc_score(label(run.test), run.p))
""",
    "no_flight_twice": """def no_flight_twice(pipeline, flights):
    run = pipeline(flights)
    train, test = (set(map(tuple, part[KEY].to_numpy())) for part in (run.train, run.test))
    assert train.isdisjoint(test)
""",
    "blind_training": """def blind_training(pipeline, flights):
    run = pipeline(flights)
    tested = flights.index.to_series().isin(run.test.index)
    again = pipeline(flights.assign(**flights[SKY].mask(tested)))
    assert run.X.loc[run.train.index].equals(again.X.loc[run.train.index])
""",
    "as_served": """def as_served(pipeline, flights):
    run = pipeline(flights)
    assert run.serve(flights)[run.p.index].equals(run.p)
""",
    "not_chosen": """def not_chosen(pipeline, flights):
    run, flipped = pipeline(flights), flights.copy()
    flipped.loc[run.test.index, "arr_delay"] = np.where(label(run.test), flights.arr_delay.median(), np.nan)
    again = pipeline(flipped)
    assert run.p.equals(again.p) or not run.X.equals(again.X)
""",
}
SECOND = {
    "no_peeking": """def no_peeking(pipeline, flights):
    run = pipeline(flights)
    row = run.test.arr_delay.first_valid_index()
    hidden = flights.copy()
    hidden.loc[row, OUTCOMES] = np.nan
    return run.X.loc[row].equals(pipeline(hidden).X.loc[row])
""",
    "in_order": """def in_order(pipeline, flights):
    run = pipeline(flights)
    return run.train.merge(run.test, on=["month", "day"]).empty
""",
    "counted_once": """def counted_once(pipeline, flights):
    run = pipeline(flights)
    bad = label(run.test)
    auc = (run.p.rank()[bad].mean() - (bad.sum() + 1) / 2) / (~bad).sum()
    return np.isclose(run.score, auc)
""",
    "no_flight_twice": """def no_flight_twice(pipeline, flights):
    run = pipeline(flights)
    return run.train.merge(run.test, on=KEY).empty
""",
    "blind_training": """def blind_training(pipeline, flights):
    run = pipeline(flights)
    trained = flights.index.to_series().isin(run.train.index)
    again = pipeline(flights.assign(pressure=flights.pressure.where(trained, flights.temp)))
    pd.testing.assert_frame_equal(run.X.loc[run.train.index], again.X.loc[run.train.index])
""",
    "as_served": """def as_served(pipeline, flights):
    run = pipeline(flights)
    pd.testing.assert_series_equal(run.serve(flights).reindex(run.p.index), run.p)
""",
    "not_chosen": """def not_chosen(pipeline, flights):
    run, flipped = pipeline(flights), flights.copy()
    flipped.loc[run.test.index, "arr_delay"] = np.where(label(run.test), flights.arr_delay.median(), np.nan)
    again = pipeline(flipped)
    same = [row for row in run.test.index if run.X.loc[row].equals(again.X.loc[row])]
    return run.p[same].equals(again.p[same])
""",
}


def _answer(tests, **verdicts):
    # Code of an answer: these tests, and the dict of verdicts, each a fault or (fault, name of its test).
    rows = [
        f'    "{k}": "{v}",' if isinstance(v, str) else f'    "{k}": ("{v[0]}", {v[1]}),'
        for k, v in verdicts.items()
    ]
    return "\n\n".join([*tests, "\n".join(["verdicts = {", *rows, "}"])]) + "\n"


def _starter(letters):
    return _answer([], **dict.fromkeys(letters, ("fault", "test"))).replace('("fault", test)', "____")


TEST_OF = dict(zip(FAULTS, (
    "no_peeking", "no_peeking", "in_order", "blind_training", "no_flight_twice", "not_chosen", "counted_once", "as_served",
), strict=True))  # fmt: skip


def _solution(letters, tests):
    truth = {letter: TRUTH[letter] for letter in letters}
    wanted = dict.fromkeys(TEST_OF[fault] for fault in truth.values() if fault != "right")
    verdicts = {k: v if v == "right" else (v, TEST_OF[v]) for k, v in truth.items()}
    return _answer([tests[name] for name in wanted], **verdicts)


def _mistake(name, message, letter, fault, test=""):
    # A mistake in one verdict; `test` holds the lines of its test.
    code = f"def test(pipeline, flights):\n    run = pipeline(flights)\n{textwrap.indent(test or 'assert True', '    ')}\n"
    return Mistake(name, _answer([code], **{letter: (fault, "test")}), message)


HINTS = (
    "Read from the outside in: which rows, which columns and when each is known, what is fitted on what, what is "
    "compared, what is averaged, what runs at the desk.",
    "A test is a change that must make no difference, such as outcomes hidden, weather taken away, the service asked; or "
    "a law of the result: no flight on both sides, time in order, the score recomputed.",
    "Run your test on all ten. It should fail on one, or on a few, and never on `gym.mended('example')`. Two of the ten "
    "are right; if none of your six tests fails on a pipeline, believe it.",
)


class FirstFive(_Verdicts, Exercise):
    """Pipelines a to e: the fault of each, and the test that fails on it."""

    id = "gym-2"
    title = "Judge pipelines a to e"
    letters = "abcde"
    starter = _starter(letters)
    hints = HINTS
    solutions = (_solution(letters, FIRST | {"no_peeking": HIDE}), _solution(letters, SECOND))
    mistakes = (
        _mistake("c leaks through its average", TEMPTING["c", "leak through an aggregate"], "c", "leak through an aggregate"),
        _mistake("c knows its arrival", TEMPTING["c", "target in a feature"], "c", "target in a feature"),
        _mistake("flight numbers are duplicates", TEMPTING["a", "duplicates across the split"], "a", "duplicates across the split"),
        _mistake("b averages", TEMPTING["b", "leak through an aggregate"], "b", "leak through an aggregate"),
        _mistake("the service of d is blamed", TEMPTING["d", "train/serve skew"], "d", "train/serve skew"),
        _mistake("repeats are called shuffled", TEMPTING["e", "shuffled time"], "e", "shuffled time"),
        Mistake("believes a faulty one", _answer([], d="right"), MISSED),
        Mistake("names and does not prove", _answer([], b="target in a feature"), UNPROVED),
        _mistake("invents a fault", UNKNOWN, "b", "leak"),
        _mistake(
            "compares row numbers", PASSES, "e", "duplicates across the split",
            "assert run.train.index.intersection(run.test.index).empty",
        ),
        _mistake(
            "a key without the date", ALWAYS, "e", "duplicates across the split",
            'assert run.train.merge(run.test, on=["carrier", "flight", "origin"]).empty',
        ),
        _mistake("the score is too good", FLATTERED, "d", "wrong average", "assert run.score < 0.6"),
        _mistake("reads the name", LOOKS, "b", "target in a feature", 'assert pipeline.__name__ != "b"'),
        _mistake("crashes", CRASHES, "a", "shuffled time", "assert run.train.label_time.max() < run.test.decided.min()"),
        _mistake(
            "writes into the table", CHANGES, "b", "target in a feature",
            'flights["air_time"] = np.nan\nassert pipeline(flights).X.equals(run.X)',
        ),
        _mistake("returns a number", ODD, "d", "wrong average", "return roc_auc_score(label(run.test), run.p)"),
        _mistake(
            "hides outcomes that were certain", STRICT, "b", "target in a feature",
            "hidden = flights.assign(**dict.fromkeys(OUTCOMES, np.nan))\nassert pipeline(hidden).X.equals(run.X)",
        ),
        _mistake("blames the column", BLIND, "a", "shuffled time", 'assert "season" not in run.X'),
        Mistake("gives a list", 'verdicts = ["shuffled time", "target in a feature"]\n', "`verdicts` must be a dict"),
    )  # fmt: skip


class SecondFive(_Verdicts, Exercise):
    """Pipelines f to j: the fault of each, and the test that fails on it."""

    id = "gym-3"
    title = "Judge pipelines f to j"
    letters = "fghij"
    starter = _starter(letters)
    hints = HINTS
    solutions = (
        _solution(letters, FIRST | {"no_peeking": HIDE}),
        _solution(letters, SECOND | {"no_peeking": BLANK}),
    )
    mistakes = (
        _mistake("h chooses by the test", TEMPTING["h", "tuned on the test set"], "h", "tuned on the test set"),
        _mistake("h shuffles", TEMPTING["h", "shuffled time"], "h", "shuffled time"),
        _mistake("h fits its imputer on all", TEMPTING["h", "imputer fitted on everything"], "h", "imputer fitted on everything"),
        _mistake("f knows its own outcome", TEMPTING["f", "target in a feature"], "f", "target in a feature"),
        _mistake("a mean of weather leaks labels", TEMPTING["g", "leak through an aggregate"], "g", "leak through an aggregate"),
        _mistake("a clock is wrong, so time is", TEMPTING["i", "shuffled time"], "i", "shuffled time"),
        _mistake("validation is called shuffled", TEMPTING["j", "shuffled time"], "j", "shuffled time"),
        Mistake("believes the clock", _answer([], i="right"), MISSED),
        Mistake("names and does not prove", _answer([], g="imputer fitted on everything"), UNPROVED),
        _mistake("looks for holes", PASSES, "g", "imputer fitted on everything", "assert run.X[SKY].notna().all(axis=None)"),
        _mistake(
            "compares what was changed", ALWAYS, "g", "imputer fitted on everything",
            "again = pipeline(flights.assign(temp=flights.temp.mask(flights.index.to_series().isin(run.test.index))))\n"
            "assert run.X.equals(again.X)",
        ),
        _mistake("blames the column", BLIND, "f", "leak through an aggregate", 'assert "recent" not in run.X'),
        _mistake(
            "hides outcomes that were certain", STRICT, "j", "tuned on the test set",
            "flipped = flights.copy()\n"
            "flipped.loc[run.test.index, 'arr_delay'] = np.where(label(run.test), flights.arr_delay.median(), np.nan)\n"
            "assert run.p.equals(pipeline(flipped).p)",
        ),
        _mistake("asks the service for its name", LOOKS, "i", "train/serve skew", 'assert run.serve.__name__ == "<lambda>"'),
        _mistake("crashes", CRASHES, "i", "train/serve skew", 'assert run.serve(run.test[["time_hour"]]).equals(run.p)'),
        _mistake("invents a fault", UNKNOWN, "j", "overfitting"),
    )  # fmt: skip
