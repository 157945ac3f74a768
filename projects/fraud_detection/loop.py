"""Weeks of traffic with late labels, fraudsters who adapt, and refusals that hide labels, scored in dollars."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pandas as pd
from data import World, simulate
from features import FEATURES, Store
from model import Detector
from protocol import DELAY, Money

SMALL = World(customers=700, terminals=700, days=112, radius=12, cards_a_day=1, terminals_a_day=1, adapt=0.1)


@dataclass(frozen=True)
class Policy:
    """How the bank acts. `retrain`: days between trainings, 0 for never; `control`: share of refusals let through to learn."""

    retrain: int = 14
    refuse_at: float = 0.8  # p from which a payment is refused by machine
    control: float = 0.1
    capacity: int = 15  # cards checked a day
    memory: int = 56  # days learned from
    warm: int = 42  # days at the start when nothing is refused or checked: the first training

    def __post_init__(self):
        for name, least, most in (
            ("refuse_at", 0, 1),
            ("control", 0, 1),
            ("capacity", 0, np.inf),
            ("retrain", 0, np.inf),
        ):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} must be between {least} and {most}, got {value!r}")


class Bank:
    """One world lived through day by day under a policy; `days` holds a row a day after `live()`.

    What happens: a payment with p from `refuse_at` on is refused, except a random `control` of them; of the others the queue
    is checked in the evening and its labels are known next morning; a card confirmed as defrauded is replaced, which ends its
    crew; all other labels come `DELAY` days later. A refused payment never gets a label.
    """

    def __init__(self, policy: Policy, world: World = SMALL, seed: int = 0, money: Money | None = None):
        self.policy, self.money = policy, money or Money()
        self.tx = simulate(world, seed)
        self.rng, self.store = np.random.default_rng(seed + 1), Store()
        n = len(self.tx)
        self.X, self.p = np.zeros((n, len(FEATURES))), np.zeros(n)
        self.label, self.known, self.weight = np.zeros(n, np.int8), np.full(n, 10**6), np.zeros(n)
        self.replaced, self.detector, self.days = {}, None, []

    def live(self) -> pd.DataFrame:
        """A row a day: saved, lost and possible dollars, frauds, refused, checked, found, p's mean, training seconds."""
        groups = self.tx.groupby("TX_TIME_DAYS").indices
        for day in range(int(self.tx.TX_TIME_DAYS.max()) + 1):
            trained = self._train(day)
            self._day(day, groups.get(day, np.array([], int)), trained)
        return pd.DataFrame(self.days).set_index("day")

    def _train(self, day):
        policy, since = self.policy, day - self.policy.warm
        if since < 0 or (since and not (policy.retrain and since % policy.retrain == 0)):
            return 0.0
        rows = (
            (self.known < day)
            & (self.weight > 0)
            & (self.tx.TX_TIME_DAYS.to_numpy() >= day - policy.memory - DELAY)
        )
        if not 0 < self.label[rows].sum() < rows.sum():
            return 0.0  # no fraud known: the old model stays
        began = time.perf_counter()
        X = pd.DataFrame(self.X[rows], columns=FEATURES)
        weight = np.round(self.weight[rows]).astype(int)
        X, y = X.loc[X.index.repeat(weight)], np.repeat(self.label[rows], weight)
        self.detector = Detector(members=1, genuine=0.5, random_state=day).fit(X, y)
        return time.perf_counter() - began

    def _world(self, rows):  # the day as it happens: crews of replaced cards are gone
        tx = self.tx.iloc[rows]
        gone = (tx.TX_CREW >= 0) & (tx.TX_CREW <= tx.CUSTOMER_ID.map(self.replaced).fillna(-1))
        fraud = np.where(gone, tx.TX_REST > 0, tx.TX_FRAUD).astype(np.int8)
        return tx.assign(TX_AMOUNT=np.where(gone, tx.TX_PLAIN, tx.TX_AMOUNT), TX_FRAUD=fraud)

    def _day(self, day, rows, trained):
        self._labels_arrive(day)
        tx = self._world(rows)
        self._see(tx, rows)
        self.p[rows] = p = (
            self.detector.predict_proba(self.X[rows])[:, 1]
            if self.detector and len(rows)
            else np.zeros(len(rows))
        )
        sure = p >= self.policy.refuse_at if self.detector else np.zeros(len(rows), bool)
        spared = sure & (self.rng.random(len(rows)) < self.policy.control)
        refused = sure & ~spared
        self.label[rows] = tx.TX_FRAUD
        self.weight[rows] = np.where(refused, 0, np.where(spared, 1 / max(self.policy.control, 1e-9), 1))
        self.known[rows] = np.where(refused, 10**6, day + DELAY)
        cards = self.money.queue(tx[~refused], p[~refused], self.policy.capacity) if self.detector else []
        self._check(day, tx, rows, refused, cards)
        self._count(day, tx, refused, cards, p, trained)

    def _see(self, tx, rows):
        when = tx.TX_DATETIME.to_numpy().astype("datetime64[s]").astype(np.int64).tolist()
        columns = (tx.CUSTOMER_ID.tolist(), tx.TERMINAL_ID.tolist(), tx.TX_AMOUNT.tolist())
        for i, row in zip(rows.tolist(), zip(when, *columns, strict=True), strict=True):
            self.X[i] = self.store.see(i, *row)

    def _labels_arrive(self, day):
        for i in np.flatnonzero((self.known == day) & (self.label == 1)):
            self.store.label(int(i), True)

    def _check(self, day, tx, rows, refused, cards):
        checked = np.isin(tx.CUSTOMER_ID.to_numpy(), cards) & ~refused
        self.known[rows[checked]] = day + 1
        for card in np.unique(tx.CUSTOMER_ID.to_numpy()[checked & (tx.TX_FRAUD.to_numpy() == 1)]):
            self.replaced[card] = day

    def _count(self, day, tx, refused, cards, p, trained):
        left, fraud = tx[~refused], tx.TX_FRAUD.to_numpy() == 1
        saved = self.money.refused(tx[refused]) + self.money.checked(left, cards)
        stolen = float(tx.TX_AMOUNT.to_numpy()[fraud].sum())
        found = len(np.intersect1d(cards, left.CUSTOMER_ID[left.TX_FRAUD == 1]))
        self.days.append({"day": day, "saved": saved, "stolen": stolen, "frauds": int(fraud.sum()), "refused": int(refused.sum()),
                          "refused_right": int((refused & fraud).sum()), "checked": len(cards), "found": found,
                          "mean_p": float(p.mean()) if len(p) else 0.0, "training": trained})  # fmt: skip
