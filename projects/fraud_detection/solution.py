"""A reference solution: what the acceptance tests ask for, built on the project's modules. Yours may look quite different."""

from __future__ import annotations

import numpy as np
import pandas as pd
from features import Store, offline
from model import Detector
from protocol import CAPACITY, DELAY, Money, days


class Fitted:
    """A fitted detector and the threshold of p above which a payment is refused by machine."""

    def __init__(self, detector: Detector, threshold: float):
        self.detector, self.threshold = detector, threshold

    def score(self, tx: pd.DataFrame) -> np.ndarray:
        """Probability of fraud (n,) of transactions in order of time."""
        return self.detector.predict_proba(offline(tx))[:, 1]


class Reference:
    """The reference solution; `kind`, `members` and `genuine` as in `Detector`."""

    def __init__(
        self, kind: str = "boosting", members: int = 2, genuine: float = 0.3, money: Money | None = None
    ):
        self.detector, self.money = Detector(kind, members, genuine), money or Money()

    def features(self, tx: pd.DataFrame) -> pd.DataFrame:
        """FEATURES as of each row's own second."""
        return offline(tx)

    def split(self, tx: pd.DataFrame, test_from: str) -> list[np.ndarray]:
        """Train until three weeks before the test, tune in two weeks, a week's gap for labels; known cards out of the test."""
        day, first = days(tx), int(np.datetime64(test_from, "D").astype(int))
        tune = (day >= first - 3 * DELAY) & (day < first - DELAY)
        known = tx.CUSTOMER_ID[tune & (tx.TX_FRAUD == 1)]
        return [day < first - 3 * DELAY, tune, (day >= first) & ~np.isin(tx.CUSTOMER_ID, known)]

    def fit(self, tx: pd.DataFrame, train: np.ndarray, tune: np.ndarray, test: np.ndarray) -> Fitted:
        """A detector of the train rows, the threshold that earns most on the tune rows, then a detector of both."""
        from sklearn.base import clone

        X, y = offline(tx), tx.TX_FRAUD.to_numpy()
        p = clone(self.detector).fit(X[train], y[train]).predict_proba(X[tune])[:, 1]
        threshold = self.money.threshold(tx[tune], p)
        return Fitted(clone(self.detector).fit(X[train | tune], y[train | tune]), threshold)

    def queue(self, tx: pd.DataFrame, p: np.ndarray) -> np.ndarray:
        """The cards whose check is expected to save most."""
        return self.money.queue(tx, p, CAPACITY)

    def online(self, model: Fitted, tx: pd.DataFrame):
        """A scorer of single rows, its store filled with the past."""
        store = Store()
        for row in tx.to_dict("records"):
            _see(store, row)
            if row["TX_FRAUD"]:
                store.label(row["TRANSACTION_ID"], True)
        return lambda row: float(model.detector.predict_proba(_see(store, row)[None])[0, 1])

    def gate(self, saved_new: np.ndarray, saved_old: np.ndarray) -> bool:
        """Whether the low end of the 95 % interval of the daily gain is above 0, on at least 14 days, none missing."""
        from mlcourse.evaluate import day_bootstrap

        gain = np.asarray(saved_new, float) - np.asarray(saved_old, float)
        if len(gain) < 14 or np.isnan(gain).any():
            return False
        return bool(day_bootstrap(lambda w: w @ gain / len(gain), np.arange(len(gain))).low > 0)

    def drifted(self, old: pd.DataFrame, new: pd.DataFrame) -> bool:
        """Whether any feature's distribution moved by more than chance, and by enough to matter.

        The largest gap between the shares below any value (Kolmogorov and Smirnov) must pass both .05 and the level that
        chance reaches once in 1,000 tables.
        """
        old, new = np.sort(np.asarray(old, float), axis=0), np.sort(np.asarray(new, float), axis=0)
        n, m, k = len(old), len(new), old.shape[1]
        chance = np.sqrt(-np.log(0.001 / k / 2) / 2 * (1 / n + 1 / m))
        gaps = [_gap(old[:, j], new[:, j]) for j in range(k)]
        return max(gaps) > max(0.05, chance)


def _gap(a, b):
    at = np.unique(np.r_[a, b])
    share = lambda x: np.searchsorted(x, at, side="right") / len(x)
    return float(np.abs(share(a) - share(b)).max())


def _see(store, row):
    when = int(pd.Timestamp(row["TX_DATETIME"]).timestamp())
    return store.see(
        row["TRANSACTION_ID"], when, row["CUSTOMER_ID"], row["TERMINAL_ID"], float(row["TX_AMOUNT"])
    )
