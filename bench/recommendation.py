"""Ours beside the published figures on MovieLens, by the protocol of the Recommenders project, and what a service costs.

python bench/recommendation.py --data FOLDER [--json FILE]     ratings in any form of GroupLens: u.data, .dat, .csv, or a zip
python bench/recommendation.py --serve                         top-10 of 10,000 films; growth from 1 to 100 times the users

Protocol: 75/25 by film, seed 42; k = 10; every test rating is relevant; seen films removed; binary nDCG; MAP over the number
relevant. The test part is used once, for the last table; all choices are made on an inner split of the training part.
"""

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "projects" / "recommendation")]

# On ml-100k, from the README of github.com/recommenders-team/recommenders: MAP, nDCG@10, P@10, R@10
PUBLISHED = {
    "SAR": (0.1106, 0.3825, 0.3308, 0.1764),
    "NCF": (0.1077, 0.3961, 0.3473, 0.1808),
    "LightGCN": (0.0885, 0.4198, 0.3796, 0.1443),
    "BPR": (0.1325, 0.4420, 0.3882, 0.2125),
    "BiVAE": (0.1461, 0.4751, 0.4118, 0.2191),
}


def figures(scores, X, held) -> dict:
    """MAP, nDCG, precision and recall at 10, means over the users with a held-out film."""
    from measure import ranked
    from rank import top

    mean = ranked(top(scores, 10, X), held).mean()
    return {"map": mean.ap, "ndcg10": mean.ndcg, "p10": mean.precision, "r10": mean.recall}


def timed(work) -> tuple:
    """What `work` gives, and its seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def quality(folder: str) -> dict:
    """Every model on one folder: rows of figures with seconds, ours last."""
    from data import matrix, movielens
    from measure import stratified
    from rank import Ease, ImplicitALS, Neighbours, Popular, RP3Beta
    from tune import tuned

    ratings, films, name = movielens(folder)
    users, films = ratings.user.drop_duplicates().sort_values(), films.loc[sorted(ratings.film.unique())]
    train = stratified(ratings)
    users = users.set_axis(users).index
    X, held = (matrix(ratings[part], users, films.index) for part in (train, ~train))
    print(
        f"{name or 'no published set'}: {train.sum():,} / {(~train).sum():,}, {len(users):,} users, {len(films):,} films"
    )
    rows = {}
    for model in Popular(), Neighbours(), RP3Beta(), ImplicitALS(), Ease(side=1), Ease(side=0):
        (label, scores), took = timed(lambda m=model: (_label(m), m.fit(X).score(X)))
        rows[label] = figures(scores, X, held) | {"seconds": took}
    for kind in "blend", "ours":
        made, took = timed(lambda kind=kind: tuned(ratings[train], films, users, rerank=kind == "ours"))
        rows[kind] = figures(made.scores, X, held) | {"seconds": took, "choosing": made.choosing}
    print("chosen inside the training part:", made.chosen)
    return rows


def _label(model):
    side = {1: " (films)", 0: " (users)"}.get(getattr(model, "side", None), "")
    return type(model).__name__ + side


def show(rows: dict) -> None:
    """The table: published rows, then ours."""
    print("| | MAP | nDCG@10 | P@10 | R@10 | seconds |\n|---|---|---|---|---|---|")
    for name, row in PUBLISHED.items():
        print(f"| {name}, published on ml-100k | " + " | ".join(f"{x:.4f}" for x in row) + " | |")
    for name, row in rows.items():
        cells = " | ".join(f"{row[x]:.4f}" for x in ("map", "ndcg10", "p10", "r10"))
        note = f" ({row['choosing']:.1f} of them choosing)" if "choosing" in row else ""
        print(f"| {name} | {cells} | {row['seconds']:.1f}{note} |")


def serve(films: int = 10_000, rounds: int = 2_000) -> dict:
    """Milliseconds for one user's top-10 of `films`, and users a second in batches, from film-to-film lists."""
    import numpy as np
    from rank import Ease, Lists, top

    X = made_up(1_000, films, 40)
    lists = Lists(Ease(), keep=200).fit(X)
    histories = [X.indices[X.indptr[u] : X.indptr[u + 1]] for u in range(X.shape[0])]
    took, work = [], []  # by the clock; and of the processor's time, which other programs cannot lengthen
    for n in range(rounds):
        history = histories[n % len(histories)]
        began, worked = time.perf_counter(), time.thread_time()
        scores = lists.score_one(history)
        scores[history] = -np.inf
        top(scores[None], 10)
        took.append(time.perf_counter() - began)
        work.append(time.thread_time() - worked)
    began = time.perf_counter()
    for at in range(0, X.shape[0], 64):
        top(lists.score(X[at : at + 64]), 10, X[at : at + 64])
    batch = X.shape[0] / (time.perf_counter() - began)
    p50, p99 = (float(np.percentile(took, q)) * 1e3 for q in (50, 99))
    own = float(np.percentile(work, 99)) * 1e3
    print(
        f"top-10 of {films:,} films: p50 {p50:.2f} ms, p99 {p99:.2f} ms (own work p99 {own:.2f} ms); batched {batch:,.0f} users a second"
    )
    return {"p50_ms": p50, "p99_ms": p99, "p99_work_ms": own, "batched_users_s": batch}


def made_up(users: int, films: int, each: int, seed: int = 0):
    """A 0/1 matrix (users, films), about `each` films a user, some of them seen by most."""
    import numpy as np
    import scipy.sparse as sp

    rng = np.random.default_rng(seed)
    col = np.minimum((films * rng.random(users * each) ** 2.5).astype(np.int32), films - 1)
    X = sp.csr_matrix(
        (np.ones(len(col), np.float32), (np.repeat(np.arange(users, dtype=np.int32), each), col)),
        (users, films),
    )
    X.data[:] = 1
    return X


def growth(films: int = 1_700, users: int = 1_000, each: int = 60) -> list[dict]:
    """Seconds to learn and to rank everyone, and peak memory, from 1 to 100 times the users."""
    from rank import Ease, top

    rows = []
    for times in 1, 10, 100:
        X = made_up(users * times, films, each)
        model, fit = timed(lambda X=X: Ease(200).fit(X))
        ask = lambda X=X, model=model: [
            top(model.score(X[i : i + 1024]), 10, X[i : i + 1024]) for i in range(0, X.shape[0], 1024)
        ]
        _, rank = timed(ask)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.append(
            {"users": X.shape[0], "events": int(X.nnz), "fit_s": fit, "rank_all_s": rank, "peak_gb": peak}
        )
        print(
            f"{X.shape[0]:>8,} users, {X.nnz:>10,} events: learn {fit:.2f} s, rank all {rank:.2f} s, peak {peak:.2f} GB"
        )
    return rows


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument(
        "--data", metavar="FOLDER", help="folder or zip of MovieLens, as GroupLens gives it out"
    )
    options.add_argument("--serve", action="store_true", help="time the service's ranking, and growth")
    options.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    given = options.parse_args()
    if not given.data and not given.serve:
        options.error("one of --data FOLDER and --serve is wanted")
    for name in "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS":
        os.environ[name] = str(given.threads)  # before the imports
    found = {}
    if given.data:
        rows = quality(given.data)
        show(rows)
        found |= {key: rows["ours"][key] for key in ("map", "ndcg10", "p10", "r10", "seconds")}
    if given.serve:
        found |= serve() | {"growth": growth()}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
