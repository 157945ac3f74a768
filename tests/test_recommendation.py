"""The recommendation capstone: figures against a second implementation, wrong solutions refused with their reasons, a service."""

import copy
import importlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections import defaultdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

HOME, SHARED = ROOT / "projects" / "recommendation", ROOT.parent.parent / "shared" / "data"
SHARED = next((p for p in (ROOT.parent / "shared" / "data", SHARED) if p.is_dir()), SHARED)
SMALL = SHARED / "ml-latest-small.zip"
needs_films = pytest.mark.skipif(not SMALL.exists(), reason=f"no MovieLens here: {SMALL} is absent")
NAMES = [p.stem for p in HOME.glob("*.py")]


def modules(*names):
    """The capstone's modules, whatever other capstone has modules of the same names."""
    before = {n: sys.modules.pop(n) for n in NAMES if n in sys.modules}
    sys.path.insert(0, str(HOME))
    try:
        return [importlib.import_module(n) for n in names]
    finally:
        sys.path.remove(str(HOME))
        for n in NAMES:
            sys.modules.pop(n, None)
        sys.modules.update(before)


data, rank, measure, tune, experiment, solution, acceptance, service, towers = modules(
    "data", "rank", "measure", "tune", "experiment", "solution", "acceptance", "service", "towers"
)
CHROMIUM = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
SHOTS = os.environ.get("MLCOURSE_SHOTS")  # a folder for screenshots to look at


@pytest.fixture(scope="module")
def world():
    return data.World(users=150, films=80, months=6, slots=8)


@pytest.fixture(scope="module")
def log(world):
    return world.log()


@pytest.fixture(scope="module")
def X(world, log):
    return data.matrix(log.ratings, pd.RangeIndex(world.users), log.films.index)


def models():
    yield from (
        rank.Popular(),
        rank.Neighbours(),
        rank.RP3Beta(),
        rank.Ease(50),
        rank.Ease(50, 0),
        rank.ImplicitALS(8, sweeps=3),
    )
    yield rank.Blend([rank.Ease(50), rank.Popular()], [1, 0.2])
    yield rank.Lists(rank.Ease(50), keep=20)
    yield rank.BothSides(50)


def each_model():
    return pytest.mark.parametrize("model", list(models()), ids=lambda m: type(m).__name__)


# Metrics: a second implementation, in plain Python


def plain(lists, wanted, k):
    """nDCG, recall, precision and average precision of each user, one film after the other."""
    table = {}
    for user, films in wanted.items():
        if not films:
            continue
        hits, gain, precisions = 0, 0.0, 0.0
        for place, film in enumerate(lists[user][:k], 1):
            if film in films:
                hits += 1
                gain += 1 / math.log2(place + 1)
                precisions += hits / place
        best = sum(1 / math.log2(place + 1) for place in range(1, min(k, len(films)) + 1))
        table[user] = gain / best, hits / len(films), hits / k, precisions / len(films)
    return table


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 14), st.integers(1, 9))
def test_metrics_agree_with_a_second_implementation(seed, users, films, k):
    rng = np.random.default_rng(seed)
    held = sp.csr_matrix(rng.random((users, films)) < rng.random())
    seen = sp.csr_matrix((rng.random((users, films)) < 0.4) & ~held.toarray())
    found = rank.top(rng.integers(0, 4, (users, films)).astype(float), k, seen)
    lists = [[f for f in row if f >= 0] for row in found.tolist()]
    want = plain(lists, {u: set(held[u].indices) for u in range(users)}, k)
    got = measure.ranked(found, held.astype(float))
    assert list(got.index) == list(want)
    for user, row in want.items():
        assert got.loc[user, ["ndcg", "recall", "precision", "ap"]].tolist() == pytest.approx(row, abs=1e-9)


def test_metric_limits():
    held = sp.csr_matrix([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=float)
    perfect, none = (
        measure.ranked(np.array([[0, 1], [0, 1]]), held),
        measure.ranked(np.array([[2, 3], [0, 1]]), held),
    )
    assert list(perfect.index) == [0] and (perfect == 1).all(axis=None) and (none == 0).all(axis=None)
    with pytest.raises(ValueError, match="found must list a film once"):
        measure.ranked(np.array([[0, 0], [0, 1]]), held)
    with pytest.raises(ValueError, match="k of 1 or more"):
        measure.ranked(np.zeros((2, 0), int), held)


def test_catalogue_figures():
    seen = np.array([8.0, 4, 2, 2])
    same, all_ = (
        measure.catalogue(np.zeros((5, 1), int), seen),
        measure.catalogue(np.array([[0, 1, 2, 3]]), seen),
    )
    assert same["coverage"] == 0.25 and same["head"] == 1 and same["gini"] == pytest.approx(0.75)
    assert all_["coverage"] == 1 and all_["gini"] == pytest.approx(0) and all_["novelty"] > same["novelty"]
    assert measure.catalogue(np.full((2, 3), -1), seen)["coverage"] == 0


def test_popularity_slices_and_intervals(X):
    order = np.argsort(-np.asarray(X.sum(0)).ravel())
    found = np.tile(order[:5], (X.shape[0], 1))
    recall = measure.by_popularity(found, X, np.asarray(X.sum(0)).ravel())
    assert recall["head"] > 0 and recall["tail"] == 0 and list(recall.index) == ["head", "middle", "tail"]
    table = measure.intervals(measure.ranked(found, X))
    assert ((table.low <= table.value) & (table.value <= table.high)).all()


# Splits


def slow_split(ratings, ratio, seed):
    """The Recommenders project's split as its text says it: a draw a row, sorted by film and draw, share by rank."""
    frame = ratings.assign(draw=np.random.RandomState(seed).rand(len(ratings)))
    train = []
    for _, rows in frame.sort_values(["film", "draw"]).groupby("film"):
        train += [i for n, i in enumerate(rows.index, 1) if n / len(rows) <= ratio]
    return ratings.index.isin(train)


def test_stratified_split(log):
    for seed in (42, 7):
        assert (measure.stratified(log.ratings, seed=seed) == slow_split(log.ratings, 0.75, seed)).all()


def test_time_split(log):
    train = measure.before(log.ratings, 0.75)
    times = log.ratings.time
    assert times[train].max() < times[~train].min() and abs(train.mean() - 0.75) < 0.01
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        measure.before(log.ratings, 1)


# Models


@each_model()
def test_model_ranks_better_than_chance_and_forgets_who_asks(model, X, world):
    scores = model.fit(X).score(X)
    assert scores.shape == X.shape and np.isfinite(scores).all()
    nobody = model.score(sp.csr_matrix((1, X.shape[1])))  # an empty history
    assert np.isfinite(nobody).all() and len(set(rank.top(nobody, 8)[0])) == 8
    order = np.random.default_rng(0).permutation(X.shape[0])
    assert model.score(X[order]) == pytest.approx(scores[order], abs=1e-9)
    lists, chance = rank.top(scores, 8, X), rank.top(np.random.default_rng(1).random(X.shape), 8, X)
    people = np.arange(world.users)
    assert world.value(people, lists).mean() > world.value(people, chance).mean()
    assert copy.deepcopy(model).fit(X).score(X) == pytest.approx(scores)


@each_model()
def test_a_personal_model_answers_a_fresh_click(model, X):
    model.fit(X)
    films = np.flatnonzero(model.seen_ > model.seen_.mean())[:2]
    one, two = (sp.csr_matrix(([1.0], ([0], [f])), (1, X.shape[1])) for f in films)
    differ = rank.top(model.score(one), 8, one).tolist() != rank.top(model.score(two), 8, two).tolist()
    assert differ or isinstance(model, rank.Popular)


@each_model()
def test_wrong_matrix_is_refused(model, X):
    model.fit(X)
    with pytest.raises(ValueError, match="H must have the 80 films"):
        model.score(X[:, :-1])
    with pytest.raises(ValueError, match="0/1 matrix"):
        model.fit(X * 2)
    with pytest.raises(ValueError, match="at least one user"):
        model.fit(X[:0])


@pytest.mark.parametrize("side", [0, 0.5, 1])
def test_ease_is_the_same_from_both_sides(side):
    """Few users or few films: another matrix is inverted, the scores are equal; and Steck's formula gives them too."""
    rng = np.random.default_rng(3)
    X = sp.csr_matrix((rng.random((12, 30)) < 0.3).astype(float))
    few = rank.Ease(7, side).fit(X)
    P = np.linalg.inv((X.T @ X).toarray() + 7 * np.eye(30))
    B = -7 * P / (7 * np.diag(P)) ** side
    np.fill_diagonal(B, 0)
    assert few.score(X) == pytest.approx(X @ B, abs=1e-9)
    tall = sp.vstack([X] * 4).tocsr()  # now films are fewer
    P = np.linalg.inv((tall.T @ tall).toarray() + 7 * np.eye(30))
    B = -7 * P / (7 * np.diag(P)) ** side
    np.fill_diagonal(B, 0)
    assert rank.Ease(7, side).fit(tall).score(X) == pytest.approx(X @ B, abs=1e-9)


def test_user_side_is_ease_among_users():
    """side=0 ranks as EASE of the transposed matrix does: each user's row from those of the others."""
    rng = np.random.default_rng(4)
    X = sp.csr_matrix((rng.random((15, 25)) < 0.3).astype(float))
    Q = np.linalg.inv((X @ X.T).toarray() + 5 * np.eye(15))
    C = -Q / np.diag(Q)[:, None]
    np.fill_diagonal(C, 0)
    theirs, ours = rank.top(C @ X, 8, X), rank.top(rank.Ease(5, 0).fit(X).score(X), 8, X)
    assert (theirs == ours).mean() > 0.99


def test_als_minimises_its_loss(X):
    model = rank.ImplicitALS(6, sweeps=12).fit(X)
    dense, V = X.toarray(), model.items_

    def loss(U):
        fit = ((dense - U @ V.T) ** 2 * dense + model.unseen * (U @ V.T) ** 2).sum(1)
        return fit + model.l2 * (dense.sum(1) + model.unseen * len(V)) * (U**2).sum(1)

    best = model._solve(X, V)
    rng = np.random.default_rng(0)
    assert all((loss(best + rng.normal(0, 0.01, best.shape)) >= loss(best)).all() for _ in range(5))


def test_lists_serve_what_the_model_says(X):
    whole, lists = rank.Ease(50).fit(X), rank.Lists(rank.Ease(50), keep=X.shape[1]).fit(X)
    assert lists.score(X) == pytest.approx(whole.score(X), abs=1e-5)
    history = X[3].indices
    assert lists.score_one(history) == pytest.approx(lists.score(X[3])[0], abs=1e-4)
    reasons = lists.why(history, int(rank.top(whole.score(X[3]), 1, X[3])[0, 0]))
    assert reasons and {i for i, _ in reasons} <= set(history) and all(p > 0 for _, p in reasons)
    pulls = [p for _, p in reasons]
    assert pulls == sorted(pulls, reverse=True) and lists.why([], 0) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 15))
def test_top_is_sorting(seed, k):
    rng = np.random.default_rng(seed)
    scores, seen = rng.integers(0, 5, (6, 10)).astype(float), sp.csr_matrix(rng.random((6, 10)) < 0.4)
    scores[rng.random((6, 10)) < 0.1] = np.nan
    allowed = rng.random(10) < 0.7
    before = scores.copy()
    found = rank.top(scores, k, seen, allowed)
    assert found.shape == (6, k) and np.array_equal(scores, before, equal_nan=True)
    for u in range(6):
        open_ = [f for f in range(10) if allowed[f] and not seen[u, f]]
        order = sorted(open_, key=lambda f: (-scores[u, f] if scores[u, f] == scores[u, f] else np.inf, f))
        assert [f for f in found[u] if f >= 0] == order[:k]


@pytest.mark.parametrize("k", [-1, 2.5, True, "10"])
def test_top_refuses(k):
    with pytest.raises(ValueError, match="k must be a whole number of 0 or more"):
        rank.top(np.zeros((1, 3)), k)


def test_second_stage_learns_a_planted_rule():
    """Where only the second feature tells what users take, the second stage puts it first."""
    rng = np.random.default_rng(0)
    score, rule = rng.normal(size=(2, 80, 40))
    X = sp.csr_matrix((80, 40))
    held = sp.csr_matrix((rule > 1.2).astype(float))
    stage = rank.Reranker(pool=30).learn(({"score": score, "rule": rule}, X, held))
    new = measure.ranked(rank.top(stage.rank({"score": score, "rule": rule}, X), 10, X), held).ndcg.mean()
    old = measure.ranked(rank.top(score, 10, X), held).ndcg.mean()
    assert new > old + 0.2 and dict(zip(stage.names_, stage.weights_, strict=True))["rule"] > 0
    order = rank.top(stage.rank({"score": score, "rule": rule}, X), 40, X)
    pool = stage.candidates({"score": score}, X)
    assert all(set(order[u, :30]) == set(pool[u]) for u in range(80))  # candidates stay above the others
    with pytest.raises(ValueError, match="nothing to learn from"):
        rank.Reranker().learn(({"score": score}, X, X))


def test_listwise_gradient():
    from scipy.optimize import approx_fprime

    rng = np.random.default_rng(1)
    A, y = rng.normal(size=(12, 7, 3)), rng.random((12, 7)) < 0.3
    w = rank.listwise(A, y, 0.1)
    share = y[y.any(1)] / y[y.any(1)].sum(1, keepdims=True)

    def loss(v):
        s = A[y.any(1)] @ v
        return float((share * (np.log(np.exp(s).sum(1, keepdims=True)) - s)).sum() / len(s) + 0.05 * v @ v)

    assert abs(approx_fprime(w, loss, 1e-6)).max() < 1e-3


def test_tuning_never_sees_the_test(world, log):
    train = measure.stratified(log.ratings)
    users = pd.RangeIndex(world.users)
    made = tune.tuned(log.ratings[train], log.films, users)
    changed = log.ratings.copy()
    changed.loc[~train, "film"] = changed.film[~train].to_numpy()[::-1]
    again = tune.tuned(changed[train], log.films, users)
    assert made.chosen == again.chosen and np.array_equal(made.scores, again.scores)
    X, held = (data.matrix(log.ratings[part], users, log.films.index) for part in (train, ~train))
    ours = measure.ranked(rank.top(made.scores, 10, X), held).ndcg.mean()
    popular = measure.ranked(rank.top(rank.Popular().fit(X).score(X), 10, X), held).ndcg.mean()
    assert ours > popular


def test_two_towers_or_a_reason(X, world):
    try:
        import torch  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match="needs PyTorch: pip install torch"):
            towers.TwoTower().fit(X)
        pytest.skip("PyTorch is not installed; its absence is told")
    made = towers.TwoTower().fit(X)
    people, popular = np.arange(world.users), rank.Popular().fit(X)
    value = lambda m: world.value(people, rank.top(m.score(X), 8, X)).mean()
    assert value(made) > value(popular)
    assert np.array_equal(made.score(X), towers.TwoTower().fit(X).score(X))


# Data


ITEM = "1|Caf\xe9 (1995)|01-Jan-1995||http://x|{}\n2|Plain (1996)|||http://y|{}\n3|unknown||||{}\n"
FLAGS = ["0|0|0|0|1|" + "|".join("0" * 14), "0|1|0|0|0|" + "|".join("0" * 14), "1|" + "|".join("0" * 18)]


def forms(folder):
    """One small catalogue in GroupLens' three forms, and one of them as a zip."""
    for name in ("old", "middle", "new"):
        (folder / name).mkdir()
    rows = [(1, 1, 5, 100), (1, 2, 3, 200), (2, 1, 4, 300)]
    (folder / "old" / "u.data").write_text("".join("\t".join(map(str, r)) + "\n" for r in rows))
    (folder / "old" / "u.item").write_text(ITEM.format(*FLAGS), encoding="latin-1")
    (folder / "middle" / "ratings.dat").write_text("".join("::".join(map(str, r)) + "\n" for r in rows))
    (folder / "middle" / "movies.dat").write_text(
        "1::Caf\xe9 (1995)::Children's\n2::Plain (1996)::Action\n3::unknown::unknown\n", encoding="latin-1"
    )
    head = "userId,movieId,rating,timestamp\n"
    (folder / "new" / "ratings.csv").write_text(head + "".join(",".join(map(str, r)) + "\n" for r in rows))
    (folder / "new" / "movies.csv").write_text(
        "movieId,title,genres\n1,Caf\xe9 (1995),Children\n2,Plain (1996),Action\n3,unknown,(no genres listed)\n",
        encoding="utf-8",
    )
    with zipfile.ZipFile(folder / "new.zip", "w") as made:
        for name in ("ratings.csv", "movies.csv"):
            made.write(folder / "new" / name, f"ml/{name}")
    return [folder / n for n in ("old", "middle", "new", "new.zip")]


def test_all_forms_tell_the_same(tmp_path):
    loaded = [data.movielens(p) for p in forms(tmp_path)]
    for got in loaded:
        assert got.ratings.equals(loaded[0].ratings.astype(got.ratings.dtypes)) and got.name == ""
        assert got.films.title.tolist() == ["Café (1995)", "Plain (1996)", "unknown"]
        assert got.films.year.tolist()[:2] == [1995, 1996] and np.isnan(got.films.year[3])
        assert got.films.age.tolist() == [0, 18, 18] and got.films.Action.tolist() == [0, 1, 0]


def test_an_altered_copy_is_refused(tmp_path):
    for path in forms(tmp_path):
        with pytest.raises(ValueError, match=r"must hold ml-100k .*100000, 943, 1682.*altered"):
            data.movielens(path, "ml-100k")
    with pytest.raises(ValueError, match="name must be one of ml-100k"):
        data.movielens(tmp_path, "ml-20m")
    with pytest.raises(FileNotFoundError, match=r"must hold u.data with u.item"):
        (tmp_path / "empty").mkdir()
        data.movielens(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="there is none"):
        data.movielens(tmp_path / "nowhere")
    (tmp_path / "cut.zip").write_bytes((tmp_path / "new.zip").read_bytes()[:100])
    with pytest.raises(ValueError, match="neither, or was cut short"):
        data.movielens(tmp_path / "cut.zip")


@needs_films
def test_latest_small_has_its_published_counts(tmp_path):
    loaded = data.movielens(SMALL, "ml-latest-small")
    assert loaded.name == "ml-latest-small" and len(loaded.ratings) == 100_836 and len(loaded.films) == 9_742


@pytest.fixture
def web(tmp_path):
    """A web server on this computer that gives out files of a folder."""
    (tmp_path / "web").mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path / "web"))

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "web", f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_download_refuses_what_was_altered(tmp_path, web):
    folder, home = web
    forms(tmp_path)
    shutil.copy(tmp_path / "new.zip", folder / "ml-100k.zip")
    shutil.copy(tmp_path / "new.zip", folder / "ml-latest-small.zip")
    with pytest.raises(ValueError, match=r"ml-100k\.zip must have the MD5 0e33842e"):
        data.download("ml-100k", tmp_path / "got", home)
    with pytest.raises(ValueError, match="must hold ml-latest-small"):
        data.download("ml-latest-small", tmp_path / "got", home)
    assert not list((tmp_path / "got").iterdir())
    with pytest.raises(ValueError, match="name must be one of"):
        data.download("../evil", tmp_path / "got", home)


@needs_films
def test_download(tmp_path, web):
    folder, home = web
    shutil.copy(SMALL, folder)
    got = data.download("ml-latest-small", tmp_path / "got", home)
    assert got.read_bytes() == SMALL.read_bytes() and [p.name for p in got.parent.iterdir()] == [got.name]
    (folder / got.name).unlink()
    assert data.download("ml-latest-small", tmp_path / "got", home) == got  # what is there is kept


def ratings(**columns):
    return pd.DataFrame({"user": [1, 1], "film": [1, 2], "rating": [4.0, 5.0], "time": [10, 20]} | columns)


CATALOGUE = pd.DataFrame({"title": ["A", "B"]}, index=pd.Index([1, 2], name="film"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"rating": [4.0, 7.0]}, r"rating must be from 0.5 to 5, got .*7.0.* in 1 of 2 rows"),
        ({"rating": [0.0, 5.0]}, "rating must be from 0.5 to 5"),
        ({"rating": [np.nan, 5.0]}, "rating must be from 0.5 to 5"),
        ({"film": [1, 99]}, "film must be in the catalogue, got .*99"),
        ({"user": ["1", "ann"]}, "user must be a whole number, got 'ann' in 1 rows"),
        ({"film": [1.5, 2]}, "film must be a whole number, got .*1.5"),
        ({"time": [np.nan, 2]}, "time must be known"),
    ],
)
def test_bad_ratings_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        data.clean(ratings(**columns), CATALOGUE)


def test_odd_ratings_are_understood():
    got = data.clean(ratings(user=["1", "01"], film=["1", "2"]), CATALOGUE)  # ids as text
    assert got.user.tolist() == [1, 1] and got.film.tolist() == [1, 2]
    twice = pd.concat(
        [ratings(), ratings(rating=[2.0, 5.0], time=[30, 20])]
    )  # duplicate events: the latest counts
    got = data.clean(twice, CATALOGUE)
    assert len(got) == 2 and got.rating.tolist() == [2.0, 5.0]
    thousand = pd.concat([ratings(film=[1, 1])] * 1000)  # one film a thousand times
    assert len(data.clean(thousand, CATALOGUE)) == 1
    with pytest.raises(ValueError, match="none called time"):
        data.clean(ratings().drop(columns="time"), CATALOGUE)


# The simulated service


def test_world_is_its_seed(world):
    again, other = (
        data.World(users=150, films=80, months=6, slots=8),
        data.World(users=150, films=80, months=6, slots=8, seed=1),
    )
    assert np.array_equal(world.preference, again.preference) and not np.array_equal(
        world.preference, other.preference
    )
    assert world.log().ratings.equals(again.log().ratings)
    for wrong in ({"users": 1}, {"films": 3}, {"months": 0}, {"slots": 0}, {"slots": 90}, {"users": 2.5}):
        with pytest.raises(ValueError, match="must be"):
            data.World(**wrong)


def test_clicks_come_as_the_truth_says(world):
    rng, people = np.random.default_rng(0), np.arange(world.users)
    screens = np.tile(np.arange(8), (world.users, 1))
    mean = np.mean([world.clicks(people, screens, rng).sum(1) for _ in range(400)], axis=0)
    assert mean.mean() == pytest.approx(world.value(people, screens).mean(), rel=0.02)
    empty = np.full_like(screens, -1)
    assert not world.clicks(people, empty, rng).any() and (world.value(people, empty) == 0).all()


def test_position_bias_is_there_and_can_be_measured(world):
    """Shuffled screens tell how often a slot is looked at: every film had every slot."""
    rng, people = np.random.default_rng(1), np.arange(world.users)
    shuffled = lambda: rng.permuted(np.tile(np.arange(8), (world.users, 1)), axis=1)
    clicks = np.mean([world.clicks(people, shuffled(), rng).mean(0) for _ in range(300)], axis=0)
    assert clicks / clicks[0] == pytest.approx(world.looked_at, abs=0.04)


def test_log_keeps_the_rules(world, log):
    rows = log.ratings
    assert not rows.duplicated(["user", "film"]).any() and rows.time.is_monotonic_increasing
    month = rows.time // data.MONTH
    assert (month >= log.films.month[rows.film].to_numpy()).all() and (month >= world.joined[rows.user]).all()
    assert rows.rating.between(1, 5).all() and (rows.groupby("slot").size().diff().dropna() < 20).all()


# What a log tells of another policy


def policies(world, X, heat=1.5):
    popular = np.log1p(np.asarray(X.sum(0))).repeat(world.users, 0)
    return experiment.softmax(popular, heat), experiment.softmax(
        rank.standard(rank.Ease(50).fit(X).score(X), X * 0), 0.7
    )


def test_estimates_hold_the_truth_in_nine_of_ten_logs(world, X):
    old, new = policies(world, X)
    inside, naive = defaultdict(int), 0
    for seed in range(100):
        log, truth = experiment.hero(world, old, new, 4000, seed)
        for how in (measure.ips, measure.snips, measure.doubly_robust):
            got = how(log)
            inside[how.__name__] += got.low <= truth <= got.high
        naive += abs(log.reward.mean() - truth) < 0.02
    assert min(inside.values()) >= 90, dict(inside)
    assert naive < 10  # the log's own rate is another policy's


def test_doubly_robust_needs_one_of_two(world, X):
    """A wrong model with right chances, or a right model with wrong chances: both land on the truth; two wrongs do not."""
    old, new = policies(world, X)
    runs = [experiment.hero(world, old, new, 4000, seed) for seed in range(20)]
    truth = runs[0][1]
    value = lambda change: np.mean([measure.doubly_robust(change(log)).value for log, _ in runs])
    assert value(
        lambda log: log._replace(model=log.model * 0 + 0.9, planned=log.planned * 0 + 0.9)
    ) == pytest.approx(truth, abs=0.02)
    both_wrong = lambda log: log._replace(
        model=log.model * 0 + 0.9, planned=log.planned * 0 + 0.9, logged=log.logged * 0 + 0.05
    )
    assert abs(value(both_wrong) - truth) > 0.04


def test_bad_logs_are_refused():
    good = measure.Logged(np.array([0.0, 1]), np.array([0.5, 0.5]), np.array([0.2, 0.8]))
    assert measure.effective(good) <= 2 and measure.ips(good).value == pytest.approx(0.8)
    for change, message in (
        ({"logged": np.array([0, 0.5])}, "logged must be above 0"),
        ({"wanted": np.array([1.5, 0.5])}, "wanted must be 2 finite numbers"),
        ({"reward": np.array([np.nan, 0.5])}, "reward must be"),
        ({"wanted": np.array([0.5])}, "wanted must be 2"),
    ):
        with pytest.raises(ValueError, match=message):
            measure.ips(good._replace(**change))
    with pytest.raises(ValueError, match="nothing that the new policy would show"):
        measure.snips(good._replace(wanted=np.zeros(2)))
    with pytest.raises(ValueError, match="model and planned"):
        measure.doubly_robust(good)


# Experiments


def test_power_is_what_it_says():
    n = experiment.users_needed(0.2, 0.02)
    days, share = experiment.arms((0.2, 0.22), n, 1, 4000)
    assert experiment.z_test(days, share)[:, -1].mean() == pytest.approx(0.8, abs=0.03)
    assert experiment.users_needed(0.2, 0.01) > 3.5 * n
    for wrong in ((0.2, 0), (0, 0.1), (0.9, 0.2)):
        with pytest.raises(ValueError, match="must be between 0 and 1"):
            experiment.users_needed(*wrong)


def test_peeking_fools_and_the_watched_test_does_not():
    n, share = experiment.arms((0.2, 0.2), 200, 28, 3000)
    plain, watched = experiment.z_test(n, share), experiment.watched_test(n, share)
    assert plain[:, -1].mean() == pytest.approx(0.05, abs=0.015)
    assert plain.any(1).mean() > 0.15 and watched.any(1).mean() < 0.05
    n, share = experiment.arms((0.2, 0.24), 500, 28, 500)
    assert experiment.watched_test(n, share).any(1).mean() > 0.95


def test_bandit_loses_less_than_an_even_split():
    rates = [0.10, 0.12, 0.15, 0.11]
    lost = {
        how: np.mean([experiment.bandit(rates, 600, how, s)[-1] for s in range(12)])
        for how in ("even", "thompson")
    }
    assert lost["thompson"] < lost["even"] / 2
    regret = experiment.bandit(rates, 50, "greedy")
    assert (np.diff(regret) >= 0).all() and len(regret) == 50
    with pytest.raises(ValueError, match="how must be"):
        experiment.bandit(rates, 5, "best")


def test_feedback_loop_narrows_and_exploration_breaks_it():
    world = data.World(users=150, films=300, months=10)
    alone, open_ = (experiment.live(world, explore, months=10, screens=2) for explore in (0, 1))
    assert alone.coverage.iloc[-1] < 0.7 * alone.coverage.iloc[2] and alone.new.iloc[-1] < 0.03
    assert (
        open_.coverage.iloc[-1] > 1.3 * alone.coverage.iloc[-1]
        and open_.new.iloc[-1] > 3 * alone.new.iloc[-1]
    )
    assert open_.value.sum() > 0.9 * alone.value.sum()
    with pytest.raises(ValueError, match="explore must be a whole number from 0 to 10"):
        experiment.live(world, 11)


def test_drift():
    a = pd.Series([5, 5], index=[1, 2])
    assert experiment.drift(a, a * 3) == 0 and experiment.drift(a, pd.Series([1], index=[9])) == 1
    with pytest.raises(ValueError, match="must each hold a view"):
        experiment.drift(a, a * 0)


# Acceptance: wrong solutions, each with its reason, and two right ones


class TestInTraining(solution.Reference):
    """Learns from the ratings it is tested on."""

    __test__ = False

    def split(self, ratings):
        self.all = ratings
        return super().split(ratings)

    def fit(self, train, films):
        return super().fit(self.all, films)

    def recommend(self, user, k, among=None):
        had = set(self.all[(self.all.user == user) & measure.before(self.all)].film)
        row = self.users_.get_indexer([user])
        H = self.X_[row] if row[0] >= 0 else self.X_[:1] * 0
        order = np.argsort(-(self.ranker_.score(H)[0] + 1e-9 * self.popular_), kind="stable")
        allowed = set(self.films_ if among is None else among) - had
        return [int(f) for f in self.films_[order] if f in allowed][:k]


class SplitsNothing(solution.Reference):
    """Takes all rows to learn from, and the last of them to test on."""

    def split(self, ratings):
        return ratings, super().split(ratings)[1]


class SeenAgain(solution.Reference):
    """Recommends what a user has already seen."""

    def fit(self, train, films):
        super().fit(train, films)
        self.X_ = self.X_ * 1
        return self

    def recommend(self, user, k, among=None):
        row = self.users_.get_indexer([user])
        H = self.X_[row] if row[0] >= 0 else self.X_[:1] * 0
        found = rank.top(
            self.ranker_.score(H) + 1e-9 * self.popular_,
            k,
            None,
            None if among is None else self.films_.isin(among),
        )
        return self.films_[found[0][found[0] >= 0]].tolist()


class OnlyRated(solution.Reference):
    """Ranks only the films that a user rated in the test."""

    def evaluate(self, recommend, train, test, k):
        rated = test.groupby("user").film.agg(list)
        return super().evaluate(lambda user, k: recommend(user, k, among=rated[user]), train, test, k)


class TimeIgnored(solution.Reference):
    """Splits at random."""

    def split(self, ratings):
        train = measure.stratified(ratings)
        return ratings[train], ratings[~train]


def unseeded():
    """Learns as it should, from a start that is drawn anew each time."""
    seed = int(np.random.default_rng().integers(2**31))
    return solution.Reference(lambda: rank.ImplicitALS(16, seed=seed))


class Jumbled(rank.Popular):
    """Popularity with a pinch of noise that depends on the user."""

    def _score(self, H):
        return super()._score(H) + np.random.default_rng(int(H.sum())).normal(0, 2, H.shape)


SEEDS = range(1)
WRONG = {
    "test ratings in training": (
        TestInTraining,
        "no test rating is learned from",
        "test ratings are in training: with another",
    ),
    "test ratings in training, plainly": (
        SplitsNothing,
        "no test rating is learned from",
        "test rows are also learned from",
    ),
    "drawn without a seed": (unseeded, "no test rating is learned from", "two fits on the same rows"),
    "seen films recommended": (SeenAgain, "nothing seen is recommended", "seen films are recommended"),
    "metric over only the rated films": (
        OnlyRated,
        "the metric ranks the whole catalogue",
        "over only the rated films",
    ),
    "time ignored": (TimeIgnored, "the test is the future", "time is ignored"),
    "popularity in disguise": (
        lambda: solution.Reference(Jumbled),
        "it is not popularity in disguise",
        "popularity in disguise",
    ),
    "popularity itself": (
        lambda: solution.Reference(rank.Popular),
        "it is not popularity in disguise",
        "popularity in disguise",
    ),
}
RIGHT = {"EASE": solution.Reference, "implicit ALS": lambda: solution.Reference(lambda: rank.ImplicitALS(16))}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_solution_is_refused_for_its_own_reason(name):
    make, asked, reason = WRONG[name]
    for seed in SEEDS:
        table = acceptance.accept(make, seed)
        assert list(table.index[~table.passed]) == [asked], table.reason.tolist()
        assert reason in table.reason[asked]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_solution_passes(name):
    for seed in SEEDS:
        table = acceptance.accept(RIGHT[name], seed)
        assert table.passed.all(), table.reason.tolist()


def test_a_broken_solution_is_told(monkeypatch):
    class Broken(solution.Reference):
        def fit(self, train, films):
            raise KeyError("movie")

    table = acceptance.accept(Broken)
    assert (
        not table.passed["nothing seen is recommended"]
        and "KeyError" in table.reason["nothing seen is recommended"]
    )

    class Stuck(solution.Reference):
        def split(self, ratings):
            while True:
                time.sleep(0.01)

    monkeypatch.setattr(acceptance, "SECONDS", 0.2)
    assert "took more than 0.2 s" in acceptance.accept(Stuck).reason.iloc[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s, user, k: [0] * min(k, 5), "0 films, 0 of them different|5 films, 1 of them different"),
        (lambda s, user, k: [f for f in range(k)], "films"),
        (lambda s, user, k: s.films_[:k].tolist() if user in s.users_ else [], "gets no film"),
    ],
)
def test_odd_answers_are_told(change, reason):
    class Odd(solution.Reference):
        def recommend(self, user, k, among=None):
            return change(self, user, k)

    told = acceptance.accept(Odd).reason["odd questions have sensible answers"]
    assert re.search(reason, told)


# The service


@pytest.fixture(scope="module")
def small():
    return data.World(users=60, films=80, months=3, slots=8)


def shelf(small, log=None, films=None):
    found = small.log()
    lists = rank.Lists(rank.Ease(50)).fit(
        data.matrix(found.ratings, pd.RangeIndex(small.users), found.films.index)
    )
    return service.Shelf(lists, found.films if films is None else films, found.ratings, log)


@pytest.fixture
def client(small):
    from fastapi.testclient import TestClient

    return TestClient(service.make_app(shelf(small)))


def films_of(client, user, **query):
    answer = client.get(f"/users/{user}/top", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_service_answers_a_fresh_click(client, small):
    before = films_of(client, 3, k=20)
    chosen = before["films"][-1]["film"]
    assert client.post("/users/3/clicks", json={"film": chosen}).json()["seen"] == before["seen"] + 1
    after = films_of(client, 3, k=20)
    assert chosen not in [f["film"] for f in after["films"]]
    assert [f["film"] for f in after["films"]][:19] != [f["film"] for f in before["films"]][:19]
    reasons = client.get(f"/users/3/why/{after['films'][0]['film']}").json()["because"]
    assert reasons and sum(r["share"] for r in reasons) <= 1.001


def test_service_never_shows_what_was_seen(client, small):
    rows = small.log().ratings
    for user, films in rows.groupby("user").film:
        got = [f["film"] for f in films_of(client, user, k=1000)["films"]]
        assert not set(got) & set(films) and len(set(got)) == len(got) == small.films - films.nunique()


def test_service_filters_by_age(client, small):
    for age in (0, 6, 12, 99):
        got = films_of(client, 5, k=1000, age=age)["films"]
        assert got and all(f["age"] <= age for f in got)


def test_service_serves_whom_it_does_not_know(client):
    new = films_of(client, 10**6)
    assert (
        new["known"] is False
        and len(new["films"]) == 10
        and new["films"][0]["why"] == "because many choose it"
    )
    first, second = new["films"][0]["film"], new["films"][1]["film"]
    client.post(f"/users/{10**6}/clicks", json={"film": first})
    other = 10**6 + 1
    client.post(f"/users/{other}/clicks", json={"film": second})
    assert films_of(client, 10**6)["films"] != films_of(client, other)["films"]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("get", "/users/ann/top", None, 422),  # ids as text
        ("get", "/users/-1/top", None, 422),
        ("get", "/users/1/top?k=-1", None, 422),
        ("get", "/users/1/top?k=ten", None, 422),
        ("get", "/users/1/top?k=1001", None, 422),
        ("get", "/users/1/top?age=old", None, 422),
        ("post", "/users/1/clicks", {"film": 10**6}, 404),
        ("post", "/users/1/clicks", {"film": "x"}, 422),
        ("post", "/users/1/clicks", {}, 422),
        ("get", "/users/1/why/999999", None, 404),
        ("get", "/posters/999999.svg", None, 404),
        ("get", "/posters/x.svg", None, 422),
    ],
)
def test_service_says_what_is_wrong(client, method, path, body, code):
    answer = client.get(path) if method == "get" else client.post(path, json=body)
    assert answer.status_code == code and answer.json()["detail"]


def test_service_odd_questions(client, small):
    assert films_of(client, 1, k=0)["films"] == []
    assert len(films_of(client, 1, k=1000)["films"]) < small.films
    assert films_of(client, "7")["user"] == 7  # text that is a number
    film = films_of(client, 9, k=1)["films"][0]["film"]
    seen = [client.post("/users/9/clicks", json={"film": film}).json()["seen"] for _ in range(1000)]
    assert len(set(seen)) == 1  # a film a thousand times is one film
    assert film not in [f["film"] for f in films_of(client, 9, k=1000)["films"]]


def test_clicks_survive_a_restart_and_a_torn_line(small, tmp_path):
    log = tmp_path / "clicks.jsonl"
    first = shelf(small, log)
    had = len(first.history(900))
    first.click(900, 4), first.click(900, 7)
    with log.open("a") as file:
        file.write('{"user": 900, "fil')
    again = shelf(small, log)
    assert had == 0 and set(again.history(900)) == {4, 7}
    again.click(900, 9)
    assert set(shelf(small, log).history(900)) == {4, 7, 9}


def test_a_shrunken_catalogue(small, tmp_path):
    """Histories that speak of films which are gone do no harm; lists for another catalogue are refused."""
    log = tmp_path / "clicks.jsonl"
    log.write_text('{"user": 1, "film": 79}\n{"user": 1, "film": 12345}\n')
    found = small.log()
    left = found.films.iloc[:40]
    ratings = found.ratings[found.ratings.film < 40]
    lists = rank.Lists(rank.Ease(50)).fit(data.matrix(ratings, pd.RangeIndex(small.users), left.index))
    less = service.Shelf(lists, left, found.ratings, log)
    assert all(f["film"] < 40 for f in less.best(1, 100, 99)) and (less.history(1) < 40).all()
    with pytest.raises(ValueError, match="films must be the 80 films"):
        shelf(small, films=left)


def test_posters_are_drawn_and_safe():
    film = pd.Series(
        {"title": '<script>alert("x")</script> & the "Others"', "year": 1.0, "age": 0, "Horror": 1}
    )
    drawn = service.draw(film)
    import xml.etree.ElementTree as tree

    root = tree.fromstring(drawn)
    assert "<script" not in drawn and film.title in [
        t.text for t in root.iter("{http://www.w3.org/2000/svg}title")
    ]
    assert drawn == service.draw(film) and drawn != service.draw(film.replace(film.title, "Another"))
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


def test_many_at_once(small):
    """Clicks and questions from several threads: nothing is lost, nothing seen is shown."""
    one = shelf(small)

    def work(user):
        for film in range(30):
            one.click(user, film)
            assert film not in {f["film"] for f in one.best(user, 50, 99)}

    errors = []
    threads = [threading.Thread(target=lambda u=u: _told(errors, work, u)) for u in range(500, 506)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert not errors and all(len(one.history(u)) == 30 for u in range(500, 506))


def _told(errors, work, user):
    try:
        work(user)
    except BaseException as error:
        errors.append(error)


def test_monitor(client):
    assert client.get("/monitor").json()["coverage"] == 0
    [films_of(client, user) for user in range(20)]
    told = client.get("/monitor").json()
    assert (
        0 < told["coverage"] <= 1 and 0 <= told["gini"] <= 1 and client.get("/health").json()["films"] == 80
    )


@pytest.fixture(scope="module")
def address():
    """The service as a process, as a learner starts it."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(HOME / "service.py"), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in server.stdout:
        if "Uvicorn running" in line:
            break
    else:
        pytest.fail("the service did not start")
    threading.Thread(target=lambda: [None for _ in server.stdout], daemon=True).start()
    yield f"http://127.0.0.1:{port}/"
    server.terminate()
    server.wait(20)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (Debian: apt install chromium)")
def test_page_in_a_browser(address):
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page, errors, asked = browser.new_page(viewport={"width": 1200, "height": 900}), [], []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        films = page.get_by_role("listitem")
        expect(films).to_have_count(12)
        page.wait_for_function("() => [...document.images].every(i => i.complete && i.naturalWidth)")
        _shot(page, "recommendation_wide")
        titles = page.get_by_role("heading", level=2).all_text_contents()
        page.get_by_role("button", name=f"Choose {titles[0]}", exact=True).focus()
        page.keyboard.press("Enter")  # the keyboard is enough
        expect(page.get_by_role("status")).to_contain_text(f"You chose {titles[0]}")
        assert titles[0] not in page.get_by_role("heading", level=2).all_text_contents()
        page.get_by_role("button", name=re.compile("^Why ")).first.click()
        expect(films.first).to_contain_text("Speaking for it:")
        _shot(page, "recommendation_why")
        page.get_by_label("Fit for age").select_option("6")
        expect(page.get_by_role("status")).to_contain_text("films seen")
        assert all(
            t in ("from 6", "for everyone") for t in page.locator("li > p:nth-of-type(1)").all_text_contents()
        )
        page.get_by_label("User").fill("99999")
        page.keyboard.press("Tab")
        expect(page.get_by_role("status")).to_contain_text("We do not know you yet")
        page.get_by_label("User").fill("")
        page.keyboard.press("Tab")
        expect(page.get_by_role("status")).to_contain_text("Write a whole number as user")
        expect(films).to_have_count(0)
        page.get_by_label("User").fill("3")
        page.keyboard.press("Tab")
        expect(films.first).to_be_visible()
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 390, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        _shot(page, "recommendation_phone")
        browser.close()
    assert not errors and all(url.startswith((address, "data:")) for url in asked)


def _shot(page, name):
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


# The benchmark


def test_benchmark_reads_both_forms(tmp_path, log):
    """A folder of the old form and one of the new give the same figures, and --json holds the five that are asked for."""
    rows = log.ratings[["user", "film", "rating", "time"]].assign(rating=lambda r: r.rating.astype(int))
    films = log.films
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir(), new.mkdir()
    rows.to_csv(old / "u.data", sep="\t", header=False, index=False)
    flags = "|".join("0" * 19)
    (old / "u.item").write_text("".join(f"{i}|{t} (1999)|||x|{flags}\n" for i, t in films.title.items()))
    rows.set_axis(["userId", "movieId", "rating", "timestamp"], axis=1).to_csv(
        new / "ratings.csv", index=False
    )
    table = pd.DataFrame(
        {"movieId": films.index, "title": films.title + " (1999)", "genres": "(no genres listed)"}
    )
    table.to_csv(new / "movies.csv", index=False)
    found = []
    for folder in (old, new):
        command = [
            sys.executable,
            str(ROOT / "bench" / "recommendation.py"),
            "--data",
            str(folder),
            "--json",
            str(folder / "x.json"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        assert "BiVAE" in done.stdout and "| ours |" in done.stdout
        found.append(json.loads((folder / "x.json").read_text()))
        assert list(found[-1]) == ["map", "ndcg10", "p10", "r10", "seconds"]
    for key in ("map", "ndcg10", "p10", "r10"):
        assert found[0][key] == pytest.approx(found[1][key], abs=1e-9)


@needs_films
def test_movielens_ranks_models_as_published(tmp_path):
    """Popularity < item neighbours < EASE, by the protocol of the benchmark, on a part that is small enough for a test."""
    loaded = data.movielens(SMALL)
    often = loaded.ratings.film.value_counts()
    rows = loaded.ratings[loaded.ratings.film.isin(often.index[:600])].reset_index(drop=True)
    users, films = pd.Index(sorted(rows.user.unique())), pd.Index(sorted(rows.film.unique()))
    train = measure.stratified(rows)
    X, held = (data.matrix(rows[part], users, films) for part in (train, ~train))
    score = lambda m: measure.ranked(rank.top(m.fit(X).score(X), 10, X), held).ndcg.mean()
    popular, neighbours, ease = map(score, (rank.Popular(), rank.Neighbours(), rank.Ease(200)))
    assert popular < neighbours < ease


# House style of the modules, which lie outside the package


@pytest.mark.parametrize("path", sorted(HOME.glob("*.py")), ids=lambda p: p.stem)
def test_bodies_are_short_and_documented(path):
    from test_style import long, undocumented

    assert not list(long(path.read_text(encoding="utf-8")))
    assert not list(undocumented(modules(path.stem)[0]))
