"""The reference solution, in the form that `acceptance.accept` tries: EASE on everything before the cut, popular films for new users."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from data import matrix
from measure import before, ranked
from rank import Ease, Ranker, top


class Reference:
    """Any `Ranker` as a solution; see `acceptance` for what its methods must do."""

    def __init__(self, model: Callable[[], Ranker] = lambda: Ease(100), share: float = 0.75):
        self.model, self.share = model, share

    def split(self, ratings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows before one moment, and the rest; a film that a user already had is not asked for again."""
        train = before(ratings, self.share)
        return ratings[train], ratings[~train]

    def fit(self, train: pd.DataFrame, films: pd.DataFrame) -> Reference:
        """Learn from these rows."""
        self.users_, self.films_ = pd.Index(np.sort(train.user.unique())), films.index
        self.X_ = matrix(train, self.users_, self.films_)
        self.ranker_ = self.model().fit(self.X_)
        self.popular_ = self.ranker_.seen_ / max(self.ranker_.seen_.max(), 1)
        return self

    def recommend(self, user: int, k: int, among: list | None = None) -> list[int]:
        """Ids of the k best films for a user; what is popular for one that nobody knows."""
        row = self.users_.get_indexer([user])
        H = self.X_[row] if row[0] >= 0 else self.X_[:1] * 0
        scores = self.ranker_.score(H) + 1e-9 * self.popular_
        allowed = None if among is None else self.films_.isin(among)
        found = top(scores, k, H, allowed)[0]
        return self.films_[found[found >= 0]].tolist()

    def evaluate(self, recommend: Callable, train: pd.DataFrame, test: pd.DataFrame, k: int) -> float:
        """Mean nDCG@k over users with a test film; every film of the catalogue competes."""
        users = pd.Index(np.sort(test.user.unique()))
        found = np.full((len(users), k), -1)
        for row, user in enumerate(users):
            place = self.films_.get_indexer(recommend(user, k))
            found[row, : len(place)] = place
        return float(ranked(found, matrix(test, users, self.films_)).ndcg.mean())
