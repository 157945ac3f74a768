"""What is broken in the data itself: rules on the log of a service, their limits from its own past, each with its mend."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

_KEY = ["carrier", "flight", "origin", "scheduled"]


def _log(table, name, columns):
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"{name} must be a DataFrame, got a {type(table).__name__}")
    if lacking := [c for c in columns if c not in table]:
        raise ValueError(f"{name} lacks {', '.join(lacking)}; it has {', '.join(map(str, table.columns))}")
    for c in {"scheduled", "at"} & set(columns):
        if not isinstance(table[c].dtype, pd.DatetimeTZDtype) or table[c].isna().any():
            raise ValueError(
                f"{c} of {name} must be moments with their zone, none missing, got {table[c].dtype}"
            )
    return table


def _local(moments):  # dates in New York
    return moments.dt.tz_convert("America/New_York").dt.tz_localize(None).dt.normalize()


def _at_least(least, value, name):
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _numbers(x):  # NaN: missing; infinite: no number, where numbers were
    if pd.api.types.is_numeric_dtype(x):
        return x.to_numpy(float, na_value=np.nan)
    values = pd.to_numeric(x.astype(object), errors="coerce").to_numpy(float)
    return np.where(np.isnan(values) & x.notna(), np.inf, values)


def usual(predictions: pd.DataFrame) -> dict:
    """What the past's log looks like, for `quality`: hours that values stay or lack, values seen, flights a day, pauses.

    It goes through JSON unchanged. Raises ValueError for a log without its columns, or of less than 28 days.
    """
    log = _log(predictions, "predictions", [*_KEY, "at"])
    pause, daily = _rhythm(log)
    _at_least(28, len(daily), "days of predictions")
    values = {c: np.unique(log[c].dropna()).tolist() for c in _UNITS if c in log}
    ends = {c: [float(x.min()), float(x.max())] for c, x in daily.items()}
    values = {c: v for c, v in values.items() if len(v) > 1}
    return {"pause": float(pause), "spells": _spells(log), "values": values} | ends


def _rhythm(log):
    # longest pause between calls (hours); by day: hours ahead of schedule, share repeated, flights
    day, again, hour = _local(log.scheduled), log.duplicated(_KEY), pd.Timedelta("1h")
    each = pd.DataFrame({"ahead": (log.scheduled - log["at"]) / hour, "again": again, "flights": ~again})
    how = {"ahead": "median", "again": "mean", "flights": "sum"}
    return np.nan_to_num(log["at"].sort_values().diff().max() / hour), each.groupby(day).agg(how)


def _watched(log):  # what sensors and boards send: numbers that move with time
    from mlcourse.features import FEATURES

    names = [c for group in ("weather", "airport", "rates") for c in FEATURES[group]]
    return [c for c in names if c in log and pd.api.types.is_numeric_dtype(log[c])]


def _longest(state, hour):  # hours of the longest time that `state` stays the same; NaN is no state
    state, hour = state[keep := ~np.isnan(state)], hour[keep]
    if not len(state):
        return 0
    begins = np.flatnonzero(np.r_[True, np.diff(state) != 0])
    ends = np.r_[begins[1:], len(state)] - 1
    return int((hour[ends] - hour[begins]).max())


def _spells(log):  # feature -> hours unchanged and hours missing, the longest at any airport
    hour = log.scheduled.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("M8[h]").astype(int)
    table = log.assign(hour=hour).drop_duplicates(["origin", "hour"], keep="last").sort_values("hour")
    found = {c: [0, 0] for c in _watched(log)}
    for _, rows in table.groupby("origin"):
        hour = rows.hour.to_numpy()
        for c in found:
            x = rows[c].to_numpy(float)
            holes = np.where(np.isnan(x), np.cumsum(~np.isnan(x)), np.nan)  # each hole has its own number
            spells = _longest(x, hour), _longest(holes, hour)
            found[c] = [max(pair) for pair in zip(found[c], spells, strict=True)]
    return found


def quality(
    predictions: pd.DataFrame,  # the last whole days of the log, one or two, in the order in which they came
    usual: dict,  # from `usual`
    now: pd.Timestamp | None = None,  # the moment of the look; None: the last prediction
) -> pd.DataFrame:  # one row a broken rule: rule, feature, value, limit, mend
    """What is broken in the data itself, whatever the model: an empty table when nothing is.

    range: outside what can be; unit: values that fit only after conversion; stuck, gone: unchanged or missing for half
    as long again as ever; silence: no call for a quarter longer than ever; volume: flights of a whole day; repeated:
    flights sent again; clock: calls that run backwards, come from the future, or at another distance from the schedule.
    Raises ValueError for a log without its columns.
    """
    log = _log(predictions, "predictions", [*_KEY, "at"])
    if log.empty:
        rows = _outside("silence", [np.inf], 0, usual["pause"], "hours without a call")
    else:
        now = log["at"].max() if now is None else pd.Timestamp(now)
        parts = (
            _ranges(log),
            _units(log, usual["values"]),
            _stopped(log, usual["spells"]),
            _calls(log, usual, now),
        )
        rows = [row for part in parts for row in part]
    return pd.DataFrame(rows, columns=["rule", "feature", "value", "limit", "mend"])


def _ranges(log):
    for name, (low, high) in _limits().items():
        x = _numbers(log[name]) if name in log else np.zeros(1)
        if (
            out := np.mean((x < low) | (x > high))
        ) > 1e-4 and name in log:  # the weather's own contract allows as many
            mend = f"share outside {low:g} to {high:g}: treat as missing, ask the sender"
            yield "range", name, float(out), 1e-4, mend


@cache
def _limits():  # feature -> lowest and highest that the service itself would accept
    from mlcourse.serve import flight_model

    specs = {c: s.get("anyOf", [s])[0] for c, s in flight_model().model_json_schema()["properties"].items()}
    return {c: (s["minimum"], s["maximum"]) for c, s in specs.items() if "minimum" in s}


def _stopped(log, spells):
    for name, hours in _spells(log).items():
        for rule, found, longest in zip(("stuck", "gone"), hours, spells.get(name, hours), strict=True):
            if found > (limit := max(1.5 * longest, 5)):
                yield (
                    rule,
                    name,
                    float(found),
                    limit,
                    "hours at an airport: mend the feed, until then treat as missing",
                )


_UNITS = {"temp": [("°C", 1.8, 32)], "dewp": [("°C", 1.8, 32)], "visib": [("km", 0.621371, 0)], "precip": [("mm", 1 / 25.4, 0)],
          "wind_speed": [("km/h", 0.621371, 0), ("m/s", 2.236936, 0), ("knots", 1.15078, 0)],
          "pressure": [("inches of mercury", 33.8639, 0), ("Pa", 0.01, 0)]}  # fmt: skip


def _units(log, values):
    for name, seen in values.items():
        x = np.unique(_numbers(log[name])) if name in log else np.zeros(0)
        x = x[np.isfinite(x) & (x != 0)]  # 0 is 0 in most units
        raw, fits = _familiar(x, seen), {way: _familiar(x * a + b, seen) for way, a, b in _UNITS[name]}
        enough = len(x) > 2 or (x > _limits().get(name, (0, np.inf))[1]).any()
        if enough and fits[way := max(fits, key=fits.get)] > raw + 0.3:
            mend = f"{way}: convert it back, the share of familiar values rises from {raw:.0%}"
            yield "unit", name, fits[way], raw + 0.3, mend


def _familiar(x, seen):  # share of values that are among those seen
    seen = np.array(seen)
    near = np.clip(np.searchsorted(seen, x), 1, len(seen) - 1)
    off = np.minimum(np.abs(x - seen[near - 1]), np.abs(x - seen[near]))
    return float((off <= np.median(np.diff(seen)) / 6).mean()) if len(x) else 0.0


def _calls(log, usual, now):
    pause, daily = _rhythm(log)
    pause = max(pause, (now - log["at"].max()) / pd.Timedelta("1h"))
    back, late = (log["at"].diff() < -pd.Timedelta("1min")).mean(), (log["at"] > now).mean()
    whole = daily.flights[daily.index < _local(pd.Series([now]))[0]]
    (early, ahead), (least, most), again = usual["ahead"], usual["flights"], 1.25 * usual["again"][1] + 0.01
    yield from _outside(
        "silence", [pause], 0, 1.25 * usual["pause"], "hours without a call: ask whoever sends them"
    )
    yield from _outside(
        "repeated", [daily.again.max()], 0, again, "share of flights sent again: the last counts"
    )
    wrong = "share of calls that run backwards or come from the future: set the clock"
    yield from _outside("clock", [back if back > 1e-3 else 0, late], 0, 0, wrong)
    yield from _outside(
        "clock", daily.ahead, early - 0.25, ahead + 0.25, "hours ahead of schedule: set the clock"
    )
    yield from _outside(
        "volume", whole, 0.75 * least, 1.25 * most, "flights of a day: does a feed lack, or repeat?"
    )


def _outside(rule, values, low, high, mend):
    for x in values:
        if not low <= x <= high:
            yield rule, "", float(x), float(low if x < low else high), mend
