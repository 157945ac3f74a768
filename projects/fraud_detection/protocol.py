"""How a fraud detector is judged: the Handbook's split with late labels, its card precision, and the bank's money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

DELAY, WEEK, CAPACITY = 7, 7, 100  # days, days, cards that the investigators check a day


def days(tx: pd.DataFrame) -> np.ndarray:
    """(n,) whole days since 1970 (UTC) of each transaction."""
    return tx.TX_DATETIME.to_numpy().astype("datetime64[D]").astype(np.int64)


def week(tx: pd.DataFrame, start: str, train: int = WEEK) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows of the test week (each (n,) bool) of the Handbook's split whose train week begins on `start`.

    The test week begins DELAY days after the train week. Customers with a fraud in the train week, or in the days after it
    whose labels are known by each test day, are left out of the test. `train` days end with the train week (7: the Handbook's
    own). Raises ValueError where the data do not hold both weeks whole.
    """
    day, first = days(tx), int(np.datetime64(start, "D").astype(int))
    if not len(day) or day[0] > first or day[-1] < first + 2 * WEEK + DELAY - 1:
        raise ValueError(f"tx must hold the three weeks from {start}, got {_span(tx)}")
    fits = (day >= first + WEEK - train) & (day < first + WEEK)
    bad = tx.TX_FRAUD.to_numpy() == 1
    code, cards = pd.factorize(tx.CUSTOMER_ID)
    known = np.full(
        len(cards), np.iinfo(np.int64).max
    )  # the day of each customer's first fraud since `start`
    np.minimum.at(known, code[bad & (day >= first)], day[bad & (day >= first)])
    tests = (day >= first + WEEK + DELAY) & (day < first + 2 * WEEK + DELAY)
    return fits, tests & (known[code] > day - DELAY - 1)


def _span(tx):
    return f"{tx.TX_DATETIME.min()} to {tx.TX_DATETIME.max()}"


def prequential(start: str, weeks: int = 4) -> Iterator[str]:
    """First days of the train weeks of `weeks` test weeks, one after the other, the first as in `week(tx, start)`."""
    for k in range(weeks):
        yield str(np.datetime64(start, "D") + WEEK * k)


def queue(card: np.ndarray, p: np.ndarray, size: int = CAPACITY) -> np.ndarray:
    """The (at most `size`) cards of one day with the highest p (n,) on any of their transactions, highest first."""
    cards, code = np.unique(card, return_inverse=True)
    best = np.full(len(cards), -np.inf)
    np.maximum.at(best, code, p)
    return cards[np.argsort(-best, kind="stable")[:size]]


def card_precision(tx: pd.DataFrame, p: np.ndarray, size: int = CAPACITY) -> float:
    """Share of the `size` most suspicious cards a day that had a fraud that day, mean over the days of `tx`.

    A card's p is its highest of the day; a card found is out of the queue on later days. Source: Handbook, chapter 4.
    """
    day, card = days(tx), tx.CUSTOMER_ID.to_numpy()
    fraud, found, shares = tx.TX_FRAUD.to_numpy() == 1, np.array([], card.dtype), []
    for d in np.unique(day):
        rows = (day == d) & ~np.isin(card, found)
        hits = np.intersect1d(queue(card[rows], p[rows], size), card[rows & fraud])
        shares.append(len(hits) / size)
        found = np.r_[found, hits]
    return float(np.mean(shares))


def figures(tx: pd.DataFrame, p: np.ndarray) -> dict[str, float]:
    """ROC AUC, average precision and card precision@100 of scores p (n,) for the transactions of a test week.

    A week without a fraud, or of frauds alone, has no AUC and no average precision: NaN.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    y = tx.TX_FRAUD.to_numpy()
    both = 0 < y.sum() < len(y)
    auc, ap = (f(y, p) if both else np.nan for f in (roc_auc_score, average_precision_score))
    return {"auc": float(auc), "ap": float(ap), "cp100": card_precision(tx, p)}


@dataclass(frozen=True)
class Money:
    """Dollars of the bank; all assumptions of this project, to be replaced by the bank's own books.

    A fraud that nobody stops costs its amount. Cards checked on the same day: their payments are still held.
    """

    check: float = 12.0  # a card checked: a quarter of an hour of an investigator at $48 an hour (assumption)
    held: float = 0.9  # share of a fraud's amount kept when its card is checked on the day (assumption)
    refuse: float = 5.0  # a genuine payment refused by machine: a call, and goodwill (assumption)

    def checked(self, tx: pd.DataFrame, cards: list) -> float:
        """Dollars saved by checking `cards` on the day of the transactions `tx`, against doing nothing."""
        on = np.isin(tx.CUSTOMER_ID.to_numpy(), list(cards)) & (tx.TX_FRAUD.to_numpy() == 1)
        return float(self.held * tx.TX_AMOUNT.to_numpy()[on].sum() - self.check * len(cards))

    def refused(self, tx: pd.DataFrame) -> float:
        """Dollars saved by refusing the transactions `tx` by machine."""
        fraud = tx.TX_FRAUD.to_numpy() == 1
        return float(tx.TX_AMOUNT.to_numpy()[fraud].sum() - self.refuse * (~fraud).sum())

    def threshold(self, tx: pd.DataFrame, p: np.ndarray) -> float:
        """The p above which refusing by machine saves most on these transactions of the past; infinite if it never pays."""
        fraud = tx.TX_FRAUD.to_numpy() == 1
        gain = np.where(fraud, tx.TX_AMOUNT.to_numpy(), -self.refuse)
        falling, place = np.unique(-p, return_inverse=True)
        total = np.cumsum(np.bincount(place, gain, len(falling)))
        best = int(np.argmax(total)) if len(total) else 0
        return float(-falling[best] - 1e-12) if len(total) and total[best] > 0 else np.inf

    def queue(self, tx: pd.DataFrame, p: np.ndarray, size: int = CAPACITY) -> np.ndarray:
        """Cards of one day's transactions whose check is expected to save most, dearest first, and only where it pays."""
        cards, code = np.unique(tx.CUSTOMER_ID.to_numpy(), return_inverse=True)
        worth = self.held * np.bincount(code, p * tx.TX_AMOUNT.to_numpy(), len(cards)) - self.check
        best = np.argsort(-worth, kind="stable")[:size]
        return cards[best[worth[best] > 0]]


def cost_curve(
    tx: pd.DataFrame, p: np.ndarray, sizes: tuple[int, ...], money: Money | None = None
) -> pd.Series:
    """Dollars a day saved by checking the `sizes` cards a day of highest p, on the days of `tx`."""
    money, day = money or Money(), days(tx)
    found = {}
    for size in sizes:
        parts = [(tx[day == d], p[day == d]) for d in np.unique(day)]
        chosen = [money.checked(t, queue(t.CUSTOMER_ID.to_numpy(), q, size)) for t, q in parts]
        found[size] = float(np.mean(chosen))
    return pd.Series(found, name="dollars a day")
