"""How good a ranking is: per-user figures, coverage and novelty, slices, splits, and what a logged policy tells of another."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from mlcourse.evaluate import Interval, day_bootstrap


def ranked(found: np.ndarray, held: sp.csr_matrix) -> pd.DataFrame:
    """Per user with a held-out film: ndcg, recall, precision and ap (average precision) of a ranked list, each 0 to 1.

    found (users, k): positions of films, best first, -1 for none; held (users, films): what is relevant, all of it, not
    only what was rated among the candidates. Average precision is divided by the number relevant. ValueError for k = 0,
    another number of users, or a film listed twice: it would count twice.
    """
    found = np.asarray(found)
    if found.ndim != 2 or not found.shape[1] or len(found) != held.shape[0]:
        raise ValueError(
            f"found must be (users, k) with k of 1 or more for {held.shape[0]} users, got {found.shape}"
        )
    ordered = np.sort(found, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise ValueError("found must list a film once for each user, got one twice")
    relevant = np.diff(held.indptr) > 0
    k, found, held = found.shape[1], found[relevant], held[relevant]
    rows = np.arange(len(found))[:, None] + 0 * found
    hit = np.zeros(found.shape, bool)
    if len(found):  # scipy cannot look up nothing
        hit = np.asarray(held[rows.ravel(), np.maximum(found, 0).ravel()] > 0).reshape(found.shape) & (
            found >= 0
        )
    count = np.diff(held.indptr)
    gain = 1 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gain)[np.minimum(count, k) - 1]
    precision = np.cumsum(hit, 1) / np.arange(1, k + 1)
    table = {"ndcg": hit @ gain / best, "recall": hit.sum(1) / count, "precision": hit.mean(1)}
    table["ap"] = (precision * hit).sum(1) / count
    return pd.DataFrame(table, index=np.flatnonzero(relevant))


def intervals(per_user: pd.DataFrame, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Mean of each column with its interval over users (the unit that was drawn): value, low, high."""
    values = per_user.to_numpy(float)
    mean = lambda weights: weights @ values / weights.sum(1, keepdims=True)
    value, low, high = day_bootstrap(mean, np.arange(len(values)), level=level, seed=seed)
    return pd.DataFrame({"value": value, "low": low, "high": high}, index=per_user.columns)


def catalogue(found: np.ndarray, seen: np.ndarray) -> dict[str, float]:
    """What lists do to a catalogue: coverage (share of films shown to anyone), novelty (bits), gini, head.

    seen (films,): users who saw each film. Novelty is the mean of -log2 of the share of views, gini the inequality of
    exposure (0 all alike, 1 one film has all), head the share of exposure that goes to the most seen tenth of films.
    """
    shown = np.bincount(found[found >= 0], minlength=len(seen)).astype(float)
    if not shown.sum():
        return dict.fromkeys(("coverage", "novelty", "gini", "head"), 0.0)
    share = (seen + 1) / (seen + 1).sum()
    order, n = np.sort(shown), len(shown)
    head = np.argsort(-seen, kind="stable")[: max(1, n // 10)]
    return {
        "coverage": float((shown > 0).mean()),
        "novelty": float(-(shown * np.log2(share)).sum() / shown.sum()),
        "gini": float((2 * np.arange(1, n + 1) - n - 1) @ order / (n * order.sum())),
        "head": float(shown[head].sum() / shown.sum()),
    }


def by_popularity(found: np.ndarray, held: sp.csr_matrix, seen: np.ndarray, parts: int = 3) -> pd.Series:
    """Recall of held-out films by how often they were seen: from the head (most views) to the tail, equal shares of views."""
    order = np.argsort(-seen, kind="stable")
    part = np.empty(len(seen), int)
    part[order] = np.minimum((np.cumsum(seen[order]) * parts / max(seen.sum(), 1)).astype(int), parts - 1)
    held = held.tocoo()
    hit = (np.asarray(found)[held.row] == held.col[:, None]).any(1)
    names = ["head", *(f"middle {i}" if parts > 3 else "middle" for i in range(1, parts - 1)), "tail"]
    return pd.Series(hit).groupby(part[held.col]).mean().reindex(range(parts)).set_axis(names[:parts])


def stratified(ratings: pd.DataFrame, ratio: float = 0.75, seed: int = 42, by: str = "film") -> np.ndarray:
    """Which rows (bool) train in the literature's random split: `ratio` of each film's ratings, whenever they were given.

    The draw is that of the Recommenders project (python_stratified_split, filter_by="item"), so that figures compare.
    """
    draw = np.random.RandomState(seed).rand(len(ratings))
    order = np.lexsort((draw, ratings[by].to_numpy()))
    group = ratings[by].to_numpy()[order]
    start = np.r_[True, group[1:] != group[:-1]]
    first = np.flatnonzero(start)[np.cumsum(start) - 1]
    size = np.bincount(np.cumsum(start) - 1)[np.cumsum(start) - 1]
    train = np.empty(len(ratings), bool)
    train[order] = (np.arange(len(ratings)) - first + 1) / size <= ratio
    return train


def before(ratings: pd.DataFrame, share: float = 0.75) -> np.ndarray:
    """Which rows (bool) train in a global split: those before the one moment that leaves about `share` behind it."""
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, both excluded, got {share!r}")
    cut = np.quantile(ratings.time.to_numpy(), share)
    return ratings.time.to_numpy() < cut


class Logged(NamedTuple):
    """What a policy left behind: for each screen the action's reward, and its chance under the log and under the new policy."""

    reward: np.ndarray  # (n,) 0 or 1: was it clicked
    logged: np.ndarray  # (n,) chance that the old policy gave it, above 0
    wanted: np.ndarray  # (n,) chance that the new policy gives it
    model: np.ndarray | None = None  # (n,) a model's guess of the reward of the action shown
    planned: np.ndarray | None = None  # (n,) the same, averaged over what the new policy would show


def _weights(log):
    n, names = len(log.reward), ("reward", "logged", "wanted")
    for name in names:
        x = np.asarray(getattr(log, name), float)
        if (
            x.shape != (n,)
            or not n
            or not np.isfinite(x).all()
            or x.min() < 0
            or (name != "reward" and x.max() > 1)
        ):
            raise ValueError(f"{name} must be {n} finite numbers from 0 (to 1 for a chance), got {x[:3]}")
    if (np.asarray(log.logged) <= 0).any():
        raise ValueError("logged must be above 0: an action that the log calls impossible was shown")
    return np.asarray(log.wanted) / np.asarray(log.logged)


def _mean(terms, level):
    from scipy.stats import norm

    half = norm.ppf((1 + level) / 2) * terms.std(ddof=1) / np.sqrt(len(terms))
    return Interval(float(terms.mean()), float(terms.mean() - half), float(terms.mean() + half))


def ips(log: Logged, level: float = 0.95) -> Interval:
    """Clicks a screen that the new policy would earn, by inverse propensity. Source: Horvitz and Thompson (1952)."""
    return _mean(_weights(log) * log.reward, level)


def snips(log: Logged, level: float = 0.95) -> Interval:
    """The same, divided by the weights' own mean: a little bias for less spread. Source: Swaminathan and Joachims (2015)."""
    w = _weights(log)
    if not w.any():
        raise ValueError("wanted is 0 throughout: the log holds nothing that the new policy would show")
    value = float(w @ log.reward / w.sum())
    around = _mean(w * (log.reward - value) / w.mean(), level)
    return Interval(value, value + around.low - around.value, value + around.high - around.value)


def doubly_robust(log: Logged, level: float = 0.95) -> Interval:
    """A model's guess, corrected where it was wrong: right if the model or the chances are. Source: Dudík et al. (2011)."""
    if log.model is None or log.planned is None:
        raise ValueError("model and planned must be given: doubly robust needs a model's guesses")
    return _mean(log.planned + _weights(log) * (log.reward - log.model), level)


def effective(log: Logged) -> float:
    """How many screens the weighted log is worth: (sum w)^2 / sum w^2; far below n, no interval is to be trusted."""
    w = _weights(log)
    return float(w.sum() ** 2 / max((w**2).sum(), 1e-300))
