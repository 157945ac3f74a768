"""Models that rank films: each learns from a 0/1 matrix users x films, and scores any history, seen before or not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy.sparse as sp


def _checked(X, name="X", films=None) -> sp.csr_matrix:
    X = sp.csr_matrix(X, dtype=float)
    if films is not None and X.shape[1] != films:
        raise ValueError(f"{name} must have the {films} films the model learned from, got {X.shape[1]}")
    if (films is None and min(X.shape) == 0) or (X.nnz and not np.isin(X.data, (0, 1)).all()):
        raise ValueError(f"{name} must be a 0/1 matrix of at least one user and one film, got {X.shape}")
    return X


class Ranker:
    """What every model offers: `fit(X)` on users x films, and `score(H)` of any histories (n, films), higher = better.

    A history is a row of 0 and 1; nothing is kept of who it belongs to, so that new users and fresh clicks are served
    as the old ones are. Scores of films already in the history mean nothing: `top` leaves them out.
    """

    def fit(self, X: sp.csr_matrix) -> Ranker:
        """Learn from X (users, films) of 0 and 1. ValueError for other values, or no user or no film."""
        X = _checked(X)
        self.films = X.shape[1]
        self.seen_ = np.asarray(X.sum(0)).ravel()
        self._learn(X)
        return self

    def score(self, H: sp.csr_matrix) -> np.ndarray:
        """Scores (n, films) for histories H (n, films). ValueError where the number of films differs."""
        return np.asarray(self._score(_checked(H, "H", self.films)))


class Popular(Ranker):
    """The baseline: what most users have seen, the same for all."""

    def _learn(self, X):
        pass

    def _score(self, H):
        return np.broadcast_to(self.seen_, H.shape).copy()


class _Linear(Ranker):
    def _score(self, H):
        found = H @ self.weights_
        return found.toarray() if sp.issparse(found) else found


def _from(X, W):  # weights film -> film, without a film's pull on itself
    W = sp.csr_matrix(W)
    W.setdiag(0)
    W.eliminate_zeros()
    return W if W.nnz < 0.3 * W.shape[0] ** 2 else W.toarray()


class Neighbours(_Linear):
    """Item to item: cosine of two films' audiences, shrunk where few users saw both. Source: Sarwar et al. (2001)."""

    def __init__(self, shrink: float = 20.0):
        self.shrink = shrink

    def _learn(self, X):
        both = (X.T @ X).tocoo()
        size = np.sqrt(self.seen_[both.row] * self.seen_[both.col])
        self.weights_ = _from(
            X, sp.csr_matrix((both.data / (size + self.shrink), (both.row, both.col)), both.shape)
        )


class RP3Beta(_Linear):
    """A walk film - user - film, its end discounted by popularity ** beta. Source: Paudel et al. (2017)."""

    def __init__(self, alpha: float = 0.8, beta: float = 0.6):
        self.alpha, self.beta = alpha, beta

    def _learn(self, X):
        to_user = sp.diags(1 / np.maximum(self.seen_, 1)) @ X.T
        to_film = sp.diags(1 / np.maximum(np.asarray(X.sum(1)).ravel(), 1)) @ X
        walk = to_user.tocsr().power(self.alpha) @ to_film.tocsr().power(self.alpha)
        self.weights_ = _from(X, walk @ sp.diags(1 / np.maximum(self.seen_, 1) ** self.beta))


class Ease(Ranker):
    """Ridge regression of every film on all others, in closed form. Source: Steck (2019), Embarrassingly Shallow.

    `side` 1 is his film side; 0 is the same thing done among users, which only leaves out the division by each film's
    own uncertainty; between lies a mixture. Whichever of users and films are fewer gives the matrix that is inverted.
    """

    def __init__(self, l2: float = 300.0, side: float = 1.0):
        self.l2, self.side = l2, side

    def _learn(self, X):
        users, films = X.shape
        small = (X @ X.T if users < films else X.T @ X).toarray()
        small.flat[:: len(small) + 1] += self.l2
        inverse = np.linalg.inv(small)
        self.users_ = X if users < films else None
        if users < films:
            self.weights_ = inverse @ X  # (users, films): pulls of a user on films
            self.own_ = np.asarray(X.multiply(self.weights_).sum(0)).ravel()
        else:
            self.weights_ = -self.l2 * inverse
            self.own_ = 1 + np.diag(self.weights_)
            np.fill_diagonal(self.weights_, 0)
        self.scale_ = (1 - self.own_) ** self.side

    def _score(self, H):
        if self.users_ is None:
            return H @ self.weights_ / self.scale_
        alike = (
            H @ self.users_.T
        ).toarray()  # films in common with each user: hardly a zero, so dense is faster
        return (alike @ self.weights_ - H.multiply(self.own_).toarray()) / self.scale_


class BothSides(Ease):
    """The sum of EASE among users and among films, each standardised: one inverse gives both."""

    def __init__(self, l2: float = 300.0):
        super().__init__(l2, 0)

    def _score(self, H):
        users = super()._score(H)
        return standard(users, H) + standard(users / (1 - self.own_), H)


class ImplicitALS(Ranker):
    """Factors of users and films by alternating least squares. Source: Hu et al. (2008), with Rendle et al.'s (2021) penalty.

    `unseen` weighs what was not seen against 1 for what was; `l2` grows with the number of films a user has seen.
    """

    def __init__(
        self, factors: int = 32, unseen: float = 0.3, l2: float = 0.01, sweeps: int = 8, seed: int = 0
    ):
        self.factors, self.unseen, self.l2, self.sweeps, self.seed = factors, unseen, l2, sweeps, seed

    def _learn(self, X):
        rng, back = np.random.default_rng(self.seed), X.T.tocsr()
        self.items_ = rng.normal(0, 0.1 / np.sqrt(self.factors), (X.shape[1], self.factors)).astype(
            np.float32
        )
        for _ in range(self.sweeps):
            users = self._solve(X, self.items_)
            self.items_ = self._solve(back, users)

    def _solve(self, X, other):
        found = np.zeros((X.shape[0], self.factors), np.float32)  # exact enough, and twice as fast
        base = self.unseen * other.T @ other
        eye = self.l2 * np.eye(self.factors, dtype=np.float32)
        for at in range(0, X.shape[0], 4096):  # so many systems at a time: bounded memory
            rows = [X.indices[X.indptr[i] : X.indptr[i + 1]] for i in range(at, min(at + 4096, X.shape[0]))]
            left = np.stack(
                [base + other[r].T @ other[r] + (len(r) + self.unseen * len(other)) * eye for r in rows]
            )
            right = np.stack([other[r].sum(0) for r in rows])
            found[at : at + len(rows)] = np.linalg.solve(left, right[..., None])[..., 0]
        return found

    def _score(self, H):
        return self._solve(H, self.items_) @ self.items_.T


def standard(scores: np.ndarray, H: sp.csr_matrix) -> np.ndarray:
    """Scores (n, films) with mean 0 and spread 1 over each user's unseen films, so that models can be added up."""
    open_ = np.ones(scores.shape, bool)
    open_[H.nonzero()] = False
    count = np.maximum(open_.sum(1, keepdims=True), 1)
    mean = scores.sum(1, where=open_, keepdims=True) / count
    spread = np.sqrt(((scores - mean) ** 2).sum(1, where=open_, keepdims=True) / count)
    return (scores - mean) / np.where(spread > 0, spread, 1)


class Blend(Ranker):
    """A weighted sum of models' standardised scores."""

    def __init__(self, models: list[Ranker], weights: list[float]):
        if len(models) != len(weights) or not models:
            raise ValueError(f"weights must be one a model, got {len(weights)} for {len(models)} models")
        self.models, self.weights = models, weights

    def _learn(self, X):
        for model in self.models:
            model.fit(X)

    def _score(self, H):
        parts = zip(self.models, self.weights, strict=True)
        return sum(w * standard(m.score(H), H) for m, w in parts)


class Lists(_Linear):
    """Any model as film-to-film lists of its `keep` strongest pulls: what a service can hold, add up, and explain."""

    def __init__(self, model: Ranker, keep: int = 200):
        self.model, self.keep = model, keep

    def _learn(self, X):
        self.model.fit(X)
        parts = []
        for at in range(0, self.films, 512):
            one = sp.eye(self.films, format="csr")[at : at + 512]  # histories of a single film
            pull = self.model.score(one)
            pull[one.nonzero()] = 0
            parts.append(_strongest(pull, self.keep))
        self.weights_ = sp.vstack(parts, format="csr").astype(np.float32)

    def why(self, history: np.ndarray, film: int) -> list[tuple[int, float]]:
        """Films of a history that speak for `film`, each with its share of the score, the strongest first."""
        history = np.unique(np.asarray(history, int))
        pulls = self.weights_[history][:, [film]].toarray().ravel() if len(history) else np.zeros(0)
        order = [i for i in np.argsort(-pulls, kind="stable") if pulls[i] > 0]
        return [(int(history[i]), float(pulls[i])) for i in order]

    def score_one(self, history: np.ndarray) -> np.ndarray:
        """Scores (films,) of one history given as positions of films; with none of them, what is popular."""
        history = np.unique(np.asarray(history, int))
        found = 1e-6 * self.seen_ / max(self.seen_.max(), 1)  # decides where the history says nothing
        W = self.weights_
        for i in history:
            row = slice(W.indptr[i], W.indptr[i + 1])
            found[W.indices[row]] += W.data[row]
        return found


def _strongest(pull, keep):
    keep = min(keep, pull.shape[1])
    best = np.argpartition(-np.abs(pull), keep - 1, axis=1)[:, :keep]
    rows = np.repeat(np.arange(len(pull)), keep)
    made = sp.csr_matrix((np.take_along_axis(pull, best, 1).ravel(), (rows, best.ravel())), pull.shape)
    made.eliminate_zeros()
    return made


def top(
    scores: np.ndarray,  # (n, films)
    k: int,
    seen: sp.csr_matrix | None = None,  # (n, films): never recommended again
    allowed: np.ndarray | None = None,  # (films,) or (n, films) of bool: a filter, such as for age
) -> np.ndarray:  # (n, k) positions of films, best first; -1 where no film is left
    """The k best films of each row that are allowed and not seen; equal scores by position, NaN last.

    Raises ValueError unless k is a whole number of 0 or more. Where k exceeds what is left, -1 fills the row.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise ValueError(f"k must be a whole number of 0 or more, got {k!r}")
    sure = np.isfinite(scores)
    last = np.nextafter(scores.min(where=sure, initial=np.inf), -np.inf) if sure.any() else 0.0
    scores = np.where(np.isnan(scores) | (scores == -np.inf), last, scores)  # -inf is for what is closed
    closed = np.zeros(scores.shape, bool) if allowed is None else ~np.broadcast_to(allowed, scores.shape)
    if seen is not None:
        closed[seen.nonzero()] = True
    scores[closed] = -np.inf
    want = min(k, scores.shape[1])
    found = _best(scores, want)
    found[np.take_along_axis(closed, found, 1)] = -1
    return np.pad(found, ((0, 0), (0, k - want)), constant_values=-1)


def _best(scores, k):  # exact with ties: the smaller position first
    if k == 0:
        return np.zeros((len(scores), 0), int)
    if k < scores.shape[1]:
        edge = -np.partition(-scores, k - 1, axis=1)[:, [k - 1]]
        count = (scores >= edge).sum(1)
        if (count == k).all():
            part = np.nonzero(scores >= edge)[1].reshape(-1, k)  # in order of position
            order = np.argsort(-np.take_along_axis(scores, part, 1), axis=1, kind="stable")
            return np.take_along_axis(part, order, 1)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def listwise(A: np.ndarray, y: np.ndarray, l2: float = 0.003) -> np.ndarray:
    """Weights (features,) under which softmax(A @ w) over each user's candidates best foretells which are relevant.

    A (users, candidates, features), y (users, candidates) of bool. Every user counts the same, however many films they saw:
    a pooled loss would serve the heaviest users. Source: Cao et al. (2007), Learning to Rank: ListNet's top-one loss.
    """
    from scipy.optimize import minimize

    some = y.any(1)
    A, share = A[some], y[some] / y[some].sum(1, keepdims=True)

    def loss(w):
        s = A @ w
        s -= s.max(1, keepdims=True)
        p = np.exp(s)
        total = p.sum(1, keepdims=True)
        value = (share * (np.log(total) - s)).sum() / len(A) + l2 * w @ w / 2
        return value, np.einsum("uc,ucf->f", p / total - share, A) / len(A) + l2 * w

    return minimize(loss, np.zeros(A.shape[2]), jac=True, method="L-BFGS-B", options={"maxiter": 60}).x


def _by(values, place, size, how):
    found = pd.Series(values).groupby(place).agg(how).reindex(range(size))
    return found.fillna(found.median()).to_numpy()


def features(
    log: pd.DataFrame, films: pd.DataFrame, users: pd.Index, model: Ranker
) -> tuple[dict, sp.csr_matrix]:
    """What the re-ranker looks at, each (users, films), and the matrix of the log: scores, popularity, genres, years, when.

    Only the log (user, film, rating, time in seconds) and the catalogue (year, genre columns of 0/1) are read.
    """
    row, col = users.get_indexer(log.user), films.index.get_indexer(log.film)
    X = sp.csr_matrix((np.ones(len(log)), (row, col)), (len(users), len(films)))
    X.data[:] = 1
    score = standard(model.score(X), X)
    seen = np.asarray(X.sum(0)).ravel()
    year = films.year.fillna(films.year.median()).fillna(0).to_numpy(float)
    away = year - _by(year[col], row, len(users), "mean")[:, None]
    stars = (np.bincount(col, log.rating, len(films)) + 17.5) / (seen + 5)
    wide = lambda column: np.broadcast_to(column, score.shape)
    found = {"score": score, "log score": np.log1p(np.maximum(score + 1, 0)), "popular": wide(np.log1p(seen))}
    found |= {"genre": _likeness(X, films), "years away": away, "years apart": np.abs(away)}
    found |= {"year": wide(year), "stars": wide(stars)}
    found |= _when(log.time.to_numpy() / 86_400, row, col, X.shape)
    return found, X


def _likeness(X, films):  # cosine of a user's genres and a film's; rare genres weigh more
    genres = films.drop(columns=["title", "year", "age", "month"], errors="ignore").to_numpy(float)
    if not genres.shape[1]:
        return np.zeros(X.shape)
    unit = lambda M: M / np.maximum(np.linalg.norm(M, axis=1, keepdims=True), 1e-9)
    rare = np.log(len(genres) / np.maximum(genres.sum(0), 1))
    return unit(X @ genres) @ unit(genres * rare).T


def _when(day, row, col, shape):  # was the film there when the user was?
    last, first = _by(day, row, shape[0], "max"), _by(day, col, shape[1], "min")
    since = last[:, None] - first
    return {"too late": (since < 0).astype(float), "days there": np.log1p(np.maximum(since, 0))}


class Reranker:
    """A learned second stage: the first stage's best `pool` films of each user, in a new order.

    `learn` finds its weights on held-out parts of the log that the first stage has not seen; `rank` applies them to features
    of any log. Raises ValueError if no held-out film is among the candidates.
    """

    def __init__(self, pool: int = 100, l2: float = 0.01):
        self.pool, self.l2 = pool, l2

    def candidates(self, found: dict, X: sp.csr_matrix) -> np.ndarray:
        """Positions (users, pool) of the first stage's best films; -1 where fewer are left."""
        return top(found["score"], min(self.pool, X.shape[1]), X)

    def table(self, found: dict, pool: np.ndarray) -> np.ndarray:
        """Features (users, pool, features) of the candidates."""
        return np.stack([np.take_along_axis(f, np.maximum(pool, 0), 1) for f in found.values()], 2)

    def learn(self, *parts: tuple) -> Reranker:
        """Weights from parts (found, X, held) with held (users, films) what the users took beyond X; several calm the luck."""
        A, relevant = map(np.concatenate, zip(*(self._asked(*part) for part in parts), strict=True))
        if not relevant.any():
            raise ValueError("held must hold a film among the candidates, got none: nothing to learn from")
        self.mean_, self.spread_ = A.mean((0, 1)), A.std((0, 1)) + 1e-9
        self.weights_ = listwise((A - self.mean_) / self.spread_, relevant, self.l2)
        self.names_ = list(parts[0][0])
        return self

    def _asked(self, found, X, held):
        pool = self.candidates(found, X)
        taken = np.take_along_axis(held.toarray() > 0, np.maximum(pool, 0), 1)
        return self.table(found, pool), taken & (pool >= 0)

    def rank(self, found: dict, X: sp.csr_matrix) -> np.ndarray:
        """Scores (users, films): candidates in the new order, above all others in the old one."""
        pool = self.candidates(found, X)
        new = ((self.table(found, pool) - self.mean_) / self.spread_) @ self.weights_
        scores = found["score"] - found["score"].max() + new.min() - 1
        rows = np.arange(len(pool))[:, None] + 0 * pool
        scores[rows[pool >= 0], pool[pool >= 0]] = new[pool >= 0]
        return scores
