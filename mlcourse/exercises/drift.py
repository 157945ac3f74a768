"""Exercises of lesson 24: a cut for a new base rate, importance weights, a share from acts alone, rows that may teach."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class CutFor(Exercise):
    """Odds change by one factor; to move the cut is to go that way backwards."""

    id = "drift-1"
    title = "Move the cut instead"
    starter = """def cut_for(cut, old, new):
    return ____
"""
    hints = (
        "When the share of bad flights goes from `old` to `new`, a flight's bad part grows to `p * new / old`, its good part to "
        "`(1 - p) * (1 - new) / (1 - old)`. But `cut` is about p after this, and you want p before it.",
        "So go backwards: the bad part is `cut * old / new`, the good part `(1 - cut) * (1 - old) / (1 - new)`.",
        "The probability is the bad part of both: bad / (bad + good). That stays right for a cut of 0 and of 1.",
    )
    solutions = (
        """def cut_for(cut, old, new):
    bad, good = cut * old / new, (1 - cut) * (1 - old) / (1 - new)
    return bad / (bad + good)
""",
        """def cut_for(cut, old, new):
    factor = new / (1 - new) * (1 - old) / old
    return cut / (cut + factor * (1 - cut))
""",
    )
    mistakes = (
        Mistake(
            "corrects the cut like a probability",
            """def cut_for(cut, old, new):
    bad, good = cut * new / old, (1 - cut) * (1 - new) / (1 - old)
    return bad / (bad + good)
""",
            "You correct the cut as if it were the model's p. It is the other way round: with fewer bad flights the unchanged model "
            "says too much, so its cut must **rise**.",
        ),
        Mistake(
            "scales the cut",
            """def cut_for(cut, old, new):
    return np.minimum(cut * old / new, 1.0)
""",
            "You multiply the cut by `old / new`. It would reach 1, and no flight could pass: the *odds* change by a factor.",
        ),
        Mistake(
            "forgets the good flights",
            """def cut_for(cut, old, new):
    bad = cut * old / new
    return bad / (bad + 1 - cut)
""",
            "You correct the bad flights and forget that the share of good ones moved too, from `1 - old` to `1 - new`.",
        ),
        Mistake(
            "shifts by the difference",
            """def cut_for(cut, old, new):
    return np.clip(cut + old - new, 0, 1)
""",
            "You add the difference of the shares. A cut of 0 or 1 must stay where it is: change the odds.",
        ),
        Mistake(
            "divides by zero",
            """def cut_for(cut, old, new):
    with np.errstate(divide="ignore", invalid="ignore"):
        odds = cut / (1 - cut) * old / (1 - old) * (1 - new) / new
        return odds / (1 + odds)
""",
            "Your odds are infinite where the cut is 1, and the result is not a number. Compute the bad and the good part, and "
            "divide once.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Fewer and more bad flights; then the ends, and a share that did not move."""
        import numpy as np

        for old, new in ((0.27, 0.11), (0.11, 0.27), (0.5, 0.2), (0.05, 0.6)):
            yield Case((rng.uniform(0.05, 0.95, 8), old, new * float(rng.uniform(0.9, 1.1))))
        yield Case((np.array([0.0, 0.25, 1.0]), 0.3, 0.1), edge="a cut of exactly 0 or 1")
        yield Case((rng.random(5), 0.2, 0.2), edge="the share did not move: nothing changes")


class Importance(Exercise):
    """The odds of *new*, corrected for the sizes of both samples: a ratio of densities."""

    id = "drift-2"
    title = "Importance weights"
    starter = """def importance(q, past, new, most):
    return ____
"""
    hints = (
        "By Bayes' rule q / (1 - q) is the ratio of the densities times `new / past`: undo the sizes with `past / new`.",
        "Limit first (`np.minimum`), then divide by the mean. Scaled first, the limit would mean something else in every sample.",
        'With q = 1 the odds are infinite. `with np.errstate(divide="ignore"):` lets numpy say `inf`, which the limit cuts.',
    )
    solutions = (
        """def importance(q, past, new, most):
    with np.errstate(divide="ignore"):
        w = np.minimum(q / (1 - q) * past / new, most)
    return w / w.mean()
""",
        """def importance(q, past, new, most):
    w = [most if x == 1 else min(x / (1 - x) / new * past, most) for x in q.tolist()]
    return np.array(w) * len(w) / sum(w)
""",
    )
    mistakes = (
        Mistake(
            "upside down",
            """def importance(q, past, new, most):
    with np.errstate(divide="ignore"):
        w = np.minimum((1 - q) / q * new / past, most)
    return w / w.mean()
""",
            "You have the ratio upside down: flights that look like the past would count most. It is new over past.",
        ),
        Mistake(
            "forgets the sizes",
            """def importance(q, past, new, most):
    with np.errstate(divide="ignore"):
        w = np.minimum(q / (1 - q), most)
    return w / w.mean()
""",
            "You forget how many rows of each kind the classifier saw. The scale does not repair it, as the limit comes before: "
            "multiply the odds by `past / new`.",
        ),
        Mistake(
            "no limit",
            """def importance(q, past, new, most):
    w = q / np.maximum(1 - q, 1e-12) * past / new
    return w / w.mean()
""",
            "You set no limit. A few flights with q near 1 would count as much as all others, and the model learns from them alone.",
        ),
        Mistake(
            "limits after scaling",
            """def importance(q, past, new, most):
    w = q / np.maximum(1 - q, 1e-12) * past / new
    return np.minimum(w / w.mean(), most)
""",
            "You scale first and limit afterwards: then the mean is no longer 1. Limit first.",
        ),
        Mistake(
            "not scaled",
            """def importance(q, past, new, most):
    with np.errstate(divide="ignore"):
        return np.minimum(q / (1 - q) * past / new, most)
""",
            "Your weights do not have mean 1. The learner's penalty would count more or less than before.",
        ),
        Mistake(
            "takes q for the weight",
            """def importance(q, past, new, most):
    w = np.minimum(q, most)
    return w / w.mean()
""",
            "You take q itself. It is new over *all*; the weight is new over past: the odds q / (1 - q).",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Samples of unlike sizes with a limit that cuts some; then certainty, and a classifier that can tell nothing."""
        import numpy as np

        for past, new in ((900, 300), (200, 500), (5000, 50)):
            q = np.sort(rng.uniform(0.05, 0.9, 12))
            odds = q / (1 - q) * past / new
            yield Case((rng.permutation(q), past, new, float(np.mean(odds[7:9]))))
        yield Case((np.array([0.0, 0.3, 0.6, 1.0]), 100, 50, 4.0), edge="q is exactly 0 or 1")
        yield Case(
            (np.full(5, 0.25), 300, 100, 10.0), edge="the classifier can tell nothing: all weights are 1"
        )


class ShareFromActs(Exercise):
    """Acts are a noisy count of bad flights; past labels say how noisy."""

    id = "drift-3"
    title = "The share from acts alone"
    starter = """def share_from_acts(acted, past_acted, past_bad):
    return ____
"""
    hints = (
        "From the past: which share of bad flights was acted on (`hit`), and which share of good ones (`false`)?",
        "If a share s is bad now, acts come from both: `acted.mean() = s * hit + (1 - s) * false`. Solve for s.",
        "Luck can push s outside 0 to 1: clip it. If `hit` equals `false`, acts say nothing: return `float('nan')`.",
    )
    solutions = (
        """def share_from_acts(acted, past_acted, past_bad):
    hit, false = past_acted[past_bad].mean(), past_acted[~past_bad].mean()
    if hit == false:
        return float("nan")
    return float(np.clip((acted.mean() - false) / (hit - false), 0, 1))
""",
        """def share_from_acts(acted, past_acted, past_bad):
    good = np.logical_not(past_bad)
    hit = np.count_nonzero(past_acted & past_bad) / np.count_nonzero(past_bad)
    false = np.count_nonzero(past_acted & good) / np.count_nonzero(good)
    found = (np.count_nonzero(acted) / len(acted) - false) / (hit - false) if hit != false else float("nan")
    return max(0.0, min(1.0, found)) if found == found else found
""",
    )
    mistakes = (
        Mistake(
            "counts the acts",
            """def share_from_acts(acted, past_acted, past_bad):
    return float(acted.mean())
""",
            "You return the share of acts. Some acts are false alarms and some bad flights get none: the past says how many.",
        ),
        Mistake(
            "forgets the false alarms",
            """def share_from_acts(acted, past_acted, past_bad):
    return float(np.clip(acted.mean() / past_acted[past_bad].mean(), 0, 1))
""",
            "You divide by the share of bad flights that are acted on, and forget that good flights are acted on too.",
        ),
        Mistake(
            "precision for recall",
            """def share_from_acts(acted, past_acted, past_bad):
    hit, false = past_bad[past_acted].mean(), past_bad[~past_acted].mean()
    return float(np.clip((acted.mean() - false) / (hit - false), 0, 1)) if hit != false else float("nan")
""",
            "You use how many of the *acts* were bad. That changes with the very share you look for; what stays is how many of the "
            "*bad* flights are acted on.",
        ),
        Mistake(
            "scales the old share",
            """def share_from_acts(acted, past_acted, past_bad):
    return float(np.clip(past_bad.mean() * acted.mean() / past_acted.mean(), 0, 1))
""",
            "You scale the old share as the acts have grown. Acts do not grow in step with bad flights: false alarms of the good "
            "ones stay.",
        ),
        Mistake(
            "not clipped",
            """def share_from_acts(acted, past_acted, past_bad):
    hit, false = past_acted[past_bad].mean(), past_acted[~past_bad].mean()
    return float((acted.mean() - false) / (hit - false)) if hit != false else float("nan")
""",
            "Your share leaves 0 to 1 when luck has fewer acts than false alarms alone would give. Clip it.",
        ),
        Mistake(
            "divides by zero",
            """def share_from_acts(acted, past_acted, past_bad):
    hit, false = past_acted[past_bad].mean(), past_acted[~past_bad].mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.clip((acted.mean() - false) / (hit - false), 0, 1))
""",
            "Where `hit` equals `false` the acts know nothing of bad flights, and no share can be read from them: return NaN.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Shares below and above the past's; then beyond both ends, and acts that know nothing."""
        import numpy as np

        for share in (0.15, 0.4, 0.6):
            bad = np.r_[True, False, rng.random(58) < 0.3]
            acted = np.r_[True, True, np.where(bad[2:], rng.random(58) < 0.85, rng.random(58) < 0.1)]
            yield Case((rng.random(40) < 0.2 + share / 2, acted, bad))
        bad, acted = np.repeat([True, False], 20), np.r_[np.repeat([True, False], [16, 4]), np.arange(20) < 4]
        yield Case((np.arange(30) < 2, acted, bad), edge="fewer acts than false alarms alone would give")
        yield Case((np.arange(30) < 29, acted, bad), edge="more acts than bad flights alone would give")
        yield Case(
            (np.arange(30) < 9, np.tile([True, False], 20), bad),
            edge="acts that know nothing of bad flights",
        )
        yield Case(
            (np.arange(30) < 12, np.r_[np.ones(20, bool), np.arange(20) < 5], bad),
            edge="every bad flight was acted on",
        )


class MayTeach(Exercise):
    """A label that is certain and here, inputs that are right: all else stays out of the training."""

    id = "drift-4"
    title = "Which rows may teach"
    starter = """def may_teach(rows, first, end, now, delay):
    return ____
"""
    hints = (
        "Three questions for each row: is its label certain, is it here, and are its inputs right?",
        "A label is certain from `scheduled + delay` on, that hour included; it is here if `bad` is not missing.",
        "Inputs are wrong from `first` on and right again at `end`: `(rows.scheduled >= first) & (rows.scheduled < end)`. A row "
        "that is mended is right.",
    )
    solutions = (
        """def may_teach(rows, first, end, now, delay):
    certain = (rows.scheduled + delay <= now) & rows.bad.notna()
    broken = (rows.scheduled >= first) & (rows.scheduled < end) & ~rows.mended
    return (certain & ~broken).to_numpy()
""",
        """def may_teach(rows, first, end, now, delay):
    teach = []
    for row in rows.itertuples():
        right = row.mended or row.scheduled < first or row.scheduled >= end
        teach.append(bool(right and row.bad in (0, 1) and row.scheduled <= now - delay))
    return np.array(teach, dtype=bool)
""",
    )
    mistakes = (
        Mistake(
            "forgets the label delay",
            """def may_teach(rows, first, end, now, delay):
    broken = (rows.scheduled >= first) & (rows.scheduled < end) & ~rows.mended
    return ((rows.scheduled <= now) & rows.bad.notna() & ~broken).to_numpy()
""",
            "You use labels before they are certain. Early ones are not typical: what lands first is on time. Wait for `delay`.",
        ),
        Mistake(
            "takes unknown for good",
            """def may_teach(rows, first, end, now, delay):
    broken = (rows.scheduled >= first) & (rows.scheduled < end) & ~rows.mended
    return ((rows.scheduled + delay <= now) & ~broken).to_numpy()
""",
            "You let rows teach that have no label. Old enough is not enough: a label may be overdue.",
        ),
        Mistake(
            "throws mended rows away",
            """def may_teach(rows, first, end, now, delay):
    broken = (rows.scheduled >= first) & (rows.scheduled < end)
    return ((rows.scheduled + delay <= now) & rows.bad.notna() & ~broken).to_numpy()
""",
            "You throw mended rows away. They are right again, and often the newest you have.",
        ),
        Mistake(
            "takes the end as broken",
            """def may_teach(rows, first, end, now, delay):
    broken = rows.scheduled.between(first, end) & ~rows.mended
    return ((rows.scheduled + delay <= now) & rows.bad.notna() & ~broken).to_numpy()
""",
            "At `end` the feed is right again: that hour may teach. (`between` takes both ends.)",
        ),
        Mistake(
            "drops all before the end",
            """def may_teach(rows, first, end, now, delay):
    broken = (rows.scheduled < end) & ~rows.mended
    return ((rows.scheduled + delay <= now) & rows.bad.notna() & ~broken).to_numpy()
""",
            "You drop what came before the fault too. Those rows are right: the fault begins at `first`.",
        ),
        Mistake(
            "waits too long",
            """def may_teach(rows, first, end, now, delay):
    broken = (rows.scheduled >= first) & (rows.scheduled < end) & ~rows.mended
    return ((rows.scheduled + delay < now) & rows.bad.notna() & ~broken).to_numpy()
""",
            "A label is certain from `scheduled + delay` on, that very hour included.",
        ),
        Mistake(
            "writes by labels of the index",
            """def may_teach(rows, first, end, now, delay):
    certain = (rows.scheduled + delay <= now) & rows.bad.notna()
    broken = (rows.scheduled >= first) & (rows.scheduled < end) & ~rows.mended
    teach = np.zeros(len(rows), dtype=bool)
    teach[rows.index[certain & ~broken]] = True
    return teach
""",
            "You take labels of the index for positions. A log that was filtered or sorted has others: combine the conditions, and "
            "use `.to_numpy()`.",
        ),
        Mistake(
            "numbers for bools",
            """def may_teach(rows, first, end, now, delay):
    certain = (rows.scheduled + delay <= now) & rows.bad.notna()
    broken = (rows.scheduled >= first) & (rows.scheduled < end) & ~rows.mended
    return (certain & ~broken).to_numpy().astype(int)
""",
            "You return numbers. As an index, 0 and 1 would choose the first two rows again and again: return bools.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Made logs around a fault, with every boundary hit; then no fault, and no row."""
        for _ in range(4):
            first = int(rng.integers(20, 30))
            end, delay = first + int(rng.integers(8, 20)), int(rng.integers(6, 14))
            now = end + delay + int(rng.integers(3, 9))
            hours = [
                first - 1,
                first,
                end - 1,
                end,
                now - delay,
                now - delay + 1,
                now,
                *rng.integers(0, now + 5, 14),
            ]
            yield Case((_rows(rng, [*hours, *hours]), first, end, now, delay))
        yield Case((_rows(rng, range(12)), 5, 5, 20, 13), edge="no fault at all")
        yield Case((_rows(rng, [30, 31, 32]), 5, 9, 20, 13), edge="no label is certain yet")
        yield Case((_rows(rng, [3, 4, 5]).iloc[:0], 5, 9, 20, 13), edge="no row at all")


def _rows(rng, hours):
    # A log of such scheduled hours: the first half mended by lot, the other one not; labels mostly here.
    import numpy as np
    import pandas as pd

    hours, n = list(hours), len(list(hours))
    bad = np.where(rng.random(n) < 0.15, np.nan, (rng.random(n) < 0.3) * 1.0)
    bad[n // 2 : n // 2 + 7] = 1.0  # the boundaries have labels
    mended = np.arange(n) < n // 2
    rows = pd.DataFrame({"scheduled": hours, "bad": bad, "mended": mended & (rng.random(n) < 0.6)})
    return rows.set_index(rng.permutation(n) + 100)
