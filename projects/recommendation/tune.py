"""The whole ranker: a blend and a learned second stage, with every choice made inside the training part."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pandas as pd
from data import matrix
from measure import ranked, stratified
from rank import Blend, Ease, ImplicitALS, Ranker, Reranker, RP3Beta, features, top

PENALTIES = (150.0, 300.0, 600.0)
WEIGHTS = (1.0, 1.0, 0.5, 0.5)  # EASE among users, EASE among films, iALS, RP3beta


class Tuned(NamedTuple):
    """Scores (users, films) for the users of the log, the first stage (which serves anyone), and how it was chosen."""

    scores: np.ndarray
    blend: Ranker
    chosen: dict
    choosing: float  # seconds


def tuned(
    log: pd.DataFrame, films: pd.DataFrame, users: pd.Index, rerank: bool = True, seed: int = 7
) -> Tuned:
    """Learn from a log (user, film, rating, time), choosing on an inner split of it that is made as the outer one.

    The penalty of both EASE models comes from a grid of three; the second stage is kept only where it ranks users better
    whom it has not learned from (halves of the users, in turn).
    """
    began = time.perf_counter()
    inner = stratified(log, seed=seed)
    X, held = (matrix(log[part], users, films.index) for part in (inner, ~inner))
    chosen = {"l2": _penalty(X, held)}
    second = None
    if rerank:
        blend = _blend(chosen).fit(X)
        second, gain = _second(*features(log[inner], films, users, blend), held)
        chosen |= {"gain of the second stage (nDCG@10, inner)": round(gain, 4), "second stage": gain > 0}
    choosing = time.perf_counter() - began
    X = matrix(log, users, films.index)
    blend = _blend(chosen).fit(X)
    if second is None or not chosen["second stage"]:
        return Tuned(blend.score(X), blend, chosen, choosing)
    return Tuned(second.rank(*features(log, films, users, blend)), blend, chosen, choosing)


def _blend(chosen):
    models = [Ease(chosen["l2"], 0), Ease(chosen["l2"], 1), ImplicitALS(), RP3Beta()]
    return Blend(models, list(WEIGHTS))


def _ndcg(scores, X, held, k=10):
    return ranked(top(scores, k, X), held).ndcg


def _penalty(X, held):
    # by lists of 50: lists of 10 are too short to tell penalties apart, and their luck would choose
    both = lambda l2: Blend([Ease(l2, 0), Ease(l2, 1)], [1, 1]).fit(X).score(X)
    return max(PENALTIES, key=lambda l2: _ndcg(both(l2), X, held, 50).mean())


def _second(found, X, held):  # learned from all users; its gain on users it had not learned from
    old, gain = _ndcg(found["score"], X, held), []
    for half in (0, 1):
        there = np.arange(X.shape[0]) % 2 == half
        rows = lambda keep: ({name: f[keep] for name, f in found.items()}, X[keep])
        stage = Reranker().learn(*rows(~there), held[~there])
        new = _ndcg(stage.rank(*rows(there)), X[there], held[there])
        gain.append(
            new.set_axis(np.flatnonzero(there)[new.index]) - old.reindex(np.flatnonzero(there)[new.index])
        )
    return Reranker().learn(found, X, held), float(pd.concat(gain).mean())
