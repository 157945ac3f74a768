"""mlcourse.features: parity of the year and the moment, an independent reference, bad inputs, scikit-learn's manners."""

import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import mlcourse.features as module
from mlcourse.data import load
from mlcourse.features import FEATURES, FlightFeatures, parity, visible, write_features
from mlcourse.frame import Decision, decision_time, label, label_time, scheduled

DECISION = Decision()
NUMBERS = [c for c in module._NAMES if c not in ("origin", "carrier", "dest")]
LATE = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
CLOCKS, EACH = 60, 34


@pytest.fixture(scope="module")
def tables():
    return {name: load(name) for name in ("flights", "weather", "planes")}


@pytest.fixture(scope="module")
def flights(tables):
    return tables["flights"]


@pytest.fixture(scope="module")
def features(flights):
    return FlightFeatures().fit(flights)


@pytest.fixture(scope="module")
def year(features, flights):
    return features.transform(flights)


@pytest.fixture(scope="module")
def small(tables):
    """Ten weeks of the log: quick to look through."""
    inside = tables["flights"].time_hour.between(
        pd.Timestamp("2013-06-01", tz="UTC"), pd.Timestamp("2013-08-10", tz="UTC")
    )
    return tables | {"flights": tables["flights"][inside].reset_index(drop=True)}


def same(a, b):
    """Bit for bit, missing where missing."""
    pd.testing.assert_frame_equal(a, b, check_exact=True, check_categorical=True)


def at(moment, zone="America/New_York"):
    return pd.Timestamp(moment, tz=zone)


# Parity


def clocks(rng, flights):
    """Random readings of the year, and the ones where clocks and calendars turn."""
    turns = ["2013-01-01 04:00", "2013-01-01 23:45", "2013-01-02 03:00", "2013-12-31 21:45", "2013-07-10 00:00",
             "2013-03-10 01:45", "2013-03-10 03:00", "2013-11-03 00:30", "2013-11-03 05:00", "2013-06-30 19:00"]  # fmt: skip
    span = (flights.time_hour.max() - flights.time_hour.min()) // pd.Timedelta("15min")
    drawn = flights.time_hour.min() + pd.to_timedelta(
        15 * rng.integers(0, span, CLOCKS - len(turns) - 2), "min"
    )
    twice = [
        pd.Timestamp("2013-11-03 05:30", tz="UTC"),
        pd.Timestamp("2013-11-03 06:30", tz="UTC"),
    ]  # 1:30 comes twice
    return [*(at(t).tz_convert("UTC") for t in turns), *twice, *drawn]


def cases(rng, flights, reads):
    """Flights with a schedule drawn at random, decided within the quarter after each reading; some unknown to all."""
    n = len(reads) * EACH
    asks = flights.iloc[rng.integers(0, len(flights), n)].reset_index(drop=True).copy()
    decided = pd.Series(np.repeat(reads, EACH)) + pd.to_timedelta(rng.integers(0, 15, n), unit="min")
    depart = (decided + DECISION.lead).dt.tz_convert("America/New_York")
    asks = asks.assign(time_hour=(decided + DECISION.lead).dt.floor("h").dt.as_unit("us"), hour=depart.dt.hour, minute=depart.dt.minute,
                       year=depart.dt.year, month=depart.dt.month, day=depart.dt.day)  # fmt: skip
    for column, value in [
        ("carrier", "ZZ"),
        ("origin", "XXX"),
        ("dest", None),
        ("tailnum", None),
        ("tailnum", "N0"),
    ]:
        asks.loc[rng.random(n) < 0.04, column] = value
    return asks


def around(tables, moment):
    """The log from two months before a moment to a day after: more than any feature looks back."""
    hour = tables["flights"].time_hour
    near = (hour > moment - pd.Timedelta("60D")) & (hour < moment + pd.Timedelta("1D"))
    return tables | {"flights": tables["flights"][near]}


def differing(tables, features, seed=0, which=slice(None)):
    """(number of cases, number of values that differ) between the whole log and the states of random moments."""
    rng = np.random.default_rng(seed)
    reads = clocks(rng, tables["flights"])[which]
    asks, wrong = cases(rng, tables["flights"], reads), 0
    offline = features.transform(asks)
    for i, read in enumerate(reads):
        rows = slice(i * EACH, (i + 1) * EACH)
        moment = read + pd.Timedelta(int(rng.integers(0, 15 * 60)), "s")
        online = features.transform(asks[rows], state=visible(around(tables, moment), moment, DECISION))
        wrong += (~(offline[rows].eq(online) | (offline[rows].isna() & online.isna()))).sum()
    return len(asks), wrong


def test_the_year_and_the_moment_agree(tables, features):
    count, wrong = differing(tables, features)
    assert count >= 2000
    assert wrong.sum() == 0, wrong[wrong > 0]


@pytest.mark.parametrize(
    "leak",
    ["coalesce(delay, 15 * quarter - s)", "least(delay, 15 * (quarter + 1) - s)", "coalesce(delay, 0)"],
)
def test_a_planted_leak_is_seen(leak, tables, features, monkeypatch):
    monkeypatch.setattr(module, "_SO_FAR", leak)
    _, wrong = differing(tables, features, which=slice(20, 23))
    assert {"airport_delay_3h", "carrier_delay_3h", "city_delay_3h"} <= set(wrong.index[wrong > 0])


@pytest.mark.parametrize(
    ("step", "honest", "leak", "column"),
    [
        ("log", "(s + {label_delay} -", "(s - 1440 -", "rate_airport_2d"),
        ("asked", "(s - {lead} - {night}) // 1440)", "(s - {lead} - {night}) // 1440 + 1)", "rate_carrier_7d"),
        ("skies", "hour + k AS hour", "hour - k AS hour", "wind_speed_3h"),
    ],
)  # fmt: skip
def test_other_leaks_are_seen(step, honest, leak, column, tables, features, monkeypatch):
    assert honest in module._STEPS[step]
    monkeypatch.setitem(module._STEPS, step, module._STEPS[step].replace(honest, leak))
    _, wrong = differing(tables, features, which=slice(20, 23))
    assert wrong[column] > 0


def test_parity_counts(tables, features, flights, monkeypatch):
    storm = at("2013-07-10 16:00")
    asks = flights[decision_time(flights, DECISION).dt.floor("15min") == storm]
    honest = parity(features, asks, storm)
    assert honest.index.to_list() == module._NAMES and honest.sum() == 0 and len(asks) > 5
    assert parity(features, asks, storm + pd.Timedelta("3D")).sum() == 0  # a state newer than the decisions
    monkeypatch.setattr(module, "_SO_FAR", "coalesce(delay, 15 * quarter - s)")
    assert parity(features, asks, storm)["airport_delay_3h"] == len(asks)
    with pytest.raises(ValueError, match="at must not be before the last reading"):
        parity(features, asks, storm - pd.Timedelta("1s"))


@pytest.mark.parametrize(
    "decision",
    [Decision(lead="45min", late=60, label_delay="20h"), Decision(lead="0min"), Decision(lead="6h", late=15)],
)
def test_parity_of_other_decisions(decision, small):
    features = FlightFeatures(small, decision).fit(small["flights"])
    read = decision_time(small["flights"], decision).dt.floor("15min")
    for moment in np.random.default_rng(1).choice(read[read > at("2013-07-08")].unique(), 3, replace=False):
        assert parity(features, small["flights"][read == moment], moment + pd.Timedelta("7min")).sum() == 0


# An independent reference: each feature by its definition, in pandas, from the state of the reading


def board(state, read, rows):
    """Delays so far, waiting or not, and ages (minutes) of the flights due within three hours of a reading."""
    f = state["flights"][rows]
    age = (read - scheduled(f)) / pd.Timedelta("1min")
    f, age = f[(age >= 0) & (age < 180)], age[(age >= 0) & (age < 180)]
    return np.fmin(f.dep_delay, age), f.dep_delay.isna(), age


def expected_board(state, flight, read):
    f = state["flights"]
    here, mine = f.origin == flight.origin, f.carrier == flight.carrier
    shown, waits, age = board(state, read, here)
    carrier = board(state, read, here & mine)[0]
    return {
        "airport_flights_3h": len(shown), "airport_delay_3h": shown.mean(), "airport_late_3h": (shown >= 30).mean(),
        "airport_delay_1h": shown[age < 60].mean(), "airport_waiting_3h": waits.sum(), "airport_worst_3h": shown.max(),
        "carrier_delay_3h": carrier.mean(), "carrier_late_3h": (carrier >= 30).mean(),
        "city_delay_3h": board(state, read, f.origin != "")[0].mean(),
    }  # fmt: skip


def expected_plane(state, flight, read):
    f, s = state["flights"], scheduled(state["flights"])
    before = f[(f.tailnum == flight.tailnum) & (s <= read) & (s > read - pd.Timedelta("24h"))]
    plane = state["planes"][state["planes"].tailnum == flight.tailnum]
    out = {"seats": plane.seats.max(), "built": plane.year.max(), "plane_delay": np.nan, "plane_gap": np.nan}
    if len(before):
        last = s[before.index].max()
        late = before.dep_delay[s[before.index] == last].max(skipna=False)
        out["plane_delay"] = np.fmin(late, (read - last) / pd.Timedelta("1min"))
        out["plane_gap"] = (flight.scheduled - last) / pd.Timedelta("1min")
    return out


def expected_weather(state, flight):
    w = state["weather"][state["weather"].origin == flight.origin].set_index("time_hour")
    w = w.assign(wind_speed=w.wind_speed.where(w.wind_speed <= 150))
    hour = flight.scheduled.floor("h")
    last = w[(w.index < hour) & (w.index >= hour - pd.Timedelta("3h"))]
    now = w[w.index == hour]
    out = {c: now[c].iloc[0] if len(now) else np.nan for c in FEATURES["weather"][:9]}
    return out | {
        "precip_3h": last.precip.sum(min_count=1), "visib_3h": last.visib.min(),
        "wind_speed_3h": last.wind_speed.max(), "wind_gust_3h": last.wind_gust.max(),
    }  # fmt: skip


def expected_rates(state, flight, decided):
    f, certain, bad = state["flights"], label_time(state["flights"], DECISION), label(state["flights"])
    job = (decided - pd.Timedelta("8h")).floor("D") + pd.Timedelta("8h")
    groups = {"rate_airport_hour_30d": ("origin", "hour"), "rate_carrier_dest_30d": ("carrier", "dest"),
              "rate_carrier_7d": ("carrier",), "rate_airport_2d": ("origin",)}  # fmt: skip
    out = {}
    for name, keys in groups.items():
        days = int(name.split("_")[-1][:-1])
        known = (certain <= job) & (certain > job - pd.Timedelta(days=days))
        own = known & (f[list(keys)] == pd.Series({k: getattr(flight, k) for k in keys})).all(axis=1)
        out[name] = bad[own if own.any() else known].mean()
    return out


def test_agrees_with_the_definitions(tables, features, flights, year):
    rng = np.random.default_rng(5)
    rows = np.concatenate(
        [rng.integers(0, len(flights), 22), flights.index[flights.month.eq(1) & flights.day.eq(2)][:3]]
    )
    timed = flights.assign(scheduled=scheduled(flights))
    for flight in timed.iloc[[r for r in rows if isinstance(flights.tailnum[r], str)]].itertuples():
        decided = flight.scheduled - DECISION.lead
        read = decided.floor("15min")
        state = visible(around(tables, read), read, DECISION)
        want = expected_board(state, flight, read) | expected_plane(state, flight, read)
        want |= expected_weather(state, flight) | expected_rates(state, flight, decided)
        local = flight.scheduled.tz_convert("America/New_York")
        want |= {
            "hour": local.hour,
            "minute": local.minute,
            "weekday": local.weekday(),
            "distance": flight.distance,
        }
        want |= {"arrival_hour": flight.sched_arr_time // 100 % 24}
        assert set(want) == set(NUMBERS)
        got = year.loc[flight.Index, NUMBERS].astype(float)
        np.testing.assert_allclose(
            got, pd.Series(want)[NUMBERS].astype(float), rtol=1e-12, err_msg=str(flight)
        )


def test_the_150_minute_trap(small):
    """One hour after its schedule, a flight that will leave 150 minutes late shows 60."""
    f = small["flights"]
    late = f[(f.dep_delay == 150) & (f.hour == 15)].iloc[[0]]
    alone = small | {"flights": late}
    features = FlightFeatures(alone).fit(f)
    hours = pd.to_timedelta(np.arange(2, 6), unit="h")
    asks = pd.concat([late.assign(time_hour=late.time_hour + h) for h in hours])
    got = features.transform(asks)
    start = late.minute.iloc[0]
    shown = got.airport_delay_3h.to_numpy()
    np.testing.assert_array_equal(shown, [0, 60, 120, np.nan] if start % 15 == 0 else shown)
    read = (decision_time(asks, DECISION).dt.floor("15min") - scheduled(late).iloc[0]) / pd.Timedelta("1min")
    want = read.where(read.between(0, 179))
    np.testing.assert_array_equal(shown, np.fmin(want, 150).where(want.notna()))


def test_a_cancelled_flight_waits(small):
    f = small["flights"]
    lost = f[f.dep_delay.isna() & f.minute.eq(0) & f.hour.between(8, 18)].iloc[[0]]
    got = FlightFeatures(small | {"flights": lost}).fit(f).transform(
        pd.concat([lost.assign(time_hour=lost.time_hour + pd.Timedelta(hours=h)) for h in (3, 4)])
    )  # fmt: skip
    assert got.airport_delay_3h.to_list() == [60, 120] and got.airport_waiting_3h.to_list() == [1, 1]
    assert got.airport_late_3h.to_list() == [1, 1] and got.airport_worst_3h.to_list() == [60, 120]


def test_no_tail_number_does_not_tell_the_label(flights, year):
    lacks = year[["seats", "built", "plane_delay", "plane_gap"]].isna().groupby(flights.tailnum.isna()).mean()
    assert (lacks.loc[True] <= lacks.loc[False]).all()


def test_nothing_later_than_the_decision_matters(tables, features, flights):
    """Whatever becomes of the flights due after the reading, and of those still there, the features stay."""
    moment = at("2013-08-09 15:15")
    asks = flights[decision_time(flights, DECISION).dt.floor("15min") == moment]
    cut = around(tables, moment)
    rng, f = np.random.default_rng(3), cut["flights"]
    left = scheduled(f) + pd.to_timedelta(f.dep_delay, unit="min") <= moment
    known = label_time(f, DECISION) <= moment
    fate = pd.Series(rng.choice([np.nan, 40.0, 700.0], len(f)), f.index)
    wait = np.maximum((moment - scheduled(f)) / pd.Timedelta("1min") + 1, 0)
    other = f.assign(dep_delay=f.dep_delay.where(left, fate + wait), arr_delay=f.arr_delay.where(known, fate))
    same(features.transform(asks, cut), features.transform(asks, cut | {"flights": other}))


# The state


def test_visible_hides_what_had_not_happened(tables, flights):
    moment = at("2013-07-10 16:00")
    state = visible(tables, moment, DECISION)
    now = state["flights"]
    left = scheduled(flights) + pd.to_timedelta(flights.dep_delay, unit="min") <= moment
    assert now.dep_time.notna().equals(left) and now.dep_delay.notna().equals(left)
    assert not now.arr_delay[label_time(flights, DECISION) > moment].notna().any()
    certain = left & flights.air_time.notna() & (label_time(flights, DECISION) < moment - pd.Timedelta("2D"))
    assert now[certain].equals(flights[certain])
    schedule = [c for c in flights if c not in LATE]
    assert now[schedule].equals(flights[schedule]) and state["planes"] is tables["planes"]
    assert state["weather"].time_hour.max() == moment + DECISION.lead
    assert (label(now) == label(flights))[label_time(flights, DECISION) <= moment].all()


def test_visible_is_pure_and_its_own_inverse(tables):
    before = {name: table.copy() for name, table in tables.items()}
    early, later = at("2013-05-01 09:00"), at("2013-05-01 12:00")
    twice = visible(visible(tables, later, DECISION), early, DECISION)
    once = visible(tables, early, DECISION)
    for name in tables:
        assert twice[name].equals(once[name]) and tables[name].equals(before[name])
    other = visible(tables, early.tz_convert("Asia/Tokyo"), DECISION)
    assert other["flights"].equals(once["flights"]) and other["weather"].equals(once["weather"])
    with pytest.raises(ValueError, match="at must be a moment with its time zone"):
        visible(tables, "2013-05-01", DECISION)


# Manners


def test_keeps_scikit_learns_conventions(small):
    features = FlightFeatures(small)
    for check in ("no_attributes_set_in_init", "get_params_invariance", "set_params", "estimator_repr"):
        getattr(estimator_checks, f"check_{check}")("FlightFeatures", FlightFeatures())
    assert list(inspect.signature(FlightFeatures).parameters) == ["tables", "decision"]
    copy = clone(features)
    assert copy.tables is small and copy.decision == DECISION and not hasattr(copy, "categories_")
    fitted = features.fit(small["flights"])
    assert fitted is features and list(fitted.feature_names_in_) == module._SCHEDULE
    with pytest.raises(Exception, match="not fitted"):
        copy.transform(small["flights"][:1])


def test_survives_pickling_and_set_output(features, flights, year):
    some = flights.iloc[150_000:150_050]
    same(pickle.loads(pickle.dumps(features)).transform(some), year.loc[some.index])
    same(clone(features).fit(flights).set_output(transform="pandas").transform(some), year.loc[some.index])
    steps = make_pipeline(features, FunctionTransformer(feature_names_out="one-to-one"))
    assert steps.get_feature_names_out().tolist() == year.columns.to_list() == module._NAMES
    assert sorted(c for names in FEATURES.values() for c in names) == sorted(year) and year.shape[1] == 38


def test_rows_columns_and_index_do_not_matter(features, flights, year):
    rng = np.random.default_rng(0)
    some = flights.iloc[rng.integers(0, len(flights), 300)]  # out of order, some twice
    before = some.copy()
    got = features.transform(some[rng.permutation(some.columns)])
    same(got, year.loc[some.index])
    assert some.equals(before)
    twice = some.set_axis(["same"] * len(some))
    same(features.transform(twice), got.set_axis(twice.index))
    same(features.transform(some.drop(columns=LATE)), got)
    for i in (0, 7):
        same(features.transform(some.iloc[[i]]), got.iloc[[i]])
    same(features.transform(some[:0]), got[:0])


def test_types_that_mean_the_same(features, flights, year):
    some = flights.iloc[200_000:200_020]
    odd = some.assign(time_hour=some.time_hour.dt.tz_convert("America/New_York").dt.as_unit("ns"), hour=some.hour.astype(float),
                      carrier=some.carrier.astype("category"), origin=some.origin.astype(object), distance=some.distance.astype("Int64"),
                      tailnum=some.tailnum.astype(object))  # fmt: skip
    same(features.transform(odd), year.loc[some.index])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["dest", "tailnum"]), "flights lacks tailnum, dest"),
        (lambda f: f.to_numpy(), "flights must be a DataFrame, got a ndarray"),
        (lambda f: f.assign(minute=f.minute.astype(str)), "minute of flights must be numbers"),
        (lambda f: f.assign(minute=np.nan), "minute of flights must be known in every row, but 3 are missing"),
        (lambda f: f.assign(minute=np.inf), "minute of flights must be known"),
        (lambda f: f.assign(time_hour=pd.NaT), "time_hour of flights must be times with their zone"),
        (lambda f: f.assign(time_hour=f.time_hour.where(f.index > 0)), "time_hour of flights must be known"),
        (lambda f: f.assign(time_hour=f.time_hour.dt.tz_localize(None)), "time_hour of flights must be times with their zone"),
        (lambda f: f.assign(time_hour=f.time_hour.astype(str)), "time_hour of flights must be times with their zone"),
        (lambda f: f.assign(carrier=7), "carrier of flights must be text"),
        (lambda f: f.assign(distance="far"), "distance of flights must be numbers"),
        (lambda f: pd.concat([f, f[["hour"]]], axis=1), "hour of flights must be numbers, got it twice"),
    ],
)  # fmt: skip
def test_bad_asks_are_refused(change, message, features, flights):
    with pytest.raises(ValueError, match=message):
        features.transform(change(flights[:3]))
    with pytest.raises(ValueError, match=message):
        FlightFeatures().fit(change(flights[:3]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: {"flights": t["flights"]}, "missing: weather, planes"),
        (lambda t: t | {"weather": t["weather"].drop(columns="visib")}, "weather lacks visib"),
        (lambda t: t | {"planes": None}, "planes must be a DataFrame"),
        (
            lambda t: t | {"flights": t["flights"].assign(dep_delay="late")},
            "dep_delay of flights must be numbers",
        ),
        (lambda t: t | {"flights": t["flights"].assign(minute=np.nan)}, "minute of flights must be known"),
        (lambda t: t | {"weather": t["weather"].assign(time_hour=0)}, "time_hour of weather must be times"),
    ],
)
def test_bad_states_are_refused(change, message, small, flights, features):
    with pytest.raises(ValueError, match=message):
        features.transform(flights[:3], state=change(small))
    with pytest.raises(ValueError, match=message):
        FlightFeatures(change(small)).fit(flights[:3]).transform(flights[:3])


def test_a_lead_off_the_grid_is_refused(flights):
    with pytest.raises(ValueError, match=r"lead must be whole quarters of an hour, got 0 days 01:50"):
        FlightFeatures(decision=Decision(lead="110min")).fit(flights[:9]).transform(flights[:9])


def test_what_is_unknown_is_missing(features, flights):
    row = flights.iloc[[100_000]]
    new = features.transform(row.assign(origin="BDR", carrier="ZZ", dest="XNA?", tailnum="N0"))
    assert (
        new[["origin", "carrier", "dest", "seats", "built", "plane_delay", "temp", "airport_delay_3h"]]
        .isna()
        .all(axis=None)
    )
    assert new.airport_flights_3h.item() == 0 and new.city_delay_3h.notna().all()
    assert new.rate_carrier_7d.notna().all()  # no label of its own: the share of all flights
    usual = features.transform(row)
    only = features.transform(row.assign(dest=None))
    assert only.dest.isna().all() and only.airport_delay_3h.equals(usual.airport_delay_3h)
    known = FlightFeatures().fit(flights[flights.carrier != "UA"])
    assert known.transform(flights[flights.carrier == "UA"][:5]).carrier.isna().all()


def test_an_empty_state(tables, features, flights):
    empty = {name: table[:0] for name, table in tables.items()}
    got = features.transform(flights[:50], state=empty)
    assert got[["airport_flights_3h", "airport_waiting_3h"]].eq(0).all(axis=None)
    rest = [
        c
        for names in list(FEATURES.values())[1:]
        for c in names
        if c not in ("airport_flights_3h", "airport_waiting_3h")
    ]
    assert got[rest].isna().all(axis=None) and got[["hour", "distance", "origin"]].notna().all(axis=None)


def shifted(table, days):
    day = pd.to_datetime(table[["year", "month", "day"]]) + pd.Timedelta(days=days)
    return table.assign(
        year=day.dt.year,
        month=day.dt.month,
        day=day.dt.day,
        time_hour=table.time_hour + pd.Timedelta(days=days),
    )


def test_a_century_later_is_the_same(small):
    """Whole weeks on, beyond what 32 bits of seconds or 16 bits of days can count."""
    later = small | {name: shifted(small[name], 36_400) for name in ("flights", "weather")}
    now, then = (FlightFeatures(t).fit(t["flights"]).transform(t["flights"]) for t in (small, later))
    assert later["flights"].year.min() > 2100
    same(now, then)


def test_a_month_without_flights(tables, features):
    f = tables["flights"]
    gap = tables | {"flights": f[f.month != 7]}
    august = f[(f.month == 8) & (f.day == 1)]
    got = features.transform(august, state=gap)
    assert got.airport_flights_3h.min() == 0 and got.airport_delay_3h.notna().any()
    early = august[august.hour.between(7, 8)]  # decided after the first job that finds July empty
    assert features.transform(early, state=gap).rate_airport_hour_30d.isna().all()


def test_repeats_holes_and_values_that_cannot_be(small):
    f, features = small["flights"], FlightFeatures(small).fit(small["flights"])
    asks = f[f.month.eq(7) & f.day.eq(20)][:200]
    want = features.transform(asks)
    twice = small | {
        "planes": pd.concat([small["planes"]] * 2),
        "weather": pd.concat([small["weather"]] * 2).drop_duplicates(),
    }
    same(features.transform(asks, state=twice), want)
    holes = f.assign(dep_delay=f.dep_delay.fillna(np.inf), arr_delay=f.arr_delay.fillna(-np.inf))
    same(features.transform(asks, state=small | {"flights": holes}), want)
    shuffled = {
        name: table.sample(frac=1, random_state=0).sample(frac=1, axis=1, random_state=0)
        for name, table in small.items()
    }
    same(features.transform(asks, state=shuffled), want)
    local = f.assign(time_hour=f.time_hour.dt.tz_convert("Asia/Kolkata"))
    same(features.transform(asks, state=small | {"flights": local}), want)


# A hundred years


@pytest.fixture
def folder(small, tmp_path):
    for name, table in small.items():
        table.to_parquet(tmp_path / f"{name}.parquet")
    return tmp_path


def read(files):
    key = ["time_hour", "carrier", "flight", "origin"]
    return pd.concat(map(pd.read_parquet, files)).sort_values(key, ignore_index=True)


def test_written_features_are_those_of_the_transformer(small, folder):
    f = small["flights"]
    files = write_features(folder, folder / "out", days=23)
    assert len(files) == 4 and not list((folder / "out").glob("*.part"))
    got = read(files)
    want = FlightFeatures(small).fit(f).transform(f).assign(time_hour=f.time_hour, flight=f.flight)
    want = want.sort_values(["time_hour", "carrier", "flight", "origin"], ignore_index=True)
    same(got[NUMBERS], want[NUMBERS])
    assert got.carrier.astype(str).equals(want.carrier.astype(str)) and list(got) == [
        "time_hour",
        "flight",
        *module._NAMES,
    ]
    same(read(write_features(folder, folder / "whole", days=400)), got)


def test_writing_goes_on_where_it_broke_off(folder, monkeypatch):
    whole = read(write_features(folder, folder / "whole", days=30))
    piece, made = module._piece, []

    def breaks(*args):
        if len(made) == 1:
            (folder / "out" / "features-2013-07-01.part").write_text("half a file")
            raise KeyboardInterrupt
        made.append(piece(*args))
        return made[-1]

    monkeypatch.setattr(module, "_piece", breaks)
    with pytest.raises(KeyboardInterrupt):
        write_features(folder, folder / "out", days=30)
    monkeypatch.setattr(module, "_piece", piece)
    first = made[0].stat().st_mtime_ns
    files = write_features(folder, folder / "out", days=30)
    assert made[0].stat().st_mtime_ns == first and files[0] == made[0] and len(files) == 3
    same(read(files), whole)


def test_what_was_made_from_something_else_is_made_anew(folder, small, monkeypatch):
    out = folder / "out"
    write = lambda **how: {p.name: p.stat().st_mtime_ns for p in write_features(folder, out, **how)}
    before = write(days=30)
    assert write(days=30) == before
    late = small["flights"].assign(dep_delay=lambda t: t.dep_delay + 60, arr_delay=lambda t: t.arr_delay + 60)
    late.to_parquet(folder / "flights.parquet")
    changed = write(days=30)
    assert list(changed) == list(before) and not set(changed.values()) & set(before.values())
    same(read(out.glob("*.parquet")), read(write_features(folder, folder / "fresh", days=30)))
    wide = write(days=40)
    assert next(iter(wide)) in before and next(iter(wide.values())) not in changed.values()
    monkeypatch.setattr(module, "_SO_FAR", "coalesce(delay, 15 * quarter - s)")
    assert next(iter(write(days=40).values())) not in wide.values()


def test_writing_refuses(folder, small, tmp_path):
    with pytest.raises(ValueError, match="days must be at least 1, got 0"):
        write_features(folder, tmp_path / "out", days=0)
    small["planes"].drop(columns="seats").to_parquet(folder / "planes.parquet")
    with pytest.raises(ValueError, match="planes lacks seats"):
        write_features(folder, tmp_path / "out")
    small["flights"].assign(time_hour=small["flights"].time_hour.dt.tz_localize(None)).to_parquet(
        folder / "flights.parquet"
    )
    with pytest.raises(ValueError, match="time_hour of flights must be times with their zone, got TIMESTAMP"):
        write_features(folder, tmp_path / "out")
    (folder / "weather.parquet").unlink()
    small["flights"][:0].to_parquet(folder / "flights.parquet")
    with pytest.raises(ValueError, match=r"source must hold weather\*.parquet"):
        write_features(folder, tmp_path / "out")
    small["weather"].to_parquet(folder / "weather.parquet")
    small["planes"].to_parquet(folder / "planes.parquet")
    assert write_features(folder, tmp_path / "out") == []
