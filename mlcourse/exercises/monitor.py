"""Exercises of lesson 23: PSI in which nothing falls out, a level for a family of looks, what is known now, what was missed."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class Shift(Exercise):
    """Counts in bins that hold every value, the missing too, and no logarithm of zero."""

    id = "monitor-1"
    title = "Nothing falls out"
    starter = """def shift(past, new, cuts):
    return ____
"""
    hints = (
        "`np.searchsorted(cuts, x)` gives the bin of each value, 0 below the first cut, and puts a value equal to a cut below "
        "it. NaN must be taken out first.",
        "Count with `np.bincount(…, minlength=len(cuts) + 1)` and append the number of missing values as one more bin.",
        "With p and q the counts plus 0.5, divided by their sums, PSI is the sum of (q - p) * log(q / p).",
    )
    setup = "import numpy as np\nimport pandas as pd\nfrom mlcourse.monitor import psi"
    solutions = (
        """def shift(past, new, cuts):
    def share(x):
        known = x[~np.isnan(x)]
        counts = np.bincount(np.searchsorted(cuts, known), minlength=len(cuts) + 1)
        counts = np.append(counts, len(x) - len(known)) + 0.5
        return counts / counts.sum()

    p, q = share(past), share(new)
    return float(((q - p) * np.log(q / p)).sum())
""",
        """def shift(past, new, cuts):
    edges = np.concatenate([[-np.inf], cuts, [np.inf]])
    count = lambda x: np.array([sum((a < x) & (x <= b)) for a, b in zip(edges[:-1], edges[1:])] + [sum(np.isnan(x))])
    return float(psi(count(past), count(new)))
""",
    )
    mistakes = (
        Mistake(
            "drops the missing",
            """def shift(past, new, cuts):
    past, new = past[~np.isnan(past)], new[~np.isnan(new)]
    count = lambda x: np.bincount(np.searchsorted(cuts, x), minlength=len(cuts) + 1)
    return float(psi(count(past), count(new)))
""",
            "You leave the missing values out. A feed that dies sends nothing else, and your PSI would not move: give them a "
            "bin of their own.",
        ),
        Mistake(
            "takes missing for large",
            """def shift(past, new, cuts):
    count = lambda x: np.bincount(np.searchsorted(cuts, x), minlength=len(cuts) + 1)
    return float(psi(count(past), count(new)))
""",
            "You count missing values among the largest ones: `np.searchsorted` puts NaN at the end. They need a bin of their own.",
        ),
        Mistake(
            "loses what lies outside",
            """def shift(past, new, cuts):
    edges = np.concatenate([[np.nanmin(past) - 1e-9], cuts, [np.nanmax(past)]])
    count = lambda x: np.array([((a < x) & (x <= b)).sum() for a, b in zip(edges[:-1], edges[1:])] + [np.isnan(x).sum()])
    return float(psi(count(past), count(new)))
""",
            "New values beyond all of the past fall out of your bins, as with `np.histogram`. They are the strangest of all: "
            "the outer bins have no end.",
        ),
        Mistake(
            "has no guard",
            """def shift(past, new, cuts):
    def share(x):
        known = x[~np.isnan(x)]
        counts = np.bincount(np.searchsorted(cuts, known), minlength=len(cuts) + 1)
        return np.append(counts, len(x) - len(known)) / len(x)

    p, q = share(past), share(new)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(((q - p) * np.log(q / p)).sum())
""",
            "You add nothing to the bins. An empty one gives log(0), and one flight makes the whole feature infinite.",
        ),
        Mistake(
            "skips empty bins",
            """def shift(past, new, cuts):
    def share(x):
        known = x[~np.isnan(x)]
        counts = np.bincount(np.searchsorted(cuts, known), minlength=len(cuts) + 1)
        return np.append(counts, len(x) - len(known)) / len(x)

    p, q = share(past), share(new)
    both = (p > 0) & (q > 0)
    return float(((q - p)[both] * np.log(q[both] / p[both])).sum())
""",
            "You skip the bins that are empty on one side. Just those say most: something is there that never was. Add half "
            "a flight to each bin.",
        ),
        Mistake(
            "looks one way",
            """def shift(past, new, cuts):
    def share(x):
        known = x[~np.isnan(x)]
        counts = np.bincount(np.searchsorted(cuts, known), minlength=len(cuts) + 1)
        counts = np.append(counts, len(x) - len(known)) + 0.5
        return counts / counts.sum()

    p, q = share(past), share(new)
    return float((q * np.log(q / p)).sum())
""",
            "That is the divergence of Kullback and Leibler, which looks one way. PSI weighs with the difference: "
            "(q - p) * log(q / p).",
        ),
        Mistake(
            "puts equals above",
            """def shift(past, new, cuts):
    def count(x):
        known = x[~np.isnan(x)]
        counts = np.bincount(np.searchsorted(cuts, known, side="right"), minlength=len(cuts) + 1)
        return np.append(counts, len(x) - len(known))

    return float(psi(count(past), count(new)))
""",
            "You put a value equal to a cut above it. It belongs below, or whole numbers at the cuts change bins.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Whole numbers at the cuts, holes, values beyond the past; then a dead feed, an empty bin, no shift."""
        import numpy as np

        for holes in 0.05, 0.2:
            past = np.round(rng.normal(50, 10, 400))
            new = np.round(rng.normal(56, 12, 90))
            new[:4] = past.max() + np.array([3.0, 9.0, 20.0, 40.0])
            past[rng.random(400) < 0.1] = np.nan
            new[rng.random(90) < holes] = np.nan
            yield Case((past, new, np.array([35.0, 45.0, 50.0, 60.0, float(np.nanmax(past)) - 1])))
        cuts = np.array([40.0, 55.0])
        yield Case((past, np.full(30, np.nan), cuts), edge="every value is missing")
        yield Case((past, rng.uniform(41, 54, 40), cuts), edge="two bins are empty")
        yield Case((past, past, cuts), edge="nothing has moved")


class AlarmLevel(Exercise):
    """One level for all features and looks: from the largest value of each week."""

    id = "monitor-2"
    title = "A level for a family of looks"
    starter = """def alarm_level(far, most):
    return ____
"""
    hints = (
        "A week rings if any look at any feature is above the level: only its largest distance matters. `far.max(axis=(1, 2))`.",
        "Sort the largest distances of the weeks. If you take one of them as level, the weeks above it are those that come "
        "after it.",
        "`most` weeks may lie above: sorted from the largest down, the level stands at place `most`.",
    )
    solutions = (
        """def alarm_level(far, most):
    largest = np.sort(far.max(axis=(1, 2)))
    return float(largest[::-1][most])
""",
        """def alarm_level(far, most):
    largest = np.array([week.max() for week in far])
    for level in sorted(largest):
        if (largest > level).sum() <= most:
            return float(level)
""",
    )
    mistakes = (
        Mistake(
            "sets a level for a single look",
            """def alarm_level(far, most):
    every = np.sort(far.ravel())[::-1]
    return float(every[most * far[0].size])
""",
            "Your level holds for one look at one feature. With many features and looks, nearly every week then has one above "
            "it: take the largest of each week first.",
        ),
        Mistake(
            "counts days",
            """def alarm_level(far, most):
    daily = np.sort(far.max(axis=2).ravel())[::-1]
    return float(daily[most * far.shape[1]])
""",
            "Your level holds for a day, not for a week of looks: take the largest over features **and** looks.",
        ),
        Mistake(
            "forgets the features",
            """def alarm_level(far, most):
    weekly = np.sort(far.max(axis=1).ravel())[::-1]
    return float(weekly[most * far.shape[2]])
""",
            "Your level holds for one feature. The week rings if any of them does: take the largest over looks **and** features.",
        ),
        Mistake(
            "interpolates",
            """def alarm_level(far, most):
    return float(np.quantile(far.max(axis=(1, 2)), 1 - most / len(far)))
""",
            "`np.quantile` takes a value between two weeks. The level must be one of the distances, and the smallest that lets no more "
            "than `most` weeks ring.",
        ),
        Mistake(
            "takes the worst week",
            """def alarm_level(far, most):
    return float(far.max())
""",
            "You take the largest distance ever seen. Nothing rings, and much is missed: the weeks that may ring are yours "
            "to spend.",
        ),
        Mistake(
            "is one week off",
            """def alarm_level(far, most):
    largest = np.sort(far.max(axis=(1, 2)))[::-1]
    return float(largest[max(most - 1, 0)])
""",
            "One week too few lies above your level. The level itself does not ring, only what is above it: the next smaller "
            "distance still lets no more than `most` ring.",
        ),
        Mistake(
            "averages the looks",
            """def alarm_level(far, most):
    largest = np.sort(far.mean(axis=1).max(axis=1))[::-1]
    return float(largest[most])
""",
            "You average the looks of a week. The alarm does not: it rings on the first look that is above the level.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Weeks of looks at features; then no week may ring, all but one may, equal weeks, a single distance."""
        import numpy as np

        for weeks, most in ((40, 4), (30, 3), (50, 2), (33, 7)):
            far = rng.gamma(2.0, 1.0, (weeks, 7, 4)) + rng.normal(0, 0.5, (weeks, 1, 1))
            yield Case((far, most))
        yield Case((far, 0), edge="no week may ring")
        yield Case((far, 32), edge="all weeks but one may ring")
        yield Case((np.repeat(far[:5], 4, axis=0), 2), edge="weeks that are equal")
        yield Case((far[:1, :1, :1], 0), edge="a single distance")


class KnownRate(Exercise):
    """Only what is certain and here may count; what should be here and is not is said."""

    id = "monitor-3"
    title = "What is known now"
    starter = """def known_rate(scheduled, came, bad, now, delay):
    return ____
"""
    hints = (
        "Two conditions, each an array of true and false: `due = scheduled + delay <= now` and `here = came <= now`. A comparison "
        "with NaN is false, as it should be.",
        "The certain flights are `due & here`; the first share is `bad` among them. The second share is about the due flights alone.",
        "The mean of an empty selection warns and gives NaN: ask for its length first and return `np.nan`.",
    )
    solutions = (
        """def known_rate(scheduled, came, bad, now, delay):
    due = scheduled + delay <= now
    certain = due & (came <= now)
    rate = float(bad[certain].mean()) if certain.any() else np.nan
    lacking = float((~certain[due]).mean()) if due.any() else np.nan
    return rate, lacking
""",
        """def known_rate(scheduled, came, bad, now, delay):
    due = certain = wrong = 0
    for s, c, b in zip(scheduled, came, bad):
        if now - s >= delay:
            due += 1
            if now >= c:
                certain += 1
                wrong += int(b)
    return (wrong / certain if certain else np.nan), ((due - certain) / due if due else np.nan)
""",
    )
    mistakes = (
        Mistake(
            "takes unknown for good",
            """def known_rate(scheduled, came, bad, now, delay):
    due = scheduled + delay <= now
    certain = due & (came <= now)
    if not due.any():
        return np.nan, np.nan
    rate = (bad & certain)[due].mean() if certain.any() else np.nan
    return float(rate), float((~certain[due]).mean())
""",
            "You divide by all due flights, as if those without an outcome had been good. Unknown is not good: they leave both "
            "sides of the share.",
        ),
        Mistake(
            "knows the future",
            """def known_rate(scheduled, came, bad, now, delay):
    due = scheduled + delay <= now
    certain = due & ~np.isnan(came)
    rate = float(bad[certain].mean()) if certain.any() else np.nan
    return rate, float((~certain[due]).mean()) if due.any() else np.nan
""",
            "You use outcomes that came after `now`. In a backtest the table holds them; at `now` nobody had them.",
        ),
        Mistake(
            "counts the quick ones",
            """def known_rate(scheduled, came, bad, now, delay):
    due, here = scheduled + delay <= now, came <= now
    rate = float(bad[here].mean()) if here.any() else np.nan
    return rate, float((~here[due]).mean()) if due.any() else np.nan
""",
            "You count every outcome that is here. Flights that land on time report first, so the young ones look too good: "
            "wait until a flight is due.",
        ),
        Mistake(
            "trusts the delay",
            """def known_rate(scheduled, came, bad, now, delay):
    due = scheduled + delay <= now
    rate = float(bad[due].mean()) if due.any() else np.nan
    return rate, float((~(came <= now)[due]).mean()) if due.any() else np.nan
""",
            "You count the labels of all due flights, also of those whose outcome has not come. What `bad` says of them is not "
            "known at `now`.",
        ),
        Mistake(
            "waits too long",
            """def known_rate(scheduled, came, bad, now, delay):
    due = scheduled + delay < now
    certain = due & (came < now)
    rate = float(bad[certain].mean()) if certain.any() else np.nan
    return rate, float((~certain[due]).mean()) if due.any() else np.nan
""",
            "You leave out what is due, or came, exactly at `now`. Both are inclusive.",
        ),
        Mistake(
            "blames the young",
            """def known_rate(scheduled, came, bad, now, delay):
    due = scheduled + delay <= now
    certain = due & (came <= now)
    rate = float(bad[certain].mean()) if certain.any() else np.nan
    return rate, float((~certain).mean()) if due.any() else np.nan
""",
            "Your second share counts flights that are not due yet as lacking. They are young; nobody owes their outcome.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Days in which good flights report first, some never; then nothing due, nothing here, exactly at now."""
        import numpy as np

        for lost in 0.1, 0.3:
            n = int(rng.integers(60, 90))
            scheduled, bad = np.sort(rng.uniform(0, 60, n)), rng.random(n) < 0.4
            came = scheduled + rng.uniform(1, 3, n) + bad * rng.uniform(1, 20, n)
            came[rng.random(n) < lost] = np.nan
            yield Case((scheduled, came, bad, 48.0, 13.0))
        yield Case((scheduled, came, bad, -5.0, 13.0), edge="no flight is due")
        yield Case((scheduled, came * np.nan, bad, 48.0, 13.0), edge="no outcome has come")
        s, c = np.array([0.0, 1.0, 2.0, 3.0]), np.array([13.0, 16.0, 15.0, np.nan])
        yield Case(
            (s, c, np.array([True, True, False, True]), 15.0, 13.0), edge="due, or here, exactly at now"
        )
        yield Case(
            (s, c, np.array([True, True, False, True]), 16.0, 13.0), edge="an outcome that never comes"
        )
        yield Case((s[:0], c[:0], np.zeros(0, bool), 15.0, 13.0), edge="no flight at all")


class Missed(Exercise):
    """Probabilities are added, not counted; what was not answered is missed too."""

    id = "monitor-4"
    title = "What was missed"
    starter = """def missed(p, cut, z):
    return ____
"""
    hints = (
        "Of flights with probability 0.3, three in ten are bad: the expected number is the **sum** of the probabilities, over "
        "those that nobody acts on.",
        "Fill the holes first: `np.where(np.isnan(p), np.nanmean(p), p)`, but decide who is acted on with the p that was there.",
        "One flight's variance is p (1 - p). Variances add up, standard deviations do not; the lower end is at least 0.0.",
    )
    solutions = (
        """def missed(p, cut, z):
    full = np.where(np.isnan(p), np.nanmean(p), p)
    q = full[~(p > cut)]
    half = z * np.sqrt((q * (1 - q)).sum())
    return float(q.sum()), float(max(q.sum() - half, 0.0)), float(q.sum() + half)
""",
        """def missed(p, cut, z):
    answered = [x for x in p if x == x]
    q = [x for x in answered if x <= cut] + [sum(answered) / len(answered)] * (len(p) - len(answered))
    expected, variance = float(sum(q)), float(sum(x * (1 - x) for x in q))
    return expected, max(expected - z * variance**0.5, 0.0), expected + z * variance**0.5
""",
    )
    mistakes = (
        Mistake(
            "counts instead of adding",
            """def missed(p, cut, z):
    full = np.where(np.isnan(p), np.nanmean(p), p)
    q = full[~(p > cut)]
    half = z * np.sqrt((q * (1 - q)).sum())
    n = float((q > 0.5).sum())
    return n, max(n - half, 0.0), n + half
""",
            "You count the flights above 0.5. Calibrated probabilities are added up: ten flights of 0.3 hold three bad ones, and "
            "none is above 0.5.",
        ),
        Mistake(
            "counts those acted on",
            """def missed(p, cut, z):
    q = np.where(np.isnan(p), np.nanmean(p), p)
    half = z * np.sqrt((q * (1 - q)).sum())
    return float(q.sum()), float(max(q.sum() - half, 0.0)), float(q.sum() + half)
""",
            "You add up all flights. Those above `cut` had an act: somebody prepared for them.",
        ),
        Mistake(
            "forgets the unanswered",
            """def missed(p, cut, z):
    q = p[p <= cut]
    half = z * np.sqrt((q * (1 - q)).sum())
    return float(q.sum()), float(max(q.sum() - half, 0.0)), float(q.sum() + half)
""",
            "You leave out the flights that the service did not answer. Nobody acted on them either: when it is down, that is where "
            "the money goes.",
        ),
        Mistake(
            "lets the unanswered act",
            """def missed(p, cut, z):
    q = np.where(np.isnan(p), np.nanmean(p), p)
    q = q[q <= cut]
    half = z * np.sqrt((q * (1 - q)).sum())
    return float(q.sum()), float(max(q.sum() - half, 0.0)), float(q.sum() + half)
""",
            "You fill the holes and then decide as if the service had answered. It did not, so nobody acted, however high the mean.",
        ),
        Mistake(
            "fills with what was missed",
            """def missed(p, cut, z):
    q = p[~(p > cut)]
    q = np.where(np.isnan(q), np.nanmean(q) if (p <= cut).any() else 0.0, q)
    half = z * np.sqrt((q * (1 - q)).sum())
    return float(q.sum()), float(max(q.sum() - half, 0.0)), float(q.sum() + half)
""",
            "You fill the holes with the mean of the flights that looked good. A flight without an answer may be any flight: take "
            "the mean of all that were answered.",
        ),
        Mistake(
            "adds standard deviations",
            """def missed(p, cut, z):
    full = np.where(np.isnan(p), np.nanmean(p), p)
    q = full[~(p > cut)]
    half = z * np.sqrt(q * (1 - q)).sum()
    return float(q.sum()), float(max(q.sum() - half, 0.0)), float(q.sum() + half)
""",
            "You add up standard deviations. Independent flights cancel in part: add the variances, then take the root.",
        ),
        Mistake(
            "falls below zero",
            """def missed(p, cut, z):
    full = np.where(np.isnan(p), np.nanmean(p), p)
    q = full[~(p > cut)]
    half = z * np.sqrt((q * (1 - q)).sum())
    return float(q.sum()), float(q.sum() - half), float(q.sum() + half)
""",
            "Your lower end is below zero. Fewer than no flights cannot be missed: stop at 0.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Answered and unanswered flights; then few flights, p exactly at the cut, all answered, all acted on."""
        import numpy as np

        for holes in 0.1, 0.3:
            p = rng.beta(1.5, 3.0, int(rng.integers(60, 90)))
            p[rng.random(len(p)) < holes] = np.nan
            yield Case((p, 0.25, 1.64))
        yield Case((p, 0.6, 1.0))
        yield Case(
            (np.array([0.1, 0.2, 0.9, np.nan]), 0.3, 3.0), edge="so few that the interval reaches zero"
        )
        yield Case((np.array([0.3, 0.3, 0.7, 0.8] * 5), 0.3, 1.0), edge="p exactly at the cut")
        yield Case((np.array([0.9, 0.8, np.nan]), 0.5, 1.0), edge="only the unanswered are missed")
        yield Case((np.array([0.9, 0.8]), 0.5, 1.0), edge="all were acted on")
