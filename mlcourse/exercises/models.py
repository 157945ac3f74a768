"""Exercises of lesson 11: a stable log loss and its slope, a cut that asks the missing, smoothed rates, pinball loss."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class LossAndSlope(Exercise):
    """The log loss of scores, row by row, and its slope: right also where the model is certain."""

    id = "models-1"
    title = "A loss that survives certainty"
    setup = "import numpy as np\nimport pandas as pd\nfrom scipy.special import expit"
    starter = """def losses_and_slopes(z, y, weight):
    return ____
"""
    hints = (
        "One row costs ln(1 + e^z) - y z, and its slope in z is p - y with p = 1 / (1 + e^-z). Both are multiplied by the "
        "row's share of the weight, `weight / weight.sum()`.",
        "e^1000 is infinite for a computer. `np.logaddexp(0, z)` is ln(1 + e^z) without that trouble.",
        "For p use `expit` of scipy.special: it is 0 or 1 far out, and never NaN.",
    )
    solutions = (
        """def losses_and_slopes(z, y, weight):
    share = weight / weight.sum()
    return share * (np.logaddexp(0, z) - y * z), share * (expit(z) - y)
""",
        """def losses_and_slopes(z, y, weight):
    margin = np.where(y == 1, z, -z)
    share = weight / np.sum(weight)
    wrong = expit(-margin)
    return share * np.logaddexp(0, -margin), np.where(y == 1, -wrong, wrong) * share
""",
    )
    mistakes = (
        Mistake(
            "takes the logarithm of p",
            """def losses_and_slopes(z, y, weight):
    p, share = expit(z), weight / weight.sum()
    with np.errstate(all="ignore"):
        return -share * (y * np.log(p) + (1 - y) * np.log(1 - p)), share * (p - y)
""",
            "Where the model is certain, p is rounded to 0 or 1 and its logarithm is infinite. Stay with z: the loss is "
            "ln(1 + e^z) - y z, and `np.logaddexp(0, z)` computes the first part for any z.",
        ),
        Mistake(
            "takes the exponential of z",
            """def losses_and_slopes(z, y, weight):
    share = weight / weight.sum()
    with np.errstate(over="ignore"):
        return share * (np.log(1 + np.exp(z)) - y * z), share * (expit(z) - y)
""",
            "You take the exponential of z, and e^1000 is infinite for a computer: `np.logaddexp(0, z)` is ln(1 + e^z) for any z.",
        ),
        Mistake(
            "clips p",
            """def losses_and_slopes(z, y, weight):
    p, share = np.clip(expit(z), 1e-15, 1 - 1e-15), weight / weight.sum()
    return -share * (y * np.log(p) + (1 - y) * np.log(1 - p)), share * (p - y)
""",
            "You clip p, so a score of 1,000 that is wrong costs 35 and not 1,000. Clipping hides how wrong a certain model "
            "is; ln(1 + e^z) - y z needs none.",
        ),
        Mistake(
            "forgets the weights",
            """def losses_and_slopes(z, y, weight):
    return (np.logaddexp(0, z) - y * z) / len(z), (expit(z) - y) / len(z)
""",
            "Your result does not depend on the weights. A row with weight 2 counts as two rows.",
        ),
        Mistake(
            "divides by the number of rows",
            """def losses_and_slopes(z, y, weight):
    return weight * (np.logaddexp(0, z) - y * z) / len(z), weight * (expit(z) - y) / len(z)
""",
            "You divide by the number of rows. Doubling all weights then doubles the loss; a weighted mean divides by "
            "their sum.",
        ),
        Mistake(
            "does not divide",
            """def losses_and_slopes(z, y, weight):
    return weight * (np.logaddexp(0, z) - y * z), weight * (expit(z) - y)
""",
            "You multiply by the weight and never divide: the parts then add up to a sum, not to a mean. Divide both by the "
            "sum of the weights.",
        ),
        Mistake(
            "leaves the slopes unweighted",
            """def losses_and_slopes(z, y, weight):
    share = weight / weight.sum()
    return share * (np.logaddexp(0, z) - y * z), expit(z) - y
""",
            "The losses are right, but the slopes are not: what multiplies a row's loss multiplies its slope too.",
        ),
        Mistake(
            "points downhill",
            """def losses_and_slopes(z, y, weight):
    share = weight / weight.sum()
    return share * (np.logaddexp(0, z) - y * z), share * (y - expit(z))
""",
            "Your slopes have the opposite sign. y - p is the way down, the residual that boosting fits; the slope is p - y.",
        ),
        Mistake(
            "differentiates p",
            """def losses_and_slopes(z, y, weight):
    share, p = weight / weight.sum(), expit(z)
    return share * (np.logaddexp(0, z) - y * z), share * (p - y) * p * (1 - p)
""",
            "Your slope carries a factor p (1 - p): that belongs to the squared error. For the log loss it cancels, and "
            "p - y is left.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Ordinary scores; then certain ones, right and wrong, one row, and weights far apart."""
        import numpy as np

        def rows(n, spread=2.0):
            z = rng.normal(0, spread, n)
            return z, (rng.random(n) < 0.4).astype(int), rng.uniform(0.5, 4, n)

        for n in 7, 12, 30:
            yield Case(rows(n))
        z, y, weight = np.array([1000.0, -1000.0]), np.array([1, 0]), np.array([1.0, 3.0])
        yield Case((z, 1 - y, weight), edge="scores of 1,000 that are wrong")
        yield Case((z, y, weight), edge="scores of 1,000 that are right")
        yield Case(rows(1), edge="a single row")


class BestCutMissing(Exercise):
    """Where to cut a column for minutes of delay, and on which side the missing values belong."""

    id = "models-2"
    title = "A cut that asks the missing too"
    starter = """def best_cut_missing(x, y):
    return ____
"""
    hints = (
        "The cuts lie halfway between neighbours of `np.unique(x[~np.isnan(x)])`: with v sorted, `(v[1:] + v[:-1]) / 2`.",
        'For each cut and each side make one mask: `low = x <= limit` (NaN is False), and for "low" also `| np.isnan(x)`.',
        "The sum of squared errors around the mean of a side is `((s - s.mean()) ** 2).sum()`. Add both sides, and keep the "
        "least: `min` of tuples (error, limit, side) does it.",
    )
    solutions = (
        """def best_cut_missing(x, y):
    spread = lambda side: ((side - side.mean()) ** 2).sum()
    values, missing, tried = np.unique(x[~np.isnan(x)]), np.isnan(x), []
    for below, above in zip(values, values[1:]):
        for name, low in (("low", (x <= below) | missing), ("high", x <= below)):
            tried.append((spread(y[low]) + spread(y[~low]), (below + above) / 2, name))
    return min(tried)[1:]
""",
        """def best_cut_missing(x, y):
    known = ~np.isnan(x)
    order = np.argsort(x[known], kind="stable")
    v, t, rest = x[known][order], y[known][order], y[~known]
    best = (-np.inf,)
    for name, low_n, low_sum in (("low", len(rest), rest.sum()), ("high", 0, 0.0)):
        for i in np.flatnonzero(np.diff(v)):
            n, total = low_n + i + 1, low_sum + t[: i + 1].sum()
            gain = total**2 / n + (y.sum() - total) ** 2 / (len(y) - n)
            best = max(best, (gain, (v[i] + v[i + 1]) / 2, name))
    return best[1:]
""",
    )
    mistakes = (
        Mistake(
            "drops the missing",
            """def best_cut_missing(x, y):
    known = ~np.isnan(x)
    x, y, tried = x[known], y[known], []
    values = np.unique(x)
    for limit in (values[1:] + values[:-1]) / 2:
        low = x <= limit
        tried.append((y[low].var() * low.sum() + y[~low].var() * (~low).sum(), limit))
    return min(tried)[1], "high"
""",
            "You drop the rows without x, and then send them high without asking. Their minutes count: try them on both "
            "sides, and let the error decide.",
        ),
        Mistake(
            "sends the missing high",
            """def best_cut_missing(x, y):
    values, tried = np.unique(x[~np.isnan(x)]), []
    for limit in (values[1:] + values[:-1]) / 2:
        low = x <= limit
        tried.append((y[low].var() * low.sum() + y[~low].var() * (~low).sum(), limit, "high"))
    return min(tried)[1:]
""",
            "Your missing rows always go high, because `NaN <= limit` is False. Try them on the low side too: "
            "`(x <= limit) | np.isnan(x)`.",
        ),
        Mistake(
            "sends the missing low",
            """def best_cut_missing(x, y):
    values, tried = np.unique(x[~np.isnan(x)]), []
    for limit in (values[1:] + values[:-1]) / 2:
        low = (x <= limit) | np.isnan(x)
        tried.append((y[low].var() * low.sum() + y[~low].var() * (~low).sum(), limit, "low"))
    return min(tried)[1:]
""",
            "Your missing rows always go low. Try both sides, and keep the better one.",
        ),
        Mistake(
            "forgets the sizes",
            """def best_cut_missing(x, y):
    values, missing, tried = np.unique(x[~np.isnan(x)]), np.isnan(x), []
    for limit in (values[1:] + values[:-1]) / 2:
        for name, low in (("low", (x <= limit) | missing), ("high", x <= limit)):
            tried.append((y[low].var() + y[~low].var(), limit, name))
    return min(tried)[1:]
""",
            "You add the two variances, so one row alone (variance 0) looks like a perfect half. Add the *sums* of squared "
            "errors: variance times the number of rows.",
        ),
        Mistake(
            "cuts at NaN",
            """def best_cut_missing(x, y):
    values, missing, tried = np.unique(x), np.isnan(x), []
    spread = lambda side: ((side - side.mean()) ** 2).sum() if len(side) else 0.0
    for limit in (values[1:] + values[:-1]) / 2:
        for name, low in (("low", (x <= limit) | missing), ("high", x <= limit)):
            tried.append((spread(y[low]) + spread(y[~low]), limit, name))
    return min(tried)[1:]
""",
            "`np.unique` keeps a NaN, so your last limit is NaN: it parts the missing from all others, which no limit can. Leave "
            "NaN out of the values.",
        ),
        Mistake(
            "divides by one less",
            """def best_cut_missing(x, y):
    values, missing, tried = np.unique(x[~np.isnan(x)]), np.isnan(x), []
    spread = lambda side: side.var(ddof=1) * len(side) if len(side) > 1 else 0.0
    for limit in (values[1:] + values[:-1]) / 2:
        for name, low in (("low", (x <= limit) | missing), ("high", x <= limit)):
            tried.append((spread(y[low]) + spread(y[~low]), limit, name))
    return min(tried)[1:]
""",
            "Your variance divides by n - 1 (`ddof=1`), so times n it is more than the sum of squared errors, and twice as much "
            "for a side of two rows.",
        ),
        Mistake(
            "takes absolute errors",
            """def best_cut_missing(x, y):
    values, missing, tried = np.unique(x[~np.isnan(x)]), np.isnan(x), []
    spread = lambda side: abs(side - np.median(side)).sum()
    for limit in (values[1:] + values[:-1]) / 2:
        for name, low in (("low", (x <= limit) | missing), ("high", x <= limit)):
            tried.append((spread(y[low]) + spread(y[~low]), limit, name))
    return min(tried)[1:]
""",
            "You minimise absolute errors around medians. That is a right question for another promise; here squared errors "
            "around means are asked for.",
        ),
        Mistake(
            "cuts at a value",
            """def best_cut_missing(x, y):
    values, missing, tried = np.unique(x[~np.isnan(x)]), np.isnan(x), []
    for limit in values[:-1]:
        for name, low in (("low", (x <= limit) | missing), ("high", x <= limit)):
            tried.append((y[low].var() * low.sum() + y[~low].var() * (~low).sum(), limit, name))
    return min(tried)[1:]
""",
            "You cut at a value that was seen. The rows of the past fall as they should, but a new value just above would "
            "not: cut halfway to the next one.",
        ),
        Mistake(
            "takes the worst",
            """def best_cut_missing(x, y):
    values, missing, tried = np.unique(x[~np.isnan(x)]), np.isnan(x), []
    for limit in (values[1:] + values[:-1]) / 2:
        for name, low in (("low", (x <= limit) | missing), ("high", x <= limit)):
            tried.append((y[low].var() * low.sum() + y[~low].var() * (~low).sum(), limit, name))
    return max(tried)[1:]
""",
            "You return the cut with the largest error. The best cut leaves the least.",
        ),
    )

    def same(self, got, want) -> bool:
        """A limit and a side."""
        import numpy as np

        return (
            isinstance(got, tuple | list)
            and len(got) == 2
            and np.isclose(float(got[0]), want[0], rtol=0, atol=1e-9, equal_nan=True)
            and str(got[1]) == want[1]
        )

    def cases(self, rng) -> Iterator[Case]:
        """Noisy steps, a best side of two rows, the missing far out; then two different values, and three rows."""
        import numpy as np

        def steps():
            n = int(rng.integers(9, 22))
            x = rng.choice(np.cumsum(rng.uniform(1, 4, 8)), n)
            y = 12 * (x > np.median(x)) + rng.gamma(1, 12, n) + rng.choice([-6.0, 6.0]) * x / 8
            holes = rng.permutation(n)[: int(rng.integers(2, 5))]
            x[holes] = np.nan
            y[holes] = rng.gamma(1, 12, len(holes)) + rng.choice([0.0, 12.0])
            return x, y

        for _ in range(24):
            yield Case(steps())
        y = np.array([0.0, 10.8, 20, 20, 20, 20, 20]) * rng.uniform(1, 3) + rng.normal(0, 0.05, 7)
        x = np.array([1.0, 2, 3, 4, 5, np.nan, np.nan]) * rng.uniform(1, 4)
        yield Case((x, y))
        yield Case((x, np.where(np.isnan(x), 90, 0) + rng.gamma(1, 4, 7)))
        x = np.array([1.0, 1, 1, 3, 3, np.nan, np.nan])
        y = np.array([0.0, 1, 2, 50, 51, 49, 52]) + rng.normal(0, 0.1, 7)
        yield Case((x, y), edge="two different values of x only")
        yield Case((np.array([2.0, 7.0, np.nan]), np.array([0.0, 30.0, 1.5])), edge="three rows")


class Smoothed(Exercise):
    """The rate of a group from the past, mixed with the overall rate."""

    id = "models-3"
    title = "What is a destination worth?"
    starter = """def smoothed(group, y, past, weight):
    return ____
"""
    hints = (
        "Learn from `y[past]` and `group[past]` only: the number of bad rows and of all rows in each group, and the overall "
        "share.",
        '`y[past].groupby(group[past]).agg(["sum", "count"])` has both. The rate is (sum + weight * overall) / (count + weight).',
        "`group.map(rate)` gives each row its rate; what is missing then takes the overall share with `fillna`.",
    )
    solutions = (
        """def smoothed(group, y, past, weight):
    overall = y[past].mean()
    seen = y[past].groupby(group[past]).agg(["sum", "count"])
    rate = (seen["sum"] + weight * overall) / (seen["count"] + weight)
    return group.map(rate).astype(float).fillna(overall)
""",
        """def smoothed(group, y, past, weight):
    names, known, bad = group.to_numpy(object), past.to_numpy(), y.to_numpy().astype(float)
    overall, out = bad[known].mean(), []
    for name in names:
        mine = bad[known & (names == name)] if isinstance(name, str) else bad[:0]
        out.append((mine.sum() + weight * overall) / (len(mine) + weight) if len(mine) else overall)
    return pd.Series(out, group.index, dtype=float)
""",
    )
    mistakes = (
        Mistake(
            "learns from all rows",
            """def smoothed(group, y, past, weight):
    seen = y.groupby(group).agg(["sum", "count"])
    rate = (seen["sum"] + weight * y.mean()) / (seen["count"] + weight)
    return group.map(rate).astype(float).fillna(y.mean())
""",
            "Your rates have seen the labels of rows that are not past, their own among them: the model reads the answer. "
            "Learn from `y[past]` and `group[past]`.",
        ),
        Mistake(
            "mixes with the rate of all rows",
            """def smoothed(group, y, past, weight):
    seen = y[past].groupby(group[past]).agg(["sum", "count"])
    rate = (seen["sum"] + weight * y.mean()) / (seen["count"] + weight)
    return group.map(rate).astype(float).fillna(y.mean())
""",
            "The groups are learned from the past, but the overall share is not: it must be `y[past].mean()`.",
        ),
        Mistake(
            "does not smooth",
            """def smoothed(group, y, past, weight):
    return group.map(y[past].groupby(group[past]).mean()).astype(float).fillna(y[past].mean())
""",
            "Your rates are not mixed. A destination with one past flight is 0 or 1, which is luck: add `weight` average "
            "rows to each group.",
        ),
        Mistake(
            "leaves the unknown empty",
            """def smoothed(group, y, past, weight):
    seen = y[past].groupby(group[past]).agg(["sum", "count"])
    return group.map((seen["sum"] + weight * y[past].mean()) / (seen["count"] + weight)).astype(float)
""",
            "A group without a past, or missing, is NaN. New destinations come every season: give them the overall share "
            "of the past.",
        ),
        Mistake(
            "gives the unknown 0",
            """def smoothed(group, y, past, weight):
    seen = y[past].groupby(group[past]).agg(["sum", "count"])
    return group.map((seen["sum"] + weight * y[past].mean()) / (seen["count"] + weight)).astype(float).fillna(0)
""",
            "A group without a past gets 0: a new destination would be the safest of all. Nothing known means average: the "
            "overall share of the past.",
        ),
        Mistake(
            "averages the groups",
            """def smoothed(group, y, past, weight):
    seen = y[past].groupby(group[past]).agg(["sum", "count", "mean"])
    overall = seen["mean"].mean()
    return group.map((seen["sum"] + weight * overall) / (seen["count"] + weight)).astype(float).fillna(overall)
""",
            "Your overall share is the mean of the groups' rates, so a group with one flight counts as much as one with a "
            "thousand. Take the mean over the past *rows*.",
        ),
        Mistake(
            "forgets to divide by the weight",
            """def smoothed(group, y, past, weight):
    seen = y[past].groupby(group[past]).agg(["sum", "count"])
    rate = (seen["sum"] + weight * y[past].mean()) / seen["count"]
    return group.map(rate).astype(float).fillna(y[past].mean())
""",
            "You add the average rows on top of the fraction and not below. They are rows: count them too, "
            "`count + weight`.",
        ),
        Mistake(
            "makes the missing a group",
            """def smoothed(group, y, past, weight):
    group = group.fillna("none")
    seen = y[past].groupby(group[past]).agg(["sum", "count"])
    rate = (seen["sum"] + weight * y[past].mean()) / (seen["count"] + weight)
    return group.map(rate).astype(float).fillna(y[past].mean())
""",
            "You made missing a group of its own. That can be a good idea where a hole has a meaning; here it is asked to "
            "take the overall share.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Groups of uneven size and a worse future; then a single past row, no smoothing, none missing."""
        import numpy as np
        import pandas as pd

        def table(n):
            names = rng.choice(["ATL", "BOS", "OKC", "SJU"], n, p=[0.55, 0.3, 0.1, 0.05]).astype(object)
            past = rng.permutation(n) < 0.6 * n
            chance = np.select([names == "ATL", names == "BOS"], [0.15, 0.35], 0.7) + np.where(past, 0, 0.2)
            bad = rng.random(n) < chance
            names[rng.random(n) < 0.12] = None
            names[~past & (rng.random(n) < 0.15)] = "NEW"
            first = np.flatnonzero(past)[:4]
            names[first], bad[first] = ["ATL", "BOS", "OKC", None], [True, False, True, True]
            bad[np.flatnonzero(~past)[:2]] = [True, False]
            index = rng.permutation(n) + 70
            return pd.Series(names, index), pd.Series(bad, index), pd.Series(past, index)

        for weight in 20, 5.0, 2.5:
            yield Case((*table(int(rng.integers(80, 120))), weight))
        group, y, past = table(30)
        yield Case((group, y, past, 1e6), edge="so much weight that all groups are average")
        yield Case((group.fillna("ATL"), y, past, 10), edge="no group is missing")
        last = past & (group == "OKC")
        yield Case((group, y, last & (last.cumsum() == 1), 3), edge="a single past row")


class Pinball(Exercise):
    """What a promise costs, on flights that flew."""

    id = "models-4"
    title = "Price a promise"
    starter = """def pinball(y, said, q):
    return ____
"""
    hints = (
        "First keep the flights that flew: `flew = ~np.isnan(y)`, in both arrays.",
        "Let `late = y - said`. Where it is above 0 a minute costs q, where it is below 0 a minute costs 1 - q, and a cost is "
        "never negative.",
        "`np.maximum(q * late, (q - 1) * late)` picks the right one. The mean of nothing is NaN: `if not flew.any()`.",
    )
    solutions = (
        """def pinball(y, said, q):
    flew = ~np.isnan(y)
    late = y[flew] - said[flew]
    return np.maximum(q * late, (q - 1) * late).mean() if flew.any() else np.nan
""",
        """def pinball(y, said, q):
    total, n = 0.0, 0
    for minutes, promise in zip(y, said):
        if not np.isnan(minutes):
            total += max(q * (minutes - promise), (1 - q) * (promise - minutes))
            n += 1
    return total / n if n else float("nan")
""",
    )
    mistakes = (
        Mistake(
            "swaps the sides",
            """def pinball(y, said, q):
    flew = ~np.isnan(y)
    late = y[flew] - said[flew]
    return np.maximum((1 - q) * late, -q * late).mean() if flew.any() else np.nan
""",
            "You charge 1 - q for a flight later than promised. Then the cheapest promise is the 1 - q quantile: with q = "
            "0.9 nine passengers in ten would be let down.",
        ),
        Mistake(
            "takes the absolute error",
            """def pinball(y, said, q):
    flew = ~np.isnan(y)
    return abs(y[flew] - said[flew]).mean() if flew.any() else np.nan
""",
            "You charge both sides the same, so the cheapest promise is the median. The two sides cost q and 1 - q.",
        ),
        Mistake(
            "charges only broken promises",
            """def pinball(y, said, q):
    flew = ~np.isnan(y)
    return (q * np.maximum(y[flew] - said[flew], 0)).mean() if flew.any() else np.nan
""",
            "You charge only flights later than promised. Then the best promise is 'ten hours late': a promise that is too "
            "careful costs as well, 1 - q for each minute.",
        ),
        Mistake(
            "lets cost be negative",
            """def pinball(y, said, q):
    flew = ~np.isnan(y)
    late = y[flew] - said[flew]
    return np.where(late > 0, q * late, (1 - q) * late).mean() if flew.any() else np.nan
""",
            "Flights earlier than promised make your loss smaller than 0. Both sides cost: (1 - q) times the minutes, taken "
            "positive.",
        ),
        Mistake(
            "counts the cancelled as rows",
            """def pinball(y, said, q):
    late = y - said
    cost = np.maximum(q * late, (q - 1) * late)
    return np.nansum(cost) / len(y) if not np.isnan(y).all() else np.nan
""",
            "You divide by all flights, so each cancelled one counts as a promise kept to the minute. Divide by the flights "
            "that flew.",
        ),
        Mistake(
            "takes the cancelled as punctual",
            """def pinball(y, said, q):
    late = np.nan_to_num(y) - said
    return np.maximum(q * late, (q - 1) * late).mean() if not np.isnan(y).all() else np.nan
""",
            "You put 0 minutes in place of NaN: a cancelled flight becomes a punctual one. Leave it out.",
        ),
        Mistake(
            "lets NaN through",
            """def pinball(y, said, q):
    late = y - said
    return np.maximum(q * late, (q - 1) * late).mean()
""",
            "One cancelled flight makes your whole loss NaN. Leave out the rows without minutes first.",
        ),
        Mistake(
            "adds up",
            """def pinball(y, said, q):
    flew = ~np.isnan(y)
    late = y[flew] - said[flew]
    return np.maximum(q * late, (q - 1) * late).sum() if flew.any() else np.nan
""",
            "You return the sum. It grows with the number of flights; the mean is asked for.",
        ),
        Mistake(
            "says 0 when none flew",
            """def pinball(y, said, q):
    flew = ~np.isnan(y)
    late = y[flew] - said[flew]
    return np.maximum(q * late, (q - 1) * late).mean() if flew.any() else 0.0
""",
            "If no flight flew, you say that the loss is 0, a perfect day. Nothing was measured: return NaN.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Delays with cancelled flights; then none cancelled, all cancelled, a promise kept to the minute."""
        import numpy as np

        def day(n):
            y = np.round(rng.gamma(2, 15, n) - 15) + 0.25
            y[rng.choice(n, 3, replace=False)] = np.nan
            return y, np.round(rng.uniform(-5, 60, n))

        for q in 0.9, 0.75, 0.2:
            yield Case((*day(int(rng.integers(15, 30))), q))
        y, said = day(9)
        yield Case((np.nan_to_num(y), said, 0.9), edge="no flight is cancelled")
        yield Case((y * np.nan, said, 0.9), edge="no flight flew")
        yield Case((np.array([12.0]), np.array([12.0]), 0.8), edge="a promise kept to the minute")
