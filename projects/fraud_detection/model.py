"""Detectors: linear, boosting and a small network on the same FEATURES, told apart by weeks, and their reasons in words."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from features import FEATURES
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

KINDS = ("linear", "boosting", "network")


def sure_amount(amount: np.ndarray, fraud: np.ndarray, least: int = 5) -> float:
    """Smallest amount (dollars) above which every past transaction was a fraud; infinite if fewer than `least` were.

    A histogram of 255 bins loses such a rule where it holds for 1 row in 2,000: they share the last bin with others.
    """
    amount, fraud = np.asarray(amount, float), np.asarray(fraud) == 1
    top = amount[~fraud].max(initial=0)
    over = amount[fraud & (amount > top)]
    return float((top + over.min()) / 2) if len(over) >= least else np.inf


class Detector(ClassifierMixin, BaseEstimator):
    """Probability of fraud from FEATURES (n, k); fits on all frauds and a share of the genuine, weighted back.

    kind: "linear" (logistic regression), "boosting" (trees) or "network" (one hidden layer of 32, then 16). Several `members`,
    each with another share `genuine` of the genuine rows, are averaged in log-odds. Their weights undo the sampling, so that p
    stays a probability. Below a third of the base rate nothing speaks for fraud, and members tell noise apart: there p grows
    with the days since the terminal's last known label, as a crew may have come since. Raises ValueError for another kind, or
    labels of one kind only.
    """

    def __init__(self, kind: str = "boosting", members: int = 4, genuine: float = 0.1, random_state: int = 0):
        self.kind = kind
        self.members = members
        self.genuine = genuine
        self.random_state = random_state

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Detector:
        """Learn from FEATURES (n, k) and labels (n,) of the past."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        y = np.asarray(y)
        if not 0 < y.sum() < len(y):
            raise ValueError(
                f"y must hold frauds and genuine transactions, got {int(y.sum())} frauds of {len(y)}"
            )
        X = np.asarray(X[FEATURES], np.float32)
        self.sure_, self.classes_ = sure_amount(X[:, 0], y), np.array([0, 1])
        self.typical_ = np.median(X[y == 0], axis=0)
        Z, rng = self._wide(X), np.random.default_rng(self.random_state)
        self.members_ = []
        for seed in rng.integers(2**31, size=self.members):
            rows = np.flatnonzero((y == 1) | (rng.random(len(y)) < self.genuine))
            weight = np.where(y[rows] == 1, 1, 1 / self.genuine)
            self.members_.append(_member(self.kind, int(seed), Z[rows], y[rows], weight))
        return self._pooled(X[rows], weight, y.mean() / 3)

    def _pooled(
        self, X, weight, least
    ):  # from training rows: what p they have together a day without a label
        z = self._mean(X)
        self.least_ = np.log(least / (1 - least))
        low = z < self.least_
        self.a_day_ = weight[low] @ _expit(z[low]) / max(weight[low] @ _unlabelled(X[low]), 1e-9)
        return self

    def _wide(self, X):  # the rule as a column of its own
        return np.column_stack([X, X[:, 0] > self.sure_]).astype(np.float32)

    def log_odds(self, X: np.ndarray) -> np.ndarray:
        """Log-odds of fraud (n,) for FEATURES as an array (n, k)."""
        check_is_fitted(self)
        X = np.asarray(X, np.float32)
        z, p = self._mean(X), np.clip(self.a_day_ * _unlabelled(X), 1e-7, 0.5)
        return np.where(z < self.least_, np.log(p / (1 - p)), z)

    def _mean(self, X):
        Z = self._wide(X)
        p = np.clip([m(Z) for m in self.members_], 1e-7, 1 - 1e-7).astype(float)
        return np.log(p / (1 - p)).mean(axis=0)

    def predict_proba(self, X: pd.DataFrame | np.ndarray) -> np.ndarray:
        """Probabilities (n, 2): genuine, fraud."""
        X = X[FEATURES] if isinstance(X, pd.DataFrame) else X
        p = _expit(self.log_odds(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The likelier class (n,); a queue needs probabilities instead."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)


def _expit(z):
    return 1 / (1 + np.exp(-z))


def _unlabelled(X):  # days since the terminal's last known label, at most four weeks
    return np.clip(X[:, FEATURES.index("TERMINAL_LAST_AGE")], 1, 28).astype(float)


def _member(kind, seed, Z, y, weight):  # a function (n, k) -> (n,) probabilities
    if kind == "boosting":
        return OnnxTrees(_grown(seed, Z, y, weight), Z.shape[1])
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    core = LogisticRegression(C=0.1, max_iter=500) if kind == "linear" else MLPClassifier(
        (32, 16), alpha=1e-3, batch_size=512, max_iter=40, early_stopping=True, n_iter_no_change=6, random_state=seed)  # fmt: skip
    pipe = make_pipeline(FunctionTransformer(_squash), StandardScaler(), core)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a network that stops at its last round is good enough
        pipe.fit(Z, y, **{f"{pipe.steps[-1][0]}__sample_weight": weight})
    return lambda Z: pipe.predict_proba(Z)[:, 1]


def _squash(Z):  # counts and amounts are skewed
    return np.log1p(np.maximum(Z, -0.5))


def _grown(seed, Z, y, weight):
    from threadpoolctl import threadpool_limits

    few = len(Z) < 100_000  # threads that wait for each other at every split cost more than they bring
    with threadpool_limits(1 if few else None, user_api="openmp"):
        return _trees(seed).fit(Z, y, sample_weight=weight)


def _trees(seed):
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, max_leaf_nodes=10, min_samples_leaf=20, l2_regularization=5,
        max_features=0.4, early_stopping=False, random_state=seed)  # fmt: skip


class OnnxTrees:
    """A fitted tree model as ONNX: one row in microseconds, on one thread, and safe to load from `content` (bytes)."""

    def __init__(self, model: object | None = None, width: int = 0, content: bytes | None = None):
        if content is None:
            from skl2onnx import to_onnx
            from skl2onnx.common.data_types import FloatTensorType

            options = {id(model): {"zipmap": False}}
            made = to_onnx(model, initial_types=[("x", FloatTensorType([None, width]))], options=options)
            content = made.SerializeToString()
        self.content = content
        self._open()

    def _open(self):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.content, options, providers=["CPUExecutionProvider"])

    def __getstate__(self):
        return {"content": self.content}

    def __setstate__(self, state):
        self.content = state["content"]
        self._open()

    def __call__(self, Z: np.ndarray) -> np.ndarray:
        """Probabilities (n,) for float32 rows (n, k)."""
        return self.session.run(None, {"x": Z})[1][:, 1]


REASONS = {
    "amount": ["TX_AMOUNT", "AMOUNT_RATIO", "USUAL_AMOUNT", "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW",
               "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW", "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW"],
    "card": [f for f in FEATURES if f.startswith("CARD") or f.startswith("CUSTOMER_ID_NB")],
    "terminal": [f for f in FEATURES if f.startswith("TERMINAL")],
    "time": ["TX_DURING_WEEKEND", "TX_DURING_NIGHT"],
}  # fmt: skip


def reasons(detector: Detector, x: np.ndarray) -> list[dict]:
    """What speaks for fraud in one transaction's FEATURES (k,): `text` and by how much it raises the log-odds, most first.

    Each group of features is put back to what is typical of genuine transactions; what the log-odds fall by is its share.
    """
    rows = np.repeat(np.asarray(x, np.float32)[None], len(REASONS) + 1, axis=0)
    for i, names in enumerate(REASONS.values(), 1):
        at = [FEATURES.index(n) for n in names]
        rows[i, at] = detector.typical_[at]
    odds = detector.log_odds(rows)
    found = dict(zip(REASONS, odds[0] - odds[1:], strict=True))
    values = dict(zip(FEATURES, map(float, x), strict=True))
    words = _words(values, detector.sure_)
    ranked = sorted(found, key=lambda name: -found[name])
    return [
        {"text": words[name], "raises": round(float(found[name]), 2)} for name in ranked if found[name] > 0.1
    ]


def _words(v, sure):
    amount = f"Amount ${v['TX_AMOUNT']:,.2f}"
    if v["TX_AMOUNT"] > sure:
        amount += f": over ${sure:,.2f} all past ones were fraud"
    elif v["AMOUNT_RATIO"] >= 0:
        amount += f": {v['AMOUNT_RATIO']:.1f} times what this customer usually spends"
    terminal = f"Terminal: {v['TERMINAL_ID_RISK_30DAY_WINDOW']:.0%} of its payments in 30 days of known labels were fraud"
    if v["TERMINAL_RUN"]:
        terminal = f"Terminal: its last {v['TERMINAL_RUN']:.0f} known payments were fraud, since {v['TERMINAL_RUN_AGE']:.0f} days"
    card = f"Card: {v['CARD_HIGH_14DAY']:.0f} unusually high payments in 14 days, {v['CARD_FRAUDS_30DAY']:.0f} known frauds in 30"
    hour = "at night" if v["TX_DURING_NIGHT"] else "at the weekend" if v["TX_DURING_WEEKEND"] else "by day"
    return {"amount": amount, "card": card, "terminal": terminal, "time": f"Time: {hour}"}
