"""Exercises of the fraud capstone: a terminal's risk with late labels, cards already known, card precision, a queue that pays."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class LateRisk(Exercise):
    """A window that ends where labels begin to be known."""

    id = "fraud-1"
    title = "A terminal's risk, with labels that come late"
    starter = """def late_risk(t, fraud, delay, window):
    return ____
"""
    hints = (
        "Of a transaction at moment s the label is known at s + delay. So at t you may count those with s <= t - delay.",
        "`np.searchsorted(t, t - delay, side='right')` counts the rows up to t - delay; the window begins after "
        "t - delay - window, so the same call with that moment gives what to take off.",
        "With running totals, `total = np.append(0, np.cumsum(fraud))`, the frauds of a window are one total less "
        "another. Where a window is empty divide by 1.",
    )
    solutions = (
        """def late_risk(t, fraud, delay, window):
    total = np.append(0, np.cumsum(fraud))
    last = np.searchsorted(t, t - delay, side="right")
    first = np.searchsorted(t, t - delay - window, side="right")
    return (total[last] - total[first]) / np.maximum(last - first, 1)
""",
        """def late_risk(t, fraud, delay, window):
    shares = []
    for now in t:
        seen = fraud[(now - delay - window < t) & (t <= now - delay)]
        shares.append(np.mean(seen) if len(seen) else 0.0)
    return np.array(shares, dtype=float)
""",
    )
    mistakes = (
        Mistake(
            "ends now",
            """def late_risk(t, fraud, delay, window):
    return np.array([np.mean(fraud[(t > now - window) & (t <= now)]) for now in t])
""",
            "Your window ends now and reads labels that nobody has yet, the transaction's own among them. End it at t - delay.",
        ),
        Mistake(
            "keeps the start",
            """def late_risk(t, fraud, delay, window):
    total = np.append(0, np.cumsum(fraud))
    last = np.searchsorted(t, t - delay, side="right")
    first = np.searchsorted(t, t - window, side="right")
    return (total[last] - total[np.minimum(first, last)]) / np.maximum(last - first, 1)
""",
            "You moved the end of the window, but not its start: it must still be `window` long. Begin after t - delay - window.",
        ),
        Mistake(
            "misses the last label",
            """def late_risk(t, fraud, delay, window):
    total = np.append(0, np.cumsum(fraud))
    last = np.searchsorted(t, t - delay, side="left")
    first = np.searchsorted(t, t - delay - window, side="right")
    return (total[last] - total[first]) / np.maximum(last - first, 1)
""",
            "A label is known at exactly s + delay: count s = t - delay too.",
        ),
        Mistake(
            "reaches back too far",
            """def late_risk(t, fraud, delay, window):
    total = np.append(0, np.cumsum(fraud))
    last = np.searchsorted(t, t - delay, side="right")
    first = np.searchsorted(t, t - delay - window, side="left")
    return (total[last] - total[first]) / np.maximum(last - first, 1)
""",
            "Your window holds its start as well: one of exactly delay + window ago lies outside.",
        ),
        Mistake(
            "divides by nothing",
            """def late_risk(t, fraud, delay, window):
    return np.array([np.sum(fraud[s := (t > now - delay - window) & (t <= now - delay)]) / max(np.sum(s), 0.5) if np.sum(s)
                     else np.nan for now in t])
""",
            "A terminal without a known label gives NaN. Say 0.0: no known fraud.",
        ),
        Mistake(
            "counts the frauds",
            """def late_risk(t, fraud, delay, window):
    total = np.append(0, np.cumsum(fraud))
    last = np.searchsorted(t, t - delay, side="right")
    return (total[last] - total[np.searchsorted(t, t - delay - window, side="right")]).astype(float)
""",
            "You count frauds. A busy terminal has more of everything: divide by the transactions of the window.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Busy and quiet terminals; then exact ends of the window, one transaction, none."""
        import numpy as np

        for n, delay, window in (60, 7, 30), (40, 3, 5), (50, 10, 2), (30, 4, 8):
            t = np.sort(rng.integers(0, 60, n)) + rng.integers(1, 4) / 4  # quarters: sums and ties are exact
            yield Case((t, (rng.random(n) < 0.4).astype(int), delay, window))
        t = np.array([0, 3, 10, 13, 20, 23])
        yield Case((t, np.array([1, 0, 1, 0, 0, 1]), 10, 7))
        yield Case((np.array([5]), np.array([1]), 7, 7), edge="a single transaction")
        yield Case((np.array([], float), np.array([], int), 7, 7), edge="no transaction")


class KnownCards(Exercise):
    """A card that is known is no find."""

    id = "fraud-2"
    title = "Take out the cards that are known"
    starter = """def still_unknown(card, day, fraud, delay):
    return ____
"""
    hints = (
        "On day d the labels of days before d - delay are known. A card with a fraud on such a day is known on day d.",
        "Only a card's first fraud matters: once known, it stays known.",
        "Collect each card's first day of fraud (a dict, or `groupby(...).min()`), with infinity for a card without; keep rows "
        "where it is not before day - delay.",
    )
    solutions = (
        """def still_unknown(card, day, fraud, delay):
    first = pd.Series(day[fraud == 1]).groupby(card[fraud == 1]).min()
    known = pd.Series(card).map(first).fillna(np.inf).to_numpy()
    return known >= day - delay
""",
        """def still_unknown(card, day, fraud, delay):
    keep = []
    for c, d in zip(card, day):
        keep.append(not np.any((card == c) & (fraud == 1) & (day < d - delay)))
    return np.array(keep, dtype=bool)
""",
    )
    mistakes = (
        Mistake(
            "uses final labels",
            """def still_unknown(card, day, fraud, delay):
    return ~np.isin(card, card[fraud == 1])
""",
            "You take out every card that ever has a fraud: with these labels you throw away all that is to be found.",
        ),
        Mistake(
            "forgets the delay",
            """def still_unknown(card, day, fraud, delay):
    return np.array([not np.any((card == c) & (fraud == 1) & (day < d)) for c, d in zip(card, day)], dtype=bool)
""",
            "You take a card out the day after its fraud. Nobody knows of it until the label arrives.",
        ),
        Mistake(
            "a day too soon",
            """def still_unknown(card, day, fraud, delay):
    return np.array([not np.any((card == c) & (fraud == 1) & (day <= d - delay)) for c, d in zip(card, day)], dtype=bool)
""",
            "You are a day too soon: on day d the labels of days *before* d - delay are known.",
        ),
        Mistake(
            "takes out rows",
            """def still_unknown(card, day, fraud, delay):
    return ~((fraud == 1) & (day < day.max() - delay)) if len(day) else np.array([], dtype=bool)
""",
            "You take out the frauds themselves. What must go is the card: all it does from then on.",
        ),
        Mistake(
            "takes the last fraud",
            """def still_unknown(card, day, fraud, delay):
    last = pd.Series(day[fraud == 1]).groupby(card[fraud == 1]).max()
    return pd.Series(card).map(last).fillna(np.inf).to_numpy() >= day - delay
""",
            "You wait for a card's last fraud. It is known from its first one on.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Cards with several frauds and none, other delays, any order; then no fraud at all, no row."""
        import numpy as np

        for delay in 7, 2, 0, 4:
            n = int(rng.integers(80, 120))
            card, day = rng.integers(0, 12, n), rng.integers(0, 25, n)
            yield Case((card, day, ((card < 8) & (rng.random(n) < 0.25)).astype(int), delay))
        card, day = np.repeat([4, 9], 5), np.tile([0, 3, 7, 8, 9], 2)
        yield Case((card, day, ((card == 4) & (day <= 3)).astype(int), 7))
        yield Case((card, day, 0 * card, 7), edge="no fraud at all")
        yield Case((card[:0], day[:0], card[:0], 7), edge="no transaction")


class CardPrecision(Exercise):
    """Cards are checked, not transactions."""

    id = "fraud-3"
    title = "Card precision of one day"
    starter = """def day_precision(card, p, fraud, k):
    return ____
"""
    hints = (
        "Make a row a card first: its highest p, and whether any of its transactions is a fraud.",
        "`pd.DataFrame({...}).groupby('card').max()` does both. Then sort by p, highest first; of equals the smaller card.",
        "Count the frauds among the first k cards and divide by k, even on a day with fewer cards: the investigators were there.",
    )
    solutions = (
        """def day_precision(card, p, fraud, k):
    cards = pd.DataFrame({"card": card, "p": p, "fraud": fraud}).groupby("card").max()
    top = cards.sort_values("p", ascending=False, kind="stable")[:k]
    return float(top.fraud.sum() / k)
""",
        """def day_precision(card, p, fraud, k):
    best, bad = {}, set()
    for c, q, f in zip(card, p, fraud):
        best[c] = max(best.get(c, q), q)
        if f:
            bad.add(c)
    queue = sorted(best, key=lambda c: (-best[c], c))
    return len(bad.intersection(queue[:k])) / k
""",
    )
    mistakes = (
        Mistake(
            "ranks transactions",
            """def day_precision(card, p, fraud, k):
    top = np.argsort(-p, kind="stable")[:k]
    return float(fraud[top].sum() / k)
""",
            "You rank transactions. Two of one card are one check: make a row a card first.",
        ),
        Mistake(
            "averages p",
            """def day_precision(card, p, fraud, k):
    rows = pd.DataFrame({"card": card, "p": p, "fraud": fraud}).groupby("card")
    cards = pd.DataFrame({"p": rows.p.mean(), "fraud": rows.fraud.max()})
    return float(cards.sort_values("p", ascending=False, kind="stable").fraud[:k].sum() / k)
""",
            "You average a card's p. Nine harmless payments then hide the tenth: take the highest.",
        ),
        Mistake(
            "asks the top row only",
            """def day_precision(card, p, fraud, k):
    rows = pd.DataFrame({"card": card, "p": p, "fraud": fraud})
    rows = rows.sort_values(["p", "card"], ascending=[False, True], kind="stable").drop_duplicates("card")
    return float(rows.fraud[:k].sum() / k)
""",
            "You ask only whether the card's most suspicious payment is the fraud. The check finds any fraud of the card that day.",
        ),
        Mistake(
            "divides by the cards there",
            """def day_precision(card, p, fraud, k):
    cards = pd.DataFrame({"card": card, "p": p, "fraud": fraud}).groupby("card").max()
    top = cards.sort_values("p", ascending=False, kind="stable")[:k]
    return float(top.fraud.sum() / max(len(top), 1))
""",
            "You divide by the cards in the queue. On a quiet day that are fewer than k, and the precision looks too good.",
        ),
        Mistake(
            "measures recall",
            """def day_precision(card, p, fraud, k):
    cards = pd.DataFrame({"card": card, "p": p, "fraud": fraud}).groupby("card").max()
    top = cards.sort_values("p", ascending=False, kind="stable")[:k]
    return float(top.fraud.sum() / max(cards.fraud.sum(), 1))
""",
            "You divide by the defrauded cards of the day: that is recall. Precision divides by the k checks.",
        ),
    )

    def same(self, got, want) -> bool:
        """Shares that agree but for rounding."""
        return abs(float(got) - float(want)) < 1e-9

    def cases(self, rng) -> Iterator[Case]:
        """Days of many payments a card; then fewer cards than checks, equal p, no fraud, an empty day."""
        import numpy as np

        for k in 5, 8, 3, 6, 10, 7:
            n = int(rng.integers(60, 90))
            card = rng.integers(0, 20, n)
            fraud = ((card % 2 == 0) & (rng.random(n) < 0.4)).astype(int)
            yield Case((card, np.round(rng.beta(1, 3, n) + fraud * rng.random(n) * 0.3, 3), fraud, k))
        yield Case(
            (np.array([1, 2, 2]), np.array([0.2, 0.1, 0.4]), np.array([0, 1, 0]), 5),
            edge="fewer cards than checks",
        )
        yield Case(
            (np.array([9, 4, 7]), np.array([0.5, 0.5, 0.5]), np.array([1, 0, 0]), 2),
            edge="equal p: the smaller card",
        )
        yield Case((np.array([9, 4]), np.array([-2.0, -3.0]), np.array([1, 0]), 1), edge="scores below 0")
        yield Case((card, rng.random(n), 0 * card, 4), edge="a day with no fraud")
        yield Case((card[:0], np.array([], float), card[:0], 4), edge="a day without transactions")


class PayingQueue(Exercise):
    """Rank by what a check saves."""

    id = "fraud-4"
    title = "A queue that pays"
    starter = """def paying_queue(card, p, amount, cost, k):
    return ____
"""
    hints = (
        "A check of a card stops all its frauds of the day: on average it saves the sum of p * amount over its payments.",
        "Sum per card (`groupby`, or a dict), take off the cost of the check, and keep cards that are still above 0.",
        "Sort what is left from the dearest down (of equals the smaller card) and return the first k as a list.",
    )
    solutions = (
        """def paying_queue(card, p, amount, cost, k):
    worth = pd.Series(p * amount).groupby(card).sum().sort_index()
    worth = worth[worth > cost].sort_values(ascending=False, kind="stable")
    return worth.index[:k].tolist()
""",
        """def paying_queue(card, p, amount, cost, k):
    worth = {}
    for c, q, a in zip(card, p, amount):
        worth[c] = worth.get(c, 0) + q * a
    paying = [int(c) for c in worth if worth[c] > cost]
    return sorted(paying, key=lambda c: (-worth[c], c))[:k]
""",
    )
    mistakes = (
        Mistake(
            "ranks by p",
            """def paying_queue(card, p, amount, cost, k):
    rows = pd.DataFrame({"card": card, "p": p, "worth": p * amount}).groupby("card")
    cards = pd.DataFrame({"p": rows.p.max(), "worth": rows.worth.sum()})
    cards = cards[cards.worth > cost].sort_values("p", ascending=False, kind="stable")
    return cards.index[:k].tolist()
""",
            "You rank by p. A sure fraud of 3 dollars then stands before a likely one of 900: rank by what the check saves.",
        ),
        Mistake(
            "fills the day",
            """def paying_queue(card, p, amount, cost, k):
    worth = pd.Series(p * amount).groupby(card).sum().sort_index()
    return worth.sort_values(ascending=False, kind="stable").index[:k].tolist()
""",
            "You fill all k places. A check that saves less than it costs is better not made: capacity is a limit, not a target.",
        ),
        Mistake(
            "ignores the capacity",
            """def paying_queue(card, p, amount, cost, k):
    worth = pd.Series(p * amount).groupby(card).sum().sort_index()
    return worth[worth > cost].sort_values(ascending=False, kind="stable").index.tolist()
""",
            "Your queue is longer than k. Nobody is there to check the rest.",
        ),
        Mistake(
            "takes the best payment",
            """def paying_queue(card, p, amount, cost, k):
    worth = pd.Series(p * amount).groupby(card).max().sort_index()
    return worth[worth > cost].sort_values(ascending=False, kind="stable").index[:k].tolist()
""",
            "You count only a card's dearest payment. One check stops them all: add them up.",
        ),
        Mistake(
            "checks at no gain",
            """def paying_queue(card, p, amount, cost, k):
    worth = pd.Series(p * amount).groupby(card).sum().sort_index()
    return worth[worth >= cost].sort_values(ascending=False, kind="stable").index[:k].tolist()
""",
            "You check a card that saves exactly its cost. It gains nothing: only above the cost.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Days on which the capacity binds, and on which the cost does; then no gain, equals, an empty day."""
        import numpy as np

        for cost, k in (12.0, 4), (30.0, 15), (5.0, 6), (25.0, 12):
            n = int(rng.integers(50, 80))
            card = rng.integers(0, 18, n)
            yield Case((card, rng.beta(0.6, 4, n).round(3), rng.gamma(2, 40, n).round(2), cost, k))
        yield Case(
            (np.array([1, 2]), np.array([0.5, 0.5]), np.array([24.0, 24.5]), 12.0, 5),
            edge="a card that saves exactly its cost",
        )
        yield Case(
            (np.array([8, 3, 5]), np.array([0.5, 0.5, 0.25]), np.array([80.0, 80.0, 160.0]), 12.0, 2),
            edge="equals: the smaller card",
        )
        yield Case((card, 0 * amount_like(card), amount_like(card), 1.0, 5), edge="nothing is suspicious")
        yield Case(
            (card[:0], np.array([], float), np.array([], float), 12.0, 5), edge="a day without transactions"
        )
        yield Case((card, rng.random(n), amount_like(card), 1.0, 0), edge="nobody to check")


def amount_like(card):
    """Amounts (dollars) for as many rows as `card` has."""
    return card * 3.0 + 20
