"""The whole ranker: a blend and a learned second stage, with every choice made inside the training part."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pandas as pd
from data import matrix
from measure import ranked, stratified
from rank import Blend, BothSides, ImplicitALS, Ranker, Reranker, RP3Beta, features, top

SEEDS = (7, 8, 9)  # of the inner splits: one alone is too much a matter of luck
PENALTIES = (150.0, 300.0, 600.0)
WEIGHTS = (1.7, 0.5, 0.5)  # EASE from both sides, iALS, RP3beta


class Tuned(NamedTuple):
    """Scores (users, films) for the users of the log, the first stage (which serves anyone), and how it was chosen."""

    scores: np.ndarray
    blend: Ranker
    chosen: dict
    choosing: float  # seconds


def tuned(log: pd.DataFrame, films: pd.DataFrame, users: pd.Index, rerank: bool = True) -> Tuned:
    """Learn from a log (user, film, rating, time), choosing on inner splits of it that are made as the outer one.

    The penalty of EASE comes from a grid of three; the second stage is kept only where it ranks users better
    whom it has not learned from (halves of the users, in turn).
    """
    began = time.perf_counter()
    inner = [stratified(log, seed=seed) for seed in SEEDS]
    pairs = [[matrix(log[part], users, films.index) for part in (train, ~train)] for train in inner]
    chosen = {"l2": max(PENALTIES, key=lambda l2: np.mean([_both(l2, X, held) for X, held in pairs]))}
    second = None
    if rerank:
        found = [
            features(log[t], films, users, _blend(chosen).fit(X))
            for t, (X, _) in zip(inner, pairs, strict=True)
        ]
        second, gain = _second([(f, X, held) for (f, X), (_, held) in zip(found, pairs, strict=True)])
        chosen |= {"gain of the second stage (nDCG@10, inner)": round(gain, 4), "second stage": gain > 0}
    choosing = time.perf_counter() - began
    X = matrix(log, users, films.index)
    blend = _blend(chosen).fit(X)
    if second is None or not chosen["second stage"]:
        return Tuned(blend.score(X), blend, chosen, choosing)
    return Tuned(second.rank(*features(log, films, users, blend)), blend, chosen, choosing)


def _blend(chosen):
    models = [BothSides(chosen["l2"]), ImplicitALS(), RP3Beta()]
    return Blend(models, list(WEIGHTS))


def _ndcg(scores, X, held, k=10):
    return ranked(top(scores, k, X), held).ndcg


def _both(l2, X, held):
    # by lists of 50: lists of 10 are too short to tell penalties apart, and their luck would choose
    return _ndcg(BothSides(l2).fit(X).score(X), X, held, 50).mean()


def _second(parts):  # learned from all users; its gain on users it had not learned from
    gain, half = [], np.arange(parts[0][1].shape[0]) % 2 == 0
    for there in (half, ~half):
        rows = lambda part, keep: (
            {name: f[keep] for name, f in part[0].items()},
            part[1][keep],
            part[2][keep],
        )
        stage = Reranker().learn(*(rows(part, ~there) for part in parts))
        for part in parts:
            found, X, held = rows(part, there)
            gain.append(_ndcg(stage.rank(found, X), X, held) - _ndcg(found["score"], X, held))
    return Reranker().learn(*parts), float(pd.concat(gain).mean())
