"""Card transactions with their labels: a simulator whose true fraud probability is known, and loaders of public data.

Columns as in the Fraud Detection Handbook (Le Borgne, Siblini, Lebichot, Bontempi 2022): COLUMNS, a row a transaction.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

COLUMNS = (
    "TRANSACTION_ID",
    "TX_DATETIME",
    "CUSTOMER_ID",
    "TERMINAL_ID",
    "TX_AMOUNT",
    "TX_TIME_SECONDS",
    "TX_TIME_DAYS",
    "TX_FRAUD",
    "TX_FRAUD_SCENARIO",
)
DAY = 86_400  # seconds
MOST = 1_000_000.0  # dollars: a larger amount is taken for a mistake of unit
CONVERT = "for p in pathlib.Path('.').glob('*.pkl'): pd.read_pickle(p).to_parquet(p.with_suffix('.parquet'))"


@dataclass(frozen=True)
class World:
    """What the simulator makes; the defaults are the Handbook's. Raises ValueError for a number that makes no sense."""

    customers: int = 5000
    terminals: int = 10_000
    days: int = 183
    start: str = "2018-04-01"
    side: float = 100.0  # of the map
    radius: float = 5.0  # a customer uses the terminals within it
    large: float = 220.0  # dollars: every amount over it is a fraud (scenario 1)
    terminals_a_day: int = 2  # newly compromised (scenario 2)
    terminal_days: int = 28
    cards_a_day: int = 3  # newly compromised (scenario 3)
    card_days: int = 14
    share: float = 1 / 3  # of a compromised card's transactions that are fraud
    times: float = 5.0  # by which such a fraud multiplies the amount, on the first day
    adapt: float = 0.0  # a week: new crews multiply by 1 + (times - 1) exp(-adapt weeks)

    def __post_init__(self):
        for name in (f.name for f in fields(self) if f.name != "start"):
            value, least = (
                getattr(self, name),
                1 if name in ("customers", "terminals", "days", "times") else 0,
            )
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value < np.inf:
                raise ValueError(f"{name} must be a number of at least {least}, got {value!r}")
        if self.share > 1:
            raise ValueError(f"share must be at most 1, got {self.share}")

    def multiplier(self, day: np.ndarray) -> np.ndarray:
        """By how much a crew that begins on `day` (n,) multiplies amounts."""
        return 1 + (self.times - 1) * np.exp(-self.adapt * np.asarray(day) / 7)


def simulate(world: World = World(), seed: int = 0) -> pd.DataFrame:
    """Transactions in order of time: COLUMNS, TX_CREW (the day on which the crew that holds the card began, -1: none), what
    they are without that crew, TX_PLAIN (the amount) and TX_REST (the scenario), and TX_TRUE (the true probability).

    TX_TRUE is the probability of fraud for one who sees the hidden state (which cards and terminals are compromised, each
    customer's mean amount) and the amount, but not the coin. Amounts in dollars, times in seconds since `world.start`.
    """
    rng = np.random.default_rng(seed)
    mean, reach = rng.uniform(5, 100, world.customers), _reach(world, rng)
    tx = _genuine(world, mean, reach, rng)
    card = _taken(tx, "CUSTOMER_ID", world.customers, world.cards_a_day, world.card_days, rng)
    terminal = _taken(tx, "TERMINAL_ID", world.terminals, world.terminals_a_day, world.terminal_days, rng)
    return _with_fraud(tx, world, mean[tx.CUSTOMER_ID], terminal >= 0, card, rng.random(len(tx)))


def _reach(world, rng):  # terminals of each customer, one behind the other, and where each customer's begin
    homes, places = (rng.uniform(0, world.side, (n, 2)) for n in (world.customers, world.terminals))
    by_x = np.argsort(places[:, 0])
    near = []
    for x, y in homes:
        low, high = np.searchsorted(places[by_x, 0], (x - world.radius, x + world.radius))
        some = by_x[low:high]
        near.append(some[(places[some, 0] - x) ** 2 + (places[some, 1] - y) ** 2 < world.radius**2])
    return np.concatenate(near), np.r_[0, np.cumsum([len(n) for n in near])]


def _genuine(world, mean, reach, rng):
    terminals, first = reach
    rate = np.where(np.diff(first) > 0, rng.uniform(0, 4, world.customers), 0)  # no terminal near: never buys
    counts = rng.poisson(rate[:, None], (world.customers, world.days)).ravel()
    who, day = np.divmod(np.repeat(np.arange(len(counts)), counts), world.days)
    clock = np.trunc(rng.normal(DAY / 2, 20_000, len(who))).astype(np.int64)
    inside = (clock > 0) & (clock < DAY)
    who, day, clock = who[inside], day[inside], clock[inside]
    order = np.argsort(day * DAY + clock, kind="stable")
    who, seconds = who[order], (day * DAY + clock)[order]
    amount = rng.normal(mean[who], mean[who] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean[who]), amount).round(2)
    at = terminals[first[who] + (rng.random(len(who)) * np.diff(first)[who]).astype(np.int64)]
    when = np.datetime64(world.start, "s") + seconds
    values = np.arange(len(who)), when, who, at, amount, seconds, seconds // DAY
    return pd.DataFrame(dict(zip(COLUMNS, values, strict=False)))


def _taken(tx, key, count, a_day, days, rng):
    # (n,) the day on which the last crew that holds the card or terminal began, -1: none
    last = int(tx.TX_TIME_DAYS.max()) + 1 if len(tx) else 0
    since = np.full((count, last), -1)
    for day in range(last):
        taken = rng.choice(count, min(a_day, count), replace=False)
        since[taken, day : day + days] = day
    return since[tx[key], tx.TX_TIME_DAYS]


def _with_fraud(tx, world, mean, bad, began, coin):
    plain, card, factor = tx.TX_AMOUNT.to_numpy(), began >= 0, world.multiplier(np.maximum(began, 0))
    crew = card & (coin < world.share)
    amount = np.where(crew, (plain * factor).round(2), plain)
    large, rest = amount > world.large, np.select([bad, plain > world.large], [2, 1], 0)
    scenario = np.where(crew, 3, rest)
    out = tx.assign(TX_AMOUNT=amount, TX_FRAUD=(scenario > 0).astype(np.int8), TX_FRAUD_SCENARIO=scenario)
    fraud, fair = _density(amount / factor, mean) / factor, _density(amount, mean)
    guess = world.share * fraud / np.maximum(world.share * fraud + (1 - world.share) * fair, 1e-300)
    true = np.where(bad | large, 1.0, np.where(card, guess, 0.0))
    return out.assign(TX_PLAIN=plain, TX_REST=rest, TX_CREW=began, TX_TRUE=true)


def _density(amount, mean):
    # Of a genuine amount: normal, its negative part spread evenly over 0 to twice the mean.
    z = (amount / mean - 1) * 2
    return np.exp(-(z**2) / 2) * 2 / np.sqrt(2 * np.pi) / mean + 0.02275 * (amount < 2 * mean) / (2 * mean)


def contract(tx: pd.DataFrame) -> pd.DataFrame:
    """The transactions in order of time, repeated rows once; refuses with ValueError what cannot be right.

    Refused: a missing column; a time, id or amount that is missing; ids of which some are text and some numbers; an amount
    below 0, over MOST or not finite; a label other than 0 and 1; one TRANSACTION_ID with two contents. Ids may be text. Times
    become UTC, without a zone. An amount of 0 is let through.
    """
    need = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]
    if lost := [c for c in need if c not in tx]:
        raise ValueError(f"tx must have the columns {', '.join(need)}; {', '.join(lost)} missing")
    when = pd.to_datetime(tx.TX_DATETIME, utc=True).dt.tz_localize(None)
    tx = tx.assign(TX_DATETIME=when.astype("datetime64[s]"))
    if (holes := tx[need].isna().any()).any():
        raise ValueError(
            f"tx must be known in every row, but {', '.join(holes[holes].index)} is missing in some"
        )
    for name in (c for c in need if c.endswith("_ID")):
        if pd.api.types.infer_dtype(tx[name]) in ("mixed", "mixed-integer"):
            raise ValueError(f"{name} must be all text or all numbers, got both: '7' and 7 would be two")
    amount = pd.to_numeric(tx.TX_AMOUNT, errors="coerce")
    if (wrong := ~((amount >= 0) & (amount <= MOST))).any():
        raise ValueError(
            f"TX_AMOUNT must be from 0 to {MOST:,.0f} dollars, got {tx.TX_AMOUNT[wrong].iloc[0]}"
        )
    tx = _labelled(tx.assign(TX_AMOUNT=amount)).drop_duplicates()
    if (twice := tx.TRANSACTION_ID.duplicated()).any():
        raise ValueError(f"TRANSACTION_ID {tx.TRANSACTION_ID[twice].iloc[0]} stands for two transactions")
    return tx.sort_values(["TX_DATETIME", "TRANSACTION_ID"], kind="stable", ignore_index=True)


def _labelled(tx):
    if "TX_FRAUD" not in tx:
        return tx
    if not tx.TX_FRAUD.isin((0, 1)).all():
        raise ValueError(
            "TX_FRAUD must be 0 or 1 in every row; leave the column out where labels are not known"
        )
    return tx.assign(TX_FRAUD=tx.TX_FRAUD.astype(np.int8))


def load_days(folder: str | Path, checksums: bool = True) -> pd.DataFrame:
    """Transactions of the daily files (`2018-04-01.parquet` or `.csv`) in `folder`, with TX_FRAUD, as `contract` gives them.

    The first time a `sha256.json` of the files is written beside them (with `checksums=False` nothing is); later a file that
    has changed is refused. Raises FileNotFoundError where there is no such file (it says how to convert pickles, which are
    never opened: a pickle can run any code), ValueError for a changed or unreadable file or rows that `contract` refuses.
    """
    folder = Path(folder)
    pattern = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
    files = sorted(f for end in ("parquet", "csv") for f in folder.glob(f"{pattern}.{end}") if f.is_file())
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no file such as 2018-04-01.parquet or .csv. Pickles are not opened; "
            f"if you trust theirs, convert them in an environment of its own: {CONVERT}"
        )
    if len({f.stem for f in files}) < len(files):
        raise ValueError(f"{folder} must hold each day once, but has some both as .parquet and as .csv")
    if checksums:
        _keep_checksums(folder, files)
    parts = [_read(f) for f in files]  # a day without rows has columns without a type
    tx = pd.concat([p for p in parts if len(p)] or parts[:1], ignore_index=True)
    if "TX_FRAUD" not in tx:
        raise ValueError(f"{files[0]} must have the column TX_FRAUD, got {', '.join(map(str, tx.columns))}")
    return contract(tx)


def _read(file):
    try:
        return pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file)
    except ValueError as error:  # what pandas and Arrow raise is a ValueError that names no file
        raise ValueError(f"{file} holds no table ({error}): get it again, or take it away") from None


def _keep_checksums(folder, files):
    kept = folder / "sha256.json"
    now = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
    try:
        before = json.loads(kept.read_text()) if kept.exists() else {}
    except ValueError:
        before = None
    if not isinstance(before, dict):
        raise ValueError(f"{kept} must hold the files' checksums, got something else: delete it")
    if changed := [name for name, digest in now.items() if before.get(name, digest) != digest]:
        raise ValueError(
            f"{changed[0]} has changed since it was first read: delete {kept} if that is right ({len(changed)} files)"
        )
    if now.keys() - before.keys():
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(before | now, indent=1))
        part.replace(kept)


def save_days(tx: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Files written, one Parquet file a day as `load_days` reads them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for day, rows in tx.groupby(tx.TX_DATETIME.dt.strftime("%Y-%m-%d")):
        paths.append(folder / f"{day}.parquet")
        rows.to_parquet(paths[-1], index=False)
    return paths


ULB = {"data_id": 1597, "rows": 284_807, "frauds": 492}  # "creditcard" on OpenML; counts as published by ULB


def load_ulb(folder: str | Path) -> pd.DataFrame:
    """The card set of Université Libre de Bruxelles (284,807 rows): V1 … V28, Amount, Class. Fetched once, on this call.

    From OpenML over the network into `folder`, with its sha256; later calls read that file alone and refuse it if it has
    changed. Raises ValueError for a changed file or counts other than the published ones, OSError without a network.
    """
    path = Path(folder) / "ulb.parquet"
    if not path.exists():
        from sklearn.datasets import fetch_openml

        table = fetch_openml(data_id=ULB["data_id"], as_frame=True, parser="auto").frame
        path.parent.mkdir(parents=True, exist_ok=True)
        table.assign(Class=table.Class.astype(int)).to_parquet(part := path.with_suffix(".part"))
        part.replace(path)
    _keep_checksums(path.parent, [path])
    table = pd.read_parquet(path)
    if (found := (len(table), int(table.Class.sum()))) != (ULB["rows"], ULB["frauds"]):
        raise ValueError(f"{path} must hold {ULB['rows']:,} rows and {ULB['frauds']} frauds, got {found}")
    return table
