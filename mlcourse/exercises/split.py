"""Exercises of lesson 10: a gap for the training job, near neighbours, sliding folds, groups kept apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlcourse.exercises.compare import same
from mlcourse.exercises.engine import Case, Exercise, Mistake


class GapSplit(Exercise):
    """The model must be ready at the first test decision: labels certain by then, less the hours of the training."""

    id = "split-1"
    title = "A gap for the training job"
    starter = """def gap_split(decided, certain, start, job):
    return ____
"""
    hints = (
        "First `test = decided >= start`. The moment that counts is the earliest decision among those rows: "
        "`decided[test].min()`.",
        "The training job begins `job` before that moment. A label that is certain exactly then still counts.",
        "If nothing is tested, the minimum is NaT, and every comparison with NaT is False: nothing trains.",
    )
    solutions = (
        """def gap_split(decided, certain, start, job):
    test = decided >= start
    train = certain <= decided[test].min() - job
    return train.to_numpy(), test.to_numpy()
""",
        """def gap_split(decided, certain, start, job):
    test = [moment >= start for moment in decided]
    first = min([moment for moment in decided if moment >= start], default=None)
    train = [first is not None and moment + job <= first for moment in certain]
    return train, test
""",
    )
    mistakes = (
        Mistake(
            "trains on the rest",
            """def gap_split(decided, certain, start, job):
    test = (decided >= start).to_numpy()
    return ~test, test
""",
            "You train on everything that is not tested. The last of those flights have no certain label when the training "
            "begins: some rows belong to neither part.",
        ),
        Mistake(
            "takes decided for certain",
            """def gap_split(decided, certain, start, job):
    test = decided >= start
    return (decided <= decided[test].min() - job).to_numpy() & ~test.to_numpy(), test.to_numpy()
""",
            "You compare the moments of *decision* with the start of the training. What must be known by then is the label: "
            "compare `certain`.",
        ),
        Mistake(
            "forgets the training job",
            """def gap_split(decided, certain, start, job):
    test = decided >= start
    return (certain <= decided[test].min()).to_numpy(), test.to_numpy()
""",
            "You use labels that become certain while the job is running. It began `job` before the first test decision and "
            "cannot have read them.",
        ),
        Mistake(
            "adds the job",
            """def gap_split(decided, certain, start, job):
    test = decided >= start
    return (certain <= decided[test].min() + job).to_numpy(), test.to_numpy()
""",
            "You add `job` to the first test decision, so the model is ready after it was needed. Subtract it.",
        ),
        Mistake(
            "counts from start",
            """def gap_split(decided, certain, start, job):
    return (certain <= start - job).to_numpy(), (decided >= start).to_numpy()
""",
            "You count back from `start`. The model is first needed at the first test decision, which may be hours later: "
            "labels that are certain by then may train.",
        ),
        Mistake(
            "trusts the order of the rows",
            """def gap_split(decided, certain, start, job):
    test = decided >= start
    first = decided[test].iloc[0] if test.any() else pd.NaT
    return (certain <= first - job).to_numpy(), test.to_numpy()
""",
            "You take the decision of the first tested *row*. The rows are in no order of time: take the earliest moment.",
        ),
        Mistake(
            "waits for the last test decision",
            """def gap_split(decided, certain, start, job):
    test = decided >= start
    return (certain <= decided[test].max() - job).to_numpy(), test.to_numpy()
""",
            "You wait until the *last* test decision, but one model decides on all of them, so it must be ready for the "
            "first: take the minimum.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Two weeks of flights in any order; then labels and decisions at the very moment, and nothing to test."""
        import numpy as np
        import pandas as pd

        zero = pd.Timestamp("2013-08-25", tz="UTC")

        def flights(n):
            hours = rng.integers(0, 14 * 24, n)
            late = rng.integers(13, 90, n)  # some labels take days
            index = rng.permutation(n) + 50
            decided, certain = (zero + pd.to_timedelta(h, unit="h") for h in (hours, hours + 2 + late))
            return pd.Series(decided, index), pd.Series(certain, index)

        def hours(*values):
            return pd.Series(zero + pd.to_timedelta(np.array(values), unit="h"))

        job = pd.Timedelta(hours=int(rng.integers(4, 12)))
        for _ in range(3):
            decided, certain = flights(int(rng.integers(150, 200)))
            start = zero + pd.Timedelta(days=7, minutes=30)
            night = (decided >= start) & (decided < start + pd.Timedelta("7h"))
            yield Case((decided[~night], certain[~night], start, job))
        start, job = zero + pd.Timedelta(hours=72), pd.Timedelta(hours=5)
        two = hours(40, 50, 80, 90), hours(75, 76, 95, 105)
        yield Case((*two, start, job), edge="a label that becomes certain exactly when the job begins")
        now = hours(72, 30, 100), hours(87, 50, 115)
        yield Case((*now, start, job), edge="a decision exactly at `start`")
        yield Case((*two, zero + pd.Timedelta(days=30), job), edge="nothing to test")


class Neighbours(Exercise):
    """How many tested flights have a training flight beside them: same airport, a few hours away."""

    id = "split-2"
    title = "How near is the nearest answer?"
    starter = """def neighbours(origin, minute, train, within):
    return ____
"""
    hints = (
        "Go airport by airport: take the minutes of its tested flights and of its training flights.",
        "`abs(a[:, None] - b)` is the table of all distances between two arrays, a row for each tested flight.",
        "`(distances <= within).any(axis=1)` says for each tested flight whether one is near; sum these over the airports.",
    )
    solutions = (
        """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        tested, trained = minute[here & ~train].to_numpy(), minute[here & train].to_numpy()
        near = abs(tested[:, None] - trained) <= within
        count += int(near.any(axis=1).sum())
    return count
""",
        """def neighbours(origin, minute, train, within):
    table = pd.DataFrame({"origin": origin, "minute": minute, "row": range(len(minute))})
    pairs = table[~train].merge(table[train], on="origin")
    return pairs.row_x[(pairs.minute_x - pairs.minute_y).abs() <= within].nunique()
""",
    )
    mistakes = (
        Mistake(
            "forgets the airport",
            """def neighbours(origin, minute, train, within):
    near = abs(minute[~train].to_numpy()[:, None] - minute[train].to_numpy()) <= within
    return int(near.any(axis=1).sum())
""",
            "You count flights that are near in time but leave another airport. Compare flights of the same `origin` only.",
        ),
        Mistake(
            "looks back only",
            """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        ahead = minute[here & ~train].to_numpy()[:, None] - minute[here & train].to_numpy()
        count += int(((ahead >= 0) & (ahead <= within)).any(axis=1).sum())
    return count
""",
            "You look for training flights *before* the tested one. One that leaves an hour later has seen the same storm: "
            "look both ways.",
        ),
        Mistake(
            "counts pairs",
            """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        near = abs(minute[here & ~train].to_numpy()[:, None] - minute[here & train].to_numpy()) <= within
        count += int(near.sum())
    return count
""",
            "You count pairs, so a tested flight with five neighbours counts five times. Count each tested flight once.",
        ),
        Mistake(
            "counts the training flights",
            """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        near = abs(minute[here & ~train].to_numpy()[:, None] - minute[here & train].to_numpy()) <= within
        count += int(near.any(axis=0).sum())
    return count
""",
            "You count the training flights that are near a tested one. The question is about the tested flights: how many "
            "of *them* sit beside an answer.",
        ),
        Mistake(
            "compares clock hours",
            """def neighbours(origin, minute, train, within):
    box = origin + (minute // within).astype(str)
    return int(box[~train].isin(box[train]).sum())
""",
            "You put the times into boxes. 9:59 and 10:01 are two minutes apart and lie in different boxes: compare the "
            "distance in time.",
        ),
        Mistake(
            "leaves out the limit",
            """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        near = abs(minute[here & ~train].to_numpy()[:, None] - minute[here & train].to_numpy()) < within
        count += int(near.any(axis=1).sum())
    return count
""",
            "A flight exactly `within` away still counts: use `<=`.",
        ),
        Mistake(
            "takes the same minute for the flight itself",
            """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        away = abs(minute[here & ~train].to_numpy()[:, None] - minute[here & train].to_numpy())
        count += int(((away > 0) & (away <= within)).any(axis=1).sum())
    return count
""",
            "You leave out distance 0. Two flights may leave in the same minute, and one that is tested is never among the "
            "training flights: 0 is as near as it gets.",
        ),
        Mistake(
            "lets a flight be its own neighbour",
            """def neighbours(origin, minute, train, within):
    count = 0
    for name in origin.unique():
        here = origin == name
        near = abs(minute[here & ~train].to_numpy()[:, None] - minute[here].to_numpy()) <= within
        count += int(near.any(axis=1).sum())
    return count
""",
            "You compare with all flights of the airport, the tested one among them: each is its own neighbour. Compare "
            "with the training flights only.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Two days at three airports in any order; then exactly at the limit, nothing to train on, nothing to test."""
        import numpy as np
        import pandas as pd

        def table(n, share):
            index = rng.permutation(n) + 300
            origin = rng.choice(["EWR", "JFK", "LGA"], n, p=[0.6, 0.3, 0.1])
            columns = origin, rng.integers(0, 2 * 1440, n), rng.random(n) < share
            return [pd.Series(column, index) for column in columns]

        for within, share in (60, 0.3), (40, 0.5), (90, 0.15):
            yield Case((*table(int(rng.integers(90, 120)), share), within))
        minute, origin = pd.Series([60, 120, 181]), pd.Series(["JFK"] * 3)
        train = pd.Series([False, True, False])
        yield Case((origin, minute, train, 60), edge="a neighbour exactly at the limit")
        yield Case((origin, minute * 0, train, 60), edge="a neighbour at the very same minute")
        yield Case((origin, minute, train & False, 60), edge="no flight to train on")
        yield Case((origin, minute, train | np.True_, 60), edge="no flight to test")


class Slide(Exercise):
    """Folds that slide along: train on the last days whose labels are certain, test on the next few."""

    id = "split-3"
    title = "Slide along the year"
    setup = "import numpy as np"
    seconds = 4.0
    starter = """def slide(day, certain, first, step, window):
    return ____
"""
    hints = (
        "Let `start` run: `first`, `first + step`, and on, while it is not after `day.max()`.",
        "Test: `(day >= start) & (day < start + step)`. Train: `(certain <= start) & (day >= start - window)`. "
        "`np.flatnonzero` turns a mask into positions.",
        'Append `{"train": train, "test": test}` only if both have a row, and go on either way: after an empty period there may be full ones.',
    )
    solutions = (
        """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start <= day.max():
        train = np.flatnonzero((certain <= start) & (day >= start - window))
        test = np.flatnonzero((day >= start) & (day < start + step))
        if len(train) > 0 and len(test) > 0:
            folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
        """def slide(day, certain, first, step, window):
    period = (day - first) // step
    folds = []
    for k in np.unique(period):
        start = first + k * step
        train = [i for i in range(len(day)) if certain[i] <= start and start - window <= day[i]]
        if k >= 0 and train:
            folds.append({"train": train, "test": np.flatnonzero(period == k)})
    return folds
""",
    )
    mistakes = (
        Mistake(
            "leaves no gap",
            """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start <= day.max():
        train = np.flatnonzero((day < start) & (day >= start - window))
        test = np.flatnonzero((day >= start) & (day < start + step))
        if len(train) and len(test):
            folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
            "You train on every day before the test. The labels of the last ones are not certain yet: use `certain`.",
        ),
        Mistake(
            "trains on all the past",
            """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start <= day.max():
        train = np.flatnonzero(certain <= start)
        test = np.flatnonzero((day >= start) & (day < start + step))
        if len(train) and len(test):
            folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
            "Your training part grows with every fold. Asked is one that slides: no day before `start - window`.",
        ),
        Mistake(
            "tests a day twice",
            """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start <= day.max():
        train = np.flatnonzero((certain <= start) & (day >= start - window))
        test = np.flatnonzero((day >= start) & (day <= start + step))
        if len(train) and len(test):
            folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
            "The day `start + step` is tested by two folds. A period ends *before* the next one begins: `<`.",
        ),
        Mistake(
            "stops at an empty period",
            """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start <= day.max():
        train = np.flatnonzero((certain <= start) & (day >= start - window))
        test = np.flatnonzero((day >= start) & (day < start + step))
        if not len(train) or not len(test):
            break
        folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
            "You stop at the first period without flights, and every fold after it is lost. Skip it and go on.",
        ),
        Mistake(
            "keeps folds without training rows",
            """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start <= day.max():
        train = np.flatnonzero((certain <= start) & (day >= start - window))
        test = np.flatnonzero((day >= start) & (day < start + step))
        if len(test):
            folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
            "You return a fold with nothing to train on. Both parts must have a row.",
        ),
        Mistake(
            "drops the last period",
            """def slide(day, certain, first, step, window):
    folds, start = [], first
    while start + step <= day.max():
        train = np.flatnonzero((certain <= start) & (day >= start - window))
        test = np.flatnonzero((day >= start) & (day < start + step))
        if len(train) and len(test):
            folds.append({"train": train, "test": test})
        start = start + step
    return folds
""",
            "The last days are never tested. A period that is cut short by the end of the data is a period too.",
        ),
    )

    def same(self, got: Any, want: Any) -> bool:
        """Whether the folds are the same, fold by fold; the positions in any order and container."""
        ours = [{part: sorted(map(int, rows)) for part, rows in fold.items()} for fold in got]
        return same(ours, [{part: sorted(map(int, rows)) for part, rows in fold.items()} for fold in want])

    def cases(self, rng) -> Iterator[Case]:
        """Days with holes, in any order, some labels very late; then a last day alone, and no label in time."""
        import numpy as np

        def flights(n, free):
            day = rng.integers(0, 60, n)
            day = rng.permutation(np.concatenate([day[(day < free[0]) | (day >= free[1])], [0, 59]]))
            return day, day + rng.integers(1, 9, len(day))

        for first, step, window, free in (20, 5, 12, (30, 42)), (11, 7, 20, (25, 39)), (3, 10, 6, (10, 33)):
            yield Case((*flights(120, free), first, step, window))
        day = np.array([0, 10, 12, 14])
        yield Case((day, day + 1, 10, 2, 30), edge="a single flight to train on, and one to test")
        yield Case((day, day + 20, 10, 2, 30), edge="no label is certain in time")


class Apart(Exercise):
    """Training rows whose group is not tested; a row without a group shares none."""

    id = "split-4"
    index = True
    title = "Keep the groups apart"
    starter = """def apart(train, test, group):
    return ____
"""
    hints = (
        "The groups that are tested: `group[test]`. The rows that belong to one of them: `group.isin(...)`.",
        "Keep a row if it was in `train` and its group is not tested: `train & ~...`.",
        "`isin` finds a missing value in a list that holds one. A row without a group shares no group: `dropna()` first.",
    )
    solutions = (
        """def apart(train, test, group):
    return train & ~group.isin(group[test].dropna())
""",
        """def apart(train, test, group):
    tested = {g for g, t in zip(group, test) if t and isinstance(g, str)}
    return pd.Series([t and g not in tested for t, g in zip(train, group)], train.index, dtype=bool)
""",
    )
    mistakes = (
        Mistake(
            "takes missing for a group",
            """def apart(train, test, group):
    return train & ~group.isin(group[test])
""",
            "You drop every training row without a plane because some tested row has none either. Those are cancelled "
            "flights, all bad: the model would learn that flights are rarely cancelled.",
        ),
        Mistake(
            "drops all rows without a group",
            """def apart(train, test, group):
    return train & group.notna() & ~group.isin(group[test])
""",
            "You drop every row without a plane, even if each tested flight has one. No plane is no group: keep the row.",
        ),
        Mistake(
            "keeps the shared groups",
            """def apart(train, test, group):
    return train & group.isin(group[test].dropna())
""",
            "You keep the rows whose group is tested, and drop the others. It is the other way round.",
        ),
        Mistake(
            "lets the gap in",
            """def apart(train, test, group):
    return ~group.isin(group[test].dropna()) & ~test
""",
            "You return rows that were in neither part. The gap waits for late labels: only rows of `train` may train.",
        ),
        Mistake(
            "drops every plane that flies twice",
            """def apart(train, test, group):
    return train & (~group.duplicated(keep=False) | group.isna())
""",
            "You drop each plane that has more than one flight. A plane may train as often as it likes, as long as it is "
            "not tested.",
        ),
        Mistake(
            "changes nothing",
            """def apart(train, test, group):
    return train & ~test
""",
            "Rows are apart, planes are not: a plane still trains on Monday and is tested on Tuesday.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Flights of planes, some without one, some in neither part; then none or only rows without a plane."""
        import pandas as pd

        def table(n, planes, lacking):
            index = rng.permutation(n) + 900
            group = pd.Series([f"N{p}" for p in rng.integers(0, planes, n)], index, dtype="str")
            part = pd.Series(rng.choice(["train", "test", "gap"], n, p=[0.7, 0.15, 0.15]), index)
            return part == "train", part == "test", group.mask(rng.random(n) < lacking)

        for n, planes in (60, 25), (40, 30), (80, 40):
            yield Case(table(n, planes, 0.15))
        train, test, group = table(30, 12, 0.2)
        yield Case((train, test & group.notna(), group), edge="every tested flight has a plane")
        yield Case((train, test & False, group), edge="nothing is tested")
        yield Case((train, test, group.mask(group.notna())), edge="no flight has a plane")
        yield Case((train[:0], test[:0], group[:0]), edge="no row at all")
