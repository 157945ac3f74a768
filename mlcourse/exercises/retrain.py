"""Exercises of lesson 25: rows that may teach, trainings within a budget, a fair duel, a way back."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


def _teach(body: str) -> str:
    return f"""def teach(scheduled, bad, now, delay, spans):
    may = ~np.isnan(bad) & (scheduled + delay <= now)
    for first, last in spans:
        may = {body}
    return may
"""


class Teach(Exercise):
    """Known, certain, and of a day that can be trusted."""

    id = "retrain-1"
    title = "Rows that may teach"
    starter = """def teach(scheduled, bad, now, delay, spans):
    return ____
"""
    hints = (
        "Three conditions, all of which must hold: known, certain, in no span. Begin with the first two, joined by `&`.",
        "For each span take away its rows: `may = may & ~((scheduled >= first) & (scheduled <= last))`. "
        "Both ends are left out too.",
    )
    solutions = (
        _teach("may & ~((scheduled >= first) & (scheduled <= last))"),
        """def teach(scheduled, bad, now, delay, spans):
    free = [not any(first <= s <= last for first, last in spans) for s in scheduled]
    return np.array([f and s + delay <= now and b == b for f, s, b in zip(free, scheduled, bad)], dtype=bool)
""",
    )
    mistakes = (
        Mistake(
            "forgets the delay",
            _teach("may & ~((scheduled >= first) & (scheduled <= last))").replace(
                "scheduled + delay <= now", "scheduled <= now"
            ),
            "You take labels of flights that have been scheduled by now. Their labels are certain only `delay` hours later.",
        ),
        Mistake(
            "writes the delay down",
            _teach("may & ~((scheduled >= first) & (scheduled <= last))").replace(
                "scheduled + delay <= now", "scheduled + 13 <= now"
            ),
            "You write 13 hours down. The delay is an argument, `delay`, and another desk's is another.",
        ),
        Mistake(
            "teaches with unknown labels",
            _teach("may & ~((scheduled >= first) & (scheduled <= last))").replace("~np.isnan(bad) & ", ""),
            "You teach with labels that have not come (NaN). A feed that is late would teach that nothing happened.",
        ),
        Mistake(
            "keeps the ends of a span",
            _teach("may & ~((scheduled > first) & (scheduled < last))"),
            "You keep the first and the last hour of a span. Both ends are left out.",
        ),
        Mistake(
            "teaches with the spans only",
            _teach("may & (scheduled >= first) & (scheduled <= last)"),
            "You keep what lies **in** the spans. They are the hours that may not teach.",
        ),
        Mistake(
            "leaves out all from the first span on",
            _teach("may & ~(scheduled >= first)"),
            "You leave out everything since a span began. After its end the labels are right again.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Weeks with spans and holes; then no span, spans that touch, a label certain at this very hour, no flight."""
        import numpy as np

        for _ in range(3):
            hours = rng.permutation(np.arange(200)).astype(float)
            bad = np.where(rng.random(200) < 0.2, np.nan, (rng.random(200) < 0.3).astype(float))
            a, b = sorted(int(x) for x in rng.integers(20, 120, 2))
            yield Case((hours, bad, float(rng.integers(160, 190)), 13.0, [(a, b + 3), (130, 133)]))
        yield Case((hours, bad, 150.0, 30.0, []))
        yield Case((hours, bad, 150.0, 13.0, [(10, 20), (20, 30)]))
        one = np.array([10.0, 11.0]), np.array([1.0, 0.0])
        yield Case((*one, 23.0, 13.0, []), edge="a label that is certain at this very hour")
        yield Case((np.empty(0), np.empty(0), 23.0, 13.0, [(1, 2)]), edge="no flight")


class Trainings(Exercise):
    """Rest counts from the training, not from the alarm."""

    id = "retrain-2"
    title = "A trigger that cannot be milked"
    starter = """def trainings(alarms, rest, most):
    return ____
"""
    hints = (
        "Go through the alarms in order and remember the day of the last *training*.",
        "An alarm starts a training if there was none yet, or `alarm - last >= rest`, and fewer than `most` were done.",
    )
    solutions = (
        """def trainings(alarms, rest, most):
    days = []
    for day in alarms:
        if len(days) < most and (not days or day - days[-1] >= rest):
            days.append(int(day))
    return days
""",
        """def trainings(alarms, rest, most):
    days, ahead = [], list(alarms)
    while ahead and len(days) < most:
        days.append(int(ahead[0]))
        ahead = [day for day in ahead[1:] if day >= days[-1] + rest]
    return days
""",
    )
    mistakes = (
        Mistake(
            "rests from the last alarm",
            """def trainings(alarms, rest, most):
    days, last = [], None
    for day in alarms:
        if len(days) < most and (last is None or day - last >= rest):
            days.append(int(day))
        last = day
    return days
""",
            "Your rest begins anew with every alarm, so alarms day after day silence the trigger. It counts from the last training.",
        ),
        Mistake(
            "ignores the budget",
            """def trainings(alarms, rest, most):
    days = []
    for day in alarms:
        if not days or day - days[-1] >= rest:
            days.append(int(day))
    return days
""",
            "You train more than `most` times: nothing stops the alarms from spending.",
        ),
        Mistake(
            "waits a day too long",
            """def trainings(alarms, rest, most):
    days = []
    for day in alarms:
        if len(days) < most and (not days or day - days[-1] > rest):
            days.append(int(day))
    return days
""",
            "You wait longer than `rest`: after exactly `rest` days a training may start.",
        ),
        Mistake(
            "does not rest",
            """def trainings(alarms, rest, most):
    return [int(day) for day in alarms[:most]]
""",
            "You train on each alarm. A model that was made yesterday has no labels yet that could tell whether it is better.",
        ),
        Mistake(
            "rests before the first",
            """def trainings(alarms, rest, most):
    days, last = [], 0
    for day in alarms:
        if len(days) < most and day - last >= rest:
            days.append(int(day))
            last = day
    return days
""",
            "You rest before the first training too. There was none to rest from: the first alarm starts one.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Alarms in rows; then exactly after the rest, no budget, no alarm, no rest."""
        import numpy as np

        for _ in range(3):
            start = int(rng.integers(1, 8))
            alarms = np.unique(np.r_[start, start + 1, start + rng.integers(1, 200, 60)])
            yield Case((alarms, int(rng.integers(10, 40)), int(rng.integers(2, 5))))
            yield Case((alarms, 9, 50))
        yield Case((np.arange(1, 100), 30, 3))
        yield Case((np.array([5, 15, 25, 34]), 10, 9), edge="an alarm exactly after the rest")
        yield Case((np.array([5, 15]), 10, 0), edge="no budget")
        yield Case((np.array([], int), 10, 3), edge="no alarm")
        yield Case((np.array([3, 4, 5]), 0, 2), edge="no rest")


class FairDuel(Exercise):
    """The same flights for both, and days as units."""

    id = "retrain-3"
    title = "A fair duel"
    starter = """def fair_duel(day, champion, challenger):
    return ____
"""
    hints = (
        "First find the flights that both answered: `both = ~np.isnan(champion) & ~np.isnan(challenger)`.",
        "The difference of each of these flights, added up by day (`groupby(day[both]).sum()`), then the mean over days.",
    )
    solutions = (
        """def fair_duel(day, champion, challenger):
    both = ~np.isnan(champion) & ~np.isnan(challenger)
    return float(pd.Series((challenger - champion)[both]).groupby(day[both]).sum().mean())
""",
        """def fair_duel(day, champion, challenger):
    sums = {}
    for d, old, new in zip(day, champion, challenger):
        if old == old and new == new:
            sums[d] = sums.get(d, 0.0) + new - old
    return sum(sums.values()) / len(sums) if sums else np.nan
""",
    )
    mistakes = (
        Mistake(
            "silence counts as zero",
            """def fair_duel(day, champion, challenger):
    gain = np.nan_to_num(challenger) - np.nan_to_num(champion)
    return float(pd.Series(gain).groupby(day).sum().mean())
""",
            "You count a missing answer as 0 dollars. On flights that lose money silence would be a virtue: take those that **both** answered.",
        ),
        Mistake(
            "each on its own flights",
            """def fair_duel(day, champion, challenger):
    a, b = (pd.Series(x).dropna() for x in (champion, challenger))
    return float(b.groupby(day[b.index]).sum().mean() - a.groupby(day[a.index]).sum().mean())
""",
            "Each model is judged on the flights that it chose to answer. Compare them on those that both answered.",
        ),
        Mistake(
            "mean of flights",
            """def fair_duel(day, champion, challenger):
    return float(pd.Series(challenger - champion).mean())
""",
            "You take the mean over flights. Dollars **a day** are asked: add up each day, then take the mean over days.",
        ),
        Mistake(
            "mean within each day",
            """def fair_duel(day, champion, challenger):
    return float(pd.Series(challenger - champion).dropna().groupby(day[~np.isnan(challenger - champion)]).mean().mean())
""",
            "You take the mean within each day. A busy day weighs more in money: add its flights up.",
        ),
        Mistake(
            "counts empty days",
            """def fair_duel(day, champion, challenger):
    return float(pd.Series(challenger - champion).groupby(day).sum().mean())
""",
            "You count days on which no flight was answered by both as a draw. They say nothing: leave them out.",
        ),
        Mistake(
            "the other way round",
            """def fair_duel(day, champion, challenger):
    both = ~np.isnan(champion) & ~np.isnan(challenger)
    return float(pd.Series((champion - challenger)[both]).groupby(day[both]).sum().mean())
""",
            "You subtract the challenger from the champion. Positive must mean that the challenger saves more.",
        ),
        Mistake(
            "leaves draws out",
            """def fair_duel(day, champion, challenger):
    daily = pd.Series(challenger - champion).groupby(day).sum()
    return float(daily[daily != 0].mean())
""",
            "You leave out days on which both saved the same. Such a day is a draw, and it counts; only a day without any flight "
            "that both answered does not.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Days of unequal size, answers that lack on either side, days without any; then none at all."""
        import numpy as np

        for _ in range(3):
            day = rng.choice(12, 150, p=np.r_[0.3, np.full(11, 0.7 / 11)]) + 5
            old, new = rng.normal(-50, 400, 150).round(2), rng.normal(0, 400, 150).round(2)
            old[rng.random(150) < 0.15] = np.nan
            new[(rng.random(150) < 0.25) | (day == 7)] = np.nan
            yield Case((day, old, new))
        yield Case((day, np.where(np.isnan(old), 1.0, old), np.where(np.isnan(new), 2.0, new)))
        yield Case((day, old, np.where(day == 9, old, new)))  # a day on which both save the same
        yield Case((day[:40], np.full(40, np.nan), new[:40]), edge="no flight that both answered")
        yield Case((day[:0], old[:0], new[:0]), edge="no flight at all")


class WayBack(Exercise):
    """Undo needs an address: the version before, not the number before."""

    id = "retrain-4"
    title = "The way back"
    starter = """def deciding(steps):
    return ____
"""
    hints = (
        "Keep a list of the versions that decide, the newest last: promote appends, undo takes the last one away.",
        'The first version can never be taken away: an "undo" with one version left changes nothing.',
    )
    solutions = (
        """def deciding(steps):
    live = []
    for step in steps:
        if step != "undo":
            live.append(step)
        elif len(live) > 1:
            live.pop()
    return live[-1]
""",
        """def deciding(steps):
    skip = 0
    for step in steps[:0:-1]:
        if step == "undo":
            skip += 1
        elif skip:
            skip -= 1
        else:
            return step
    return steps[0]
""",
    )
    mistakes = (
        Mistake(
            "undo of an undo",
            """def deciding(steps):
    now = before = steps[0]
    for step in steps[1:]:
        now, before = (before, now) if step == "undo" else (step, now)
    return now
""",
            "Your second undo brings back what the first one took away. Each undo goes one step further back.",
        ),
        Mistake(
            "goes back by number",
            """def deciding(steps):
    now = steps[0]
    for step in steps[1:]:
        now = max(1, now - 1) if step == "undo" else step
    return now
""",
            "You go back to the number before. That version may have been refused: go back to the one that decided before.",
        ),
        Mistake(
            "falls off the end",
            """def deciding(steps):
    live = [steps[0]]
    for step in steps[1:]:
        live = live[:-1] if step == "undo" else [*live, step]
    return live[-1] if live else None
""",
            "You undo the first version too, and nobody decides. The first version always stays.",
        ),
        Mistake(
            "undo does nothing",
            """def deciding(steps):
    return [step for step in steps if step != "undo"][-1]
""",
            "You take the last version promoted and ignore the undos after it.",
        ),
        Mistake(
            "back to the start",
            """def deciding(steps):
    live = [steps[0]]
    for step in steps[1:]:
        live = live[:1] if step == "undo" else [*live, step]
    return live[-1]
""",
            "Your undo goes back to the very first version. One step back is asked.",
        ),
        Mistake(
            "takes the highest number",
            """def deciding(steps):
    live = {steps[0]}
    for step in steps[1:]:
        if step != "undo":
            live.add(step)
        elif len(live) > 1:
            live.discard(max(live))
    return max(live)
""",
            "You take the highest number for the newest. An older version may be promoted again: the order of promotion counts.",
        ),
        Mistake(
            "takes the first of its name away",
            """def deciding(steps):
    live = [steps[0]]
    for step in steps[1:]:
        if step != "undo":
            live.append(step)
        elif len(live) > 1:
            live.remove(live[-1])
    return live[-1]
""",
            "`remove` takes away the *first* entry with that version, an earlier promotion of it. Take the last entry: `pop()`.",
        ),
        Mistake(
            "never again",
            """def deciding(steps):
    undone, live = set(), []
    for step in steps:
        alive = [version for version in live if version not in undone]
        if step != "undo":
            live.append(step)
        elif len(alive) > 1:
            undone.add(alive[-1])
    return [version for version in live if version not in undone][-1]
""",
            "You let a version that was once undone never decide again. One promoted anew decides: take back a *promotion*, not a version.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Histories of promotions and undos; then an undo with nothing before, one step."""
        for _ in range(4):
            live = [int(rng.integers(1, 9))]
            steps = live[:]
            for _ in range(12):
                if rng.random() < 0.45:
                    steps.append("undo")
                    live = live[:-1] or live
                else:
                    live.append(int(rng.choice([v for v in range(1, 9) if v != live[-1]])))
                    steps.append(live[-1])
            yield Case((steps,))
        yield Case(([9, 4, 7, 4, "undo"],))  # an older version decides again, and is undone
        yield Case(([9, 4, "undo"],))  # a lower number is not an earlier promotion
        yield Case(([3, 7, "undo", 7],))  # what was undone may be promoted again
        yield Case(([4, 9, 4, "undo", "undo"],))  # promoted anew, it still decided before
        yield Case(([1, 4, 9, "undo", "undo"],))
        yield Case(([3, 7, 9, "undo", 12, "undo"],))
        yield Case(([5, "undo", "undo"],), edge="nothing to go back to")
        yield Case(([2, "undo", 6, "undo"],), edge="an undo too many, and then a promotion")
        yield Case(([7],), edge="one version alone")
