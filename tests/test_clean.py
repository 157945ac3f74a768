"""mlcourse.clean: contracts of the transformers, and laws of as_of, last_known, peeks and mcar_test on made tables."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.utils import estimator_checks

from mlcourse.clean import FillByCause, Limits, as_of, last_known, mcar_test, outcome, peeks

START = pd.Timestamp("2013-02-08", tz="UTC")
HOUR = pd.Timedelta("1h")
TRANSFORMERS = [FillByCause(), FillByCause(flag=False), Limits(), Limits(outside="clip")]


@pytest.fixture
def table():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.normal(10, 3, (60, 3)), columns=["a", "b", "c"], index=rng.permutation(60) + 7)
    return frame.mask(rng.random((60, 3)) < 0.3)


# Transformers


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.SkipTestWarning",
    "ignore:X (does not have valid|has) feature names",
)
@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_keeps_the_contract_of_scikit_learn(transformer):
    estimator_checks.check_estimator(transformer)
    for name in (
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_transformer_get_feature_names_out",
    ):
        getattr(estimator_checks, name)(type(transformer).__name__, transformer)


@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=repr)
def test_is_pure_and_finds_columns_by_name(transformer, table):
    before = table.copy()
    fitted = clone(transformer).fit(table)
    out = fitted.transform(table)
    pd.testing.assert_frame_equal(table, before)
    assert out.columns.to_list() == fitted.get_feature_names_out().tolist() and out.index.equals(table.index)
    mixed = table[["c", "a", "b"]].assign(further="text")
    pd.testing.assert_frame_equal(fitted.transform(mixed), out)
    np.testing.assert_array_equal(
        clone(transformer).fit(table.to_numpy()).transform(table.to_numpy()), out.to_numpy()
    )
    with pytest.raises(ValueError, match="X lacks b"):
        fitted.transform(table.drop(columns="b"))
    with pytest.raises(ValueError, match="all different"):
        fitted.transform(pd.concat([table, table[["a"]]], axis=1))
    with pytest.warns(UserWarning, match="fitted without feature names"):
        by_place = clone(transformer).fit(table.to_numpy()).transform(table)
    assert by_place.index.equals(table.index)
    np.testing.assert_array_equal(by_place, out)


def test_set_output_gives_a_frame_for_an_array(table):
    out = FillByCause().set_output(transform="pandas").fit_transform(table.to_numpy())
    assert isinstance(out, pd.DataFrame) and out.columns[-1] == "x2_missing"


@pytest.mark.parametrize("rule", ["median", "mean"])
def test_fills_as_scikit_learn_does(rule, table):
    past, future = table[:30], table[30:]
    ours = FillByCause(dict.fromkeys("abc", rule)).fit(past).transform(future)
    theirs = SimpleImputer(strategy=rule, add_indicator=True).fit(past).transform(future)
    np.testing.assert_allclose(ours.to_numpy(), theirs)


def test_what_is_filled_depends_on_the_past_alone(table):
    past, future = table[:30], table[30:]
    fill = FillByCause().fit(past)
    pd.testing.assert_frame_equal(fill.transform(table)[30:], fill.transform(future))
    pd.testing.assert_frame_equal(
        fill.transform(future * 100)[["a_missing"]], fill.transform(future)[["a_missing"]]
    )


def test_constants_and_text(table):
    mixed = table.assign(plane=["N1", None] * 30)
    fill = FillByCause({"a": 0, "b": "median", "c": -1.5, "plane": "none"}, flag=["plane", "b"]).fit(mixed)
    out = fill.transform(mixed)
    assert out.columns.to_list() == ["a", "b", "c", "plane", "b_missing", "plane_missing"]
    assert (
        (out.a[table.a.isna()] == 0).all()
        and (out.plane[1::2] == "none").all()
        and out.plane_missing.sum() == 30
    )
    assert out.a[table.a.notna()].equals(table.a[table.a.notna()])


def test_a_hole_without_a_rule_is_refused_where_it_appears(table):
    whole = table.fillna(1.0)
    fill = FillByCause({"a": 0}).fit(whole)
    assert fill.transform(whole).shape == (60, 4)
    with pytest.raises(ValueError, match="holes in b, c: name their cause"):
        fill.transform(table)


@pytest.mark.parametrize(
    ("rules", "flag", "message"),
    [
        ({"z": 0}, True, "X lacks z"),
        ({"a": 0}, ["z"], "X lacks z"),
        ({"a": None}, True, "the rule of a must be"),
        ({"a": np.nan}, True, "the rule of a must be"),
        ({"a": [1, 2]}, True, "the rule of a must be"),
        ({"plane": "median"}, True, "'median' of plane cannot be learned"),
        ({"empty": "mean"}, True, "'mean' of empty cannot be learned"),
    ],
)
def test_rules_that_cannot_be_used(rules, flag, message, table):
    with pytest.raises(ValueError, match=message):
        FillByCause(rules, flag).fit(table.assign(plane="N1", empty=np.nan))


def test_limits_allow_their_ends():
    x = pd.DataFrame({"wind": [-0.1, 0.0, 7.0, 150.0, 150.1, np.nan], "n": [1, 2, 3, 4, 5, 6]})
    found = {o: Limits({"wind": (0, 150)}, o).fit_transform(x) for o in ("missing", "clip")}
    nan = np.nan
    np.testing.assert_array_equal(found["missing"].wind, [nan, 0, 7, 150, nan, nan])
    np.testing.assert_array_equal(found["clip"].wind, [0, 0, 7, 150, 150, nan])
    assert all(f.n.equals(x.n) for f in found.values())
    with pytest.raises(ValueError, match=r"wind must be 0 to 150, got -0.1; rows: 2"):
        Limits({"wind": (0, 150)}, "raise").fit_transform(x)
    assert Limits({"wind": (None, 5)}).fit_transform(x).wind.max() == 0
    assert Limits({"wind": (5, None)}).fit_transform(x).wind.min() == 7


@pytest.mark.parametrize(
    ("limits", "outside", "message"),
    [
        ({"a": (2, 1)}, "clip", "lowest, highest"),
        ({"z": (1, 2)}, "clip", "X lacks z"),
        ({}, "drop", "outside must be"),
    ],
)
def test_limits_that_cannot_be_used(limits, outside, message, table):
    with pytest.raises(ValueError, match=message):
        Limits(limits, outside).fit(table)


# As of

stations = st.lists(
    st.tuples(st.sampled_from("EJ"), st.integers(0, 30), st.one_of(st.none(), st.integers(0, 9))),
    unique_by=lambda row: row[:2],
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(
    stations, st.lists(st.tuples(st.sampled_from("EJL"), st.integers(-2, 40)), max_size=12), st.integers(0, 8)
)
def test_as_of_agrees_with_looking_through_every_row(rows, asked, limit):
    table = pd.DataFrame(rows, columns=["origin", "h", "p"]).astype({"p": float, "origin": "str"})
    table["time_hour"] = START + pd.to_timedelta(table.h.astype(int), unit="h")
    asks = pd.DataFrame(asked, columns=["origin", "h"]).astype({"origin": "str"})
    asks["decision_time"] = START + pd.to_timedelta(asks.h.astype(int), unit="h")
    asks.index = asks.index[::-1] + 5
    got = as_of(table, asks, ["p"], limit=limit * HOUR)
    assert got.index.equals(asks.index) and got.columns.to_list() == ["p", "p_age"]
    for (origin, hour), (p, age) in zip(asked, got.to_numpy(), strict=True):
        seen = [(h, v) for o, h, v in rows if o == origin and v is not None and hour - limit <= h <= hour]
        want = (max(seen)[1], hour - max(seen)[0]) if seen else (np.nan, np.nan)
        np.testing.assert_array_equal((p, age), want)


def test_as_of_has_no_peek():
    rng = np.random.default_rng(0)
    times = START + pd.to_timedelta(rng.permutation(50), unit="h")
    p = pd.Series(rng.normal(size=50)).mask(rng.random(50) < 0.5)
    table = pd.DataFrame({"origin": "JFK", "time_hour": times, "p": p})
    assert peeks(lambda t: as_of(t, t, ["p"], "5h", at="time_hour"), table, times) == 0


def weather(**columns):
    return pd.DataFrame(
        {"origin": ["JFK", "JFK"], "time_hour": [START, START + HOUR], "p": [1.0, 2.0]} | columns
    )


@pytest.mark.parametrize(
    ("table", "asks", "limit", "message"),
    [
        (weather().drop(columns="p"), weather(), "3h", "table lacks p"),
        (weather(), weather().drop(columns="origin"), "3h", "asks lacks origin"),
        (weather(time_hour=START), weather(), "3h", "unique"),
        (weather(time_hour=[START, pd.NaT]), weather(), "3h", "must be known"),
        (weather(), weather(time_hour=[START, pd.NaT]), "3h", "must be known"),
        (weather(), weather(), "-1h", "limit must be"),
        (weather(), weather(), pd.NaT, "limit must be"),
        (weather().to_numpy(), weather(), "3h", "table must be a DataFrame"),
        (weather(), weather(time_hour=START.tz_localize(None)), "3h", "incompatible merge keys"),
    ],
)
def test_as_of_refuses(table, asks, limit, message):
    with pytest.raises(ValueError, match=message):
        as_of(table, asks, ["p"], limit, at="time_hour")


# Versions

versions = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 3)), max_size=20)


@settings(max_examples=60, deadline=None)
@given(versions, st.integers(-1, 10))
def test_last_known_agrees_with_looking_through_every_row(rows, when):
    table = pd.DataFrame(rows, columns=["flight", "known_at", "delay"])
    want = {}
    for flight, known, delay in rows:
        if known <= when and (flight not in want or known >= want[flight][0]):
            same = {delay} | (want[flight][1] if flight in want and known == want[flight][0] else set())
            want[flight] = known, same
    if any(len(delays) > 1 for _, delays in want.values()):
        with pytest.raises(ValueError, match="two versions of one moment"):
            last_known(table, "flight", when)
        return
    got = last_known(table, "flight", when)
    assert {r.flight: (r.known_at, {r.delay}) for r in got.itertuples()} == want
    assert got.index.is_monotonic_increasing and got.flight.is_unique


def test_last_known_counts_repeats_once_and_keeps_missing_values():
    table = pd.DataFrame({"k": ["a", "a", "b"], "known_at": [1, 1, 2], "delay": [np.nan, np.nan, 3]})
    assert last_known(table, ["k"], 5).equals(table.iloc[[0, 2]])
    with pytest.raises(ValueError, match="1 are missing"):
        last_known(table.assign(known_at=[1, 1, np.nan]), "k", 5)
    with pytest.raises(ValueError, match="table lacks known_at"):
        last_known(table[["k"]], "k", 5)


# Peeking


def test_peeks_sees_each_way_to_use_the_future():
    rng = np.random.default_rng(1)
    x = pd.Series(rng.normal(size=40)).mask(rng.random(40) < 0.4)
    table = pd.DataFrame(
        {"time_hour": START + pd.to_timedelta(np.arange(40), unit="h"), "x": x, "s": ["u", "v"] * 20}
    )
    honest = {
        "ffill": lambda t: t.x.ffill(),
        "array": lambda t: t.x.to_numpy(),
        "expanding": lambda t: t.x.expanding().mean(),
        "text": lambda t: t[["s"]],
        "count": lambda t: t.x.notna().cumsum(),
    }
    leaks = {
        "bfill": lambda t: t.x.bfill(),
        "mean": lambda t: t.x.fillna(t.x.mean()),
        "line": lambda t: t.x.interpolate(),
        "rank": lambda t: t.x.rank(pct=True),
        "last word": lambda t: t.assign(s=t.s.iloc[-1])[["s"]],
        "columns": lambda t: pd.get_dummies(t.x.gt(t.x.max() - 1e-9).cumsum()),
    }
    cuts = table.time_hour.iloc[5:35]
    assert {name: peeks(f, table, cuts) for name, f in honest.items()} == dict.fromkeys(honest, 0)
    assert all(peeks(f, table, cuts) > 0 for f in leaks.values())
    assert peeks(leaks["mean"], table, cuts.iloc[3]) == x[:9].isna().sum()
    with pytest.raises(ValueError, match="one row for each of 40 rows"):
        peeks(lambda t: t.dropna(), table, START)


def test_peeks_does_not_change_the_table():
    table = pd.DataFrame({"time_hour": [START, START + HOUR], "x": [1.0, 2.0]})
    before = table.copy()
    assert peeks(lambda t: t.assign(x=t.pop("x") * 2), table, START) == 0
    assert table.equals(before)


# Mechanisms


def test_mcar_test_is_right_about_luck():
    """Under MCAR the p-values are as often below 0.1 as a p-value should be."""
    rng = np.random.default_rng(2)
    holes, z = rng.random((1500, 150)) < 0.3, rng.normal(size=(1500, 150))
    small = [mcar_test(h, pd.DataFrame({"z": x})).p["z"] < 0.1 for h, x in zip(holes, z, strict=True)]
    assert 0.065 < np.mean(small) < 0.125


def test_mcar_test_is_not_fooled_by_slow_weather():
    """Holes in runs and slow columns: shuffling would cry wolf, sliding does not."""
    rng = np.random.default_rng(3)

    def slow(n=400):
        return np.convolve(rng.normal(size=n + 24), np.ones(25), "valid")

    small = [mcar_test(slow() > 4, pd.DataFrame({"z": slow()})).p["z"] < 0.1 for _ in range(300)]
    assert np.mean(small) < 0.2


def test_mcar_test_against_counting():
    rng = np.random.default_rng(4)
    z = pd.Series(rng.normal(size=23)).mask(rng.random(23) < 0.2)
    missing = rng.random(23) < 0.4
    slides = [np.roll(missing, s) for s in range(23)]
    gaps = np.array([(z[m].mean() - z[~m].mean()) / z.std(ddof=0) for m in slides])
    got = mcar_test(missing, pd.DataFrame({"z": z})).loc["z"]
    assert got["difference"] == pytest.approx(gaps[0])
    assert got["p"] == pytest.approx(np.mean(abs(gaps) >= abs(gaps[0]) - 1e-9))
    twice = mcar_test(missing, pd.DataFrame({"z": 40 - 3 * z})).loc[
        "z"
    ]  # a change of unit changes the sign alone
    assert twice["difference"] == pytest.approx(-gaps[0]) and twice["p"] == pytest.approx(got["p"])


@pytest.mark.parametrize(
    ("missing", "z", "message"),
    [
        ([True, False], [1, 2, 3], "one for each of 3 rows"),
        ([True, True, True], [1, 2, 3], "True and False"),
        ([False, False, False], [1, 2, 3], "True and False"),
        ([1, 0, 0], [1, 2, 3], "True and False"),
        ([True, False, False], [2, 2, 2], "two different values"),
        ([True, False, False], [np.nan] * 3, "two different values"),
    ],
)
def test_mcar_test_refuses(missing, z, message):
    with pytest.raises(ValueError, match=message):
        mcar_test(missing, pd.DataFrame({"z": z}))


def test_outcome_names_each_cause():
    flights = pd.DataFrame(
        {"dep_time": [641, np.nan, 900], "arr_delay": [12, np.nan, np.nan]}, index=[5, 3, 4]
    )
    assert outcome(flights).to_dict() == {5: "flown", 3: "cancelled", 4: "diverted"}
    assert outcome(flights[:0]).empty and outcome(flights).name == "outcome"
    with pytest.raises(ValueError, match="flights lacks dep_time"):
        outcome(flights[["arr_delay"]])
