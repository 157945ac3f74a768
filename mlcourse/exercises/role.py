"""Exercises of lesson 01: the loop of six steps, what is known in time, what an accuracy is worth, the first drift number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlcourse.exercises.engine import Case, Exercise, Mistake

PLAN = ("year", "month", "day", "sched_dep_time", "sched_arr_time", "carrier", "flight", "origin", "dest",
        "distance", "hour", "minute", "time_hour")  # fmt: skip
GATE = ("dep_time", "dep_delay")  # exist once the aircraft has left
LANDING = ("arr_time", "arr_delay", "air_time")  # exist once it has landed
EITHER = ("tailnum",)  # the planned aircraft is known, the table holds the one that flew


class NextStep(Exercise):
    """The six steps are a loop with a watch, not a line."""

    id = "role-1"
    title = "What comes next?"
    setup = 'STEPS = ["understand", "data", "train", "validate", "deploy", "monitor"]'
    starter = """def next_step(step, alarm):
    return ____
"""
    hints = (
        "`STEPS.index(step)` is the place of a step in the list; the next one stands one place further.",
        "After `monitor` there is no next place. Deal with that step first, in an `if`.",
        'While monitoring: `"train"` if `alarm` is true, otherwise the step stays `"monitor"`.',
    )
    solutions = (
        """def next_step(step, alarm):
    if step == "monitor":
        return "train" if alarm else "monitor"
    return STEPS[STEPS.index(step) + 1]
""",
        """def next_step(step, alarm):
    follows = dict(zip(STEPS, STEPS[1:])) | {"monitor": "train" if alarm else "monitor"}
    if step not in follows:
        raise ValueError(f"step must be one of {STEPS}, got {step!r}")
    return follows[step]
""",
    )
    mistakes = (
        Mistake(
            "the work ends after the last step",
            """def next_step(step, alarm):
    return STEPS[STEPS.index(step) + 1]
""",
            "`monitor` is last in the list but not the end of the work: a running model is watched for as long as it "
            "runs. What does your function give for it?",
        ),
        Mistake(
            "starts over at the wish",
            """def next_step(step, alarm):
    return STEPS[(STEPS.index(step) + 1) % len(STEPS)]
""",
            "After `monitor` you start over at `understand`. The wish has not changed, the data have: an alarm leads "
            "back to `train`, and without an alarm you go on watching.",
        ),
        Mistake(
            "retrains without an alarm",
            """def next_step(step, alarm):
    if step == "monitor":
        return "train"
    return STEPS[STEPS.index(step) + 1]
""",
            "You retrain even when no alarm rings. Every new model is a risk and costs a validation: without an alarm, "
            "stay in `monitor`.",
        ),
        Mistake(
            "any alarm means training",
            """def next_step(step, alarm):
    if alarm:
        return "train"
    return "monitor" if step == "monitor" else STEPS[STEPS.index(step) + 1]
""",
            "An alarm only means something while a model runs, in `monitor`. In the other steps your function should "
            "take no notice of it.",
        ),
        Mistake(
            "an alarm trains, whatever the step is called",
            """def next_step(step, alarm):
    if step in STEPS[:-1]:
        return STEPS[STEPS.index(step) + 1]
    if alarm:
        return "train"
    if step == "monitor":
        return "monitor"
    raise ValueError(step)
""",
            "Whatever is left over goes to `train` when an alarm rings, even a word that is no step. Ask first whether the "
            "step *is* `monitor`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Every step with and without an alarm, and one word that is no step."""
        steps = self.answer("next_step = STEPS")
        every = [(step, alarm) for step in steps for alarm in (False, True)]
        for i in rng.permutation(len(every)):
            yield Case(every[i])
        for alarm in (False, True):
            yield Case(("lunch", alarm), edge="a step that does not exist: raise a ValueError")


class KnownInTime(Exercise):
    """Which columns of the table exist at decision time."""

    id = "role-2"
    title = "What is known two hours before departure?"
    setup = ""
    starter = "known = ____\n"
    hints = (
        "Imagine the desk's screen two hours before departure. Which columns can already be filled in?",
        "Five columns are measured: three of them only after landing, two when the aircraft leaves the gate.",
        "Everything that starts with `sched_`, the date and hour, the route, its distance and the flight's name "
        "stand in the timetable weeks ahead. 13 columns are sure.",
    )
    solutions = (
        """known = {
    "year", "month", "day", "hour", "minute", "time_hour", "sched_dep_time", "sched_arr_time",
    "carrier", "flight", "origin", "dest", "distance",
}
""",
        """columns = (
    "year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier "
    "flight tailnum origin dest air_time distance hour minute time_hour"
).split()
measured = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
known = [c for c in columns if c not in measured]
""",
    )
    mistakes = (
        Mistake(
            "takes every column",
            f"known = {[*PLAN, *GATE, *LANDING, *EITHER]}\n",
            "You take every column. The table was written after the year was over, and it is full of things that "
            "nobody knows two hours before departure.",
        ),
        Mistake(
            "takes what is measured at the gate",
            f"known = {[*PLAN, *GATE]}\n",
            "That exists only once the aircraft has left the gate, two hours after you must decide. It is the column "
            "behind the score that was too good to be true.",
        ),
        Mistake(
            "takes what is measured after landing",
            f"known = {[*PLAN, *LANDING]}\n",
            "That is measured after the flight has landed: it is part of the answer you are asked to predict.",
        ),
        Mistake(
            "refuses every time of day",
            f"known = {[c for c in PLAN if not c.startswith('sched_') and c not in ('hour', 'minute', 'time_hour')]}\n",
            "You refuse the timetable too. Not every time is measured: a *scheduled* time was published weeks before.",
        ),
        Mistake(
            "refuses nearly everything",
            'known = {"month", "hour", "sched_dep_time", "sched_arr_time"}\n',
            "Nothing in it leaks, but you leave out much of what the desk can see. A model without it is honest and "
            "poor. Everything printed on a ticket is known.",
        ),
    )

    def check(self, answer: Any, rng) -> None:
        """Judge a collection of column names against the time at which each column comes to exist."""
        self.require(
            isinstance(answer, set | frozenset | list | tuple) or hasattr(answer, "tolist"),
            f"`known` must be a set of column names such as {{'month', 'hour'}}, got a {type(answer).__name__}.",
        )
        names = set(answer)
        strange = sorted(map(repr, names - {*PLAN, *GATE, *LANDING, *EITHER}))
        self.require(not strange, f"The table has no column {', '.join(strange)}. Look at `flights.columns`.")
        after, lost = names & {*GATE, *LANDING}, {*PLAN} - names
        self.require(after != {*GATE, *LANDING}, self.message("takes every column"))
        for leak, where in (LANDING, "after landing"), (GATE, "at the gate"):
            found = ", ".join(f"`{c}`" for c in leak if c in names)
            self.require(not found, f"Look at {found}. {self.message('takes what is measured ' + where)}")
        times = ", ".join(f"`{c}`" for c in sorted(lost) if c.startswith("sched_"))
        self.require(not times, f"{self.message('refuses every time of day')} Think again about {times}.")
        more = f"{len(lost)} more can be had, for example `{min(lost, default='')}`."
        self.require(not lost, f"{self.message('refuses nearly everything')} {more}")


class Worth(Exercise):
    """An accuracy is worth what it adds to the best answer that never looks."""

    id = "role-3"
    title = "What is this accuracy worth?"
    starter = """def worth(said, label):
    return ____
"""
    hints = (
        "The accuracy is the share of flights on which `said` and `label` agree: `(said == label).mean()`.",
        "A rule that never looks says the same word about every flight. There are two such rules; how accurate is each?",
        "*Always bad* is right on the share `label.mean()`, *never bad* on `1 - label.mean()`. Take away the better of the two; "
        "and with no flight at all, raise a ValueError.",
    )
    solutions = (
        """def worth(said, label):
    if len(label) == 0:
        raise ValueError("label must hold at least one flight, got none")
    return (said == label).mean() - max(label.mean(), 1 - label.mean())
""",
        """def worth(said, label):
    label = list(label)
    counts = sum(label), len(label) - sum(label)
    if not label:
        raise ValueError("there must be at least one flight")
    right = sum(a == b for a, b in zip(said, label))
    return (right - max(counts)) / len(label)
""",
    )
    mistakes = (
        Mistake(
            "gives the accuracy itself",
            """def worth(said, label):
    return (said == label).mean()
""",
            "That is the accuracy. A rule that never looks at a flight is also right most of the time: take its "
            "accuracy away.",
        ),
        Mistake(
            "compares with a coin",
            """def worth(said, label):
    return (said == label).mean() - 0.5
""",
            "You compare with a coin, but nobody would toss one: most flights are fine, and always saying so beats "
            "any coin. Compare with the best rule that never looks.",
        ),
        Mistake(
            "compares with never alone",
            """def worth(said, label):
    return (said == label).mean() - (1 - label.mean())
""",
            "You compare with *never bad* alone. On a day of storms most flights are bad, and then *always bad* is "
            "the rule to beat: take the better of the two.",
        ),
        Mistake(
            "takes away the share of bad flights",
            """def worth(said, label):
    return (said == label).mean() - label.mean()
""",
            "You take away the share of bad flights, which is the accuracy of a rule that calls every flight bad. "
            "The other rule, *never bad*, is usually better.",
        ),
        Mistake(
            "asks for rows by number",
            """def worth(said, label):
    if len(label) == 0:
        raise ValueError("no flight")
    right = sum(said[i] == label[i] for i in range(len(label)))
    return right / len(label) - max(label.mean(), 1 - label.mean())
""",
            "`said[0]` is not the first row but the row *labelled* 0, which a sample of the year need not have. Compare the "
            "whole Series, or walk over both with `zip(said, label)`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Months with few bad flights; then a storm, a perfect day, one flight, none."""
        import pandas as pd

        def days(n, rate, right):
            label = rng.random(n) < rate
            label[:2] = [True, False]
            said = label ^ (rng.random(n) > right)
            index = rng.permutation(n) + 1000  # a sample of the year has no row 0
            return pd.Series(said, index, name="said"), pd.Series(label, index, name="label")

        for rate, right in (0.14, 0.9), (0.21, 0.7), (0.27, 0.85), (0.35, 0.5):
            yield Case(days(int(rng.integers(60, 200)), rate, right))
        yield Case(days(90, 0.8, 0.75), edge="a day of storms, most flights bad")
        calm, one, none = (pd.Series(v, dtype=bool) for v in ([False] * 3, [True], []))
        yield Case((pd.Series([False, True, False]), calm), edge="a day with no bad flight")
        yield Case((one, one), edge="a single flight")
        yield Case((none, none), edge="no flight at all: raise a ValueError")


class Surprise(Exercise):
    """Promised and seen, over the flights whose label has arrived."""

    id = "role-4"
    title = "The first number of the morning"
    starter = """def surprise(p, label):
    return ____
"""
    hints = (
        "Which flights have a label? `seen = label.notna()` is True for those; the others are still in the air.",
        "Compare like with like: the mean of `label` over the flights seen, and the mean of `p` over the same flights.",
        "`100 * (label[seen].mean() - p[seen].mean())`: positive when more flights were bad than promised.",
    )
    solutions = (
        """def surprise(p, label):
    seen = label.notna()
    return 100 * (label[seen].mean() - p[seen].mean())
""",
        """def surprise(p, label):
    p, label = np.asarray(p, float), np.asarray(label, float)
    gap = (label - p)[~np.isnan(label)]
    return 100 * gap.sum() / len(gap) if len(gap) else float("nan")
""",
    )
    mistakes = (
        Mistake(
            "averages the promise over every flight",
            """def surprise(p, label):
    return 100 * (label.mean() - p.mean())
""",
            "You average the promise over all flights, but the labels over those that have one. Flights still in the "
            "air are often the bad ones: take both means over the same flights.",
        ),
        Mistake(
            "counts flights in the air as fine",
            """def surprise(p, label):
    return 100 * (label.fillna(0).mean() - p.mean())
""",
            "You count a flight without a label as fine. It is still in the air: nobody knows yet. Leave it out.",
        ),
        Mistake(
            "turns the sign",
            """def surprise(p, label):
    seen = label.notna()
    return 100 * (p[seen].mean() - label[seen].mean())
""",
            "The sign is turned: a surprise is positive when *more* flights were bad than the model promised.",
        ),
        Mistake(
            "hides the direction",
            """def surprise(p, label):
    seen = label.notna()
    return 100 * abs(label[seen].mean() - p[seen].mean())
""",
            "You drop the sign. Promising too much and promising too little cost different money: keep it.",
        ),
        Mistake(
            "gives a share",
            """def surprise(p, label):
    seen = label.notna()
    return label[seen].mean() - p[seen].mean()
""",
            "That is a share. The desk wants flights per hundred: 0.07 should read 7.",
        ),
        Mistake(
            "asks for rows by number",
            """def surprise(p, label):
    gaps = [label[i] - p[i] for i in range(len(label)) if label[i] >= 0]
    return 100 * np.mean(gaps)
""",
            "`p[0]` is not the first row but the row *labelled* 0, which a sample of the year need not have. Pick rows by "
            "`label.notna()`, or walk over both with `zip(p, label)`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Mornings that were worse and better than promised; then all landed, one landed, none landed."""
        import numpy as np
        import pandas as pd

        def morning(n, shift, air):
            p = rng.beta(2, 8, n)
            label = (rng.random(n) < p + shift).astype(float)
            risky = p > np.quantile(p, 1 - air / 2)  # these land last
            label[risky | (rng.random(n) < air)] = np.nan
            index = rng.permutation(n) + 1000  # a sample of the year has no row 0
            return pd.Series(p, index, name="p"), pd.Series(label, index, name="label")

        for shift, air in (0.3, 0.2), (-0.2, 0.3), (0.15, 0.4), (-0.15, 0.1):
            yield Case(morning(int(rng.integers(80, 200)), shift, air))
        p, label = morning(50, 0.2, 0.3)
        yield Case((p, label.fillna(1.0)), edge="every flight has landed")
        one = pd.Series([np.nan, 1.0, np.nan], p.index[:3])
        yield Case((p.iloc[:3], one), edge="a single flight has landed")
        yield Case((p, label * np.nan), edge="no flight has landed yet: give NaN")
