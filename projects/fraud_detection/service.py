"""The detector as a service: transactions are scored as they arrive; investigators see a day's queue and write labels back.

    python service.py [--port 8700] [--folder desk]

starts it on this machine alone, on a small simulated world: the detector learns its first weeks, its last day fills the queue.
"""

from __future__ import annotations

import argparse
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from data import World, simulate
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from features import DAY, Store, offline
from model import Detector, reasons
from protocol import CAPACITY, DELAY, Money
from pydantic import BaseModel, Field

PAGE = Path(__file__).with_name("page.html")
Id = int | str


class Transaction(BaseModel, extra="forbid"):
    """One payment to judge. Times without a zone are UTC."""

    id: Id
    when: datetime
    customer: Id
    terminal: Id
    amount: float = Field(ge=0, le=1_000_000, allow_inf_nan=False)


class Verdict(BaseModel, extra="forbid"):
    """What an investigator found: which of a card's transactions of a day are frauds; none: the card is clear."""

    card: Id
    day: int
    frauds: list[Id] = Field(max_length=1000)


class Desk:
    """Scores arrivals with one detector and store, keeps each day's cards, and takes verdicts, at most `capacity` a day.

    A day's queue is open for DELAY days: then its labels come by themselves.
    """

    def __init__(
        self, detector: Detector, store: Store, capacity: int = CAPACITY, money: Money | None = None
    ):
        self.detector, self.store, self.capacity, self.money = detector, store, capacity, money or Money()
        self.days, self.verdicts, self.lock = {}, {}, threading.Lock()
        self._resume()

    def _resume(self):  # after a restart the days still open are scored again from the store's log
        open_ = [
            (id, row)
            for id, row in self.store.rows.items()
            if row[0] // DAY > self.store.newest // DAY - DELAY
        ]
        X = np.array([self.store._read(id, *row) for id, row in open_])
        for (id, row), x, p in zip(open_, X, self._p(X) if open_ else (), strict=True):
            self._enter(id, row, x, p)

    def _p(self, X):
        return self.detector.predict_proba(X)[:, 1].tolist()

    def _enter(self, id, row, x, p):
        t, card, terminal, cents = row
        cards = self.days.setdefault(t // DAY, {})
        cards.setdefault(card, {})[id] = {
            "id": id,
            "when": t,
            "terminal": terminal,
            "amount": cents / 100,
            "p": p,
            "x": x,
        }
        if id in self.store.labels:
            self.verdicts.setdefault(t // DAY, set()).add(card)
        return p

    def score(self, tx: Transaction) -> float:
        """Probability of fraud of a transaction, which then counts for those after it; the same one again gives the same p.

        Raises ValueError as `Store.see` does.
        """
        when = tx.when if tx.when.tzinfo else tx.when.replace(tzinfo=UTC)
        with self.lock:
            t = int(when.timestamp())
            if known := self.days.get(t // DAY, {}).get(tx.customer, {}).get(tx.id):
                self.store.see(tx.id, t, tx.customer, tx.terminal, tx.amount)  # refuses another content
                return known["p"]
            x = self.store.see(tx.id, t, tx.customer, tx.terminal, tx.amount)
            return self._enter(tx.id, self.store.rows[tx.id], x, *self._p(x[None]))

    def queue(self, day: int | None = None) -> list[dict]:
        """Cards of a day (days since 1970; None: the newest) still to check, dearest first, with what speaks against each."""
        with self.lock:
            day = self._newest() if day is None else day
            return [self._card(c, worth, self.days[day][c]) for c, worth in self._best(day)]

    def _best(self, day):  # cards of a day that are worth a check, and what they are worth
        done = self.verdicts.get(day, set())
        worth = {
            card: self.money.held * sum(r["p"] * r["amount"] for r in rows.values())
            for card, rows in self.days.get(day, {}).items()
            if card not in done
        }
        best = sorted(worth, key=lambda c: -worth[c])[: max(self.capacity - len(done), 0)]
        return [(c, worth[c]) for c in best if worth[c] > self.money.check]

    def _newest(self):
        return max(self.days, default=0)

    def _card(self, card, worth, rows):
        rows = sorted(rows.values(), key=lambda r: -r["p"])
        shown = [{k: v for k, v in r.items() if k != "x"} for r in rows]
        p = 1 - float(np.prod([1 - r["p"] for r in rows]))
        return {
            "card": card,
            "p": p,
            "worth": worth,
            "transactions": shown,
            "reasons": reasons(self.detector, rows[0]["x"]),
        }

    def verdict(self, card: Id, day: int, frauds: list[Id]) -> int:
        """Number of labels written for the card's transactions of the day: those in `frauds` 1, its others 0.

        Raises KeyError for a card without transactions that day, ValueError for an id that is none of them or a full day.
        """
        with self.lock:
            rows, done = self.days.get(day, {}).get(card), self.verdicts.get(day, set())
            if rows is None:
                raise KeyError(card)
            if strange := [id for id in frauds if id not in rows]:
                raise ValueError(
                    f"frauds must be transactions of card {card!r} on that day, got {strange[0]!r}"
                )
            if card not in done and len(done) >= self.capacity:
                raise ValueError(f"the {self.capacity} checks of that day are used up")
            for id in rows:
                self.store.label(id, id in frauds)
            self.verdicts.setdefault(day, set()).add(card)
            return len(rows)

    def numbers(self, day: int | None = None) -> dict:
        """Day (None: the newest), cards checked and capacity, and how many transactions the day has."""
        with self.lock:
            day = self._newest() if day is None else day
            return {
                "day": day,
                "checked": len(self.verdicts.get(day, ())),
                "capacity": self.capacity,
                "transactions": sum(map(len, self.days.get(day, {}).values())),
            }

    def open_days(self) -> list[int]:
        """Those of the last DELAY days that still have a card to check."""
        newest, found = self.numbers()["day"], []
        for day in range(newest - DELAY + 1, newest + 1):
            with self.lock:  # a day at a time, as payments wait meanwhile
                found += [day] if self._best(day) else []
        return found


def build(desk: Desk) -> FastAPI:
    """The web application of a desk: /, /health, /transactions, /queue, /verdict."""
    app = FastAPI(title="Fraud desk", docs_url=None, redoc_url=None)

    @app.get("/", response_class=HTMLResponse)
    def page():
        return PAGE.read_text(encoding="utf-8")

    @app.get("/health")
    def health():
        return {"status": "ok", **desk.numbers()}

    @app.post("/transactions")
    def transactions(tx: Transaction):
        return {"id": tx.id, "p": _tell(desk.score, tx)}

    @app.get("/queue")
    def queue(day: int | None = None):
        numbers = desk.numbers(day)
        return numbers | {"cards": desk.queue(numbers["day"]), "open": desk.open_days()}

    @app.post("/verdict")
    def verdict(found: Verdict):
        return {"labels": _tell(desk.verdict, found.card, found.day, found.frauds)}

    return app


def _tell(do, *args):
    try:
        return do(*args)
    except KeyError as error:
        raise HTTPException(404, f"card {error} has no transaction on that day") from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def small_desk(folder: str | Path | None = None, seed: int = 0, capacity: int = CAPACITY) -> Desk:
    """A desk on a small simulated world: learned from its first weeks, its last day waiting to be checked.

    With `folder`, the log is kept there; labels of the past are known after DELAY days, as in life.
    """
    tx = simulate(
        World(customers=600, terminals=700, radius=12, days=64, cards_a_day=2, terminals_a_day=1), seed
    )
    day = tx.TX_TIME_DAYS.to_numpy()
    fits = (day >= 14) & (day < 56)
    detector = Detector(members=2, genuine=0.3).fit(offline(tx)[fits], tx.TX_FRAUD[fits].to_numpy())
    store = Store(Path(folder) / "log.jsonl" if folder else None)
    if store.newest is None:
        _fill(store, tx, day)
    return Desk(detector, store, capacity)


def _fill(store, tx, day):
    stamp = tx.TX_DATETIME.to_numpy().astype("datetime64[s]").astype(np.int64).tolist()
    names = ["TRANSACTION_ID", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    for t, id, card, terminal, amount, _ in zip(stamp, *(tx[n].tolist() for n in names), strict=True):
        store.see(id, t, card, terminal, amount)
    for id in tx.TRANSACTION_ID[(day < day.max() - 7) & (tx.TX_FRAUD == 1)].tolist():
        store.label(id, True)


def main() -> None:
    """Start the desk on the loopback address."""
    import uvicorn

    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--port", type=int, default=8700)
    options.add_argument("--folder", type=Path, help="keeps the log of transactions and labels")
    options = options.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    print(f"The queue is at http://127.0.0.1:{options.port}/ (Ctrl-C ends it)")
    uvicorn.run(build(small_desk(options.folder)), host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
