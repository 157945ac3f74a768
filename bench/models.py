"""What the course's models cost beside bare scikit-learn doing the same work: fit, scoring a month, scoring one flight.

python bench/models.py [--rounds N] [--rows N] [--threads N] [--json FILE]      (each pair in turn, N rounds, one process)
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]


def bare(name: str, columns: list):
    """The same work by scikit-learn alone: the nearest public pipeline."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    from mlcourse.models import MODELS

    params, text = MODELS[name][1], make_column_selector(dtype_include="category")
    rank = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    number = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    wide = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text), remainder=number
    )
    ranked = make_column_transformer((rank, text), remainder="passthrough")
    native = {**params, "categorical_features": "from_dtype", "random_state": 0}
    return {
        "constant": lambda: DummyClassifier(strategy="prior"),
        "logistic": lambda: make_pipeline(wide, LogisticRegression(solver="newton-cholesky")),
        "tree": lambda: make_pipeline(ranked, DecisionTreeClassifier(**params, random_state=0)),
        "boosting": lambda: HistGradientBoostingClassifier(**native),
        "linear": lambda: make_pipeline(wide, Ridge()),
        "quantile": lambda: HistGradientBoostingRegressor(**native),
    }[name]()


def seconds(work: Callable, times: int = 1) -> float:
    """Seconds of one call, the mean of `times`."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def features(rows: int):
    """Features and labels of the first `rows` training flights, spread over January to August, and a month to score."""
    from mlcourse.data import load
    from mlcourse.features import FlightFeatures
    from mlcourse.frame import Decision, label
    from mlcourse.split import by_time

    flights, decision = load("flights"), Decision()
    train, test = by_time(flights, "2013-09-01", decision)
    X = FlightFeatures().fit(flights[train]).transform(flights)
    past = X[train].iloc[:: max(1, train.sum() // rows)]
    minutes = flights.arr_delay[past.index].fillna(0)
    return past, label(flights)[past.index], minutes, X[test & (flights.month == 9)]


def pairs(rounds: int, rows: int) -> Iterator[tuple]:
    """(model, work, whose, seconds) of each measurement; who goes first alternates."""
    from mlcourse.models import MODELS, make_model

    past, bad, minutes, month = features(rows)
    one = [month.iloc[[i]] for i in range(20)]
    for name in (n for n in MODELS if n != "last_month_rate"):  # scikit-learn has no such model
        y = bad if hasattr(MODELS[name][0], "predict_proba") else minutes
        for n in range(rounds):
            order = [("ours", make_model(name)), ("bare", bare(name, list(past)))]
            for whose, model in order[:: 1 - 2 * (n % 2)]:
                yield name, "fit", whose, seconds(lambda m=model, y=y: m.fit(past, y))
            for whose, model in order[:: 1 - 2 * (n % 2)]:
                ask = getattr(model, "predict_proba", None) or model.predict
                yield name, "month", whose, seconds(lambda ask=ask: ask(month))
                yield name, "one flight", whose, seconds(lambda ask=ask: [ask(row) for row in one]) / len(one)


def table(found: dict) -> list[dict]:
    """A row for each model and work: median seconds of both, and the median of the paired ratios."""
    rows = []
    for name, work in dict.fromkeys(key[:2] for key in found):
        ours, theirs = found[name, work, "ours"], found[name, work, "bare"]
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        middle = dict(ours=statistics.median(ours), bare=statistics.median(theirs))
        rows.append({"model": name, "work": work, **middle, "ratio": statistics.median(ratios)})
    return rows


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--rows", type=int, default=75_000, help="to train on")
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    given = options.parse_args()
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(
        given.threads
    )  # before the imports
    found: dict[tuple, list] = {}
    for *key, took in pairs(given.rounds, given.rows):
        found.setdefault(tuple(key), []).append(took)
    rows = table(found)
    print("| model | work | ours (ms) | scikit-learn (ms) | ratio |\n|---|---|---|---|---|")
    for r in rows:
        print(
            f"| {r['model']} | {r['work']} | {1e3 * r['ours']:.2f} | {1e3 * r['bare']:.2f} | {r['ratio']:.2f} |"
        )
    if given.json:
        seconds_by = {" / ".join(key): took for key, took in found.items()}
        given.json.write_text(
            json.dumps({"table": rows, "seconds": seconds_by, "load": os.getloadavg()}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
