"""Exercises of the recommendation capstone."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class Unseen(Exercise):
    """The last step of every recommender, and the one that users notice."""

    id = "recommendation-1"
    title = "The best films a user has not seen"
    starter = """def best_unseen(scores, seen, k):
    return ____
"""
    hints = (
        "Put the seen films out of the race first, then take k: the other way round leaves fewer than k.",
        "Scores may be negative, so 0 is no bottom: use `-np.inf` on a **copy**, or leave the seen positions out.",
        "`np.argsort(-scores, kind='stable')` puts equal scores in order of position. Return at most as many as are unseen.",
    )
    solutions = (
        """def best_unseen(scores, seen, k):
    order = np.argsort(-scores, kind="stable")
    return order[~np.isin(order, seen)][:k]
""",
        """def best_unseen(scores, seen, k):
    left = set(range(len(scores))) - set(seen.tolist())
    return np.array(sorted(left, key=lambda film: (-scores[film], film))[:k], dtype=int)
""",
    )
    mistakes = (
        Mistake(
            "recommends what was seen",
            """def best_unseen(scores, seen, k):
    return np.argsort(-scores, kind="stable")[:k]
""",
            "You do not use `seen`. A user's own films have the highest scores of all: the first screen would show yesterday's.",
        ),
        Mistake(
            "takes k first",
            """def best_unseen(scores, seen, k):
    order = np.argsort(-scores, kind="stable")[:k]
    return order[~np.isin(order, seen)]
""",
            "You take k films and then drop the seen ones, so the screen has holes. Drop first, then take k.",
        ),
        Mistake(
            "zero for seen",
            """def best_unseen(scores, seen, k):
    scores = scores.copy()
    scores[seen] = 0
    order = np.argsort(-scores, kind="stable")
    return order[: min(k, len(scores) - len(set(seen.tolist())))]
""",
            "You give seen films the score 0. Half of all scores are below 0, so seen films beat them: use -np.inf.",
        ),
        Mistake(
            "the worst first",
            """def best_unseen(scores, seen, k):
    order = np.argsort(scores, kind="stable")
    return order[~np.isin(order, seen)][:k]
""",
            "argsort puts the smallest first, so these are the films the user would like least: sort `-scores`.",
        ),
        Mistake(
            "shows the seen when nothing is left",
            """def best_unseen(scores, seen, k):
    scores = scores.copy()
    scores[seen] = -np.inf
    return np.argsort(-scores, kind="stable")[:k]
""",
            "When k is larger than what is left, your seen films come back at the end of the list. Return fewer instead.",
        ),
        Mistake(
            "changes the scores",
            """def best_unseen(scores, seen, k):
    scores[seen] = -np.inf
    order = np.argsort(-scores, kind="stable")
    return order[: min(k, np.isfinite(scores).sum())]
""",
            "You write into `scores`. The caller serves the next request from the same array: copy it first.",
        ),
        Mistake(
            "leaves the best unsorted",
            """def best_unseen(scores, seen, k):
    scores = scores.copy()
    scores[seen] = -np.inf
    k = min(k, int(np.isfinite(scores).sum()))
    return np.argpartition(-scores, max(k - 1, 0))[:k]
""",
            "`argpartition` finds the best k and leaves them in no order. The first slot is looked at most: sort what you found.",
        ),
        Mistake(
            "turns ties around",
            """def best_unseen(scores, seen, k):
    order = np.argsort(scores, kind="stable")[::-1]
    return order[~np.isin(order, seen)][:k]
""",
            "Turning the sorted order around turns equal scores around as well, so the later film comes first. Sort "
            "`-scores` with kind='stable'.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Seen films among the best, a long list; then ties, k above what is left, nothing seen, everything seen, k = 0."""
        import numpy as np

        for n in 12, 30, 50:
            scores = rng.normal(-0.5, 1, n)
            seen = np.unique(np.r_[np.argsort(-scores)[:3], rng.integers(0, n, 4)])
            yield Case((scores, rng.permutation(seen), int(rng.integers(4, 6))))
        yield Case((rng.normal(-0.5, 1, 6000), rng.permutation(6000)[:600], 2000))
        yield Case(
            (np.array([0.5, 2, 0.5, 2, 0.5]), np.array([1]), 3),
            edge="equal scores: the smaller position first",
        )
        yield Case((scores[:6], np.array([0, 2]), 10), edge="k is larger than what is left")
        yield Case((scores[:6], np.array([], int), 3), edge="nothing was seen yet")
        yield Case((scores[:4], np.arange(4), 2), edge="everything was seen")
        yield Case((scores[:6], np.array([1, 1, 1, 4]), 6), edge="a film that was seen many times")
        yield Case((scores[:6], np.array([1]), 0), edge="k is 0")


class Gain(Exercise):
    """nDCG by hand: where the ideal list ends is what people get wrong."""

    id = "recommendation-2"
    title = "nDCG over the whole catalogue"
    starter = """def ndcg(ranked, relevant, k):
    return ____
"""
    hints = (
        "A hit at place 1, 2, 3, … of the list is worth 1 / log2(place + 1). Add up the hits among the first k.",
        "Divide by the best that is possible: hits at the first min(k, number of relevant films) places, found or not.",
        "No relevant film: there is nothing to measure, so return np.nan; the mean over users leaves such users out.",
    )
    solutions = (
        """def ndcg(ranked, relevant, k):
    if not relevant.size:
        return np.nan
    worth = np.log2(np.arange(k) + 2) ** -1
    hit = np.isin(ranked[:k], relevant)
    return float(worth[: len(hit)][hit].sum() / worth[: len(relevant)].sum())
""",
        """def ndcg(ranked, relevant, k):
    wanted = set(relevant.tolist())
    worth = lambda place: np.log2(place + 1) ** -1
    gained = sum(worth(place) for place, film in enumerate(ranked[:k].tolist(), 1) if film in wanted)
    best = sum(worth(place) for place in range(1, min(k, len(wanted)) + 1))
    return gained / best if wanted else np.nan
""",
    )
    mistakes = (
        Mistake(
            "only what was found",
            """def ndcg(ranked, relevant, k):
    if len(relevant) == 0:
        return np.nan
    worth = 1 / np.log2(np.arange(k) + 2)
    hit = np.isin(ranked[:k], relevant)
    return float(worth[: len(hit)][hit].sum() / worth[: hit.sum()].sum()) if hit.any() else 0.0
""",
            "Your ideal list holds only the relevant films that were found. A list that finds one of ten, in first place, would be "
            "perfect: the ideal counts all relevant films, up to k.",
        ),
        Mistake(
            "ideal of k places",
            """def ndcg(ranked, relevant, k):
    if len(relevant) == 0:
        return np.nan
    worth = 1 / np.log2(np.arange(k) + 2)
    hit = np.isin(ranked[:k], relevant)
    return float(worth[: len(hit)][hit].sum() / worth.sum())
""",
            "You divide by k hits even where a user has fewer relevant films: even a perfect list could not reach 1.",
        ),
        Mistake(
            "ideal without an end",
            """def ndcg(ranked, relevant, k):
    if len(relevant) == 0:
        return np.nan
    worth = 1 / np.log2(np.arange(1000) + 2)
    hit = np.isin(ranked[:k], relevant)
    return float(worth[: len(hit)][hit].sum() / worth[: len(relevant)].sum())
""",
            "Your ideal list is longer than k. A list of k can hold k hits at most: cap the ideal at min(k, relevant).",
        ),
        Mistake(
            "place zero",
            """def ndcg(ranked, relevant, k):
    if len(relevant) == 0:
        return np.nan
    worth = 1 / np.log2(np.maximum(np.arange(k) + 1, 1.0001) + 0.5)
    hit = np.isin(ranked[:k], relevant)
    return float(worth[: len(hit)][hit].sum() / worth[: len(relevant)].sum())
""",
            "Your discount is not 1 / log2(place + 1): places count from 1, so that the first hit is worth exactly 1.",
        ),
        Mistake(
            "recall",
            """def ndcg(ranked, relevant, k):
    if len(relevant) == 0:
        return np.nan
    return float(np.isin(ranked[:k], relevant).sum() / min(k, len(relevant)))
""",
            "You count hits and forget where they stand. A hit in first place is seen by more users than one in tenth.",
        ),
        Mistake(
            "only the rated films",
            """def ndcg(ranked, relevant, k):
    if len(relevant) == 0:
        return np.nan
    hit = np.isin(ranked, relevant)
    places = np.flatnonzero(hit[: 2 * k])[:k]
    worth = 1 / np.log2(np.arange(k) + 2)
    return float(worth[: len(places)].sum() / worth[: len(relevant)].sum())
""",
            "You close the gaps between the hits, as if only relevant films had been ranked. In the service all the others compete, "
            "and a hit keeps the place that it has.",
        ),
        Mistake(
            "nothing counts as zero",
            """def ndcg(ranked, relevant, k):
    worth = 1 / np.log2(np.arange(k) + 2)
    hit = np.isin(ranked[:k], relevant)
    return float(worth[: len(hit)][hit].sum() / max(worth[: len(relevant)].sum(), 1e-9))
""",
            "A user without a relevant film gets 0 and pulls the mean down, whatever you recommend. There is nothing to measure: np.nan.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Lists with some hits, relevant films fewer and more than k; then none found, none relevant, a short list, k = 1."""
        import numpy as np

        for count, k in ((3, 10), (14, 10), (6, 5), (2, 8)):
            ranked = rng.permutation(40)
            some = rng.choice(ranked[: 2 * k], min(count, 2 * k) - 1, replace=False)
            rest = rng.choice(ranked[2 * k :], max(count - len(some), 1), replace=False)
            yield Case((ranked, np.unique(np.r_[ranked[1], some, rest]), k))
        yield Case((ranked, ranked[:2][::-1].copy(), 8), edge="a perfect list is 1")
        yield Case((ranked, ranked[3:4], 8), edge="one relevant film")
        yield Case((ranked, ranked[20:23], 5), edge="none found")
        yield Case((ranked, ranked[:0], 5), edge="no relevant film")
        yield Case((ranked[:4], ranked[2:9], 6), edge="a list shorter than k")
        yield Case((ranked, ranked[:3], 1), edge="k is 1")


class Propensity(Exercise):
    """An estimate without its error is a guess: both, from the same weighted clicks."""

    id = "recommendation-3"
    title = "What another policy would have earned"
    starter = """def policy_value(click, logged, wanted):
    return ____
"""
    hints = (
        "A screen that the new policy would show twice as often as the old one did stands for two: weight = wanted / logged.",
        "The value is the mean of weight * click over **all** screens, also those that the new policy would never show.",
        "Its standard error is the standard deviation (ddof=1) of the products weight * click over the root of their number.",
    )
    solutions = (
        """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    terms = click * wanted / logged
    return terms.mean(), terms.std(ddof=1) / np.sqrt(len(terms))
""",
        """def policy_value(click, logged, wanted):
    if not (logged > 0).all():
        raise ValueError("logged must be above 0: what was shown was possible")
    terms = pd.Series(click) / logged * wanted
    return terms.mean(), terms.sem()
""",
    )
    mistakes = (
        Mistake(
            "the old policy's rate",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    return click.mean(), click.std(ddof=1) / np.sqrt(len(click))
""",
            "You give the click rate of the log: that is the old policy's value. The new one would have shown other films.",
        ),
        Mistake(
            "weights turned around",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    terms = click * logged / np.maximum(wanted, 1e-9)
    return terms.mean(), terms.std(ddof=1) / np.sqrt(len(terms))
""",
            "Your weights are turned around: what the new policy shows more often must count more, so wanted / logged.",
        ),
        Mistake(
            "divides by the weights",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    w = wanted / logged
    value = (click * w).sum() / w.sum()
    return value, (w * (click - value)).std(ddof=1) / w.mean() / np.sqrt(len(w))
""",
            "You divide by the sum of the weights: that is the self-normalised estimate (SNIPS), a good one, but a biased one. Asked "
            "for is the plain mean over all screens.",
        ),
        Mistake(
            "only shared screens",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    kept = wanted > 0
    terms = (click * wanted / logged)[kept]
    return terms.mean(), terms.std(ddof=1) / np.sqrt(len(terms))
""",
            "You leave out the screens that the new policy would never show. They stand for 0 clicks and count in the mean: without "
            "them the value is too high.",
        ),
        Mistake(
            "clips the weights",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    terms = click * np.minimum(wanted / logged, 10)
    return terms.mean(), terms.std(ddof=1) / np.sqrt(len(terms))
""",
            "You clip the weights: the estimate is steadier, but biased against what the old policy seldom showed. Asked for is the "
            "plain mean.",
        ),
        Mistake(
            "forgets how many",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    terms = click * wanted / logged
    return terms.mean(), terms.std(ddof=1)
""",
            "You give the spread of single screens. The error of their mean is smaller by the root of their number.",
        ),
        Mistake(
            "error of the clicks",
            """def policy_value(click, logged, wanted):
    if np.any(logged <= 0):
        raise ValueError("logged must be above 0")
    terms = click * wanted / logged
    return terms.mean(), click.std(ddof=1) / np.sqrt(len(click))
""",
            "Your error is that of the unweighted clicks. A few large weights make the estimate far less sure: use the products.",
        ),
        Mistake(
            "believes the impossible",
            """def policy_value(click, logged, wanted):
    terms = click * wanted / np.maximum(logged, 1e-6)
    return terms.mean(), terms.std(ddof=1) / np.sqrt(len(terms))
""",
            "A screen was shown that the log calls impossible (chance 0 or less). The log is wrong, and one such row with a huge weight "
            "would decide alone: raise ValueError.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Logs under another policy, some screens of which the new one never shows; then equal policies, no click, chance 0."""
        import numpy as np

        for n in 60, 120, 200:
            logged = rng.uniform(0.05, 0.6, n)
            wanted = np.where(rng.random(n) < 0.3, 0, rng.uniform(0.05, 0.9, n))
            click = (rng.random(n) < 0.3 + 0.4 * wanted).astype(float)
            logged[0], wanted[0], click[0] = 0.01, 0.8, 1  # seldom shown, and clicked: it stands for eighty
            yield Case((click, logged, wanted))
        yield Case((np.array([1.0, 0, 0, 1]), logged[:4], logged[:4]), edge="the new policy is the old one")
        yield Case((np.zeros(6), logged[:6], wanted[:6]), edge="nobody clicked")
        yield Case(
            (np.array([1.0, 0, 1]), np.array([0.5, 0.0, 0.2]), np.array([0.1, 0.5, 0.2])),
            edge="a chance of 0 was shown",
        )
        yield Case(
            (np.array([1.0, 0, 1]), np.array([0.5, -0.1, 0.2]), np.array([0.1, 0, 0.2])),
            edge="a chance below 0",
        )


class Slots(Exercise):
    """Position bias, measured where it can be: on shuffled screens."""

    id = "recommendation-4"
    title = "How often is each slot looked at?"
    starter = """def looked_at(slot, click, slots):
    return ____
"""
    hints = (
        "On shuffled screens every film had every slot, so a slot's click *rate* tells how often it is looked at.",
        "Rate = clicks of the slot / times that it was shown: `np.bincount(slot, click, slots) / np.bincount(slot, minlength=slots)`.",
        "Divide by the rate of slot 0. A slot that was never shown is not known: np.nan.",
    )
    solutions = (
        """def looked_at(slot, click, slots):
    shown = np.bincount(slot, minlength=slots)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.bincount(slot, weights=click, minlength=slots) / shown
        return rate / rate[0]
""",
        """def looked_at(slot, click, slots):
    rate = pd.Series(click).groupby(slot).mean().reindex(range(slots))
    return (rate / rate[0]).to_numpy()
""",
    )
    mistakes = (
        Mistake(
            "counts clicks",
            """def looked_at(slot, click, slots):
    clicks = np.bincount(slot, weights=click, minlength=slots)
    shown = np.bincount(slot, minlength=slots)
    return np.where(shown > 0, clicks / clicks[0], np.nan)
""",
            "You count clicks. Short screens show the first slots more often, so they gather more clicks for that reason alone: divide "
            "by how often each slot was shown.",
        ),
        Mistake(
            "share of all clicks",
            """def looked_at(slot, click, slots):
    shown = np.bincount(slot, minlength=slots)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.bincount(slot, weights=click, minlength=slots) / shown
    return rate / np.nansum(rate)
""",
            "You divide by the sum of the rates. Asked for is each slot against the top one, which is 1 by definition.",
        ),
        Mistake(
            "bare rates",
            """def looked_at(slot, click, slots):
    shown = np.bincount(slot, minlength=slots)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.bincount(slot, weights=click, minlength=slots) / shown
""",
            "These are click rates: how often a slot is looked at **and** its film liked. Liking is the same in every slot of shuffled "
            "screens, so divide by the rate of slot 0.",
        ),
        Mistake(
            "against the best",
            """def looked_at(slot, click, slots):
    shown = np.bincount(slot, minlength=slots)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = np.bincount(slot, weights=click, minlength=slots) / shown
    return rate / np.nanmax(rate)
""",
            "You divide by the highest rate. By luck, or by design, that need not be slot 0, and then all others are off.",
        ),
        Mistake(
            "zero for the unknown",
            """def looked_at(slot, click, slots):
    shown = np.bincount(slot, minlength=slots)
    rate = np.bincount(slot, weights=click, minlength=slots) / np.maximum(shown, 1)
    return rate / rate[0]
""",
            "A slot that was never shown gets 0, as if nobody looked there. It is not known: np.nan.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Screens of many lengths, a lower slot ahead by design; then a slot that was never shown, and a lone slot."""
        import numpy as np

        for slots in 4, 6, 9:
            slot = np.concatenate([np.arange(n) for n in rng.integers(2, slots + 1, 80)] + [np.arange(slots)])
            rate = np.linspace(0.6, 0.1, slots)
            rate[1] = 0.9
            click = (rng.random(len(slot)) < rate[slot]).astype(float)
            click[[0, 1]] = 1
            yield Case((slot, click, slots))
        yield Case((np.array([0, 1, 0, 3]), np.array([1.0, 0, 1, 1]), 5), edge="slots that were never shown")
        yield Case((np.array([0, 0]), np.array([1.0, 0]), 1), edge="a single slot")
