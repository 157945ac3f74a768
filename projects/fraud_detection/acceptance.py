"""Acceptance tests that any honest solution passes: `accept(solution)` says, check by check, passed or why not.

A solution is any object (or module) with these functions; `tx` are transactions in order of time as `data.contract` gives
them, TX_FRAUD the final labels, and a label is known `DELAY` days after its transaction:

    features(tx)                 table (n, k): what was known at each row's own second
    split(tx, test_from)         train, tune, test: bool (n,) each; test begins at midnight of the date `test_from`
    fit(tx, train, tune, test)   a model with .score(tx) -> (n,) probabilities and .threshold, a number
    queue(tx, p)                 the cards to check, of one day's transactions and their p: at most CAPACITY
    online(model, tx)            a function (one row as a dict) -> p, its state built from the past `tx` with all its labels,
                                 each of which counts DELAY days after its row
    gate(saved_new, saved_old)   whether the new model may follow the old: dollars a day of both (d,), NaN if unknown
    drifted(old, new)            whether two tables of features differ by more than chance
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from data import World, simulate
from protocol import CAPACITY, DELAY, Money, days, queue

DAYS, TEST_FROM, SECONDS = 91, "2018-06-18", 0.010
SMALL = World(customers=500, terminals=500, days=DAYS, radius=12, cards_a_day=2, terminals_a_day=1)


class Finding(NamedTuple):
    """One check: its name, whether it is passed, and the reason if not."""

    check: str
    passed: bool
    reason: str


class Rejected(Exception):
    """A check that is not passed; the text is the reason."""


def require(holds: bool, reason: str) -> None:
    """Raise Rejected with `reason` unless `holds`."""
    if not holds:
        raise Rejected(reason)


class _Trial:
    """A solution on one small world; what one check finds, the next may use."""

    def __init__(self, solution, seed):
        self.solution, self.rng = solution, np.random.default_rng(seed)
        hidden = ["TX_TRUE", "TX_PLAIN", "TX_REST", "TX_CREW", "TX_FRAUD_SCENARIO"]
        self.tx = simulate(SMALL, seed).drop(columns=hidden)
        self.cut = np.datetime64(TEST_FROM, "s")
        self.stamp = self.tx.TX_DATETIME.to_numpy()

    def table(self, tx):
        found = self.solution.features(tx.copy())
        require(len(found) == len(tx), f"features must give a row a transaction: {len(tx)}, got {len(found)}")
        return np.asarray(found, float)

    def split(self):
        return [np.asarray(mask, bool) for mask in self.solution.split(self.tx.copy(), TEST_FROM)]

    def fit(self, tx=None):
        return self.solution.fit((self.tx if tx is None else tx).copy(), *self.split())


def _same(a, b):
    return ((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1)


def _turned(tx, rows):  # the transactions, the labels of `rows` the other way
    return tx.assign(TX_FRAUD=np.where(rows, 1 - tx.TX_FRAUD, tx.TX_FRAUD))


def future(t: _Trial) -> None:
    """Features do not change when later transactions are taken away."""
    head = t.stamp < t.cut
    wrong = ~_same(t.table(t.tx)[head], t.table(t.tx[head].reset_index(drop=True)))
    require(
        not wrong.any(),
        f"{wrong.sum():,} rows have other features once later transactions are gone: a window looks ahead",
    )


def label_delay(t: _Trial) -> None:
    """Features do not change with labels that were not yet known; those of a known label may."""
    at = np.datetime64("2018-06-04", "s")
    open_ = (t.stamp > at - np.timedelta64(DELAY, "D")) & (t.stamp <= at)
    rows = open_ & (t.stamp < at)
    wrong = ~_same(t.table(t.tx)[rows], t.table(_turned(t.tx, open_))[rows])
    require(not wrong.any(), (f"{wrong.sum():,} rows have other features when labels less than {DELAY} days old are turned: "
                              "leak by the fraud window, end it before the delay"))  # fmt: skip


def order_in_time(t: _Trial) -> None:
    """Train before tune before test; test from its date on; no card's rows in train after its rows in test."""
    train, tune, test = t.split()
    require(train.any() and tune.any() and test.any(), "train, tune and test must each hold transactions")
    require(not (train & tune | train & test | tune & test).any(), "a transaction lies in two parts")
    last = pd.Series(t.stamp[train | tune]).groupby(t.tx.CUSTOMER_ID[train | tune].to_numpy()).max()
    first = pd.Series(t.stamp[test]).groupby(t.tx.CUSTOMER_ID[test].to_numpy()).min()
    mixed = (last.reindex(first.index) >= first).sum()
    require(
        mixed == 0,
        f"{mixed} customers lie in train and, earlier, in test: customers are split across both, cut by time",
    )
    require(t.stamp[test].min() >= t.cut, f"test holds transactions before {TEST_FROM}")
    require(
        t.stamp[train].max() < t.stamp[tune].min(),
        "tune must come after train, or it tells nothing of the future",
    )


def labels_in_time(t: _Trial) -> None:
    """What is learned from had its label before the test began."""
    train, tune, _ = t.split()
    late = (t.stamp[train | tune] > t.cut - np.timedelta64(DELAY, "D")).sum()
    require(
        late == 0,
        f"{late:,} rows are learned from with final labels used early: on {TEST_FROM} they were not known",
    )


def known_cards(t: _Trial) -> None:
    """A card with a known fraud in the weeks before is not counted again as found."""
    test = t.split()[2]
    fraud, day, first = t.tx.TX_FRAUD.to_numpy() == 1, days(t.tx), days(t.tx[test]).min()
    known = t.tx.CUSTOMER_ID[fraud & (day >= first - 2 * DELAY) & (day < first - DELAY)]
    again = np.isin(t.tx.CUSTOMER_ID[test], known).sum()
    require(
        again == 0,
        f"{again} rows of the test are of cards known as defrauded when it began: take those cards out",
    )


def honest_fit(t: _Trial) -> None:
    """Labels not known when the test began change neither scores nor threshold, labels less than DELAY days old no score.

    The same call gives the same model.
    """
    test = t.split()[2]
    turned = _turned(t.tx, t.stamp > t.cut - np.timedelta64(DELAY, "D"))
    a, b, c = t.fit(), t.fit(), t.fit(turned)
    t.model, rows = a, t.tx[test]
    p, again = (np.asarray(m.score(t.tx.copy()), float)[test] for m in (a, b))
    require(
        p.shape == (len(rows),) and ((p >= 0) & (p <= 1)).all(), "score must give a probability a transaction"
    )
    require(np.array_equal(p, again) and a.threshold == b.threshold, "fitted twice, it differs: pass a seed")
    t.p, other = p, np.asarray(c.score(t.tx.copy()), float)[test]
    require(a.threshold == c.threshold, (f"the threshold moves from {a.threshold:.4g} to {c.threshold:.4g} with labels not "
                                         "known when the test began: tuned on test, or learned from too early"))  # fmt: skip
    require(
        np.array_equal(p, other), "scores change with labels not known when the test began: trained on them"
    )
    soon = rows.TX_DATETIME.to_numpy() < t.cut + np.timedelta64(DELAY, "D")
    young = np.asarray(a.score(_turned(t.tx, t.stamp >= t.cut)), float)[test]
    require(np.array_equal(young[soon], p[soon]), f"scores read labels less than {DELAY} days old")


def capacity(t: _Trial) -> None:
    """At most CAPACITY cards a day, each once, each of that day, and different cards where all p are equal."""
    rows = t.tx[days(t.tx) == days(t.tx).max()]
    p = t.rng.random(len(rows))
    for scores in (p, np.ones(len(rows))):
        cards = list(t.solution.queue(rows.copy(), scores.copy()))
        require(
            len(cards) <= CAPACITY,
            f"capacity ignored: {len(cards)} cards in the queue of one day, {CAPACITY} can be checked",
        )
        require(
            len(set(cards)) == len(cards) and set(cards) <= set(rows.CUSTOMER_ID),
            "the queue must hold cards of the day, each once",
        )
    require(
        not list(t.solution.queue(rows[:0].copy(), p[:0])), "a day without transactions has an empty queue"
    )


def _earned(tx, p, choose):
    money, day, total = Money(), days(tx), 0.0
    for d in np.unique(day):
        rows = day == d
        total += money.checked(tx[rows], choose(tx[rows], p[rows]))
    return total


def earns(t: _Trial) -> None:
    """The queue saves more on the test than the day's highest amounts do, and more than doing nothing."""
    rows = t.tx[t.split()[2]]
    ours = _earned(rows, t.p, lambda tx, p: list(t.solution.queue(tx.copy(), p.copy())))
    amount = rows.TX_AMOUNT.to_numpy()
    most = max(
        _earned(rows, amount, lambda tx, p, k=k: queue(tx.CUSTOMER_ID.to_numpy(), p, k))
        for k in (5, 20, 50, 100)
    )
    require(
        ours > max(most, 0),
        f"the queue saves ${ours:,.0f} on the test, the highest amounts ${most:,.0f}, doing nothing 0",
    )


def online(t: _Trial) -> None:
    """One transaction at a time: the same p as in bulk, within 10 ms in 99 of 100."""
    day = days(t.tx)
    cut = days(t.tx[t.split()[2]]).min()
    past, rows = t.tx[day < cut], t.tx[day >= cut][:1500]
    score = t.solution.online(t.model, past.copy())
    whole = np.asarray(t.model.score(t.tx[: len(past) + len(rows)].copy()), float)[len(past) :]
    took, got = [], []
    for row in rows.drop(columns="TX_FRAUD").to_dict("records"):
        began = time.perf_counter()
        got.append(float(score(row)))
        took.append(time.perf_counter() - began)
    apart = np.abs(np.array(got) - whole)
    same_days = (day[day >= cut][:1500] - cut) < 1  # the labels of the past alone are known to both
    require(
        (apart[same_days] < 1e-6).all(), f"online and offline differ by {apart[same_days].max():.3g} in p"
    )
    require(
        (slow := np.quantile(took, 0.99)) <= SECONDS,
        f"99 of 100 answers within {1000 * slow:.1f} ms, 10 are allowed",
    )


def gate(t: _Trial) -> None:
    """The gate lets a clearly better model through; not a worse one, nor one without evidence."""
    day = t.rng.normal(3000, 400, 40)
    better, worse = day + t.rng.normal(300, 50, 40), day - t.rng.normal(300, 50, 40)
    hole = np.where(np.arange(40) < 20, np.nan, better)
    noise = day + 20 + 600 * t.rng.permutation(np.tile([1, -1], 20))
    ask = lambda new, old: bool(t.solution.gate(new.copy(), old.copy()))
    require(ask(better, day), "the gate stops a model that saves $300 a day more on each of 40 days")
    require(not ask(worse, day), "the gate lets through a model that saves $300 a day less")
    require(not ask(noise, day), "the gate lets through a gain of $20 a day within noise of $600")
    require(not ask(hole, day), "the gate lets through a model that was not measured on half of the days")
    require(
        not ask(better[:1], day[:1]) and not ask(better[:0], day[:0]), "the gate decides on one day, or none"
    )


def drift(t: _Trial) -> None:
    """An alarm when amounts double; none between two halves of the same weeks."""
    table = pd.DataFrame(t.table(t.tx))[days(t.tx) >= days(t.tx).min() + 45]
    half = t.rng.random(len(table)) < 0.5
    moved = t.table(t.tx.assign(TX_AMOUNT=t.tx.TX_AMOUNT * 2))[table.index]
    require(
        not t.solution.drifted(table[half], table[~half]),
        "an alarm where nothing moved: two halves of the same weeks",
    )
    require(
        t.solution.drifted(table[half], pd.DataFrame(moved)[~half]), "no alarm when every amount has doubled"
    )


CHECKS: tuple[Callable, ...] = (
    future, label_delay, order_in_time, labels_in_time, known_cards, honest_fit, capacity, earns, online, gate, drift,
)  # fmt: skip


def accept(solution: object, seed: int = 0, only: tuple[str, ...] = ()) -> list[Finding]:
    """Findings of all checks (or of those named in `only`) on a fresh small world made from `seed`; none raises.

    A function that is missing or fails is a finding too, with its error. A check that needs the model says so if none was
    fitted.
    """
    trial, out = _Trial(solution, seed), []
    for check in CHECKS:
        if only and check.__name__ not in only:
            continue
        try:
            check(trial)
            out.append(Finding(check.__name__, True, ""))
        except Rejected as why:
            out.append(Finding(check.__name__, False, str(why)))
        except Exception as error:
            needs = " (honest_fit comes first)" if "'_Trial'" in str(error) else ""
            out.append(Finding(check.__name__, False, f"{type(error).__name__}: {error}{needs}"))
    return out


def report(findings: list[Finding]) -> str:
    """Text of the findings, a line each, then how many are passed."""
    lines = [
        f"{'passed' if f.passed else 'NOT YET':8} {f.check}{': ' if f.reason else ''}{f.reason}"
        for f in findings
    ]
    return "\n".join([*lines, f"{sum(f.passed for f in findings)} of {len(findings)} passed"])
