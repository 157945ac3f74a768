"""Exercises of lesson 26: the money of a watch, patience with a price, delays and false alarms, the share of the oracle's lead."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class Worth(Exercise):
    """An act pays once, and costs each time."""

    id = "simulate-1"
    title = "Net savings of a watch"
    starter = """def worth(acts, bad, answered, prevented, act_cost, lookup):
    return ____
"""
    hints = (
        "Three sums: what was prevented, what the acts cost, what the missing answers cost.",
        "A loss is prevented on flights that are bad **and** were acted on at least once: `bad & (acts > 0)`. "
        "Every act costs, the second on the same flight too: `acts.sum()`.",
    )
    solutions = (
        """def worth(acts, bad, answered, prevented, act_cost, lookup):
    saved = prevented * (bad & (acts > 0)).sum()
    return float(saved - act_cost * acts.sum() - lookup * (~answered).sum())
""",
        """def worth(acts, bad, answered, prevented, act_cost, lookup):
    total = 0.0
    for times, late, known in zip(acts, bad, answered):
        total -= act_cost * times
        if late and times:
            total += prevented
        if not known:
            total -= lookup
    return total
""",
    )
    mistakes = (
        Mistake(
            "prevents the loss twice",
            """def worth(acts, bad, answered, prevented, act_cost, lookup):
    return float((acts * (prevented * bad - act_cost)).sum() - lookup * (~answered).sum())
""",
            "You count the prevented loss once an act. A repeated message makes the desk act twice, but the flight is late only once.",
        ),
        Mistake(
            "pays once a flight",
            """def worth(acts, bad, answered, prevented, act_cost, lookup):
    acted = acts > 0
    return float(prevented * (bad & acted).sum() - act_cost * acted.sum() - lookup * (~answered).sum())
""",
            "You charge a flight once, however often the desk acted. Each act costs: that is why repeated events are an incident.",
        ),
        Mistake(
            "saves on good flights",
            """def worth(acts, bad, answered, prevented, act_cost, lookup):
    return float(prevented * (acts > 0).sum() - act_cost * acts.sum() - lookup * (~answered).sum())
""",
            "You count a prevented loss on every flight acted on. Where the flight is good there was nothing to prevent.",
        ),
        Mistake(
            "forgets the silence",
            """def worth(acts, bad, answered, prevented, act_cost, lookup):
    return float(prevented * (bad & (acts > 0)).sum() - act_cost * acts.sum())
""",
            "You leave out flights without an answer. Somebody looks each of them up, and that costs `lookup`.",
        ),
        Mistake(
            "charges the answers",
            """def worth(acts, bad, answered, prevented, act_cost, lookup):
    return float(prevented * (bad & (acts > 0)).sum() - act_cost * acts.sum() - lookup * answered.sum())
""",
            "You charge `lookup` for flights that **were** answered. It is the unanswered ones that somebody looks up.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Watches with repeated messages and silence; then nobody, a night without flights, all silent."""
        import numpy as np

        for _ in range(3):
            n = int(rng.integers(30, 60))
            acts, bad = rng.choice([0, 0, 1, 1, 2, 3], n), rng.random(n) < 0.4
            known = rng.random(n) < 0.8
            yield Case(
                (
                    acts,
                    bad,
                    known,
                    float(rng.integers(900, 2000)),
                    float(rng.integers(200, 500)),
                    float(rng.integers(10, 40)),
                )
            )
        one = np.array([1]), np.array([True]), np.array([True])
        yield Case((*one, 1587.0, 400.0, 25.0))
        empty = np.array([], int), np.array([], bool), np.array([], bool)
        yield Case((*empty, 1587.0, 400.0, 25.0), edge="a night without a flight")
        yield Case(
            (np.zeros(5, int), np.ones(5, bool), np.zeros(5, bool), 1587.0, 400.0, 25.0),
            edge="a service that is down",
        )


class Patience(Exercise):
    """Waiting makes an alarm surer, and the incident dearer."""

    id = "simulate-2"
    title = "An alarm with a price"
    starter = """def patience(loss, price, wrong):
    return ____
"""
    hints = (
        "There are 30 candidates: write the cost of each, and take the least.",
        "`d = np.arange(1, 31)`, cost `loss * d + price * wrong**d`; `np.argmin` gives the first of equals.",
    )
    solutions = (
        """def patience(loss, price, wrong):
    d = np.arange(1, 31)
    return int(d[np.argmin(loss * d + price * wrong**d)])
""",
        """def patience(loss, price, wrong):
    costs = {days: loss * days + price * wrong**days for days in range(1, 31)}
    return min(costs, key=costs.get)
""",
    )
    mistakes = (
        Mistake(
            "counts from no evidence",
            """def patience(loss, price, wrong):
    d = np.arange(0, 31)
    return int(d[np.argmin(loss * d + price * wrong**d)])
""",
            "You allow 0 days. Without a day of evidence there is no alarm: begin with 1.",
        ),
        Mistake(
            "never wrong in the long run",
            """def patience(loss, price, wrong):
    d = np.arange(1, 31)
    return int(d[np.argmin(loss * d + price * wrong)])
""",
            "Your alarm is as often wrong after ten days as after one. Each day of evidence multiplies the chance: `wrong ** d`.",
        ),
        Mistake(
            "forgets the loss",
            """def patience(loss, price, wrong):
    d = np.arange(1, 31)
    return int(d[np.argmin(price * wrong**d)])
""",
            "You wait until the alarm is sure, at any loss. The incident goes on while you wait: add `loss` for each day.",
        ),
        Mistake(
            "shares the error out",
            """def patience(loss, price, wrong):
    d = np.arange(1, 31)
    return int(d[np.argmin(loss * d + price * wrong / d)])
""",
            "You divide the chance of a wrong alarm by the days. Independent days of evidence multiply: `wrong ** d`.",
        ),
        Mistake(
            "waits on equals",
            """def patience(loss, price, wrong):
    costs = [loss * d + price * wrong**d for d in range(1, 31)]
    return 30 - costs[::-1].index(min(costs))
""",
            "Of equal costs you take the longest wait. Take the smallest d.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Dear and cheap incidents, sure and unsure alarms; then ties, an alarm that is always wrong, no loss."""
        for _ in range(6):
            yield Case(
                (float(rng.uniform(20, 400)), float(rng.uniform(2000, 9000)), float(rng.uniform(0.5, 0.9)))
            )
        yield Case((1.0, 4.0, 0.5))  # 3 after one day, 3 after two
        yield Case((1e5, 4000.0, 0.5))
        yield Case((0.0, 4000.0, 1.0), edge="an alarm that is always wrong")
        yield Case((0.0, 4000.0, 0.9), edge="an incident without a loss: at most 30 days")
        yield Case((10.0, 0.0, 0.5), edge="a mend for nothing")


class Delays(Exercise):
    """First right alarm of each incident; alarms in none are false."""

    id = "simulate-3"
    title = "Detection delay and false alarms"
    starter = """def delays(starts, ends, alarms):
    return ____
"""
    hints = (
        "For one incident: the alarms with `start <= alarm < end`; the least of them less the start, or NaN if there is none.",
        "An alarm is false if it lies in no incident. One alarm in two incidents that overlap finds both, and is not false.",
        "Return `np.array([...])` and an `int`.",
    )
    solutions = (
        """def delays(starts, ends, alarms):
    inside = (alarms[:, None] >= starts) & (alarms[:, None] < ends)
    waits = np.where(inside, alarms[:, None] - starts, np.inf).min(axis=0, initial=np.inf)
    return np.where(np.isinf(waits), np.nan, waits), int((~inside.any(axis=1)).sum())
""",
        """def delays(starts, ends, alarms):
    found = []
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(min(own)) if own else np.nan)
    false = sum(not any(s <= a < e for s, e in zip(starts, ends)) for a in alarms)
    return np.array(found), int(false)
""",
    )
    mistakes = (
        Mistake(
            "takes alarms after the end",
            """def delays(starts, ends, alarms):
    found = []
    for start in starts:
        own = [a - start for a in alarms if a >= start]
        found.append(float(min(own)) if own else np.nan)
    false = sum(not any(s <= a < e for s, e in zip(starts, ends)) for a in alarms)
    return np.array(found), int(false)
""",
            "You credit an incident with an alarm that came after its end. Whoever is late for all of it has not found it.",
        ),
        Mistake(
            "takes the last alarm",
            """def delays(starts, ends, alarms):
    found = []
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(max(own)) if own else np.nan)
    false = sum(not any(s <= a < e for s, e in zip(starts, ends)) for a in alarms)
    return np.array(found), int(false)
""",
            "You take the last alarm of an incident. It was noticed at the first.",
        ),
        Mistake(
            "trusts the order",
            """def delays(starts, ends, alarms):
    found = []
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(own[0]) if own else np.nan)
    false = sum(not any(s <= a < e for s, e in zip(starts, ends)) for a in alarms)
    return np.array(found), int(false)
""",
            "You take the first alarm in the array, which is in any order. Take the earliest.",
        ),
        Mistake(
            "uses an alarm once",
            """def delays(starts, ends, alarms):
    found, left = [], sorted(alarms)
    for start, end in zip(starts, ends):
        own = [a for a in left if start <= a < end]
        found.append(float(own[0] - start) if own else np.nan)
        left = [a for a in left if a not in own]
    return np.array(found), len(left)
""",
            "You use up an alarm with the first incident that it falls into. Where two overlap, one alarm finds both.",
        ),
        Mistake(
            "a miss is no delay",
            """def delays(starts, ends, alarms):
    found = []
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(min(own)) if own else 0.0)
    false = sum(not any(s <= a < e for s, e in zip(starts, ends)) for a in alarms)
    return np.array(found), int(false)
""",
            "An incident that nobody noticed gets the delay 0, the best there is. It has none: NaN.",
        ),
        Mistake(
            "counts every repeat as false",
            """def delays(starts, ends, alarms):
    found = []
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(min(own)) if own else np.nan)
    return np.array(found), int(len(alarms) - np.isfinite(found).sum())
""",
            "You call all alarms false beyond one for each incident. A second alarm in an incident that still goes on is right.",
        ),
        Mistake(
            "trusts what lies between",
            """def delays(starts, ends, alarms):
    found = []
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(min(own)) if own else np.nan)
    false = sum(a < min(starts, default=np.inf) or a >= max(ends, default=-np.inf) for a in alarms)
    return np.array(found), int(false)
""",
            "You call an alarm false only before the first incident or after the last. One *between* two incidents is false too.",
        ),
        Mistake(
            "counts an hour once",
            """def delays(starts, ends, alarms):
    found, hours = [], set(alarms)
    for start, end in zip(starts, ends):
        own = [a - start for a in alarms if start <= a < end]
        found.append(float(min(own)) if own else np.nan)
    false = sum(not any(s <= a < e for s, e in zip(starts, ends)) for a in hours)
    return np.array(found), int(false)
""",
            "You count false alarms of the same hour once. Each alarm calls somebody out: count them all.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Incidents that overlap, alarms before, in and after them; then the borders, no alarm, no incident."""
        import numpy as np

        for _ in range(3):
            starts = rng.permutation(np.arange(6) * 50 + rng.integers(0, 20, 6))
            ends = starts + rng.integers(30, 90, 6)
            inside = np.concatenate(
                [rng.integers(s, e, 2) for s, e in zip(starts[:4], ends[:4], strict=True)]
            )
            yield Case((starts, ends, rng.permutation(np.r_[inside, rng.integers(400, 600, 3), -5])))
        a = lambda *x: np.array(x)
        yield Case((a(10, 30), a(20, 60), a(55, 50, 70, 40, 32)))
        yield Case(
            (a(10, 60), a(20, 80), a(40, 40, 65, 12))
        )  # false alarms between two incidents, on one hour
        yield Case((a(10, 15, 100), a(40, 50, 120), a(20, 130)))
        yield Case(
            (a(10, 40), a(20, 50), a(10, 50)), edge="an alarm exactly at the start, and one at the end"
        )
        yield Case((a(10, 40), a(20, 50), np.array([], int)), edge="no alarm at all")
        yield Case((np.array([], int), np.array([], int), a(3, 4)), edge="nothing happened")


class Share(Exercise):
    """A mean of shares, over seeds in which there was something to win."""

    id = "simulate-4"
    title = "The share of what could be had"
    starter = """def share(nothing, mine, oracle):
    return ____
"""
    hints = (
        "For each seed: (mine - nothing) / (oracle - nothing), where the oracle leads.",
        "With n seeds that count: mean, and mean ± 1.96 * std(ddof=1) / sqrt(n). Return three floats.",
    )
    solutions = (
        """def share(nothing, mine, oracle):
    leads = oracle > nothing
    got = (mine - nothing)[leads] / (oracle - nothing)[leads]
    if len(got) < 2:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std(ddof=1) / len(got) ** 0.5
    return got.mean(), got.mean() - half, got.mean() + half
""",
        """def share(nothing, mine, oracle):
    got = pd.Series([(m - n) / (o - n) for n, m, o in zip(nothing, mine, oracle) if o > n], dtype=float)
    if len(got) > 1:
        half = 1.96 * got.sem()
        return got.mean(), got.mean() - half, got.mean() + half
    return (np.nan,) * 3
""",
    )
    mistakes = (
        Mistake(
            "divides the money itself",
            """def share(nothing, mine, oracle):
    leads = oracle > nothing
    got = mine[leads] / oracle[leads]
    if len(got) < 2:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std(ddof=1) / len(got) ** 0.5
    return got.mean(), got.mean() - half, got.mean() + half
""",
            "You divide money by money. Most of it was earned by the model, and *do nothing* gets it too: measure from there.",
        ),
        Mistake(
            "counts seeds without a lead",
            """def share(nothing, mine, oracle):
    gap = oracle - nothing
    got = np.where(gap > 0, (mine - nothing) / np.where(gap > 0, gap, 1), 0.0)
    if len(got) < 2:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std(ddof=1) / len(got) ** 0.5
    return got.mean(), got.mean() - half, got.mean() + half
""",
            "Seeds in which there was nothing to win count as a share of 0 with you. They say nothing: leave them out.",
        ),
        Mistake(
            "forgets the root",
            """def share(nothing, mine, oracle):
    leads = oracle > nothing
    got = (mine - nothing)[leads] / (oracle - nothing)[leads]
    if len(got) < 2:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std(ddof=1)
    return got.mean(), got.mean() - half, got.mean() + half
""",
            "Your interval is that of a single seed. The mean of n is surer: divide the spread by the root of n.",
        ),
        Mistake(
            "spread of a population",
            """def share(nothing, mine, oracle):
    leads = oracle > nothing
    got = (mine - nothing)[leads] / (oracle - nothing)[leads]
    if len(got) < 2:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std() / len(got) ** 0.5
    return got.mean(), got.mean() - half, got.mean() + half
""",
            "Your spread divides by n. The seeds are a sample: `ddof=1`.",
        ),
        Mistake(
            "one seed is enough",
            """def share(nothing, mine, oracle):
    leads = oracle > nothing
    got = (mine - nothing)[leads] / (oracle - nothing)[leads]
    if len(got) < 1:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std(ddof=1) / len(got) ** 0.5 if len(got) > 1 else 0.0
    return got.mean(), got.mean() - half, got.mean() + half
""",
            "A single seed gets an interval of width 0 with you. It has no spread, so it proves nothing: three NaN.",
        ),
        Mistake(
            "lets nobody beat the oracle",
            """def share(nothing, mine, oracle):
    leads = oracle > nothing
    got = np.minimum((mine - nothing)[leads] / (oracle - nothing)[leads], 1)
    if len(got) < 2:
        return np.nan, np.nan, np.nan
    half = 1.96 * got.std(ddof=1) / len(got) ** 0.5
    return got.mean(), got.mean() - half, got.mean() + half
""",
            "You cut shares at 1. Now and then luck or a better model beats the yardstick: cut, the good seeds count less than they are.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Twenty seeds; then some without a lead, an operator that loses, two seeds, one, none."""
        import numpy as np

        def seeds(n):
            nothing = rng.normal(1e6, 2e5, n)
            lead = rng.uniform(1e5, 9e5, n)
            return nothing, nothing + lead * rng.uniform(-0.2, 1.0, n), nothing + lead

        for n in (20, 7):
            yield Case(seeds(n))
        nothing, mine, oracle = seeds(9)
        yield Case((nothing, np.where(np.arange(9) == 3, nothing + 1.1 * (oracle - nothing), mine), oracle))
        yield Case((nothing, mine, np.where(np.arange(9) % 3, oracle, nothing - 500)))
        yield Case(
            (nothing, mine, np.where(np.arange(9) == 4, nothing, oracle)),
            edge="a seed in which the oracle leads by nothing",
        )
        yield Case(seeds(2), edge="two seeds")
        yield Case(seeds(1), edge="a single seed")
        yield Case(seeds(0), edge="no seed at all")
