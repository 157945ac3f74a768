"""mlcourse.models: agreement with scikit-learn, laws of the encoding, and a contract that catches each planted fault."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import TimeSeriesSplit, cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from mlcourse.models import (
    MODELS,
    Encode,
    Logistic,
    Rate,
    TableClassifier,
    contract,
    make_model,
)
from mlcourse.models import _loss as loss_and_gradient

CLASSIFIERS = [n for n in MODELS if isinstance(make_model(n), TableClassifier)]
LEARNERS = [n for n in CLASSIFIERS if n not in ("constant", "last_month_rate")]
REGRESSORS = [n for n in MODELS if n not in CLASSIFIERS]
SMALL = {
    "tree": {"min_samples_leaf": 20},
    "boosting": {"max_iter": 10, "min_samples_leaf": 20},
    "quantile": {"max_iter": 10},
}


def small(name):
    return make_model(name, **SMALL.get(name, {}))


def features(n=300, seed=0):
    """Made features with holes and categories, and whether each flight is bad."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "hour": rng.integers(5, 23, n).astype(float),
            "delay": rng.normal(5, 10, n),
            "gust": np.where(rng.random(n) < 0.7, np.nan, rng.gamma(9, 3, n)),
            "dest": pd.Categorical(rng.choice(["ATL", "BOS", "OKC"], n, p=[0.6, 0.3, 0.1])),
            "origin": pd.Categorical(rng.choice(["EWR", "JFK"], n)),
            "rate_airport_hour_30d": rng.random(n) * 0.4,
        },
        index=rng.permutation(n) + 40,
    )
    X.loc[rng.random(n) < 0.05, ["delay", "dest"]] = np.nan
    z = 0.08 * X.delay.fillna(9) + 0.1 * X.hour + X.dest.eq("OKC") - 3
    return X, pd.Series(rng.random(n) < 1 / (1 + np.exp(-z)), X.index)


X, Y = features()
MINUTES = 40.0 * Y + X.hour


def target(name):
    return Y if name in CLASSIFIERS else MINUTES


def says(model, table):
    return model.predict_proba(table) if hasattr(model, "predict_proba") else model.predict(table)


# The contract, and what it must catch


@pytest.mark.parametrize("name", MODELS)
def test_every_model_keeps_the_contract(name):
    kept = contract(small(name), X, target(name))
    assert kept.kept.all() and kept.rule.is_unique and len(kept) == 20


class Honest(ClassifierMixin, BaseEstimator):
    """A model that keeps every rule; each class below breaks one."""

    def __init__(self, seed=0):
        self.seed = seed

    def fit(self, X, y):
        self.inner_ = small("tree").fit(X, y)
        self.classes_, self.feature_names_in_ = self.inner_.classes_, self.inner_.feature_names_in_
        return self

    def predict_proba(self, X):
        if not hasattr(self, "inner_"):
            raise NotFittedError("fit first")
        return self.inner_.predict_proba(X)


def fault(rule):
    """Enter a class as the planted breach of `rule`."""

    def enter(kind):
        FAULTS[rule] = kind
        return kind

    return enter


FAULTS = {}


@fault("X, y and parameters stay")
class FillsInPlace(Honest):
    def predict_proba(self, X):
        X["delay"] = X["delay"].fillna(0.0)
        return super().predict_proba(X)


@fault("a clone is like the model")
class LosesItsParameter(Honest):
    def fit(self, X, y):
        self.seed = 99
        return super().fit(X, y)


@fault("the same seed")
class Unseeded(Honest):
    def fit(self, X, y):
        self.noise_ = 1e-9 * np.random.default_rng().random()  # no seed: that is the fault
        return super().fit(X, y)

    def predict_proba(self, X):
        p = super().predict_proba(X) * (1 - self.noise_)
        return np.column_stack([1 - p[:, 1], p[:, 1]])


@fault("forgets the first")
class Remembers(Honest):
    def fit(self, X, y):
        if not hasattr(self, "inner_"):
            super().fit(X, y)
        return self


@fault("a pickled copy")
class ForgetsInTheFile(Honest):
    def __getstate__(self):
        return {"seed": self.seed}


@fault("the order of columns")
class ByPosition(Honest):
    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1] if X.columns[0] != "hour" else super().predict_proba(X)


@fault("further columns")
class NoGuests(Honest):
    def predict_proba(self, X):
        if "further" in X:
            raise ValueError("unexpected column: further")
        return super().predict_proba(X)


@fault("the order of declared categories")
class TrustsCodes(Honest):
    def _coded(self, X):
        return X.assign(dest=X.dest.astype("category").cat.codes.astype(float))

    def fit(self, X, y):
        return super().fit(self._coded(X), y)

    def predict_proba(self, X):
        return super().predict_proba(self._coded(X) if "dest" in X else X)


@fault("the index is irrelevant")
class SortsByIndex(Honest):
    def predict_proba(self, X):
        return super().predict_proba(X.sort_index() if X.index[:1].equals(pd.RangeIndex(299, 298, -1)) else X)


@fault("a row alone")
class FillsFromTheBatch(Honest):
    def predict_proba(self, X):
        return super().predict_proba(
            X.assign(delay=X.delay - X.delay.mean()) if "delay" in X and len(X) else X
        )


@fault("answers are valid")
class AboveOne(Honest):
    def predict_proba(self, X):
        return super().predict_proba(X) + np.array([[0, 1]])


@fault("an unknown category")
class UnknownIsBad(Honest):
    def predict_proba(self, X):
        p = super().predict_proba(X)
        return np.tile([0.0, 1.0], (len(X), 1)) if "dest" in X and X.dest.eq("unseen").any() else p


@fault("every number may be missing")
class NoHoles(Honest):
    def predict_proba(self, X):
        if len(X) > 1 and "delay" in X and X.delay.isna().all():
            raise KeyError("delay")
        return super().predict_proba(X)


@fault("constant or empty")
class DividesBySpread(Honest):
    def fit(self, X, y):
        if len(X) and X.hour.nunique(dropna=False) == 1:
            raise ZeroDivisionError
        return super().fit(X, y)


@fault("a lacking column is named")
class FillsLacking(Honest):
    def predict_proba(self, X):
        return super().predict_proba(X if "hour" in X else X.assign(hour=12.0))


@fault("text among numbers")
class Coerces(Honest):
    def predict_proba(self, X):
        text = [c for c in ("hour", "delay", "gust") if c in X and X[c].dtype.kind not in "biuf"]
        return super().predict_proba(X.assign(**{c: 0.0 for c in text}))


@fault("infinity is refused")
class ClipsInfinity(Honest):
    def predict_proba(self, X):
        return super().predict_proba(X.replace([np.inf, -np.inf], 0.0))


@fault("no row to learn from")
class LearnsFromNothing(Honest):
    def fit(self, X, y):
        return super().fit(X, y) if len(X) else self


@fault("y of another length")
class CutsToLength(Honest):
    def fit(self, X, y):
        return super().fit(X[: len(y)], y[: len(X)])


@fault("a hole in y")
class FillsLabels(Honest):
    def fit(self, X, y):
        return super().fit(X, np.nan_to_num(np.asarray(y, float)))


def test_the_honest_model_keeps_the_contract():
    assert contract(Honest(), X, Y).kept.all()


def test_each_rule_has_a_planted_fault():
    rules = contract(Honest(), X, Y).rule
    assert [sum(part in rule for part in FAULTS) for rule in rules] == [1] * len(rules)


@pytest.mark.parametrize("rule", FAULTS)
def test_a_planted_fault_is_caught_and_named(rule):
    with pytest.raises(AssertionError, match=rule) as caught:
        contract(FAULTS[rule](), X, Y)
    assert str(caught.value).count("\n") <= 4, "one fault, few broken rules"


def test_bare_scikit_learn_does_not_keep_it():
    with pytest.raises(AssertionError, match="the order of columns is irrelevant"):
        contract(HistGradientBoostingClassifier(max_iter=3), X.select_dtypes("float"), Y)


# What every model refuses, beyond the contract


@pytest.mark.parametrize("name", MODELS)
def test_y_must_fit(name):
    y = target(name)
    for wrong, why in (
        (y.reset_index(drop=True), "the same index"),
        (y.astype(str), "numbers or bools"),
        (y.to_frame(), "shape"),
        (y[:-1], "shape"),
    ):
        with pytest.raises(ValueError, match=why):
            small(name).fit(X, wrong)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_labels_are_true_or_false(name):
    for labels in (Y, Y.astype(int), Y.astype(float), Y.to_numpy(), Y.tolist()):
        model = small(name).fit(X, labels)
        assert model.classes_.dtype == np.asarray(labels).dtype
        assert np.array_equal(says(model, X), says(small(name).fit(X, Y), X))
        assert set(model.predict(X)) <= set(model.classes_)
    with pytest.raises(ValueError, match="true or false"):
        small(name).fit(X, Y + 1)


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("only", (True, False))
def test_one_class_is_nothing_to_learn(name, only):
    with pytest.raises(ValueError, match="both must occur"):
        small(name).fit(X, Y | True if only else Y & False)


def test_a_rate_may_come_from_one_class():
    assert (make_model("constant").fit(X, Y & False).predict_proba(X)[:, 1] == 0).all()
    assert not make_model("constant").fit(X, Y & False).predict(X).any()


@pytest.mark.parametrize("name", [*LEARNERS, *REGRESSORS])
def test_tables_that_cannot_be_read(name):
    model = small(name).fit(X, target(name))
    for wrong, why in (
        (X.drop(columns=["hour", "dest"]), "lacks the columns dest, hour|lacks the columns hour, dest"),
        (X.assign(hour="noon"), "numbers in hour"),
        (X.assign(hour=pd.Timestamp("2013-01-01")), "numbers in hour"),
        (X.assign(gust=-np.inf), "infinity in gust"),
        (X.assign(dest=7.0), "text in dest"),
        (pd.concat([X, X[["hour"]]], axis=1), "all different"),
        (X.to_numpy(), "DataFrame"),
    ):
        with pytest.raises(ValueError, match=why):
            says(model, wrong)
    for wrong in (X.assign(gust=-np.inf), pd.concat([X, X[["hour"]]], axis=1), X.to_numpy()):
        with pytest.raises(ValueError):
            clone(model).fit(wrong, target(name))


def test_what_cannot_be_learned_from():
    for wrong in (
        X.assign(dest=pd.Timestamp("2013-01-01")),
        X.assign(dest=pd.Categorical([1, 2] * 150)),
        X.rename(columns={"hour": 3}),
    ):
        with pytest.raises(ValueError, match=r"must hold numbers or text|names of text"):
            make_model("tree").fit(wrong, Y)


@pytest.mark.parametrize("name", MODELS)
def test_other_types_for_the_same_values(name):
    model = small(name).fit(X, target(name))
    other = X.assign(hour=X.hour.astype(int), dest=X.dest.astype(object), origin=X.origin.astype("str"))
    other["delay"] = X.delay.astype("Float64")
    assert np.array_equal(says(model, other), says(model, X))
    assert np.array_equal(says(small(name).fit(other, target(name)), X), says(model, X))
    one = X.iloc[[0]].assign(gust=None, dest=None)  # as it comes from a request: nothing known has no type
    assert np.array_equal(says(model, one), says(model, one.assign(gust=np.nan, dest=np.nan)))


@pytest.mark.parametrize("name", MODELS)
def test_works_with_scikit_learns_tools(name):
    model = small(name)
    assert np.isfinite(cross_val_score(model, X, target(name), cv=TimeSeriesSplit(3))).all()
    assert copy.deepcopy(model.fit(X, target(name))).get_params().keys() == model.get_params().keys()
    if "random_state" in model.core.get_params():
        assert make_model(name, 7).core.random_state == 7


def test_factory():
    assert make_model("boosting", max_iter=3).core.max_iter == 3
    assert make_model("logistic", columns=["hour"]).fit(X, Y).feature_names_in_.tolist() == ["hour"]
    assert make_model("boosting").core.early_stopping is False and make_model("quantile").core.quantile == 0.9
    with pytest.raises(ValueError, match="name must be one of constant"):
        make_model("forest")
    with pytest.raises(ValueError, match="leaves"):
        make_model("tree", leaves=3)
    assert [make_model(n) is make_model(n) for n in MODELS] == [False] * len(MODELS)


# Encoding


def test_ranks_follow_the_past_and_few_rows_are_not_trusted():
    y = np.array([0] * 90 + [1] * 10 + [1] * 60 + [0] * 40 + [1])
    names = ["calm"] * 100 + ["wild"] * 100 + ["once"]
    encode = Encode().fit(pd.DataFrame({"dest": names}), y)
    assert list(encode.places_["dest"]) == ["calm", "once", "wild"]  # by the plain mean, "once" is the worst
    assert encode.transform(pd.DataFrame({"dest": ["wild", "new", None]})).ravel().tolist()[0] == 2
    assert np.isnan(encode.transform(pd.DataFrame({"dest": ["wild", "new", None]}))[1:]).all()


@pytest.mark.parametrize("n", (1, 2, 3, 200))
def test_few_and_many_rows_are_looked_up_alike(n):
    table = pd.DataFrame({"dest": pd.Categorical(["b", "a", None, "z"] * 50, ["z", "b", "a", "c", "d"])})
    encode = Encode().fit(table, np.arange(200) % 2)
    want = [encode.places_["dest"].get(v, np.nan) for v in table.dest[:n]]
    np.testing.assert_array_equal(encode.transform(table[:n]).ravel(), want)


def test_linear_encoding_is_standardised_filled_and_flagged():
    encode = Encode(linear=True).fit(X, Y)
    Z = pd.DataFrame(encode.transform(X), X.index, encode.get_feature_names_out())
    numbers = ["delay", "gust", "hour", "rate_airport_hour_30d"]
    np.testing.assert_allclose(Z[numbers].mean(), 0, atol=1e-12)
    np.testing.assert_allclose(Z[numbers].std(ddof=0), 1)
    assert Z.gust_missing.eq(X.gust.isna()).all() and "hour_missing" not in Z
    assert Z.gust[X.gust.isna()].nunique() == 1
    assert Z.filter(like="dest=").sum(axis=1).eq(X.dest.notna()).all()
    wild = encode.transform(X.assign(delay=1e9))
    assert abs(wild[:, 0]).max() < 5, "an extreme is clipped"


def test_what_is_encoded_depends_on_the_past_alone():
    past, future = X[:150], X[150:]
    for is_linear in (False, True):
        encode = Encode(linear=is_linear).fit(past, Y[:150])
        np.testing.assert_array_equal(encode.transform(X)[150:], encode.transform(future))


# Logistic regression


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("model", [Logistic(), Logistic(C=0.1, tol=1e-6)], ids=repr)
def test_logistic_keeps_the_contract_of_scikit_learn(model):
    check_estimator(model)


@pytest.mark.parametrize("C", (1e-3, 1.0, 1e4))
def test_logistic_agrees_with_scikit_learn(C):
    Z = Encode(linear=True).fit(X, Y).transform(X)
    ours = Logistic(C, tol=1e-12).fit(Z, Y)
    theirs = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12, max_iter=500).fit(Z, Y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(Z), theirs.predict_proba(Z), atol=1e-9)
    assert ours.predict_proba(Z)[:, 1].mean() == pytest.approx(Y.mean(), abs=1e-9)


def test_logistic_gradient_against_differences():
    rng = np.random.default_rng(1)
    Z, t, w, penalty = rng.normal(size=(50, 4)), rng.integers(0, 2, 50), rng.normal(size=4), rng.random(4)
    at = lambda w: loss_and_gradient(w, Z, t, penalty)
    slope = [(at(w + h)[0] - at(w - h)[0]) / 2e-6 for h in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(at(w)[1], slope, rtol=1e-6, atol=1e-6)


def test_logistic_separated_scaled_and_stopped():
    line = np.arange(20.0)[:, None]
    apart = Logistic(C=1e6).fit(line, line[:, 0] > 9)
    assert (apart.predict(line) == (line[:, 0] > 9)).all() and np.isfinite(apart.coef_).all()
    huge = Logistic().fit(line * 1e4, line[:, 0] % 3 == 0)
    assert np.isfinite(huge.predict_proba(line * 1e4)).all()
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        Logistic(max_iter=1).fit(line, line[:, 0] % 3 == 0)
    for C in (0, -1, np.nan):
        with pytest.raises(ValueError, match="C must be above 0"):
            Logistic(C).fit(line, line[:, 0] > 9)
    with pytest.raises(ValueError, match=r"two classes, got 1"):
        Logistic().fit(line, np.ones(20))


def test_rate():
    X1 = np.array([[0.2], [np.nan], [1.0]])
    model = Rate().fit(X1, np.array([1, 0, 0, 0]))
    np.testing.assert_allclose(model.predict_proba(X1)[:, 1], [0.2, 0.25, 1.0])
    np.testing.assert_allclose(model.predict_proba(X1[:, :0])[:, 1], 0.25)
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            model.predict_proba(np.array([[wrong]]))


# Boosting

MATRIX = Encode().fit(X, Y).transform(X)


def test_boosting_is_scikit_learns_to_the_bit():
    for name, core, y in (
        ("boosting", HistGradientBoostingClassifier, Y),
        ("quantile", HistGradientBoostingRegressor, MINUTES),
    ):
        ours = make_model(name, max_iter=10).fit(X, y)
        theirs = core(**ours.core.get_params()).fit(
            MATRIX, np.asarray(y, float if name == "quantile" else int)
        )
        for n in (1, 300):
            np.testing.assert_array_equal(ours.predict(X[:n]), theirs.predict(MATRIX[:n]))


# What they are for


def test_each_learns_what_it_can():
    """A bend in one column: a line sees nothing, trees do. A slope: all see it."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, 3000)
    table = pd.DataFrame({"x": x})
    bent, sloped = (rng.random(3000) < p for p in (0.1 + 0.7 * (abs(x) < 0.5), 0.5 + 0.4 * x))
    auc = {
        (n, k): roc_auc_score(y, small(n).fit(table, y).predict_proba(table)[:, 1])
        for n in LEARNERS
        for k, y in (("bent", bent), ("sloped", sloped))
    }
    assert auc["logistic", "bent"] < 0.6 < 0.75 < min(auc["tree", "bent"], auc["boosting", "bent"])
    assert min(auc[n, "sloped"] for n in LEARNERS) > 0.7


@pytest.mark.parametrize("q", (0.1, 0.5, 0.9))
def test_quantile_covers_its_share(q):
    rng = np.random.default_rng(6)
    table = pd.DataFrame({"hour": rng.uniform(0, 24, 4000)})
    y = table.hour * rng.exponential(1, 4000)
    model = make_model("quantile", quantile=q, max_iter=60).fit(table, y)
    assert np.mean(y <= model.predict(table)) == pytest.approx(q, abs=0.02)


def test_linear_is_right_on_average():
    assert make_model("linear").fit(X, MINUTES).predict(X).mean() == pytest.approx(MINUTES.mean())
