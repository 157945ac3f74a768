"""Exercises of lesson 16: an interval over days, AUC with ties, both sides of calibration, days needed, false discoveries."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class DayInterval(Exercise):
    """A day is drawn whole: its sum and its count go into the draw together, as often as it was drawn."""

    id = "evaluate-1"
    title = "An interval by hand"
    starter = """def interval(x, day, picks):
    return ____
"""
    hints = (
        "`np.unique(day, return_inverse=True)` gives the sorted days, and for each row the position of its day.",
        "A mean is a sum over a count. Make both for each day with `np.bincount`, and look up a whole table of them: "
        "`total[picks]` has the shape of `picks`.",
        "Each draw's mean is the sum of its totals over the sum of its counts. Then take two quantiles over the draws.",
    )
    solutions = (
        """def interval(x, day, picks):
    _, code = np.unique(day, return_inverse=True)
    total, count = np.bincount(code, x), np.bincount(code)
    means = total[picks].sum(axis=1) / count[picks].sum(axis=1)
    return np.quantile(means, 0.025), np.quantile(means, 0.975)
""",
        """def interval(x, day, picks):
    days, means = np.unique(day), []
    for pick in picks:
        rows = np.concatenate([x[day == days[i]] for i in pick])
        means.append(rows.mean())
    low, high = np.percentile(means, [2.5, 97.5])
    return low, high
""",
    )
    mistakes = (
        Mistake(
            "averages the means of days",
            """def interval(x, day, picks):
    _, code = np.unique(day, return_inverse=True)
    means = (np.bincount(code, x) / np.bincount(code))[picks].mean(axis=1)
    return np.quantile(means, 0.025), np.quantile(means, 0.975)
""",
            "You average the means of days, so a day of 5 flights weighs as much as one of 50. The mean over *rows* is the "
            "sum of the days' sums over the sum of their counts.",
        ),
        Mistake(
            "counts a day once",
            """def interval(x, day, picks):
    days = np.unique(day)
    means = [x[np.isin(day, days[pick])].mean() for pick in picks]
    return np.quantile(means, 0.025), np.quantile(means, 0.975)
""",
            "A day that is drawn twice counts once for you (`isin` knows no repeats), so the draws differ too little and "
            "the interval is too narrow.",
        ),
        Mistake(
            "draws rows",
            """def interval(x, day, picks):
    means = x[picks].mean(axis=1)
    return np.quantile(means, 0.025), np.quantile(means, 0.975)
""",
            "You take `picks` for positions of rows. They are positions of days: a draw takes every row of each day drawn.",
        ),
        Mistake(
            "takes days as they appear",
            """def interval(x, day, picks):
    code, _ = pd.factorize(day)
    total, count = np.bincount(code, x), np.bincount(code)
    means = total[picks].sum(axis=1) / count[picks].sum(axis=1)
    return np.quantile(means, 0.025), np.quantile(means, 0.975)
""",
            "You number the days as they first appear in the rows. `picks` are positions in the *sorted* list of days.",
        ),
        Mistake(
            "takes the middle 90 percent",
            """def interval(x, day, picks):
    _, code = np.unique(day, return_inverse=True)
    total, count = np.bincount(code, x), np.bincount(code)
    means = total[picks].sum(axis=1) / count[picks].sum(axis=1)
    return np.quantile(means, 0.05), np.quantile(means, 0.95)
""",
            "Your interval leaves out 5 % on *each* side, so it holds 90 % of the draws. For 95 %, leave out 2.5 % on each.",
        ),
        Mistake(
            "divides by the root of the draws",
            """def interval(x, day, picks):
    _, code = np.unique(day, return_inverse=True)
    total, count = np.bincount(code, x), np.bincount(code)
    means = total[picks].sum(axis=1) / count[picks].sum(axis=1)
    half = 1.96 * means.std() / len(means) ** 0.5
    return means.mean() - half, means.mean() + half
""",
            "You divide the spread of the draws by the root of their number. That is the error of the *mean of the draws*, "
            "which more computing makes as small as you like. The spread of the draws is itself the uncertainty.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Days of very different size, shuffled; then days as text, days of one row, one draw."""
        import numpy as np

        def rows(days, draws, least=1):
            size = rng.integers(least, 40, days)
            day = np.repeat(np.datetime64("2013-09-01") + 3 * np.arange(days), size)
            x = (np.repeat(rng.normal(20, 8, days) + size / 2, size) + rng.normal(0, 5, size.sum())).round(2)
            mixed = rng.permutation(len(x))
            while (day[mixed[0]]) == day.min():
                mixed = rng.permutation(len(x))
            return x[mixed], day[mixed], rng.integers(days, size=(draws, days))

        for draws in 200, 301, 250:
            yield Case(rows(int(rng.integers(8, 20)), draws))
        x, day, picks = rows(6, 60)
        yield Case((x, day.astype(str), picks), edge="days as text")
        yield Case((x[:4], np.array([3, 1, 2, 0]), rng.integers(4, size=(50, 4))), edge="one row a day")
        yield Case((x, day, picks[:1]), edge="a single draw")


class WeightedAuc(Exercise):
    """The share of pairs that are in the right order, each pair with its weight, a tie for half."""

    id = "evaluate-2"
    title = "AUC, ties and all"
    starter = """def auc(y, p, weight):
    return ____
"""
    hints = (
        "AUC asks of every pair of a bad and a good flight: does the bad one score higher? Yes counts 1, a tie 0.5.",
        "`p[y][:, None]` is a column and `p[~y][None, :]` a row: comparing them gives a table with a cell for each pair.",
        "A pair weighs the product of its two weights. Divide the weight of the pairs won by the weight of all pairs.",
    )
    solutions = (
        """def auc(y, p, weight):
    bad, good = p[y][:, None], p[~y][None, :]
    pairs = weight[y][:, None] * weight[~y][None, :]
    won = (bad > good) + 0.5 * (bad == good)
    return (pairs * won).sum() / pairs.sum()
""",
        """def auc(y, p, weight):
    area, below = 0.0, 0.0
    for score in np.unique(p):
        bad, good = weight[y & (p == score)].sum(), weight[~y & (p == score)].sum()
        area += bad * (below + good / 2)
        below += good
    return area / (weight[y].sum() * weight[~y].sum())
""",
    )
    mistakes = (
        Mistake(
            "a tie is lost",
            """def auc(y, p, weight):
    won = p[y][:, None] > p[~y][None, :]
    pairs = weight[y][:, None] * weight[~y][None, :]
    return (pairs * won).sum() / pairs.sum()
""",
            "You count a tie as lost. A model that gives everyone the same number would get 0, but it is a coin: a tie is "
            "half a pair won.",
        ),
        Mistake(
            "a tie is won",
            """def auc(y, p, weight):
    won = p[y][:, None] >= p[~y][None, :]
    pairs = weight[y][:, None] * weight[~y][None, :]
    return (pairs * won).sum() / pairs.sum()
""",
            "You count a tie as won. A model that gives everyone the same number would be perfect: a tie is half a pair.",
        ),
        Mistake(
            "forgets the weights",
            """def auc(y, p, weight):
    bad, good = p[y][:, None], p[~y][None, :]
    return ((bad > good) + 0.5 * (bad == good)).mean()
""",
            "Every pair weighs the same for you. A flight that was drawn three times takes part in three times as many "
            "pairs: a pair weighs the product of its two weights.",
        ),
        Mistake(
            "adds the weights of a pair",
            """def auc(y, p, weight):
    bad, good = p[y][:, None], p[~y][None, :]
    pairs = weight[y][:, None] + weight[~y][None, :]
    return (pairs * ((bad > good) + 0.5 * (bad == good))).sum() / pairs.sum()
""",
            "You add the two weights of a pair. A flight drawn 2 times and one drawn 3 times make 2 * 3 = 6 pairs, not 5.",
        ),
        Mistake(
            "breaks ties by position",
            """def auc(y, p, weight):
    order = np.argsort(p, kind="stable")
    y, weight = y[order], weight[order]
    below = np.cumsum(weight * ~y)
    return (weight * y * below).sum() / (weight[y].sum() * weight[~y].sum())
""",
            "You sort and let tied scores stand as they come, so the order of the rows decides. Within a tie each pair is "
            "half won.",
        ),
        Mistake(
            "the good flights win",
            """def auc(y, p, weight):
    bad, good = p[y][:, None], p[~y][None, :]
    pairs = weight[y][:, None] * weight[~y][None, :]
    return (pairs * ((bad < good) + 0.5 * (bad == good))).sum() / pairs.sum()
""",
            "You count the pairs in which the *good* flight scores higher: that is 1 minus the AUC.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Scores with many ties and whole-number weights; then all tied, one pair, no tie, broken weights."""
        import numpy as np

        def flights(n, steps):
            y = rng.permutation(np.arange(n) < n // 3)
            p = np.clip(rng.normal(0.35 + 0.2 * y, 0.2), 0, 1)
            return y, np.round(p * steps) / steps, rng.integers(1, 5, n)

        for steps in 8, 10, 20:
            yield Case(flights(int(rng.integers(60, 90)), steps))
        y, p, weight = flights(40, 10)
        yield Case((y, np.full(40, 0.3), weight), edge="all scores are equal: a coin")
        yield Case((np.array([True, False]), np.array([0.2, 0.7]), np.array([2, 3])), edge="a single pair")
        yield Case((y, p + np.arange(40) * 1e-5, weight), edge="no tie at all")
        yield Case((y, p, weight * rng.random(40)), edge="weights that are not whole numbers")


class BothSides(Exercise):
    """Promising too much and promising too little are different faults: the calibration error is their sum."""

    id = "evaluate-3"
    title = "Too much, or too little?"
    starter = """def both_sides(y, p, bins):
    return ____
"""
    hints = (
        "`cuts = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])`, then `np.searchsorted(cuts, p)` is the bin of each row.",
        "In each bin: mean of `p` minus mean of `y`. Weight it with the share of all rows that lie in the bin.",
        "A bin's weighted gap is the sum of `p - y` over its rows, divided by the number of *all* rows. Add up the positive "
        "ones, and the negative ones apart.",
    )
    solutions = (
        """def both_sides(y, p, bins):
    cuts = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    gap = np.bincount(np.searchsorted(cuts, p), p - y) / len(p)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
        """def both_sides(y, p, bins):
    cuts = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    place, over, under = np.searchsorted(cuts, p), 0.0, 0.0
    for b in np.unique(place):
        inside = place == b
        gap = p[inside].mean() - y[inside].mean()
        over += inside.mean() * max(gap, 0)
        under += inside.mean() * max(-gap, 0)
    return over, under
""",
    )
    mistakes = (
        Mistake(
            "cuts bins of equal width",
            """def both_sides(y, p, bins):
    place = np.minimum((p * bins).astype(int), bins - 1)
    gap = np.bincount(place, p - y) / len(p)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
            "Your bins have equal width. Most flights are predicted below 20 %, so a few bins hold nearly all and the rest "
            "only luck. Cut at quantiles of `p`.",
        ),
        Mistake(
            "weighs every bin the same",
            """def both_sides(y, p, bins):
    cuts = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    place = np.unique(np.searchsorted(cuts, p), return_inverse=True)[1]
    gap = np.bincount(place, p - y) / np.bincount(place)
    gap = gap / len(gap)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
            "Every bin weighs the same for you. With ties the bins are not equally full: weigh each with its share of rows.",
        ),
        Mistake(
            "tears ties apart",
            """def both_sides(y, p, bins):
    parts = np.array_split(np.argsort(p, kind="stable"), bins)
    gap = np.array([(p[r] - y[r]).sum() for r in parts]) / len(p)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
            "You cut the sorted rows into equal parts, so flights with the same `p` land in different bins and the result "
            "depends on the order of the rows. Cut between *values*.",
        ),
        Mistake(
            "takes the gap of each row",
            """def both_sides(y, p, bins):
    gap = (p - y) / len(p)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
            "You compare each probability with a single outcome, 0 or 1. Even a perfect 30 % is off by 0.3 or 0.7 there: "
            "average within a bin first.",
        ),
        Mistake(
            "swaps the sides",
            """def both_sides(y, p, bins):
    cuts = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    gap = np.bincount(np.searchsorted(cuts, p), y - p) / len(p)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
            "The sides are swapped. `over` is where the model says more than what happened: predicted above observed.",
        ),
        Mistake(
            "puts a cut into the upper bin",
            """def both_sides(y, p, bins):
    cuts = np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1])
    gap = np.bincount(np.searchsorted(cuts, p, side="right"), p - y) / len(p)
    return np.maximum(gap, 0).sum(), np.maximum(-gap, 0).sum()
""",
            "A probability equal to a cut goes into the upper bin for you. It belongs to the lower one, as in the lesson.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Rounded probabilities, too low at the bottom, too high above; then many ties, one value, no bad flight."""
        import numpy as np

        def flights(n, bins, digits, tilt):
            p = np.clip(rng.beta(1.2, 5, n), 0.03, 0.97).round(digits)
            y = rng.random(n) < np.clip(p + tilt * (0.2 - p) + 0.02, 0, 1)
            return y, p, bins

        for tilt in 0.3, -0.15, 0.5:
            bins = int(rng.integers(6, 12))
            n = bins * int(rng.integers(40, 60)) + 2  # no cut falls exactly on a row
            yield Case(flights(n, bins, 2, tilt))
        y, p, bins = flights(200, 7, 1, 0.3)
        yield Case((y, p, bins), edge="many flights share a probability")
        yield Case((y, np.full(200, 0.25), 5), edge="all probabilities are equal")
        yield Case((y & False, p, bins), edge="no bad flight")


class DaysNeeded(Exercise):
    """Paired by day, a comparison needs as many days as the spread of the daily *difference* asks for."""

    id = "evaluate-4"
    title = "How many days of test?"
    starter = """def days_needed(saved_a, saved_b, day, margin):
    return ____
"""
    hints = (
        "Pair first: the difference b - a of each flight. Then add it up for each day: one number a day.",
        "The mean of n such days has a half-width of 1.96 * sd / √n. Solve it for n.",
        "n = (1.96 * sd / margin)², rounded up; `sd` divides by days - 1 (`ddof=1`). At least 1.",
    )
    solutions = (
        """def days_needed(saved_a, saved_b, day, margin):
    _, code = np.unique(day, return_inverse=True)
    daily = np.bincount(code, saved_b - saved_a)
    return max(1, int(np.ceil((1.96 * daily.std(ddof=1) / margin) ** 2)))
""",
        """def days_needed(saved_a, saved_b, day, margin):
    daily = pd.Series(saved_b - saved_a).groupby(day).sum()
    return max(1, int(np.ceil(1.96**2 * daily.var() / margin**2)))
""",
    )
    mistakes = (
        Mistake(
            "forgets to pair",
            """def days_needed(saved_a, saved_b, day, margin):
    _, code = np.unique(day, return_inverse=True)
    a, b = np.bincount(code, saved_a), np.bincount(code, saved_b)
    return max(1, int(np.ceil(1.96**2 * (a.var(ddof=1) + b.var(ddof=1)) / margin**2)))
""",
            "You add the variances of the two policies, as if they had flown on different days. A storm hits both on the same "
            "day: take the difference first, it varies far less.",
        ),
        Mistake(
            "takes the spread of flights",
            """def days_needed(saved_a, saved_b, day, margin):
    return max(1, int(np.ceil((1.96 * (saved_b - saved_a).std(ddof=1) / margin) ** 2)))
""",
            "You take the spread over flights. The question is about days: add up each day's difference first.",
        ),
        Mistake(
            "takes a day's mean",
            """def days_needed(saved_a, saved_b, day, margin):
    daily = pd.Series(saved_b - saved_a).groupby(day).mean()
    return max(1, int(np.ceil(1.96**2 * daily.var() / margin**2)))
""",
            "You take each day's mean difference, in dollars a flight. The margin is in dollars a *day*: add the flights up.",
        ),
        Mistake(
            "forgets the square",
            """def days_needed(saved_a, saved_b, day, margin):
    daily = pd.Series(saved_b - saved_a).groupby(day).sum()
    return max(1, int(np.ceil(1.96 * daily.std() / margin)))
""",
            "The half-width falls with the *root* of the days: half of it needs four times as many. Square the ratio.",
        ),
        Mistake(
            "rounds down",
            """def days_needed(saved_a, saved_b, day, margin):
    daily = pd.Series(saved_b - saved_a).groupby(day).sum()
    return max(1, int(1.96**2 * daily.var() / margin**2))
""",
            "You round down: with that many days the half-width is still a little above the margin. Round up.",
        ),
        Mistake(
            "adds one",
            """def days_needed(saved_a, saved_b, day, margin):
    daily = pd.Series(saved_b - saved_a).groupby(day).sum()
    return int(1.96**2 * daily.var() / margin**2) + 1
""",
            "You cut off the decimals and add 1. Where n is whole already, that is a day too many: `np.ceil` leaves it.",
        ),
        Mistake(
            "divides by the number of days",
            """def days_needed(saved_a, saved_b, day, margin):
    _, code = np.unique(day, return_inverse=True)
    daily = np.bincount(code, saved_b - saved_a)
    return max(1, int(np.ceil((1.96 * daily.std() / margin) ** 2)))
""",
            "NumPy's `std` divides by the number of days, which is too small for a sample: use `ddof=1`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Two policies that share their storms; then two that are the same, a wide margin, a whole n, days as text."""
        import numpy as np

        def policies(days):
            size = rng.integers(10, 40, days)
            code = rng.permutation(np.repeat(np.arange(days), size))
            storm = rng.normal(0, 300, days)[code]
            a = (storm + rng.normal(0, 100, len(code))).round()
            b = (storm + rng.normal(5, 100, len(code)) + rng.normal(0, 20, days)[code]).round()
            return a, b, np.datetime64("2013-09-01") + code, float(rng.integers(30, 50))

        for _ in range(3):
            yield Case(policies(int(rng.integers(8, 15))))
        a, b, day, margin = policies(9)
        yield Case((a, a, day, margin), edge="the two policies are the same: one day is enough")
        yield Case((a, b, day, 1e6), edge="a margin so wide that one day is enough")
        change = np.array([1.0, 2, 4, 1, 2, 5])  # 3, 5 and 7 a day: sd 2, and n = 4 in any order of computing
        yield Case((a[:6], a[:6] + change, day[:1] + np.arange(6) // 2, 1.96), edge="n is a whole number")
        yield Case((a, b, day.astype(str), margin), edge="days as text")


class FalseDiscoveries(Exercise):
    """Benjamini and Hochberg: of what is called a discovery, at most a share is false."""

    id = "evaluate-5"
    title = "The share of false alarms"
    starter = """def discoveries(p):
    return ____
"""
    hints = (
        "Sort the p-values; the i-th smallest of m becomes p * m / i.",
        "A larger p-value may come out smaller than one before it. Go from the largest down and keep the smallest seen: "
        "`np.minimum.accumulate(steps[::-1])[::-1]`.",
        "Put the results back: `out[order] = ...` with `order = np.argsort(p)`.",
    )
    solutions = (
        """def discoveries(p):
    order = np.argsort(p)
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    out = np.empty(len(p))
    out[order] = np.minimum.accumulate(steps[::-1])[::-1]
    return out
""",
        """def discoveries(p):
    share = [q * len(p) / (p <= q).sum() for q in p]
    return np.array([min(s for s, q in zip(share, p) if q >= x) for x in p])
""",
    )
    mistakes = (
        Mistake(
            "multiplies by all (Bonferroni)",
            """def discoveries(p):
    return np.minimum(p * len(p), 1)
""",
            "You multiply each p-value by the number of tests. That is Bonferroni: it guards against a single false alarm. "
            "Here the i-th smallest is multiplied by m / i.",
        ),
        Mistake(
            "steps down (Holm)",
            """def discoveries(p):
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return out
""",
            "You multiply by m, m - 1, m - 2 …: that is Holm's correction, the lesson's. Benjamini and Hochberg multiply the "
            "i-th smallest by m / i.",
        ),
        Mistake(
            "leaves them out of order",
            """def discoveries(p):
    order = np.argsort(p)
    out = np.empty(len(p))
    out[order] = np.minimum(p[order] * len(p) / np.arange(1, len(p) + 1), 1)
    return out
""",
            "A larger p-value gets a smaller result than one below it. Go from the largest down and keep the smallest seen.",
        ),
        Mistake(
            "accumulates from the small end",
            """def discoveries(p):
    order = np.argsort(p)
    out = np.empty(len(p))
    out[order] = np.minimum(np.maximum.accumulate(p[order] * len(p) / np.arange(1, len(p) + 1)), 1)
    return out
""",
            "You carry the largest value upwards. It is the other way round: a p-value profits from every larger one that "
            "still counts as a discovery, so carry the smallest value *down* from the large end.",
        ),
        Mistake(
            "returns them sorted",
            """def discoveries(p):
    steps = np.sort(p) * len(p) / np.arange(1, len(p) + 1)
    return np.minimum.accumulate(steps[::-1])[::-1]
""",
            "The values are right but sorted. The caller wants them in the order of `p`: which slice is which?",
        ),
        Mistake(
            "ranks from the large end",
            """def discoveries(p):
    order = np.argsort(p)
    steps = p[order] * len(p) / np.arange(len(p), 0, -1)
    out = np.empty(len(p))
    out[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
    return out
""",
            "Your ranks start at the largest p-value. The *smallest* has rank 1 and is multiplied by m.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """A few real effects among luck, shuffled; then a single test, equal p-values, all small, none."""
        import numpy as np

        for m in 20, 33, 27:
            p = np.concatenate([rng.random(m - 6), rng.random(6) ** 4 / 20]).round(4)
            yield Case((rng.permutation(np.clip(p, 1e-4, 1)),))
        yield Case((np.array([0.03]),), edge="a single test")
        yield Case((np.array([0.2, 0.01, 0.2, 0.2, 0.01]),), edge="equal p-values")
        yield Case((rng.random(5) / 1000,), edge="every p-value is small")
        yield Case((np.array([]),), edge="no test at all")
