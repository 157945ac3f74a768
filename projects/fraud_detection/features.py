"""What is known of a transaction when it must be judged: the same integers offline, for all rows at once, and online.

A label counts in a feature only DELAY days after its transaction. All sums are whole cents or counts, so that both ways
give equal numbers, not nearly equal ones. WINDOWS and HANDBOOK: the twelve windows of the Fraud Detection Handbook.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from collections import defaultdict
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array

DAY = 86_400
DELAY = 7  # days until a label is certain
WINDOWS = (1, 7, 30)  # days
HANDBOOK = [
    *(f"CUSTOMER_ID_{what}_{w}DAY_WINDOW" for w in WINDOWS for what in ("NB_TX", "AVG_AMOUNT")),
    *(f"TERMINAL_ID_{what}_{w}DAY_WINDOW" for w in WINDOWS for what in ("NB_TX", "RISK")),
]
UNUSUAL = 2.5  # times the customer's mean: an amount above is left out of the usual mean
HIGH = 2200  # thousandths of the usual mean: an amount above heats the card
HEAT = (1, 7, 14)  # days
OURS = [
    "AMOUNT_RATIO", "USUAL_AMOUNT", "CARD_AGE_TX", *(f"CARD_HIGH_{w}DAY" for w in HEAT), "CARD_EXCESS_14DAY",
    "CARD_FRAUDS_14DAY", "CARD_FRAUDS_30DAY", "TERMINAL_LAST_LABEL", "TERMINAL_LAST_AGE", "TERMINAL_RUN",
    "TERMINAL_RUN_AGE", "TERMINAL_RUN_MOST_AGE", "TERMINAL_PLAIN_FRAUDS_28DAY",
]  # fmt: skip
FEATURES = ["TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT", *HANDBOOK, *OURS]
NEVER = 60  # days: what lies further back, or never was, counts as this far


class Grouped:
    """Rows in order of time (n,), group by group: finds in one pass how many of a group lie before any moment."""

    def __init__(self, codes: np.ndarray, seconds: np.ndarray):
        self.order, self.starts = _sorted(codes)
        self.t = seconds[self.order]
        self.key = codes[self.order] * (int(self.t.max(initial=0)) + 100 * DAY) + self.t
        self.here = np.arange(len(codes))

    @cached_property
    def first(self) -> np.ndarray:
        """(n,) row at which each row's group begins."""
        return np.repeat(self.starts[:-1], np.diff(self.starts))

    def until(self, days: float) -> np.ndarray:
        """(n,) rows, from the very first group on, up to those at least `days` older than each row."""
        return np.searchsorted(self.key, self.key - int(days * DAY), side="right")

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(n + 1,) running totals of `values`, which are in the order of the rows given."""
        return np.r_[0, np.cumsum(values[self.order], dtype=np.int64)]

    def back(self, values: np.ndarray) -> np.ndarray:
        """(n,) values of the sorted rows in the order of the rows given."""
        out = np.empty_like(values)
        out[self.order] = values
        return out


def _sorted(codes):  # rows by code, and where each code begins: SciPy's counting sort, linear in n
    shape = int(codes.max(initial=0)) + 1, len(codes)
    cells = coo_array((np.ones(len(codes), np.int8), (codes, np.arange(len(codes)))), shape=shape).tocsr()
    return cells.indices, cells.indptr


def columns(tx: pd.DataFrame) -> dict[str, np.ndarray]:
    """Integers that the features need of transactions in order of time: card, terminal (codes), seconds, cents, fraud.

    Seconds are counted from the first midnight. A transaction without a label counts as genuine. Raises ValueError for rows
    out of order: let `data.contract` sort them.
    """
    stamp = tx.TX_DATETIME.to_numpy().astype("datetime64[s]").astype(np.int64)
    if (np.diff(stamp) < 0).any():
        raise ValueError("tx must be in order of time: use data.contract(tx)")
    start = stamp[0] // DAY * DAY if len(stamp) else 0
    fraud = tx.TX_FRAUD.to_numpy() if "TX_FRAUD" in tx else np.zeros(len(tx), np.int8)
    cents = np.rint(tx.TX_AMOUNT.to_numpy(float) * 100).astype(np.int64)
    ids = (_codes(tx[key]) for key in ("CUSTOMER_ID", "TERMINAL_ID"))
    return dict(zip(("card", "terminal"), ids, strict=True)) | {
        "seconds": stamp - start, "start": start, "cents": cents, "fraud": fraud.astype(np.int64)}  # fmt: skip


def _codes(ids):
    ids = ids.to_numpy()
    compact = ids.dtype.kind in "iu" and len(ids) and 0 <= ids.min() and ids.max() < max(2**20, len(ids))
    return ids.astype(np.int64) if compact else pd.factorize(ids)[0].astype(np.int64)


def windows(c: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The Handbook's twelve features (n,) each of `columns(tx)`: counts, mean dollars, shares of fraud.

    A customer's windows end with the transaction itself; a terminal's end DELAY days before it.
    """
    from concurrent.futures import ThreadPoolExecutor  # NumPy sorts and searches without Python's lock

    with ThreadPoolExecutor(2) as two:
        halves = [
            two.submit(_blocks, c, *half)
            for half in (("card", _customer_windows), ("terminal", _terminal_windows))
        ]
    found = halves[0].result() | halves[1].result()
    return {name: found[name] for name in HANDBOOK}


def _blocks(c, key, half, size=2**20):
    # Whole groups at a time, a million rows or so: what fits a cache costs the same a row. The rows of a block stay in order
    # of time, so that they are fetched, and put back, forwards through memory.
    if len(c[key]) <= size:
        return half(c)
    upto = np.cumsum(np.bincount(c[key]))
    rows, starts = _sorted(((upto - 1) // size)[c[key]])
    names, out = (key, "seconds", "cents", "fraud"), None
    table = np.column_stack([c[name] for name in names])  # side by side: a row at once
    for block in filter(len, np.split(rows, starts[1:-1])):
        found = half(dict(zip(names, np.ascontiguousarray(table[block].T), strict=True)))
        out = np.empty((len(rows), len(found))) if out is None else out
        out[block] = np.column_stack(list(found.values()))
    return dict(zip(found, out.T, strict=True))


def _customer_windows(c):
    g, out = Grouped(c["card"], c["seconds"]), {}
    cents = g.sums(c["cents"])
    for w in WINDOWS:
        first = g.until(w)
        count = g.here + 1 - first
        out[f"CUSTOMER_ID_NB_TX_{w}DAY_WINDOW"] = g.back(count)
        out[f"CUSTOMER_ID_AVG_AMOUNT_{w}DAY_WINDOW"] = g.back((cents[1:] - cents[first]) / 100 / count)
    return out


def _terminal_windows(c):
    g, out = Grouped(c["terminal"], c["seconds"]), {}
    fraud, known = g.sums(c["fraud"]), g.until(DELAY)
    for w in WINDOWS:
        first = g.until(DELAY + w)
        count = known - first
        out[f"TERMINAL_ID_NB_TX_{w}DAY_WINDOW"] = g.back(count)
        out[f"TERMINAL_ID_RISK_{w}DAY_WINDOW"] = g.back((fraud[known] - fraud[first]) / np.maximum(count, 1))
    return out


def offline(tx: pd.DataFrame) -> pd.DataFrame:
    """FEATURES of every transaction (rows as in `tx`, in order of time; TX_FRAUD may hold final labels).

    Only what was known at each transaction's own second enters: earlier rows, and labels at least DELAY days old.
    """
    if not len(tx):
        return pd.DataFrame(columns=FEATURES, index=tx.index, dtype=float)
    c = columns(tx)
    card, ratio = _card(c)
    clock = c["seconds"] + c["start"]
    plain = {"TX_AMOUNT": c["cents"] / 100, "TX_DURING_WEEKEND": ((clock // DAY + 3) % 7 >= 5) * 1,
             "TX_DURING_NIGHT": (clock % DAY // 3600 <= 6) * 1}  # fmt: skip
    found = plain | windows(c) | card | _terminal(c, ratio)
    return pd.DataFrame({name: np.asarray(found[name], float) for name in FEATURES}, index=tx.index)


def _card(c):
    # Features of the card, and each amount in thousandths of its customer's usual mean (-1: none known).
    g = Grouped(c["card"], c["seconds"])
    cents, total = c["cents"][g.order], g.sums(c["cents"])
    count, spent = g.here - g.first, total[:-1] - total[g.first]
    usual = ~((count >= 3) & (cents * count > UNUSUAL * spent))
    n, s = (np.r_[0, np.cumsum(x)] for x in (usual, cents * usual))
    n, s = n[:-1] - n[g.first], s[:-1] - s[g.first]
    ratio = np.where(s > 0, 1000 * cents * n // np.maximum(s, 1), -1)
    high, excess = (np.r_[0, np.cumsum(x)] for x in (ratio > HIGH, np.clip(ratio - 2000, 0, 10_000)))
    fraud, known = g.sums(c["fraud"]), g.until(DELAY)
    out = {
        "AMOUNT_RATIO": ratio / 1000,
        "USUAL_AMOUNT": s / 100 / np.maximum(n, 1),
        "CARD_AGE_TX": np.minimum(count, 100),
    }
    out |= {f"CARD_HIGH_{w}DAY": high[:-1] - high[g.until(w)] for w in HEAT}
    out["CARD_EXCESS_14DAY"] = (excess[:-1] - excess[g.until(14)]) / 1000
    out |= {f"CARD_FRAUDS_{w}DAY": fraud[known] - fraud[g.until(DELAY + w)] for w in (14, 30)}
    return {name: g.back(values) for name, values in out.items()}, g.back(ratio)


def _terminal(c, ratio):
    g = Grouped(c["terminal"], c["seconds"])
    fraud, unusual = c["fraud"][g.order], ratio[g.order] > HIGH
    kind = np.where(
        fraud == 0, 0, np.where(unusual, -1, 1)
    )  # -1: the amount explains the fraud, not the terminal
    told, here = kind >= 0, g.here
    last = np.maximum.accumulate(np.where(told, here, -1))  # the latest row that tells of the terminal
    before = np.r_[-1, last[:-1]]
    starts = told & ((before < g.first) | (kind[before] != kind))
    run = np.maximum.accumulate(np.where(starts, here, -1))
    tells = np.r_[0, np.cumsum(told)]
    known = g.until(DELAY) - 1
    at, day = np.where(known >= g.first, last[known], -1), g.t // DAY
    there = at >= g.first
    label, begin = np.where(there, kind[at], -1), run[at]
    bad, since = there & (label == 1), before[begin]
    ago = lambda row, holds: np.where(holds, np.minimum(day - day[row], NEVER), NEVER)
    out = {"TERMINAL_LAST_LABEL": label, "TERMINAL_LAST_AGE": ago(at, there),
           "TERMINAL_RUN": np.where(bad, np.minimum(tells[at + 1] - tells[begin], 20), 0),
           "TERMINAL_RUN_AGE": ago(begin, bad), "TERMINAL_RUN_MOST_AGE": ago(since, bad & (since >= g.first))}  # fmt: skip
    plain = np.r_[0, np.cumsum(kind == 1)]
    out["TERMINAL_PLAIN_FRAUDS_28DAY"] = plain[known + 1] - plain[g.until(DELAY + 28)]
    return {name: g.back(values) for name, values in out.items()}


class _Card:
    """State of one card: moments, ids, and running totals before each transaction."""

    def __init__(self):
        self.t, self.ids, self.fraud = array("q"), [], array("q", [0])
        self.cents, self.usual_n, self.usual_cents, self.high, self.excess = (
            array("q", [0]) for _ in range(5)
        )

    def ratio(self, i, cents):
        s = self.usual_cents[i]
        return 1000 * cents * self.usual_n[i] // s if s > 0 else -1

    def features(self, i, t, cents):
        since = lambda days: bisect_right(self.t, t - days * DAY)
        out, total, high = {}, self.cents, self.high
        for w in WINDOWS:
            first = since(w)
            count = i + 1 - first
            out[f"CUSTOMER_ID_NB_TX_{w}DAY_WINDOW"] = count
            out[f"CUSTOMER_ID_AVG_AMOUNT_{w}DAY_WINDOW"] = (total[i] + cents - total[first]) / 100 / count
        out["AMOUNT_RATIO"], out["CARD_AGE_TX"] = self.ratio(i, cents) / 1000, min(i, 100)
        out["USUAL_AMOUNT"] = self.usual_cents[i] / 100 / max(self.usual_n[i], 1)
        for w in HEAT:
            out[f"CARD_HIGH_{w}DAY"] = high[i] - high[since(w)]
        out["CARD_EXCESS_14DAY"] = (self.excess[i] - self.excess[since(14)]) / 1000
        known = since(DELAY)
        for w in (14, 30):
            out[f"CARD_FRAUDS_{w}DAY"] = self.fraud[known] - self.fraud[since(DELAY + w)]
        return out

    def add(self, i, id, t, cents, fraud=0):
        if i < len(self.t):  # late: what came after it is counted again
            ids, times, marks = self.ids, self.t, list(np.diff(self.fraud))
            rows = list(zip(ids, times, map(int, np.diff(self.cents)), map(int, marks), strict=True))
            self.__init__()
            for row in [*rows[:i], (id, t, cents, fraud), *rows[i:]]:
                self.add(len(self.t), *row)
            return
        ratio, usual = self.ratio(i, cents), not (i >= 3 and cents * i > UNUSUAL * self.cents[i])
        self.t.append(t), self.ids.append(id)
        steps = {"cents": cents, "usual_n": usual, "usual_cents": cents * usual, "high": ratio > HIGH,
                 "excess": min(max(ratio - 2000, 0), 10_000), "fraud": fraud}  # fmt: skip
        for name, step in steps.items():
            total = getattr(self, name)
            total.append(total[-1] + int(step))

    def label(self, i, change):
        for k in range(i + 1, len(self.fraud)):
            self.fraud[k] += change


class _Terminal:
    """State of one terminal: moments, ids, labels, whether the amount was unusual for its customer, and totals."""

    def __init__(self):
        self.t, self.ids = array("q"), []
        self.bad, self.unusual = array("b"), array("b")
        self.fraud, self.plain = array("q", [0]), array("q", [0])

    def features(self, t):
        since = lambda days: bisect_right(self.t, t - days * DAY)
        out, known = {}, since(DELAY)
        for w in WINDOWS:
            first = since(DELAY + w)
            out[f"TERMINAL_ID_NB_TX_{w}DAY_WINDOW"] = count = known - first
            out[f"TERMINAL_ID_RISK_{w}DAY_WINDOW"] = (self.fraud[known] - self.fraud[first]) / max(count, 1)
        out["TERMINAL_PLAIN_FRAUDS_28DAY"] = self.plain[known] - self.plain[since(DELAY + 28)]
        return out | self.run(known - 1, t // DAY)

    def run(self, at, day):
        told = (k for k in range(at, -1, -1) if not (self.bad[k] and self.unusual[k]))
        label, last, begin, since, length = -1, None, None, None, 0
        for k in told:
            if last is None:
                label, last = self.bad[k], k
            if not label:
                break
            if not self.bad[k]:
                since = k
                break
            begin, length = k, length + 1
        ago = lambda k: NEVER if k is None else min(day - self.t[k] // DAY, NEVER)
        return {"TERMINAL_LAST_LABEL": label, "TERMINAL_LAST_AGE": ago(last), "TERMINAL_RUN": min(length, 20),
                "TERMINAL_RUN_AGE": ago(begin), "TERMINAL_RUN_MOST_AGE": ago(since)}  # fmt: skip

    def add(self, i, id, t, unusual):
        self.t.insert(i, t), self.ids.insert(i, id), self.bad.insert(i, 0), self.unusual.insert(i, unusual)
        self.fraud.insert(i + 1, self.fraud[i]), self.plain.insert(i + 1, self.plain[i])

    def mark(self, i, unusual):  # the amount looks otherwise, now that an earlier one of its card is known
        if change := int(self.unusual[i]) - int(unusual):
            self.unusual[i] = unusual
            for k in range(i + 1, len(self.plain)):
                self.plain[k] += change * self.bad[i]

    def label(self, i, change):
        self.bad[i] += change
        for k in range(i + 1, len(self.fraud)):
            self.fraud[k] += change
            self.plain[k] += change * (not self.unusual[i])


class Store:
    """State of every card and terminal, from which a transaction's FEATURES are read as it arrives.

    With a `log` (a file of JSON lines) every transaction and label is written down before it counts; a store opened on an
    existing log has the same values again, and a last line cut off by a crash is dropped. One process writes a log.
    """

    def __init__(self, log: str | Path | None = None):
        self.cards, self.terminals = defaultdict(_Card), defaultdict(_Terminal)
        self.rows, self.labels, self.newest, self.file = {}, {}, None, None
        if log is not None:
            self._replay(Path(log))
            self.file = open(log, "a", encoding="utf-8")

    def _replay(self, log):
        if not log.exists():
            return
        text = log.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                entry = json.loads(line)
                self._keep(*entry["tx"]) if "tx" in entry else self._mark(*entry["label"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{log}, line {number}, is damaged ({error}): restore it from a copy"
                ) from None
        if len(whole) < len(text):
            with open(log, "r+b") as file:
                file.truncate(len(whole))

    def _write(self, **entry):
        if self.file:
            self.file.write(json.dumps(entry, separators=(",", ":")) + "\n")
            self.file.flush()

    def see(
        self, id: int | str, when: int, card: int | str, terminal: int | str, amount: float
    ) -> np.ndarray:
        """FEATURES (k,) of a transaction at `when` (seconds since 1970, UTC), which then counts for those after it.

        An unknown card or terminal begins empty. The same transaction again changes nothing. Raises ValueError for an id
        with another content, an amount as `data.contract` refuses it, a time more than NEVER days from the newest.
        """
        row = (int(when), card, terminal, self._cents(amount))
        if id in self.rows and self.rows[id] != row:
            raise ValueError(f"id {id!r} stands for another transaction: {self.rows[id]}")
        if self.newest is not None and abs(row[0] - self.newest) > NEVER * DAY:
            raise ValueError(f"when must be within {NEVER} days of the newest transaction, got {when}")
        found = self._read(id, *row)
        if id not in self.rows:
            self._write(tx=[id, *row])
            self._keep(id, *row)
        return found

    @staticmethod
    def _cents(amount):
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount <= 1_000_000:
            raise ValueError(f"amount must be from 0 to 1,000,000 dollars, got {amount!r}")
        return round(amount * 100)

    def _read(self, id, t, card, terminal, cents):
        place = self.cards.get(card) or _Card()
        found = place.features(_place(place, id, t), t, cents)
        found |= (self.terminals.get(terminal) or _Terminal()).features(t)
        found |= {"TX_AMOUNT": cents / 100, "TX_DURING_WEEKEND": (t // DAY + 3) % 7 >= 5,
                  "TX_DURING_NIGHT": t % DAY // 3600 <= 6}  # fmt: skip
        return np.array([found[name] for name in FEATURES], float)

    def _keep(self, id, t, card, terminal, cents):
        place, spot = self.cards[card], self.terminals[terminal]
        i = bisect_right(place.t, t)
        spot.add(bisect_right(spot.t, t), id, t, place.ratio(i, cents) > HIGH)
        place.add(i, id, t, cents)
        for k in range(i + 1, len(place.t)):  # a late row: what its card did later is judged again
            when, _, elsewhere, spent = self.rows[place.ids[k]]
            other = self.terminals[elsewhere]
            other.mark(_place(other, place.ids[k], when), place.ratio(k, spent) > HIGH)
        self.rows[id], self.newest = (t, card, terminal, cents), max(t, self.newest or t)

    def label(self, id: int | str, fraud: bool) -> None:
        """Write down whether transaction `id` was a fraud; a later word replaces an earlier one.

        It counts in features DELAY days after the transaction. Raises ValueError for an id never seen, or no true or false.
        """
        if id not in self.rows:
            raise ValueError(f"id must be of a transaction seen before, got {id!r}")
        if fraud not in (0, 1):
            raise ValueError(f"fraud must be true or false, got {fraud!r}")
        self._write(label=[id, int(fraud)])
        self._mark(id, int(fraud))

    def _mark(self, id, fraud):
        t, card, terminal, _ = self.rows[id]
        if change := fraud - self.labels.get(id, 0):
            for place in (self.cards[card], self.terminals[terminal]):
                place.label(_place(place, id, t), change)
        self.labels[id] = fraud

    def close(self) -> None:
        """Close the log."""
        if self.file:
            self.file.close()


def _place(state, id, t):
    # Where transaction `id` stands in a card or terminal; a new one comes behind its equals.
    i = end = bisect_right(state.t, t)
    while i and state.t[i - 1] == t:
        i -= 1
        if state.ids[i] == id:
            return i
    return end


def replay(tx: pd.DataFrame, store: Store, delay: float = DELAY) -> np.ndarray:
    """FEATURES (n, k) as the store gives them when `tx` arrives row by row, each label `delay` days after its row."""
    due, out = 0, []
    stamp = tx.TX_DATETIME.to_numpy().astype("datetime64[s]").astype(np.int64).tolist()
    ids, label = tx.TRANSACTION_ID.tolist(), tx.TX_FRAUD.tolist()
    rows = zip(
        ids, stamp, tx.CUSTOMER_ID.tolist(), tx.TERMINAL_ID.tolist(), tx.TX_AMOUNT.tolist(), strict=True
    )
    for row in rows:
        while stamp[due] + delay * DAY <= row[1]:
            store.label(ids[due], bool(label[due]))
            due += 1
        out.append(store.see(*row))
    return np.array(out)
