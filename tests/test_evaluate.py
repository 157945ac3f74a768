"""mlcourse.evaluate: agreement with scikit-learn, intervals that cover, tests that keep their level, on made flights."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from mlcourse.evaluate import (
    METRICS,
    Interval,
    calibration,
    calibration_error,
    calibration_null,
    compare,
    day_bootstrap,
    holm,
    resample,
    savings,
    scores,
    slices,
    worst,
)
from mlcourse.frame import Decision, flight_savings, net_savings

DECISION = Decision()
THEIRS = {
    "roc_auc": sk.roc_auc_score,
    "average_precision": sk.average_precision_score,
    "log_loss": lambda y, p, sample_weight: sk.log_loss(y, p, sample_weight=sample_weight, labels=[0, 1]),
    "brier": sk.brier_score_loss,
}


def autumn(seed=0, days=40, mean=60, shock=0.8, storms=False):
    """Made flights: bad with exactly probability p, and all flights of a day share its weather."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(days), rng.poisson(mean, days) + 1)
    move = lambda n: np.where(rng.random(n) < 0.08, 3.0, -0.3) if storms else rng.normal(0, shock, n)
    usual, weather = rng.normal(-1.6, 1, len(code)), move(days)[code]
    points = np.linspace(-7, 4, 60)
    true = (1 / (1 + np.exp(-(points[:, None] + move(4000))))).mean(axis=1)  # the mean over all weathers
    y = rng.random(len(code)) < 1 / (1 + np.exp(-(usual + weather)))
    return y, np.interp(usual, points, true), np.datetime64("2013-09-01") + code


# Days and draws


def test_a_draw_is_made_of_whole_days():
    _, _, day = autumn(days=12)
    weights = resample(lambda w: w, day, draws=30)
    first = np.unique(day, return_index=True)[1]
    assert (weights == weights[:, first][:, (day - day.min()).astype(int)]).all()
    assert (weights[:, first].sum(axis=1) == 12).all() and len(np.unique(weights, axis=0)) > 25


def test_blocks_are_consecutive_days():
    day = np.arange(14)
    weights = resample(lambda w: w, day, draws=200, block=7)
    assert (weights.sum(axis=1) == 14).all()
    assert (resample(lambda w: w, day, draws=20, block=14) == 1).all()  # the whole circle
    neighbours = np.mean([(w[np.roll(day, 1)] == w).mean() for w in weights])
    alone = np.mean([(w[np.roll(day, 1)] == w).mean() for w in resample(lambda w: w, day, draws=200)])
    assert neighbours > alone + 0.2


def test_draws_depend_on_the_seed_alone():
    y, _, day = autumn()
    mean = lambda w: w @ y / w.sum(axis=1)
    assert (
        day_bootstrap(mean, day, seed=3)
        == day_bootstrap(mean, day, seed=3)
        != day_bootstrap(mean, day, seed=4)
    )
    mixed = np.random.default_rng(1).permutation(len(y))
    again = day_bootstrap(lambda w: w @ y[mixed] / w.sum(axis=1), day[mixed], seed=3)
    np.testing.assert_allclose(again, day_bootstrap(mean, day, seed=3))
    text = day_bootstrap(mean, pd.Series(day).dt.strftime("%Y-%m-%d"), seed=3)
    np.testing.assert_allclose(text, day_bootstrap(mean, day, seed=3))


def test_spread_is_the_one_of_theory():
    y, _, day = autumn(days=60)
    daily = pd.Series(y).groupby(day).sum()
    found = resample(lambda w: w @ y, day, draws=4000)
    np.testing.assert_allclose(found.std(), daily.std(ddof=0) * 60**0.5, rtol=0.05)
    np.testing.assert_allclose(found.mean(), y.sum(), rtol=0.02)


def test_several_numbers_at_once():
    y, p, day = autumn()
    both = day_bootstrap(lambda w: w @ np.column_stack([y, p]), day)
    one = day_bootstrap(lambda w: w @ p, day)
    assert isinstance(both, Interval) and both.low.shape == (2,)
    np.testing.assert_allclose([both.value[1], both.low[1], both.high[1]], one)


def test_a_wider_level_is_a_wider_interval():
    y, _, day = autumn()
    narrow, wide = (day_bootstrap(lambda w: w @ y, day, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_days_cover_the_truth_and_flights_do_not():
    covered = {"days": [], "flights": []}
    for seed in range(150):
        y, p, day = autumn(seed, days=50, mean=40)
        for name, unit in (("days", day), ("flights", np.arange(len(y)))):
            gap = day_bootstrap(lambda w, e=y - p: w @ e / w.sum(axis=1), unit, draws=200, seed=seed)
            covered[name].append(gap.low <= 0 <= gap.high)
    assert np.mean(covered["days"]) > 0.88 and np.mean(covered["flights"]) < 0.75


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"day": np.zeros(100)}, "at least 2 different days, got 1"),
        (
            {"day": np.array(["NaT"] * 100, "M8[D]")},
            "day must be known for every row, but 100 are missing",
        ),
        ({"draws": 0}, "draws must be a whole number of at least 1, got 0"),
        ({"draws": 2.5}, "draws must be a whole number"),
        ({"block": 0}, "block must be a whole number of at least 1"),
        ({"level": 1}, "level must be between 0 and 1"),
        ({"level": 95}, "level must be between 0 and 1, both excluded, got 95"),
    ],
)
def test_bootstraps_that_cannot_be_drawn(change, message):
    given = {"day": np.arange(100) // 10} | change
    with pytest.raises(ValueError, match=message):
        day_bootstrap(lambda w: w.sum(axis=1), **given)


# Scores


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_value_and_interval_are_those_of_scikit_learn(digits):
    y, p, day = autumn(1, days=25)
    p = p.round(digits)
    ours = scores(y, p, day, tuple(THEIRS), draws=40, seed=5)
    for name, metric in THEIRS.items():
        by_row = lambda weights, metric=metric: np.array([metric(y, p, sample_weight=w) for w in weights])
        np.testing.assert_allclose(ours.loc[name], day_bootstrap(by_row, day, draws=40, seed=5), atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=6, max_size=40).filter(
        lambda rows: len({r[0] for r in rows}) == 2 and len({r[2] for r in rows}) > 1
    )
)
def test_any_ties_agree_with_scikit_learn(rows):
    y, p, day = (np.array(column) for column in zip(*rows, strict=True))
    found = scores(y, p / 6, day, tuple(THEIRS), draws=1).value
    for name, metric in THEIRS.items():
        np.testing.assert_allclose(found[name], metric(y, p / 6, sample_weight=None), atol=1e-9)


def test_containers_do_not_matter_and_nothing_is_changed():
    y, p, day = autumn()
    index = np.random.default_rng(0).permutation(len(y))
    frame = pd.DataFrame({"y": y, "p": p, "day": day}, index)
    before = frame.copy()
    ours = scores(frame.y, frame.p, frame.day, draws=20)
    pd.testing.assert_frame_equal(ours, scores(y.astype(int), list(p), day, draws=20))
    pd.testing.assert_frame_equal(frame, before)
    assert list(ours.index) == list(METRICS) and list(ours.columns) == ["value", "low", "high"]


def test_a_lacking_class_gives_nan_where_both_are_needed():
    _, p, day = autumn()
    found = scores(np.zeros(len(p)), p, day, draws=20)
    assert found.loc[["roc_auc", "average_precision"]].isna().all(axis=None)
    assert found.loc[["log_loss", "brier", "calibration_error"]].notna().all(axis=None)
    found = scores(np.ones(len(p)), p, day, draws=20)
    assert found.loc["roc_auc"].isna().all() and (found.loc["average_precision"] == 1).all()


def test_a_draw_without_a_bad_flight_is_left_out():
    day = np.repeat(np.arange(4), 50)
    y = (day == 2) & (np.arange(200) % 3 == 0)
    p = np.random.default_rng(0).random(200)
    assert scores(y, p, day).notna().all(axis=None)


def test_ranks_survive_any_increasing_change_of_scores():
    y, p, day = autumn()
    ranks = ("roc_auc", "average_precision")
    pd.testing.assert_frame_equal(scores(y, p, day, ranks, draws=50), scores(y, p**3, day, ranks, draws=50))


def test_a_perfect_and_a_useless_model():
    y, _, day = autumn()
    best, flat = scores(y, y.astype(float), day, draws=20), scores(y, np.full(len(y), 0.2), day, draws=20)
    assert (best.loc[["roc_auc", "average_precision"]] == 1).all(axis=None)
    np.testing.assert_allclose(best.loc[["log_loss", "brier", "calibration_error"]], 0, atol=1e-12)
    assert (flat.loc["roc_auc"] == 0.5).all()
    np.testing.assert_allclose(flat.value["average_precision"], y.mean())


def test_a_thousand_draws_of_a_season_stay_below_500_mb():
    rng = np.random.default_rng(0)
    n, p = 112_000, rng.beta(1, 5, 112_000)
    tracemalloc.start()
    found = scores(rng.random(n) < p, p, rng.integers(0, 122, n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500e6 and found.notna().all(axis=None)


GOOD = {"y": [True, False, True, False], "p": [0.1, 0.2, 0.3, 0.4], "day": [1, 1, 2, 2]}
REFUSED = [
    ({"y": [0, 1, 2, 0]}, "y must be true or false for each row, none missing, got 2"),
    ({"y": [0, 1, np.nan, 0]}, "y must be true or false.*got nan"),
    ({"y": [True, False, None, True]}, "y must be true or false"),
    ({"y": ["late", "ok", "ok", "ok"]}, "y must be true or false"),
    ({"p": [0.1, 1.2, 0.3, 0.4]}, "p must be between 0 and 1 for each row, none missing, got 1.2"),
    ({"p": [0.1, -0.1, 0.3, 0.4]}, "p must be between 0 and 1"),
    ({"p": [0.1, np.nan, 0.3, 0.4]}, "p must be between 0 and 1.*got nan"),
    ({"p": [0.1, np.inf, 0.3, 0.4]}, "p must be between 0 and 1.*got inf"),
    ({"p": [0.1, 0.2, 0.3]}, "y, p, day must be 1-d, of one length and not empty"),
    ({"p": [[0.1, 0.9]] * 4}, "must be 1-d"),
    ({"y": [], "p": [], "day": []}, "not empty"),
    ({"day": [1, 1, 1, 1]}, "at least 2 different days, got 1"),
    ({"day": [1, 1, 2, np.nan]}, "day must be known for every row, but 1 are missing"),
    ({"p": pd.Series([0.1] * 4), "y": pd.Series([0, 1, 0, 1], [3, 2, 1, 0])}, "must have one index"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
@pytest.mark.parametrize("judge", [scores, calibration, calibration_null])
def test_what_cannot_be_judged_is_refused(judge, change, message):
    with pytest.raises(ValueError, match=message):
        judge(**(GOOD | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ("f1",)}, "metrics must be among roc_auc.*got .'f1'"),
        ({"metrics": ()}, "metrics must be among"),
        ({"bins": 1}, "bins must be a whole number of at least 2, got 1"),
        ({"draws": 0}, "draws must be"),
        ({"level": 0}, "level must be"),
    ],
)
def test_settings_that_cannot_be_used(change, message):
    with pytest.raises(ValueError, match=message):
        scores(**GOOD, **change)


def test_moments_are_not_taken_for_days():
    y = np.arange(5000) % 2
    with pytest.raises(ValueError, match="at most 4000 different days, got 5000: are they dates"):
        scores(y, y / 2, np.arange(5000))


# Savings


def test_savings_are_the_frame_s_and_their_interval_that_of_the_days():
    y, p, day = autumn()
    act = p > DECISION.break_even
    found = savings(act, y, day, DECISION, draws=300, seed=2)
    money = flight_savings(act, y, DECISION)
    np.testing.assert_allclose(found.value, net_savings(act, y, DECISION))
    np.testing.assert_allclose(found, day_bootstrap(lambda w: w @ money, day, draws=300, seed=2))
    assert savings(y & False, y, day, DECISION) == Interval(0, 0, 0)
    with pytest.raises(ValueError, match="act must be true or false"):
        savings(p, y, day, DECISION)


# Calibration


@pytest.mark.parametrize("digits", [1, 2, 8])
def test_bins_are_those_of_scikit_learn(digits):
    y, p, day = autumn(2)
    p = p.round(digits)
    ours, theirs = calibration(y, p, day, bins=10), calibration_curve(y, p, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(ours[["observed", "predicted"]].T, theirs)
    assert ours.n.sum() == len(y) and ((ours.low <= ours.observed) & (ours.observed <= ours.high)).all()
    gap = np.average(abs(ours.observed - ours.predicted), weights=ours.n)
    np.testing.assert_allclose(calibration_error(y, p, bins=10), gap)
    np.testing.assert_allclose(scores(y, p, day, "calibration_error", bins=10, draws=5).value, gap)


def test_equal_probabilities_share_a_bin():
    y, _, day = autumn()
    table = calibration(y, np.full(len(y), 0.3), day)
    assert len(table) == 1 and table.n[0] == len(y)
    np.testing.assert_allclose(calibration_error(y, np.full(len(y), 0.3)), abs(y.mean() - 0.3))
    np.testing.assert_allclose(calibration_error(y, np.full(len(y), y.mean())), 0, atol=1e-12)


def test_calibration_does_not_depend_on_the_order_of_rows():
    y, p, day = autumn()
    mixed = np.random.default_rng(3).permutation(len(y))
    p = p.round(2)
    pd.testing.assert_frame_equal(calibration(y, p, day), calibration(y[mixed], p[mixed], day[mixed]))


@pytest.mark.parametrize("storms", [False, True])
def test_the_null_keeps_its_level(storms):
    above, alone = [], []
    for seed in range(150):
        y, p, day = autumn(seed, days=60, mean=60, storms=storms)
        error = calibration_error(y, p)
        above.append(error > np.quantile(calibration_null(y, p, day, draws=200, seed=seed), 0.95))
        alone.append(
            error > np.quantile(calibration_null(y, p, np.arange(len(y)), draws=40, seed=seed), 0.95)
        )
    assert np.mean(above) < 0.13 < np.mean(alone)


def test_the_null_lets_a_fault_through():
    y, p, day = autumn(4, days=100)
    assert calibration_error(y, 0.5 * p) > np.quantile(calibration_null(y, 0.5 * p, day), 0.99)
    assert (calibration_null(y, p, day, seed=1) == calibration_null(y, p, day, seed=1)).all()


@pytest.mark.parametrize("fault", [1, 0.9, 0.7, 0.5])
def test_the_interval_of_the_calibration_error_covers_the_truth(fault):
    covered = []
    for seed in range(80):
        y, p, day = autumn(seed, days=60, mean=60)
        ends = scores(y, fault * p, day, "calibration_error", draws=200, seed=seed).loc["calibration_error"]
        covered.append(ends.low <= (1 - fault) * p.mean() <= ends.high)
    assert np.mean(covered) > 0.88


# Comparison


def test_a_model_beside_itself_differs_by_nothing():
    y, p, day = autumn()
    found = compare(y, p, p, day, DECISION, metrics=METRICS, draws=30)
    assert (found[["difference", "low", "high"]] == 0).all(axis=None)


def test_swapping_the_models_turns_the_sign():
    y, p, day = autumn()
    there, back = (compare(y, a, b, day, DECISION, draws=50) for a, b in ((p, p**2), (p**2, p)))
    np.testing.assert_allclose(there.difference, -back.difference)
    np.testing.assert_allclose(there.low, -back.high)
    np.testing.assert_allclose(there.a, back.b)


def test_the_difference_is_that_of_the_scores():
    y, p, day = autumn()
    found = compare(y, p, p**2, day, DECISION, draws=20)
    for column, q in (("a", p), ("b", p**2)):
        np.testing.assert_allclose(found[column].iloc[:4], scores(y, q, day, draws=1).value.iloc[:4])
        np.testing.assert_allclose(
            found[column]["savings"], net_savings(q > DECISION.break_even, y, DECISION)
        )
    np.testing.assert_allclose(found.difference, found.b - found.a)
    assert "savings" not in compare(y, p, p**2, day, draws=2).index


def test_pairing_narrows_the_interval():
    y, p, day = autumn(days=100)
    noisy = np.clip(p + np.random.default_rng(0).normal(0, 0.03, len(p)), 0, 1)
    paired = compare(y, p, noisy, day, metrics="log_loss").loc["log_loss"]
    apart = scores(y, p, day, "log_loss").loc["log_loss"]
    assert (paired.high - paired.low) < 0.3 * 2**0.5 * (apart.high - apart.low)
    assert paired.low > 0  # noise makes it worse, and the days agree


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_a": [0.1, 1.2, 0.3, 0.4]}, "p_a must be between"),
        ({"p_b": [0.1, 1.2, 0.3, 0.4]}, "p_b must be between"),
        ({"p_b": [0.1]}, "y, p_a, p_b, day must be 1-d"),
        ({"metrics": "accuracy"}, "metrics must be among"),
    ],
)
def test_comparisons_that_cannot_be_made(change, message):
    given = {"y": GOOD["y"], "p_a": GOOD["p"], "p_b": GOOD["p"], "day": GOOD["day"]}
    with pytest.raises(ValueError, match=message):
        compare(**(given | change))


# Slices


def by_hand(p):
    """Holm's procedure as he wrote it: go on while the smallest left passes."""
    return [max(min(1, sum(q >= r for q in p) * r) for r in p if r <= x) for x in p]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True))
def test_holm_is_the_procedure_of_holm(p):
    np.testing.assert_allclose(holm(p), by_hand(p))
    assert (holm(p) >= p).all() and (holm(p) <= np.minimum(len(p) * np.array(p), 1) + 1e-12).all()


def test_holm_leaves_out_what_was_not_asked():
    np.testing.assert_allclose(holm([np.nan, 0.02, 0.5, np.nan]), [np.nan, 0.04, 0.5, np.nan])
    np.testing.assert_allclose(holm([0.03, 0.03]), [0.06, 0.06])
    assert len(holm([])) == 0
    with pytest.raises(ValueError, match=r"p must be between 0 and 1, got 1\.5"):
        holm([0.1, 1.5])


def made_slices(y, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {name: rng.integers(0, k, len(y)) for name, k in (("airport", 3), ("carrier", 12), ("hour", 5))}
    )


def test_a_slice_is_what_its_name_says():
    y, p, day = autumn(5, days=50)
    by = made_slices(y)
    table = slices(y, p, by, day, DECISION)
    assert table.index.names == ["column", "value"] and len(table) == 20 and table.enough.all()
    for (column, value), row in table.iterrows():
        inside = (by[column] == value).to_numpy()
        assert row.n == inside.sum() and row.days == len(np.unique(day[inside]))
        np.testing.assert_allclose([row.observed, row.predicted], [y[inside].mean(), p[inside].mean()])
        act = p[inside] > DECISION.break_even
        np.testing.assert_allclose(row.savings, net_savings(act, y[inside], DECISION))
        assert row.low < row.gap < row.high
        np.testing.assert_allclose(row.gap, row.observed - row.predicted)
    np.testing.assert_allclose(table.p_adjusted, holm(table.p))
    assert ((table.p < 0.05) == ((table.low > 0) | (table.high < 0))).all()


def test_the_closed_form_is_the_day_bootstrap():
    y, p, day = autumn(6, days=120)
    found = slices(y, p, made_slices(y), day, DECISION).loc[("carrier", 3)]
    inside = (made_slices(y).carrier == 3).to_numpy()
    gap = resample(lambda w: w[:, inside] @ (y - p)[inside] / w[:, inside].sum(axis=1), day, draws=4000)
    np.testing.assert_allclose(found.high - found.gap, 1.98 * gap.std(), rtol=0.06)
    money = flight_savings(p > DECISION.break_even, y, DECISION)
    spread = resample(lambda w: w[:, inside] @ money[inside], day, draws=4000).std()
    np.testing.assert_allclose(found.savings_high - found.savings, 1.98 * spread, rtol=0.06)


def test_a_planted_fault_is_found_and_nobody_else_is_blamed():
    y, p, day = autumn(7, days=120)
    by = made_slices(y)
    table = slices(y, np.where(by.carrier == 4, 0.6 * p, p), by, day)
    assert table.index[table.p_adjusted < 0.05].to_list() == [("carrier", 4)]


@pytest.mark.parametrize("storms", [False, True])
def test_a_perfect_model_is_seldom_blamed(storms):
    alone, paid = [], []
    for seed in range(120):
        y, p, day = autumn(seed, days=100, mean=60, storms=storms)
        table = slices(y, p, made_slices(y, seed), day)
        alone.append((table.p < 0.05).any())
        paid.append((table.p_adjusted < 0.05).any())
    assert np.mean(paid) < 0.12 and np.mean(alone) > 0.2


def test_small_slices_are_shown_but_not_tested():
    y, p, day = autumn(days=40)
    rare = np.where(np.arange(len(y)) < 150, "few rows", np.where(day < day[0] + 10, "few days", "many"))
    table = slices(y, p, pd.DataFrame({"kind": rare}), day).loc["kind"]
    assert table.enough.to_dict() == {"few days": False, "few rows": False, "many": True}
    assert table.p.isna().to_list() == [True, True, False] and table.gap.notna().all()
    np.testing.assert_allclose(table.p_adjusted["many"], table.p["many"])  # the others were not asked
    assert slices(y, p, pd.DataFrame({"kind": rare}), day, least=(2, 10)).enough.all()


def test_a_missing_value_is_a_slice_and_bands_keep_their_order():
    y, p, day = autumn()
    wind = pd.Series(np.random.default_rng(1).random(len(y)) * 30).where(np.arange(len(y)) % 4 > 0)
    bands = pd.cut(wind, [0, 10, 20, 30], labels=["calm", "breeze", "a storm"])
    table = slices(y, p, pd.DataFrame({"wind": bands}), day).loc["wind"]
    assert table.index.to_list() == ["calm", "breeze", "a storm", "missing"] and table.n.sum() == len(y)


def test_a_slice_of_one_day_or_one_flight_has_no_interval():
    y, p, day = autumn()
    lone = pd.DataFrame({"kind": np.where(day == day[0], "first day", "later")})
    row = slices(y, p, lone, day).loc[("kind", "first day")]
    assert row.days == 1 and np.isnan([row.p, row.p_adjusted]).all() and not row.enough


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ([1, 2, 3, 4], "by must be a DataFrame"),
        (pd.DataFrame(index=range(4)), "by must be a DataFrame with a column"),
        (pd.DataFrame({"a": [1, 2]}), "y, p, day, by must be 1-d, of one length"),
    ],
)
def test_slices_that_cannot_be_cut(by, message):
    with pytest.raises(ValueError, match=message):
        slices(**GOOD, by=by)


def test_slices_of_other_flights_are_refused():
    series = {k: pd.Series(v) for k, v in GOOD.items()}
    with pytest.raises(ValueError, match="must have one index"):
        slices(**series, by=pd.DataFrame({"a": [1, 2, 3, 4]}, index=[3, 2, 1, 0]))


# Errors worth reading


@pytest.fixture
def log():
    delay = [95.0, -5.0, np.nan, np.nan, 31.0, 29.0, 200.0]
    return pd.DataFrame(
        {
            "year": 2013, "month": 9, "day": range(1, 8), "sched_dep_time": 600, "carrier": "UA", "flight": range(7),
            "origin": "EWR", "dest": "ORD", "dep_time": [600, 600, np.nan, 600, 600, 600, 600], "arr_delay": delay,
        },
        index=range(70, 77),
    )  # fmt: skip


def test_worst_reads_both_kinds_of_error(log):
    y, p, before = (
        log.arr_delay.isna() | (log.arr_delay >= 30),
        [0.02, 0.9, 0.01, 0.05, 0.6, 0.7, 0.2],
        log.copy(),
    )
    table = worst(log, y, np.array(p), n=3)
    assert table.index.to_list() == [72, 70, 73, 71, 75]
    assert table.error.to_list() == ["missed"] * 3 + ["false alarm"] * 2
    assert table.happened.to_list() == ["cancelled", "+95 min", "diverted", "-5 min", "+29 min"]
    np.testing.assert_allclose(table.surprise, -np.log([0.01, 0.02, 0.05, 0.1, 0.3]))
    np.testing.assert_allclose(
        table.lost, [DECISION.prevented - DECISION.act_cost] * 3 + [DECISION.act_cost] * 2
    )
    assert table.date.iloc[0] == pd.Timestamp("2013-09-03") and table.flight.to_list() == [2, 0, 3, 1, 5]
    pd.testing.assert_frame_equal(log, before)


def test_worst_holds_errors_only(log):
    y = log.arr_delay.isna() | (log.arr_delay >= 30)
    assert worst(log, y, y.astype(float)).empty
    assert len(worst(log, y, 1.0 - y)) == 7 and len(worst(log, y, 1.0 - y, n=1)) == 2
    never = Decision(act_cost=1e6)  # acting never pays, so nothing is an error
    assert worst(log, y, 1.0 - y, decision=never).empty


def test_worst_refuses_other_flights(log):
    y = log.arr_delay.isna()
    with pytest.raises(ValueError, match="flights, y, p must be 1-d, of one length"):
        worst(log[1:], y, y * 0.5)
    with pytest.raises(ValueError, match="must have one index"):
        worst(log, y.iloc[::-1], y * 0.5)
    with pytest.raises(ValueError, match="n must be a whole number of at least 1, got 0"):
        worst(log, y, y * 0.5, n=0)
    with pytest.raises(ValueError, match="must have the columns carrier"):
        worst(log.drop(columns="carrier"), y, y * 0.5)
