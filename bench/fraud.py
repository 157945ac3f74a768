"""Fraud detection beside the Fraud Detection Handbook's published rows, and the speed of its features and of its scoring.

python bench/fraud.py [--data FOLDER] [--start 2018-07-25] [--parts protocol,features,online] [--peers] [--seed N] [--json FILE]

`protocol`: ROC AUC, average precision, card precision@100 and seconds in the test week that belongs to the train week from
`--start` ("august"), and the means of four test weeks, each a week later ("prequential"; of those that the data hold).
`--data` names a folder of daily Parquet or CSV files with the Handbook's columns, in which nothing is written; without it the
project's simulator makes such data, with a line for one who sees every hidden state except terminals of which no fraud is
known yet. Parameters were chosen on simulated worlds alone.
`--peers` fits the Handbook's logistic regression and random forest on its 15 features and its train week, too.
`features`: the twelve windows of 1.75 million transactions, beside pandas' grouped rolling windows, the same values; peak
memory of a process that reads a file and makes them; growth from 1 to 10 times as many. `online`: one transaction at a time.
`--json` is written after each part; null is a figure that a week without a fraud does not have.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "projects" / "fraud_detection"
sys.path[:0] = [str(ROOT), str(PROJECT)]

import data as made  # noqa: E402
import features as f  # noqa: E402
import protocol  # noqa: E402

PUBLISHED = {
    "logistic regression": (0.871, 0.606, 0.291, 0.868, 0.623, 0.297),
    "random forest": (0.867, 0.658, 0.287, 0.870, 0.678, 0.299),
    "XGBoost": (0.862, 0.639, 0.273, 0.869, 0.687, 0.303),
    "neural network": (0.864, 0.653, 0.286, 0.876, 0.675, 0.303),
    "LSTM": (None, None, None, 0.876, 0.665, 0.297),
    "balanced bagging": (None, None, None, 0.879, 0.680, 0.305),
}  # Le Borgne, Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card Fraud Detection, chapters 3, 5-7
NAMES, TRAIN_DAYS = ("auc", "ap", "cp100"), 77


def transactions(options) -> pd.DataFrame:
    """The folder's transactions, or simulated ones with TX_TRUE."""
    if options.data:
        return made.load_days(options.data, checksums=False)
    return made.contract(made.simulate(made.World(), options.seed))


def ours(tx, table, start):
    """Figures of the course's detector in one test week."""
    from model import Detector

    began = time.perf_counter()
    fits, test = protocol.week(tx, start, TRAIN_DAYS)
    detector = Detector(members=4).fit(table[fits], tx.TX_FRAUD.to_numpy()[fits])
    p = detector.log_odds(table[test].to_numpy())
    return protocol.figures(tx[test], p) | {"seconds": time.perf_counter() - began}


def peer(make):
    """Figures of one of the Handbook's own models: its 15 features, its train week."""

    def run(tx, table, start):
        began = time.perf_counter()
        fits, test = protocol.week(tx, start)
        names, y = f.FEATURES[:15], tx.TX_FRAUD.to_numpy()[fits]
        if not y.any():
            return dict.fromkeys((*NAMES, "seconds"), math.nan)  # nothing to learn from
        model = make().fit(table.loc[fits, names], y)
        p = model.predict_proba(table.loc[test, names])[:, 1]
        return protocol.figures(tx[test], p) | {"seconds": time.perf_counter() - began}

    return run


def seer(tx, table, start):
    """Figures of one who sees all hidden states but terminals without a known fraud of the crew that holds them."""
    began = time.perf_counter()
    _, test = protocol.week(tx, start)
    c = f.columns(tx)
    g = f.Grouped(c["terminal"], c["seconds"])
    told = g.sums((tx.TX_FRAUD_SCENARIO == 2).to_numpy())
    known = g.back(told[g.until(f.DELAY)] - told[g.until(28)]) > 0
    hidden = (tx.TX_FRAUD_SCENARIO == 2).to_numpy() & ~known
    p = np.where(hidden, 0, tx.TX_TRUE) + 1e-6 * np.minimum(table.TERMINAL_LAST_AGE, 28)
    return protocol.figures(tx[test], p.to_numpy()[test]) | {"seconds": time.perf_counter() - began}


def peers():
    """The Handbook's logistic regression and random forest."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    yield "logistic, here", peer(lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)))
    yield "forest, here", peer(lambda: RandomForestClassifier(100, random_state=0, n_jobs=-1))


def starts(tx, start):
    """Those first days of the four train weeks from `start` whose test weeks the data hold to the end."""
    end, whole = np.datetime64(tx.TX_DATETIME.max(), "D"), 2 * protocol.WEEK + protocol.DELAY - 1
    return [s for s in protocol.prequential(start) if np.datetime64(s, "D") + whole <= end]


def weeks(run, tx, table, start, seconds=0.0):
    """Figures of the first test week, and means over those of four that the data hold (of the weeks that have the figure)."""
    rows = [run(tx, table, s) for s in starts(tx, start)]
    for row in rows:
        row["seconds"] += seconds
    known = {k: [r[k] for r in rows if not math.isnan(r[k])] for k in rows[0]}
    return {
        "august": rows[0],
        "prequential": {k: float(np.mean(v)) if v else math.nan for k, v in known.items()},
    }


def protocols(options) -> dict:
    """Prints the table; ours."""
    tx = transactions(options)
    began = time.perf_counter()
    table = f.offline(tx)
    took = time.perf_counter() - began
    print(
        f"{len(tx):,} transactions, {int(tx.TX_FRAUD.sum()):,} frauds, {tx.TX_DATETIME.min()} to {tx.TX_DATETIME.max()}"
    )
    fits, test = protocol.week(tx, options.start)
    frauds = tx.TX_FRAUD.to_numpy()
    print(
        f"train week {fits.sum():,} / {frauds[fits].sum()} frauds, test week {test.sum():,} / {frauds[test].sum()}; "
        f"the data hold {len(starts(tx, options.start))} of 4 test weeks"
    )
    found = {"mlcourse": weeks(ours, tx, table, options.start, took)}
    if "TX_TRUE" in tx:
        found["sees hidden states"] = weeks(seer, tx, table, options.start)
    if options.peers:
        found |= {name: weeks(run, tx, table, options.start) for name, run in peers()}
    show(found)
    return found["mlcourse"] | {
        "rows": len(tx),
        "frauds": int(frauds.sum()),
        "weeks": len(starts(tx, options.start)),
    }


def show(found):
    """The published rows and those found: ROC AUC / average precision / card precision@100, seconds."""
    print(f"{'':22}{'one test week':^30}{'mean of test weeks':^30}")
    text = lambda values: " / ".join("  -  " if v is None or math.isnan(v) else f"{v:.3f}" for v in values)
    for name, row in PUBLISHED.items():
        print(f"{name:22}{text(row[:3]):^30}{text(row[3:]):^30}published, on the Handbook's own data")
    for name, row in found.items():
        a, b = row["august"], row["prequential"]
        print(
            f"{name:22}{text(a[k] for k in NAMES):^30}{text(b[k] for k in NAMES):^30}{a['seconds']:.0f} s a week"
        )


def rolling(tx: pd.DataFrame) -> dict[str, np.ndarray]:
    """The twelve windows by pandas' grouped rolling windows."""
    out, back = {}, {}
    for key, value in (("CUSTOMER_ID", "TX_AMOUNT"), ("TERMINAL_ID", "TX_FRAUD")):
        rows = tx.sort_values([key, "TX_DATETIME", "TRANSACTION_ID"], kind="stable")
        back[key] = np.argsort(rows.index.to_numpy())
        out[key] = rows.set_index("TX_DATETIME").groupby(key)[value]
    found = {}
    late = out["TERMINAL_ID"].rolling(f"{f.DELAY}D")
    late = late.count().to_numpy(), late.sum().to_numpy()
    for w in f.WINDOWS:
        spent = out["CUSTOMER_ID"].rolling(f"{w}D")
        n, s = spent.count().to_numpy(), spent.sum().to_numpy()
        found[f"CUSTOMER_ID_NB_TX_{w}DAY_WINDOW"] = n[back["CUSTOMER_ID"]]
        found[f"CUSTOMER_ID_AVG_AMOUNT_{w}DAY_WINDOW"] = (s / n)[back["CUSTOMER_ID"]]
        bad = out["TERMINAL_ID"].rolling(f"{w + f.DELAY}D")
        n, s = bad.count().to_numpy() - late[0], bad.sum().to_numpy() - late[1]
        found[f"TERMINAL_ID_NB_TX_{w}DAY_WINDOW"] = n[back["TERMINAL_ID"]]
        found[f"TERMINAL_ID_RISK_{w}DAY_WINDOW"] = (s / np.maximum(n, 1))[back["TERMINAL_ID"]]
    return found


ALONE = """
import resource, sys, time
sys.path[:0] = [{project!r}]
import pandas as pd, pyarrow, features
tx = pd.read_parquet({file!r})
c = features.columns(tx)
del tx
best = 1e9
for _ in range({rounds}):
    began = time.perf_counter()
    found = features.windows(c)
    best = min(best, time.perf_counter() - began)
print(best, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20))
"""


def alone(tx, rounds):
    """Best seconds and peak GiB of a process that reads the transactions and makes the twelve windows."""
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/tx.parquet"
        tx[["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]].to_parquet(file)
        code = ALONE.format(project=str(PROJECT), file=file, rounds=rounds)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return tuple(map(float, done.stdout.split()))


def copies(tx, n):
    """`n` times the transactions, their ids numbered: each copy has customers and terminals of its own."""
    codes = {k: pd.factorize(tx[k])[0] for k in ("CUSTOMER_ID", "TERMINAL_ID")}
    parts = [tx.assign(**{k: c + i * (c.max() + 1) for k, c in codes.items()}) for i in range(n)]
    return pd.concat(parts).sort_values("TX_DATETIME", kind="stable", ignore_index=True)


def speed(options) -> dict:
    """Seconds, memory and growth of the twelve windows, and pandas beside them."""
    tx = transactions(options)
    took = []
    for _ in range(options.rounds):
        began = time.perf_counter()
        mine = f.windows(f.columns(tx))
        took.append(time.perf_counter() - began)
    began = time.perf_counter()
    theirs = rolling(tx)
    pandas = time.perf_counter() - began
    apart = max(float(np.abs(mine[k] - theirs[k]).max()) for k in f.HANDBOOK)
    keys = ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"]
    one, ten = (alone(copies(tx[keys], n), options.rounds) for n in (1, 10))
    found = {"rows": len(tx), "seconds": min(took), "pandas_seconds": pandas, "times_faster": pandas / min(took), "apart": apart,
             "gib": one[1], "gib_10x": ten[1], "seconds_10x": ten[0], "exponent": math.log10(ten[0] / one[0])}  # fmt: skip
    print("twelve windows of {rows:,} rows: {seconds:.2f} s; pandas {pandas_seconds:.1f} s, {times_faster:.0f} times as long, "
          "values at most {apart:.1g} apart; {gib:.2f} GiB at peak; ten times the rows {seconds_10x:.2f} s, {gib_10x:.2f} GiB: "
          "seconds grow with rows to the power {exponent:.2f}".format(**found))  # fmt: skip
    return found


def online(options) -> dict:
    """A replay of 200,000 transactions: equality with offline features; then latency of features and score together."""
    from model import Detector

    tx = made.simulate(made.World(customers=1200, terminals=2400, radius=10, days=90), options.seed)[:200_000]
    table = f.offline(tx)
    began = time.perf_counter()
    got = f.replay(tx, f.Store())
    replayed = time.perf_counter() - began
    detector = Detector(members=4).fit(table[50_000:], tx.TX_FRAUD[50_000:].to_numpy())
    store, took = f.Store(), []
    stamp = tx.TX_DATETIME.to_numpy().astype("datetime64[s]").astype(np.int64).tolist()
    rows = zip(
        tx.TRANSACTION_ID.tolist(),
        stamp,
        tx.CUSTOMER_ID.tolist(),
        tx.TERMINAL_ID.tolist(),
        tx.TX_AMOUNT.tolist(),
        strict=True,
    )
    for i, row in enumerate(rows):
        began = time.perf_counter()
        x = store.see(*row)
        if i >= 190_000:
            detector.predict_proba(x[None])
            took.append(time.perf_counter() - began)
    found = {"rows": len(tx), "different": int((got != table.to_numpy()).sum()), "replay_us": 1e6 * replayed / len(tx),
             "p50_ms": 1e3 * float(np.median(took)), "p99_ms": 1e3 * float(np.quantile(took, 0.99)), "a_second": 1 / float(np.mean(took))}  # fmt: skip
    print("online: {rows:,} rows replayed, {different} values differ from offline, {replay_us:.0f} µs each; one score with its "
          "state {p50_ms:.2f} ms, 99 of 100 within {p99_ms:.2f} ms, {a_second:,.0f} a second".format(**found))  # fmt: skip
    return found


PARTS = {
    "protocol": protocols,
    "features": lambda options: {"features": speed(options)},
    "online": lambda options: {"online": online(options)},
}


def keep(found, path):
    """Write the figures found so far; what is not a number becomes null."""
    plain = lambda x: (
        {k: plain(v) for k, v in x.items()} if isinstance(x, dict) else None if math.isnan(x) else x
    )
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(plain(found), indent=1))
    part.replace(path)


def main() -> None:
    """Measure what is asked for, print it, and write it as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of daily files with the Handbook's columns")
    parser.add_argument("--start", default="2018-07-25", help="first day of the first train week")
    parser.add_argument("--parts", default=",".join(PARTS), help="some of these, with commas")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    parts, found = options.parts.split(","), {}
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--parts must be of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    for name in (name for name in PARTS if name in parts):
        found |= PARTS[name](options)
        if options.json:
            keep(found, options.json)


if __name__ == "__main__":
    main()
