"""Exercises of lesson 17: the best rule within a budget, weights undone, acts as the clock runs, a gate with an interval."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class BestRule(Exercise):
    """Sort once, add up, and look only where a threshold can cut."""

    id = "decide-1"
    title = "The best rule within a budget"
    starter = """def best_rule(p, gain, most):
    return ____
"""
    hints = (
        "Sort the flights from the highest p down and add up their gains: `np.cumsum` gives what each number of acts earns.",
        "A threshold cannot part two flights with the same p. `np.unique(-p, return_counts=True)[1]` tells how many flights "
        "share each p, from the highest down; its running sum are the numbers of acts that a rule can reach.",
        "Acting on nobody is a rule too: 0 acts, 0 dollars. Keep the numbers of acts up to `most`, and take the first of "
        "the best.",
    )
    solutions = (
        """def best_rule(p, gain, most):
    totals = np.append(0.0, np.cumsum(gain[np.argsort(-p)]))
    acts = np.append(0, np.cumsum(np.unique(-p, return_counts=True)[1]))
    acts = acts[acts <= most]
    best = acts[np.argmax(totals[acts])]
    return int(best), float(totals[best])
""",
        """def best_rule(p, gain, most):
    best = 0, 0.0
    for cut in sorted(set(p), reverse=True):
        act = p >= cut
        if act.sum() <= most and gain[act].sum() > best[1]:
            best = int(act.sum()), float(gain[act].sum())
    return best
""",
    )
    mistakes = (
        Mistake(
            "parts equal p",
            """def best_rule(p, gain, most):
    totals = np.append(0.0, np.cumsum(gain[np.argsort(-p, kind="stable")]))[: most + 1]
    best = np.argmax(totals)
    return int(best), float(totals[best])
""",
            "You cut between flights with the same p. No threshold can do that: they act together or not at all.",
        ),
        Mistake(
            "ignores the budget",
            """def best_rule(p, gain, most):
    totals = np.append(0.0, np.cumsum(gain[np.argsort(-p)]))
    acts = np.append(0, np.cumsum(np.unique(-p, return_counts=True)[1]))
    best = acts[np.argmax(totals[acts])]
    return int(best), float(totals[best])
""",
            "Your rule acts on more than `most` flights. Only rules within the budget may be compared.",
        ),
        Mistake(
            "is below the budget",
            """def best_rule(p, gain, most):
    totals = np.append(0.0, np.cumsum(gain[np.argsort(-p)]))
    acts = np.append(0, np.cumsum(np.unique(-p, return_counts=True)[1]))
    acts = acts[acts < max(most, 1)]
    best = acts[np.argmax(totals[acts])]
    return int(best), float(totals[best])
""",
            "You leave out the rule that acts on exactly `most` flights. At most `most` includes it.",
        ),
        Mistake(
            "spends the whole budget",
            """def best_rule(p, gain, most):
    acts = np.append(0, np.cumsum(np.unique(-p, return_counts=True)[1]))
    best = acts[acts <= most].max()
    return int(best), float(gain[np.argsort(-p)][:best].sum())
""",
            "You act on as many flights as the budget allows. A budget is a limit, not a target: the last acts may lose.",
        ),
        Mistake(
            "stops at the first loss",
            """def best_rule(p, gain, most):
    best = 0, 0.0
    for cut in sorted(set(p), reverse=True):
        act = p >= cut
        if act.sum() > most or gain[act].sum() < best[1]:
            return best
        best = int(act.sum()), float(gain[act].sum())
    return best
""",
            "You stop when the total falls for the first time. It may rise again, and higher: compare all rules.",
        ),
        Mistake(
            "must act",
            """def best_rule(p, gain, most):
    totals = np.append(0.0, np.cumsum(gain[np.argsort(-p)]))
    acts = np.cumsum(np.unique(-p, return_counts=True)[1])
    acts = acts[acts <= most]
    if not len(acts):
        return 0, 0.0
    best = acts[np.argmax(totals[acts])]
    return int(best), float(totals[best])
""",
            "Your rule always acts, even where every act loses money. Acting on nobody is a rule as well, and gains 0.",
        ),
        Mistake(
            "tries a grid of thresholds",
            """def best_rule(p, gain, most):
    best = 0, 0.0
    for cut in np.linspace(1, 0, 101):
        act = p > cut
        if act.sum() <= most and gain[act].sum() > best[1]:
            best = int(act.sum()), float(gain[act].sum())
    return best
""",
            "You try thresholds on a grid, which steps over the rules between two of its points. Only the p themselves can be "
            "told apart: cut at each of them.",
        ),
        Mistake(
            "never acts on all",
            """def best_rule(p, gain, most):
    best = 0, 0.0
    for cut in np.unique(p)[::-1]:
        act = p > cut
        if act.sum() <= most and gain[act].sum() > best[1]:
            best = int(act.sum()), float(gain[act].sum())
    return best
""",
            "No rule of yours acts on the flights of the lowest p: above the lowest they never are. A threshold below every p "
            "acts on all, and is a rule too.",
        ),
        Mistake(
            "sorts by gain",
            """def best_rule(p, gain, most):
    totals = np.append(0.0, np.cumsum(np.sort(gain)[::-1]))[: most + 1]
    best = np.argmax(totals)
    return int(best), float(totals[best])
""",
            "You sort by gain. The desk does not know the gain when it acts, only p: sort by p.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Flights with repeated, close p, budgets that bind or not, gains only, many; then losses only, no budget, equal totals."""
        import numpy as np

        for share in 0.2, 0.5, 1.0, 1.0:
            n = int(rng.integers(40, 60))
            p = rng.choice(0.5 + 2e-4 * rng.random(12), n)  # shared, and closer than any grid of thresholds
            gain = rng.normal(60 * (p > np.quantile(p, 0.4)) - 20, 100)
            gain[rng.permutation(n)[: n // 2]] += 25
            yield Case((p, gain, int(share * n)))
        yield Case((p, abs(gain) + 5, n))  # every act pays: the best rule acts on all
        many, pays = rng.permutation(1000), rng.normal(40, 5, 1000)  # best: 505 acts, between two hundredths
        yield Case((0.3 + 1e-7 * many, np.where(many >= 495, pays, -pays), 1000))
        rise = np.repeat([900.0, -400.0, 700.0, -2000.0], 3) + rng.normal(0, 1, 12)
        for most in 12, 9:
            yield Case((np.repeat([0.9, 0.7, 0.5, 0.3], 3), rise, most))
        yield Case((p, -abs(gain) - 5, n), edge="every act loses money")
        yield Case((p, gain, 0), edge="a budget of 0")
        three = np.array([0.9, 0.9, 0.2]), np.array([0.9, 0.5, 0.1])
        yield Case((three[0], np.array([5.0, 7.0, 1.0]), 1), edge="more equals than the budget allows")
        yield Case((three[1], np.array([5.0, -3.0, 3.0]), 3), edge="two rules gain the same: fewest acts")
        yield Case((np.array([0.9, 0.5]), np.array([0.0, 0.0]), 2), edge="acting gains exactly nothing")


class Undo(Exercise):
    """Bayes' rule with another prior: only the odds change, by one factor."""

    id = "decide-2"
    title = "Undo the weights"
    starter = """def undo(p, seen, real):
    return ____
"""
    hints = (
        "Weights multiply flights. Where bad flights counted `seen / real` times too much, divide by that; where good ones "
        "counted `(1 - seen) / (1 - real)` times, divide by that.",
        "So a flight's bad part is `p * real / seen`, its good part `(1 - p) * (1 - real) / (1 - seen)`.",
        "A probability is the bad part of both: bad / (bad + good). That stays right for p = 0 and p = 1.",
    )
    solutions = (
        """def undo(p, seen, real):
    bad, good = p * real / seen, (1 - p) * (1 - real) / (1 - seen)
    return bad / (bad + good)
""",
        """def undo(p, seen, real):
    factor = real / (1 - real) * (1 - seen) / seen
    return p * factor / (1 + p * (factor - 1))
""",
    )
    mistakes = (
        Mistake(
            "scales the probability",
            """def undo(p, seen, real):
    return p * real / seen
""",
            "You multiply p by `real / seen`. A flight that is certain to be bad would become uncertain: the *odds* "
            "p / (1 - p) change by a factor, not p.",
        ),
        Mistake(
            "turns it around",
            """def undo(p, seen, real):
    bad, good = p * seen / real, (1 - p) * (1 - seen) / (1 - real)
    return bad / (bad + good)
""",
            "You go the wrong way: this takes a model of reality to the weighted sample. Swap `seen` and `real`.",
        ),
        Mistake(
            "forgets the good flights",
            """def undo(p, seen, real):
    bad = p * real / seen
    return bad / (bad + 1 - p)
""",
            "You correct the bad flights and forget that the good ones were counted wrongly too.",
        ),
        Mistake(
            "shifts by the difference",
            """def undo(p, seen, real):
    return np.clip(p - (seen - real), 0, 1)
""",
            "You subtract the difference of the shares. Then all p below it become 0, and the order is lost: change the odds.",
        ),
        Mistake(
            "divides by zero",
            """def undo(p, seen, real):
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = p / (1 - p) * real / (1 - real) * (1 - seen) / seen
        return odds / (1 + odds)
""",
            "Your odds are infinite where p is 1, and the result is not a number. Compute the bad and the good part, and "
            "divide once.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Samples balanced, over- and under-weighted; then certainty, and a sample like reality."""
        import numpy as np

        for seen in 0.5, 0.8, 0.05:
            yield Case((rng.random(12), seen, float(rng.uniform(0.1, 0.3))))
        yield Case((np.array([0.0, 0.5, 1.0]), 0.5, 0.2), edge="p is exactly 0 or 1")
        yield Case((rng.random(5), 0.2, 0.2), edge="the sample was like reality: nothing changes")
        yield Case((np.array([]), 0.5, 0.2), edge="no flight at all")


class ActInTurn(Exercise):
    """As the clock runs: what is done is done, and what comes is not known."""

    id = "decide-3"
    title = "Never more than N in any 60 minutes"
    starter = """def act_in_turn(p, minute, price, most):
    return ____
"""
    hints = (
        "Walk through the flights in order of time: `for i in np.argsort(minute, kind='stable')` keeps the given order "
        "within a minute.",
        "At each flight count the *acts* whose minute is later than `minute[i] - 60`. Flights without an act cost nothing.",
        "Write the decision to `act[i]`, so that the answer is in the order of the input.",
    )
    solutions = (
        """def act_in_turn(p, minute, price, most):
    act, recent = np.zeros(len(p), bool), []
    for i in np.argsort(minute, kind="stable"):
        recent = [m for m in recent if m > minute[i] - 60]
        if p[i] > price and len(recent) < most:
            act[i] = True
            recent.append(minute[i])
    return act
""",
        """def act_in_turn(p, minute, price, most):
    act = np.zeros(len(p), bool)
    for i in np.argsort(minute, kind="stable"):
        busy = act & (minute[i] - minute < 60)
        act[i] = p[i] > price and busy.sum() < most
    return act
""",
    )
    mistakes = (
        Mistake(
            "peeks",
            """def act_in_turn(p, minute, price, most):
    act = np.zeros(len(p), bool)
    for i in np.argsort(-p, kind="stable"):
        ahead = act & (minute >= minute[i]) & (minute - minute[i] < 60)
        behind = act & (minute <= minute[i]) & (minute[i] - minute < 60)
        act[i] = p[i] > price and max(ahead.sum(), behind.sum()) < most
    return act
""",
            "You serve the highest p first. When the desk decides, the best flight of the hour may not have come up yet: "
            "go through the flights in order of time.",
        ),
        Mistake(
            "counts clock hours",
            """def act_in_turn(p, minute, price, most):
    act, done = np.zeros(len(p), bool), {}
    for i in np.argsort(minute, kind="stable"):
        hour = minute[i] // 60
        act[i] = p[i] > price and done.get(hour, 0) < most
        done[hour] = done.get(hour, 0) + act[i]
    return act
""",
            "You count by clock hour. Then twice `most` acts fit into the minutes around a full hour: look back 60 minutes "
            "from each flight.",
        ),
        Mistake(
            "counts calendar days",
            """def act_in_turn(p, minute, price, most):
    act, done = np.zeros(len(p), bool), {}
    for i in np.argsort(minute, kind="stable"):
        day = minute[i] // 1440
        act[i] = p[i] > price and done.get(day, 0) < most
        done[day] = done.get(day, 0) + act[i]
    return act
""",
            "You count by day. The crew is free again 60 minutes after an act.",
        ),
        Mistake(
            "counts flights, not acts",
            """def act_in_turn(p, minute, price, most):
    act, recent = np.zeros(len(p), bool), []
    for i in np.argsort(minute, kind="stable"):
        recent = [m for m in recent if m > minute[i] - 60]
        act[i] = p[i] > price and len(recent) < most
        if p[i] > price:
            recent.append(minute[i])
    return act
""",
            "You count every flight above the price, also those that nobody acted on. Only an act takes up a slot.",
        ),
        Mistake(
            "one too many",
            """def act_in_turn(p, minute, price, most):
    act = np.zeros(len(p), bool)
    for i in np.argsort(minute, kind="stable"):
        act[i] = p[i] > price and (act & (minute[i] - minute < 60)).sum() <= most
    return act
""",
            "One act too many fits in: with `most` acts in the last 60 minutes, the desk is full.",
        ),
        Mistake(
            "is a minute late",
            """def act_in_turn(p, minute, price, most):
    act = np.zeros(len(p), bool)
    for i in np.argsort(minute, kind="stable"):
        act[i] = p[i] > price and (act & (minute[i] - minute <= 60)).sum() < most
    return act
""",
            "An act of exactly 60 minutes ago still blocks the desk. It no longer counts: the slot is free again.",
        ),
        Mistake(
            "trusts the order of the rows",
            """def act_in_turn(p, minute, price, most):
    act = np.zeros(len(p), bool)
    for i in range(len(p)):
        act[i] = p[i] > price and (act & (abs(minute[i] - minute) < 60)).sum() < most
    return act
""",
            "You go through the rows as they lie. They are not in order of time: sort by `minute` first.",
        ),
        Mistake(
            "leaves them sorted",
            """def act_in_turn(p, minute, price, most):
    order = np.argsort(minute, kind="stable")
    p, minute = p[order], minute[order]
    act = np.zeros(len(p), bool)
    for i in range(len(p)):
        act[i] = p[i] > price and (act & (minute[i] - minute < 60)).sum() < most
    return act
""",
            "The decisions are right, but in order of time. The caller asked for the order of the input: write to `act[i]` "
            "with the `i` of the input.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Days with crowded hours in any order; then one minute, exactly 60 apart, at the price, no slot, no flight."""
        import numpy as np

        for most in 1, 3, 4:
            n = int(rng.integers(70, 90))
            minute = np.concatenate([rng.integers(300, 620, n), rng.integers(1740, 1990, n // 2)])
            yield Case((rng.random(len(minute)), minute, 0.3, most))
        p = np.array([0.4, 0.9, 0.6, 0.8])
        yield Case(
            (p, np.array([10, 10, 10, 10]), 0.5, 2),
            edge="many flights of one minute: the given order decides",
        )
        yield Case(
            (p, np.array([130, 69, 9, 70]), 0.5, 1), edge="an act exactly 60 minutes ago no longer counts"
        )
        yield Case((p, np.array([500, 400, 300, 200]), 0.6, 9), edge="a p exactly at the price does not act")
        yield Case((p, np.array([1, 2, 3, 4]), 0.1, 0), edge="no slot at all")
        yield Case((p[:0], np.array([], int), 0.1, 2), edge="no flight at all")


class NotWorse(Exercise):
    """A release needs proof by day, paired, with its margin; what cannot be measured fails."""

    id = "decide-4"
    title = "Not worse, and proved"
    starter = """def not_worse(new, old, day, margin):
    return ____
"""
    hints = (
        "Pair first: `new - old` for each flight, added up by day. What the weather did to both falls out.",
        "The standard error of a mean of n days is their standard deviation (ddof=1) over the root of n; the lower end is "
        "mean - 1.96 of those.",
        "Passed is lower > -margin. Before that: if a number is missing, or there are fewer than 2 days, nothing is proved: "
        "`(-np.inf, False)`.",
    )
    solutions = (
        """def not_worse(new, old, day, margin):
    if np.isnan([new, old]).any() or len(set(day)) < 2:
        return -np.inf, False
    daily = pd.Series(new - old).groupby(day).sum()
    lower = daily.mean() - 1.96 * daily.std() / np.sqrt(len(daily))
    return lower, bool(lower > -margin)
""",
        """def not_worse(new, old, day, margin):
    days = np.unique(day)
    if len(days) < 2 or np.isnan(new).any() or np.isnan(old).any():
        return -np.inf, False
    daily = np.array([new[day == d].sum() - old[day == d].sum() for d in days])
    lower = daily.mean() - 1.96 * daily.std(ddof=1) / len(days) ** 0.5
    return lower, bool(lower > -margin)
""",
    )
    mistakes = (
        Mistake(
            "trusts the mean",
            """def not_worse(new, old, day, margin):
    if np.isnan(new - old).any() or len(set(day)) < 2:
        return -np.inf, False
    mean = pd.Series(new - old).groupby(day).sum().mean()
    return mean, bool(mean > -margin)
""",
            "You compare the mean with the margin. Half of all models that are exactly that much worse would pass by luck: "
            "use the lower end of the interval.",
        ),
        Mistake(
            "counts flights as independent",
            """def not_worse(new, old, day, margin):
    if np.isnan(new - old).any() or len(set(day)) < 2:
        return -np.inf, False
    n = len(set(day))
    change = new - old
    lower = change.sum() / n - 1.96 * change.std(ddof=1) * np.sqrt(len(change)) / n
    return lower, bool(lower > -margin)
""",
            "Your standard error takes flights as independent. A storm hits all flights of a day: the day is the unit.",
        ),
        Mistake(
            "does not pair",
            """def not_worse(new, old, day, margin):
    if np.isnan(new - old).any() or len(set(day)) < 2:
        return -np.inf, False
    a, b = (pd.Series(x).groupby(day).sum() for x in (new, old))
    lower = a.mean() - b.mean() - 1.96 * np.sqrt((a.var() + b.var()) / len(a))
    return lower, bool(lower > -margin)
""",
            "You take both models as if they had flown on different days. They met the same storms: pair them, and take the "
            "standard deviation of the daily *difference*.",
        ),
        Mistake(
            "turns the margin around",
            """def not_worse(new, old, day, margin):
    if np.isnan(new - old).any() or len(set(day)) < 2:
        return -np.inf, False
    daily = pd.Series(new - old).groupby(day).sum()
    lower = daily.mean() - 1.96 * daily.std() / np.sqrt(len(daily))
    return lower, bool(lower > margin)
""",
            "You ask the new model to be better by the margin. It may be worse, by less than the margin: compare with `-margin`.",
        ),
        Mistake(
            "takes no proof of harm for proof of none",
            """def not_worse(new, old, day, margin):
    if np.isnan(new - old).any() or len(set(day)) < 2:
        return -np.inf, False
    daily = pd.Series(new - old).groupby(day).sum()
    half = 1.96 * daily.std() / np.sqrt(len(daily))
    return daily.mean() - half, bool(daily.mean() + half > -margin)
""",
            "You pass whatever is not proved to be worse. With few days nothing is ever proved, and everything passes: it is "
            "the lower end that must clear the limit.",
        ),
        Mistake(
            "leaves out what is missing",
            """def not_worse(new, old, day, margin):
    daily = pd.Series(new - old).groupby(day).sum()
    if len(daily) < 2:
        return -np.inf, False
    lower = daily.mean() - 1.96 * daily.std() / np.sqrt(len(daily))
    return lower, bool(lower > -margin)
""",
            "You add up what is left when a number is missing. A model may be silent on just the flights it would fail: "
            "missing evidence fails, so return `(-np.inf, False)`.",
        ),
        Mistake(
            "passes a single day",
            """def not_worse(new, old, day, margin):
    if np.isnan(new - old).any():
        return -np.inf, False
    daily = pd.Series(new - old).groupby(day).sum()
    half = 1.96 * daily.std() / np.sqrt(len(daily)) if len(daily) > 1 else 0.0
    lower = daily.mean() - half
    return lower, bool(lower > -margin)
""",
            "One day has no spread, so it proves nothing: fewer than 2 days is `(-np.inf, False)`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Models about as good on stormy days; then exactly at the margin, missing numbers, two days, one, none."""
        import numpy as np

        def models(days, change):
            n = 30 * days
            day = rng.permutation(np.repeat(np.arange(days), 30)) + 100
            storm, shift = rng.normal(0, 40, days + 100), rng.normal(change, 8, days + 100)
            old = storm[day] + rng.normal(0, 10, n)
            return old + shift[day] + rng.normal(0, 3, n), old, day

        for change in -1.0, 0.0, -4.0:
            new, old, day = models(int(rng.integers(25, 40)), change)
            daily = np.bincount(day - 100, new - old)
            half = 1.96 * daily.std(ddof=1) / len(daily) ** 0.5
            for margin in (abs(half - daily.mean()) * 1.1 + 1, max(-daily.mean(), 0) + half / 2):
                yield Case((new, old, day, float(margin)))
        flat = np.array([-2.0, -3.0, -1.0, -4.0, -5.0, 0.0])
        yield Case((flat, 0 * flat, np.array([1, 1, 2, 2, 3, 3]), 5.0), edge="worse by exactly the margin")
        gone = new.copy()
        gone[3] = np.nan
        yield Case((gone, old, day, 1e9), edge="a number of the new model is missing")
        gone = old.copy()
        gone[3] = np.nan
        yield Case((new, gone, day, 1e9), edge="a number of the old model is missing")
        yield Case((new[:2], old[:2], np.array([1, 2]), 50.0), edge="two days")
        yield Case((new[:4], old[:4], np.array([7, 7, 7, 7]), 1e9), edge="a single day")
        yield Case((new[:0], old[:0], day[:0], 1e9), edge="no flight at all")
