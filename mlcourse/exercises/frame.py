"""Exercises of lesson 06: what is known when, and what a decision is worth."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mlcourse.exercises.engine import Case, Exercise, Mistake
from mlcourse.frame import Decision


def _flights(rng, n: int) -> pd.DataFrame:
    hours = pd.Timestamp("2013-05-01 10:00", tz="UTC") + pd.to_timedelta(rng.integers(0, 96, n), unit="h")
    delay = rng.integers(-20, 90, n).astype(float)
    delay[rng.random(n) < 0.2] = np.nan
    return pd.DataFrame({"time_hour": hours, "minute": rng.integers(0, 60, n), "arr_delay": delay})


def _sampled(rows, rng):
    # Labelled as in a sample of the year: none is row 0.
    return rows.set_axis(rng.permutation(len(rows)) + 1000)


class KnownLabels(Exercise):
    id = "frame-1"
    title = "What does the desk know now?"
    setup = "import numpy as np\nimport pandas as pd\nfrom mlcourse.frame import Decision, decision_time, label, label_time, scheduled"
    starter = """def known_labels(flights, at, decision):
    return ____
"""
    hints = (
        "Two questions for each flight: is its label certain at `at`, and what is it? The lesson has a function for each.",
        "`label_time(flights, decision) <= at` is a bool Series: use it to pick rows, in their order.",
        "`label(flights, decision.late)[label_time(flights, decision) <= at]`",
    )
    solutions = (
        """def known_labels(flights, at, decision):
    return label(flights, decision.late)[label_time(flights, decision) <= at]
""",
        """def known_labels(flights, at, decision):
    certain = flights.time_hour + pd.to_timedelta(flights.minute, unit="min") + decision.label_delay
    delay = flights.arr_delay[~(certain > at)]
    return [not x < decision.late for x in delay]
""",
    )
    mistakes = (
        Mistake(
            "the label is known at departure",
            """def known_labels(flights, at, decision):
    return label(flights, decision.late)[scheduled(flights) <= at]
""",
            "A flight that has just left has no label yet: nobody knows how late it will land. Use the label time.",
        ),
        Mistake(
            "the label is known at decision time",
            """def known_labels(flights, at, decision):
    return label(flights, decision.late)[decision_time(flights, decision) <= at]
""",
            "That is the moment we decide, the label comes hours after it. Taking it now is the leak of this lesson.",
        ),
        Mistake(
            "cancelled flights are dropped",
            """def known_labels(flights, at, decision):
    flown = flights[flights.arr_delay.notna()]
    return label(flown, decision.late)[label_time(flown, decision) <= at]
""",
            "Flights without an arrival are missing from your answer. They were cancelled or diverted: bad, not unknown.",
        ),
        Mistake(
            "cancelled flights count as good",
            """def known_labels(flights, at, decision):
    return (flights.arr_delay >= decision.late)[label_time(flights, decision) <= at]
""",
            "NaN >= 30 is False, so cancelled flights came out as good. Say what a missing arrival means: a bad flight.",
        ),
        Mistake(
            "late is always 30 minutes",
            """def known_labels(flights, at, decision):
    return label(flights)[label_time(flights, decision) <= at]
""",
            "The decision says from how many minutes on a flight is late: pass `decision.late` on, not the default of 30.",
        ),
        Mistake(
            "the minute is forgotten",
            """def known_labels(flights, at, decision):
    return label(flights, decision.late)[flights.time_hour + decision.label_delay <= at]
""",
            "`time_hour` is the hour of the departure, cut off: the flight of 17:45 counts as one of 17:00. `label_time` adds "
            "the minutes.",
        ),
        Mistake(
            "the label waits for the arrival",
            """def known_labels(flights, at, decision):
    late = pd.to_timedelta(flights.arr_delay.fillna(0), unit="min")
    return label(flights, decision.late)[label_time(flights, decision) + late <= at]
""",
            "You count from the arrival. The label delay counts from the *scheduled* departure, for every flight alike: it "
            "is long enough for the late ones.",
        ),
        Mistake(
            "strictly before",
            """def known_labels(flights, at, decision):
    return label(flights, decision.late)[label_time(flights, decision) < at]
""",
            "A label that becomes certain exactly at `at` is known then: <=, not <.",
        ),
        Mistake(
            "asks for rows by number",
            """def known_labels(flights, at, decision):
    certain, bad = label_time(flights, decision) <= at, label(flights, decision.late)
    return [bad[i] for i in range(len(flights)) if certain[i]]
""",
            "`certain[0]` is not the first flight but the one *labelled* 0, which a sample of the year need not have. Pick "
            "rows with the bool Series itself, `bad[certain]`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        middle = pd.Timestamp("2013-05-03 12:00", tz="UTC")
        for late, delay in ((30, "13h"), (15, "9h"), (60, "26h")):
            flights = _flights(rng, 60)
            flights.loc[:2, "arr_delay"] = [late, late - 1.0, np.nan]
            flights.loc[:2, "time_hour"] = flights.time_hour.min() - pd.Timedelta(hours=30)
            # One that waits for its arrival, one whose minutes decide: neither may depend on the seed
            flights.loc[3:4, "arr_delay"], flights.loc[3:4, "minute"] = [0.0, 80.0], [30, 45]
            flights.loc[3:4, "time_hour"] = middle - pd.Timedelta(delay) - pd.to_timedelta([0, 1], unit="h")
            yield Case((_sampled(flights, rng), middle, Decision(late=late, label_delay=delay)))
        flights = _flights(rng, 12)
        tie = flights.time_hour[4] + pd.Timedelta(minutes=int(flights.minute[4]), hours=13)
        flights = _sampled(flights, rng)
        yield Case((flights, tie, Decision()), edge="a label that becomes certain exactly now")
        yield Case((flights, flights.time_hour.min(), Decision()), edge="nothing is known yet")


class BestAction(Exercise):
    id = "frame-2"
    title = "More than one action"
    starter = """def best_action(p, actions, loss):
    return ____
"""
    hints = (
        "For one flight and one action, the expected cost is its dollars plus p times the part of the loss that remains.",
        "Make a table with one row an action and one column a flight, then look for the smallest entry of each column.",
        "`np.argmin(table, axis=0)` gives the first of the smallest: exactly the rule for ties.",
    )
    solutions = (
        """def best_action(p, actions, loss):
    p = np.asarray(p, dtype=float)
    against_nothing = np.array([dollars - p * avoided * loss for dollars, avoided in actions])
    return against_nothing.argmin(axis=0)
""",
        """def best_action(p, actions, loss):
    chosen = []
    for x in p:
        gains = [x * avoided * loss - dollars for dollars, avoided in actions]
        chosen.append(gains.index(max(gains)))
    return chosen
""",
    )
    mistakes = (
        Mistake(
            "its own price is forgotten",
            """def best_action(p, actions, loss):
    p = np.asarray(p, dtype=float)
    return np.array([p * (1 - avoided) * loss for dollars, avoided in actions]).argmin(axis=0)
""",
            "You always take the action that avoids most. Acting costs money too: add its dollars.",
        ),
        Mistake(
            "avoided taken for what remains",
            """def best_action(p, actions, loss):
    p = np.asarray(p, dtype=float)
    return np.array([dollars + p * avoided * loss for dollars, avoided in actions]).argmin(axis=0)
""",
            "`avoided` is the share that acting spares you. What you still pay is the rest, 1 - avoided.",
        ),
        Mistake(
            "the price is paid only on bad flights",
            """def best_action(p, actions, loss):
    p = np.asarray(p, dtype=float)
    return np.array([p * (dollars + (1 - avoided) * loss) for dollars, avoided in actions]).argmin(axis=0)
""",
            "The desk pays for acting before it knows how the flight ends: the dollars are not multiplied by p.",
        ),
        Mistake(
            "the largest action that pays",
            """def best_action(p, actions, loss):
    pays = [[x * avoided * loss > dollars for dollars, avoided in actions] for x in p]
    return [max([i for i, yes in enumerate(row) if yes], default=0) for row in pays]
""",
            "An action that beats doing nothing need not be the best one: compare all actions with each other.",
        ),
        Mistake(
            "the later one wins a tie",
            """def best_action(p, actions, loss):
    p = np.asarray(p, dtype=float)
    table = np.array([dollars + p * (1 - avoided) * loss for dollars, avoided in actions])
    return len(actions) - 1 - table[::-1].argmin(axis=0)
""",
            "When two actions cost the same, the lower number wins: why do more than needed?",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        for loss in rng.uniform(9_000, 20_000, 3):
            yield Case(
                (
                    rng.random(40),
                    [(0, 0.0), (rng.uniform(100, 200), 0.05), (rng.uniform(700, 900), 0.15)],
                    loss,
                )
            )
            yield Case(
                (rng.random(40), [(0, 0.0), (rng.uniform(800, 900), 0.2), (rng.uniform(60, 90), 0.02)], loss)
            )
            yield Case((rng.random(40), [(0, 0.0), (0.08 * loss, 0.2), (0.5 * loss, 0.3)], loss))
        yield Case((np.array([0.0, 1.0]), [(0, 0.0), (1.5, 0.25), (2.5, 0.5)], 8.0))
        doubled = [(0, 0.0), (128, 0.25), (128, 0.25)]
        yield Case((np.array([0.5, 0.25, 0.75]), doubled, 1024.0), edge="a tie, exactly at break-even")
        yield Case((rng.random(3), [(0, 0.0)], 5_000.0), edge="doing nothing is the only action")
        yield Case((np.array([]), [(0, 0.0), (100, 0.1)], 5_000.0), edge="no flights at all")


class Regret(Exercise):
    id = "frame-3"
    title = "Regret"
    setup = "import numpy as np\nimport pandas as pd\nfrom mlcourse.frame import Decision, flight_savings, net_savings"
    starter = """def regret(act, label, decision):
    return ____
"""
    hints = (
        "What would a desk with tomorrow's newspaper do? It acts on bad flights only, if an act on a bad flight earns anything.",
        "An act on a bad flight earns `decision.prevented - decision.act_cost`. If that is negative, the all-knowing desk earns 0.",
        "`best = max(0, decision.prevented - decision.act_cost) * label.sum()`, then subtract what this policy saved.",
    )
    solutions = (
        """def regret(act, label, decision):
    best = max(0, decision.prevented - decision.act_cost) * label.sum()
    return best - net_savings(act, label, decision)
""",
        """def regret(act, label, decision):
    earns = decision.prevented - decision.act_cost
    missed, caught, needless = (label & ~act).sum(), (label & act).sum(), (act & ~label).sum()
    return missed * max(earns, 0) + caught * max(-earns, 0) + needless * decision.act_cost
""",
    )
    mistakes = (
        Mistake(
            "against doing nothing",
            """def regret(act, label, decision):
    return -net_savings(act, label, decision)
""",
            "That compares with doing nothing. Regret compares with the desk that knew every label.",
        ),
        Mistake(
            "only needless acts",
            """def regret(act, label, decision):
    return (act & ~label).sum() * decision.act_cost
""",
            "You count the false alarms but not the bad flights that the policy missed. Those cost as well.",
        ),
        Mistake(
            "a missed flight costs the whole loss",
            """def regret(act, label, decision):
    return (label & ~act).sum() * decision.loss + (act & ~label).sum() * decision.act_cost
""",
            "Even the all-knowing desk avoids only a part of the loss, and pays for acting. Count what it would have earned.",
        ),
        Mistake(
            "a missed flight forgets the act's price",
            """def regret(act, label, decision):
    return (label & ~act).sum() * decision.prevented + (act & ~label).sum() * decision.act_cost
""",
            "To catch a missed flight the desk would have had to pay for acting: subtract that price.",
        ),
        Mistake(
            "the all-knowing desk always acts on bad flights",
            """def regret(act, label, decision):
    return net_savings(label, label, decision) - net_savings(act, label, decision)
""",
            "Knowing that a flight is bad is no reason to act if acting costs more than it avoids. Then the best is 0.",
        ),
        Mistake(
            "asks for rows by number",
            """def regret(act, label, decision):
    earns, lost = decision.prevented - decision.act_cost, 0
    for i in range(len(label)):
        if label[i]:
            lost += max(-earns, 0) if act[i] else max(earns, 0)
        elif act[i]:
            lost += decision.act_cost
    return lost
""",
            "`label[0]` is not the first flight but the one *labelled* 0, which a sample of the year need not have. Add up "
            "whole Series, or walk over both with `zip(act, label)`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        for decision in (Decision(), Decision(act_cost=900.0), Decision(avoided=0.3)):
            label = _sampled(pd.Series(rng.random(80) < 0.3), rng)
            label.iloc[:4] = [True, True, False, False]
            act = pd.Series(rng.random(80) < 0.5, label.index)
            act.iloc[:4] = [True, False, True, False]
            yield Case((act, label, decision))
        never = Decision(act_cost=2_000.0, avoided=0.05)
        yield Case((act, label, never), edge="acting never pays, not even on a bad flight")
        yield Case((label.copy(), label, Decision()), edge="a policy without a single error")
        yield Case((act[:0], label[:0], Decision()), edge="no flights at all")


class WeeklyUpper(Exercise):
    id = "frame-4"
    title = "The bound without a computer"
    starter = """def weekly_upper(daily):
    return ____
"""
    hints = (
        "Three numbers of the array are enough: how many days, their mean, their standard deviation.",
        "`np.std(daily, ddof=1)` divides by n - 1. The mean of n days varies √n times less than a single day.",
        "`7 * (daily.mean() + 1.645 * daily.std(ddof=1) / np.sqrt(len(daily)))`, after a check that there are two days.",
    )
    solutions = (
        """def weekly_upper(daily):
    daily = np.asarray(daily, dtype=float)
    if len(daily) < 2:
        raise ValueError(f"daily must have at least 2 days, got {len(daily)}")
    return 7 * (daily.mean() + 1.645 * daily.std(ddof=1) / np.sqrt(len(daily)))
""",
        """def weekly_upper(daily):
    weeks = [7 * float(d) for d in daily]
    if len(weeks) < 2:
        raise ValueError("one day says nothing about how days differ")
    error = (np.var(weeks, ddof=1) / len(weeks)) ** 0.5
    return sum(weeks) / len(weeks) + 1.645 * error
""",
    )
    mistakes = (
        Mistake(
            "the spread of one day",
            """def weekly_upper(daily):
    if len(daily) < 2:
        raise ValueError("at least 2 days")
    return 7 * (np.mean(daily) + 1.645 * np.std(daily, ddof=1))
""",
            "That is how far a single day may stray. The mean of n days is steadier: divide by √n.",
        ),
        Mistake(
            "dollars a day",
            """def weekly_upper(daily):
    if len(daily) < 2:
        raise ValueError("at least 2 days")
    return np.mean(daily) + 1.645 * np.std(daily, ddof=1) / np.sqrt(len(daily))
""",
            "This is in dollars a day; the running cost is in dollars a week. Compare like with like: times 7.",
        ),
        Mistake(
            "the lower end",
            """def weekly_upper(daily):
    if len(daily) < 2:
        raise ValueError("at least 2 days")
    return 7 * (np.mean(daily) - 1.645 * np.std(daily, ddof=1) / np.sqrt(len(daily)))
""",
            "That is the lower bound. To stop a project, even its lucky end must be too little: the upper bound.",
        ),
        Mistake(
            "divisor n",
            """def weekly_upper(daily):
    if len(daily) < 2:
        raise ValueError("at least 2 days")
    return 7 * (np.mean(daily) + 1.645 * np.std(daily) / np.sqrt(len(daily)))
""",
            "NumPy's std divides by n unless told otherwise. For a sample the divisor is n - 1: ddof=1.",
        ),
        Mistake(
            "only the mean is per week",
            """def weekly_upper(daily):
    if len(daily) < 2:
        raise ValueError("at least 2 days")
    return 7 * np.mean(daily) + 1.645 * np.std(daily, ddof=1) / np.sqrt(len(daily))
""",
            "The mean is per week but its uncertainty is still per day: multiply both by 7.",
        ),
        Mistake(
            "any number of days",
            """def weekly_upper(daily):
    daily = np.asarray(daily, dtype=float)
    spread = daily.std(ddof=1) if len(daily) > 1 else 0.0
    return 7 * (daily.sum() / max(len(daily), 1) + 1.645 * spread / np.sqrt(max(len(daily), 1)))
""",
            "From a single day nobody can say how days differ. Refuse it with a ValueError instead of a made-up bound.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        for n in (5, 30, 90):
            yield Case((rng.normal(6_000, 90_000, n),))
        yield Case((rng.normal(-20_000, 5_000, 14),))
        yield Case((np.array([1_000.0, -400.0]),), edge="two days only")
        yield Case((np.full(7, 250.0),), edge="every day the same")
        yield Case((np.array([500.0]),), edge="a single day")
        yield Case((np.array([]),), edge="no day at all")
