"""Exercises of lesson 08: filling from the past by group, carrying with a limit, counting corrections, extremes."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class FillByGroup(Exercise):
    """A learned value comes from the past rows of the same group, or else from all past rows."""

    id = "clean-1"
    index = True
    title = "Fill by group, from the past"
    starter = """def fill_by_group(x, group, past):
    return ____
"""
    hints = (
        "Learn first, fill later. What is learned comes from `x[past]` alone: one median for each group, and one for all.",
        "`x[past].groupby(group[past]).median()` is a Series by group; `group.map(...)` of it gives one value for each row.",
        "`fillna` takes a Series, aligned by index. A group the past does not know is still NaN afterwards: fill again, "
        "with the median of all past rows.",
    )
    solutions = (
        """def fill_by_group(x, group, past):
    known = x[past]
    middle = known.groupby(group[past]).median()
    return x.fillna(group.map(middle)).fillna(known.median())
""",
        """def fill_by_group(x, group, past):
    out = x.copy()
    for name in group.unique():
        inside = group == name
        values = x[inside & past].dropna()
        out[inside & x.isna()] = values.median() if len(values) > 0 else x[past].median()
    return out
""",
    )
    mistakes = (
        Mistake(
            "learns from all rows",
            """def fill_by_group(x, group, past):
    middle = x.groupby(group).median()
    return x.fillna(group.map(middle)).fillna(x.median())
""",
            "Your medians have seen rows that are not past. In production those rows do not exist yet: learn from "
            "`x[past]` and `group[past]` only.",
        ),
        Mistake(
            "learns the fallback from all rows",
            """def fill_by_group(x, group, past):
    middle = x[past].groupby(group[past]).median()
    return x.fillna(group.map(middle)).fillna(x.median())
""",
            "The groups are right, but the value for a group without a past comes from all rows. It must be the median "
            "of the past rows too.",
        ),
        Mistake(
            "forgets the groups",
            """def fill_by_group(x, group, past):
    return x.fillna(x[past].median())
""",
            "You fill every group with the same median. A small airport is not the average of all: take the median of "
            "the hole's own group, and the common one only where the group has no past value.",
        ),
        Mistake(
            "takes the mean",
            """def fill_by_group(x, group, past):
    known = x[past]
    return x.fillna(group.map(known.groupby(group[past]).mean())).fillna(known.mean())
""",
            "You fill with the mean. One flight 1,301 minutes late moves a mean a lot and a median hardly at all: the "
            "task asks for medians.",
        ),
        Mistake(
            "leaves new groups empty",
            """def fill_by_group(x, group, past):
    return x.fillna(group.map(x[past].groupby(group[past]).median()))
""",
            "A group without a past value is still NaN. New airports and new carriers do come: fall back to the median "
            "of all past rows.",
        ),
        Mistake(
            "fills new groups with 0",
            """def fill_by_group(x, group, past):
    return x.fillna(group.map(x[past].groupby(group[past]).median())).fillna(0)
""",
            "A group without a past value gets 0. Zero is a claim, not a default: fall back to the median of all past rows.",
        ),
        Mistake(
            "drops the holes",
            """def fill_by_group(x, group, past):
    return x.dropna()
""",
            "Your answer is shorter than `x`: the rows with a hole are gone. Those are often the rows that matter most. "
            "Keep every row and fill it.",
        ),
        Mistake(
            "replaces what was there",
            """def fill_by_group(x, group, past):
    known = x[past]
    return group.map(known.groupby(group[past]).median()).fillna(known.median())
""",
            "You replace values that were measured. Only holes are filled; a measured value stays.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Three known groups and a new one; then one past value, none in the past, no hole, no row."""
        import numpy as np
        import pandas as pd

        def table(names, n):
            group = rng.choice(list(names), n)
            x = np.exp(rng.normal(2, 1, n)) + 20 * np.array(["EJLN".index(g) for g in group])
            past = (rng.random(n) < 0.5) & (group != "N")
            x = np.where(past, x, 3 * x)
            x[rng.random(n) < 0.3] = np.nan
            index = rng.permutation(n) + 100
            return [pd.Series(a, index) for a in (x, group, past)]

        for _ in range(3):
            yield Case(tuple(table("EJLN", int(rng.integers(60, 90)))))
        x, group, past = table("EJL", 30)
        first = group.index[group == "E"][0]
        past, x = past & (group != "E"), x.copy()
        past[first], x[first] = True, 999.0
        yield Case((x, group, past), edge="a group with a single past value")
        yield Case((x, group, past & False), edge="nothing is past: there is nothing to fill from")
        yield Case((x.fillna(1.0), group, past), edge="no hole at all")
        yield Case((x.where(group != "J"), group, past), edge="a group whose past rows are all holes")
        yield Case((x[:0], group[:0], past[:0]), edge="no row at all")


class Carry(Exercise):
    """Forward only, by the clock, and not for ever."""

    id = "clean-2"
    index = True
    title = "Carry, but not too far"
    starter = """def carry(value, time, limit):
    return ____
"""
    hints = (
        "Put the rows in order of time first: `time.sort_values().index` gives the labels in that order.",
        "`ffill` carries values; it can carry times as well. Keep `time` where `value` is known, carry it forward, and you "
        "know for each row when its value was observed.",
        "Age = time of the row minus time of the observation. Keep what is at most `limit` old (`where`), and put the rows "
        "back in the order of `value.index` with `reindex`.",
    )
    solutions = (
        """def carry(value, time, limit):
    order = time.sort_values().index
    v, t = value[order], time[order]
    seen = t.where(v.notna()).ffill()
    return v.ffill().where(t - seen <= limit).reindex(value.index)
""",
        """def carry(value, time, limit):
    last, out = None, value.copy()
    for i in np.argsort(time.to_numpy()):
        if not np.isnan(value.iloc[i]):
            last = i
        elif last is not None and time.iloc[i] - time.iloc[last] <= limit:
            out.iloc[i] = value.iloc[last]
    return out
""",
    )
    mistakes = (
        Mistake(
            "counts rows, not hours",
            """def carry(value, time, limit):
    order = time.sort_values().index
    return value[order].ffill(limit=int(limit / pd.Timedelta("1h"))).reindex(value.index)
""",
            "Your limit counts rows. Where hours are absent, three rows may be a day apart: compare times, not positions.",
        ),
        Mistake(
            "carries for ever",
            """def carry(value, time, limit):
    return value[time.sort_values().index].ffill().reindex(value.index)
""",
            "You carry without a limit. A station that died on Monday would still report Monday's weather on Friday: stop "
            "when the observation is older than `limit`.",
        ),
        Mistake(
            "draws a line through the future",
            """def carry(value, time, limit):
    order = time.sort_values().index
    line = pd.Series(value[order].to_numpy(), pd.DatetimeIndex(time[order])).interpolate("time")
    seen = time[order].where(value[order].notna()).ffill()
    return pd.Series(line.to_numpy(), order).where(time[order] - seen <= limit).reindex(value.index)
""",
            "You interpolate, so each hole knows the observation that comes after it. At that hour nobody had it: use the "
            "last value seen.",
        ),
        Mistake(
            "fills from the future",
            """def carry(value, time, limit):
    order = time.sort_values().index
    v, t = value[order], time[order]
    return v.bfill().where(t.where(v.notna()).bfill() - t <= limit).reindex(value.index)
""",
            "You fill backwards: each hole gets a value that was observed later. Carry forward (`ffill`).",
        ),
        Mistake(
            "fills the start from the future",
            """def carry(value, time, limit):
    order = time.sort_values().index
    v, t = value[order], time[order]
    return v.ffill().where(t - t.where(v.notna()).ffill() <= limit).bfill().reindex(value.index)
""",
            "What is still missing you fill backwards, from the future. If nothing was seen in time, the honest answer is "
            "NaN.",
        ),
        Mistake(
            "trusts the order of the rows",
            """def carry(value, time, limit):
    seen = time.where(value.notna()).ffill()
    return value.ffill().where(time - seen <= limit)
""",
            "You carry along the rows as they come, but they are not in order of time, so some values travel into the past. "
            "Sort by `time` first, and put the rows back afterwards.",
        ),
        Mistake(
            "leaves them sorted",
            """def carry(value, time, limit):
    order = time.sort_values().index
    v, t = value[order], time[order]
    return v.ffill().where(t - t.where(v.notna()).ffill() <= limit)
""",
            "The values are right, but in order of time. The caller asked for the order of `value`: finish with "
            "`reindex(value.index)`.",
        ),
        Mistake(
            "measures the age from the last row",
            """def carry(value, time, limit):
    order = time.sort_values().index
    v, t = value[order].copy(), time[order]
    for i in range(1, len(v)):
        if np.isnan(v.iloc[i]) and t.iloc[i] - t.iloc[i - 1] <= limit:
            v.iloc[i] = v.iloc[i - 1]
    return v.reindex(value.index)
""",
            "You measure the age from the row before, which may itself be carried: so a value grows young at every step "
            "and is carried for ever. Measure from the hour at which it was observed.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Weeks with absent hours, shuffled; then exactly at the limit, nothing seen before, no hole, no row."""
        import numpy as np
        import pandas as pd

        def station(n, limit, shuffle=True):
            gaps = rng.choice([1, 1, 1, 2, 5], n)
            time = pd.Timestamp("2013-02-08", tz="UTC") + pd.to_timedelta(np.cumsum(gaps), unit="h")
            value = 1000 + np.cumsum(rng.normal(0, 1, n))
            value[rng.random(n) < 0.6] = np.nan
            value[:3] = np.nan
            rows = rng.permutation(n) if shuffle else np.arange(n)
            index = rng.permutation(n) + 500
            return pd.Series(value[rows], index), pd.Series(time[rows], index), pd.Timedelta(hours=limit)

        for limit in 2, 4, 6:
            yield Case(station(int(rng.integers(50, 80)), limit))
        value, time, limit = station(12, 3)
        when = pd.Series(pd.to_datetime(["2013-02-08 00:00Z", "2013-02-08 03:00Z", "2013-02-08 03:01Z"]))
        yield Case(
            (pd.Series([7.0, np.nan, np.nan]), when, limit), edge="an observation exactly as old as the limit"
        )
        yield Case((value * np.nan, time, limit), edge="nothing was ever observed")
        yield Case((value.fillna(1.0), time, limit), edge="no hole at all")
        yield Case((value[:0], time[:0], limit), edge="no row at all")


class Corrections(Exercise):
    """Compare the first and the last version known by then, flight by flight."""

    id = "clean-3"
    title = "How much do the numbers still move?"
    setup = "import numpy as np\nimport pandas as pd\nfrom mlcourse.clean import last_known"
    starter = """def corrections(deliveries, when):
    return ____
"""
    hints = (
        "Three steps: keep what had arrived by `when`; sort by `known_at`; compare the first and the last row of each flight.",
        "`drop_duplicates('flight')` keeps the first row of each flight, `keep='last'` the last. (`groupby(...).first()` "
        "skips missing values, so it is not the first row.)",
        "Set `flight` as index on both so that they align. NaN != NaN is True in Python: count two missing delays as equal.",
    )
    solutions = (
        """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when].sort_values("known_at")
    first = seen.drop_duplicates("flight").set_index("flight").arr_delay
    last = seen.drop_duplicates("flight", keep="last").set_index("flight").arr_delay.reindex(first.index)
    same = (first == last) | (first.isna() & last.isna())
    return int((~same).sum())
""",
        """def corrections(deliveries, when):
    count = 0
    for _, rows in deliveries[deliveries.known_at <= when].groupby("flight"):
        delays = rows.sort_values("known_at").arr_delay.to_list()
        both_missing = np.isnan(delays[0]) and np.isnan(delays[-1])
        if delays[0] != delays[-1] and not both_missing:
            count += 1
    return count
""",
    )
    mistakes = (
        Mistake(
            "counts what was not known yet",
            """def corrections(deliveries, when):
    seen = deliveries.sort_values("known_at")
    first = seen.drop_duplicates("flight").set_index("flight").arr_delay
    last = seen.drop_duplicates("flight", keep="last").set_index("flight").arr_delay.reindex(first.index)
    return int((~((first == last) | (first.isna() & last.isna()))).sum())
""",
            "You count corrections that arrived after `when`. Keep the rows with `known_at <= when` first.",
        ),
        Mistake(
            "trusts the order of the rows",
            """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when]
    first = seen.drop_duplicates("flight").set_index("flight").arr_delay
    last = seen.drop_duplicates("flight", keep="last").set_index("flight").arr_delay.reindex(first.index)
    return int((~((first == last) | (first.isna() & last.isna()))).sum())
""",
            "You take the first and last row as they lie in the table. A late file may lie on top: sort by `known_at`.",
        ),
        Mistake(
            "counts rows sent twice",
            """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when]
    return int((seen.groupby("flight").size() > 1).sum())
""",
            "You count every flight that was sent more than once. The same number sent again is no correction: compare the "
            "delays.",
        ),
        Mistake(
            "counts versions, not flights",
            """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when].sort_values("known_at")
    before = seen.groupby("flight").arr_delay.shift()
    again = seen.duplicated("flight")
    same = (before == seen.arr_delay) | (before.isna() & seen.arr_delay.isna())
    return int((again & ~same).sum())
""",
            "You count every change on the way. A flight corrected twice is one flight, and one corrected there and back "
            "is none: compare its first version with its last.",
        ),
        Mistake(
            "counts flights that ever differed",
            """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when]
    return int((seen.groupby("flight").arr_delay.nunique(dropna=False) > 1).sum())
""",
            "You count a flight that was changed and changed back. Its last delay equals its first: compare these two only.",
        ),
        Mistake(
            "skips missing delays",
            """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when].sort_values("known_at")
    ends = seen.groupby("flight").arr_delay.agg(["first", "last"]).dropna()
    return int((ends["first"] != ends["last"]).sum())
""",
            "`first` and `last` of a groupby skip missing values, so a flight that turns out cancelled, or arrives after "
            "all, does not count for you. From missing to a number is a correction.",
        ),
        Mistake(
            "takes missing for a change",
            """def corrections(deliveries, when):
    seen = deliveries[deliveries.known_at <= when].sort_values("known_at")
    first = seen.drop_duplicates("flight").set_index("flight").arr_delay
    last = seen.drop_duplicates("flight", keep="last").set_index("flight").arr_delay.reindex(first.index)
    return int((first != last).sum())
""",
            "NaN != NaN is True, so every cancelled flight counts as corrected for you. Two missing delays are equal here.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Deliveries with repeats and changes; then one exactly at the moment, none before it, none at all."""
        import numpy as np
        import pandas as pd

        nan, start = np.nan, pd.Timestamp("2013-02-08", tz="UTC")
        kinds = ([5], [nan], [5, 5], [nan, nan], [5, 9], [5, nan], [nan, 5], [5, 9, 5], [nan, 5, nan], [5, 9, 12],
                 [nan, 7, 5], [5, nan, 9], [5, 5, 9], [5, 9, nan])  # fmt: skip

        def table(known):
            rows = []
            for n, kind in enumerate(rng.permutation(len(kinds) * 3) % len(kinds)):
                days = np.sort(rng.choice(40, len(kinds[kind]), replace=False))
                shift = rng.integers(-30, 100)
                rows += [(f"UA {n}", start + pd.Timedelta(days=int(d)), v + shift)
                         for d, v in zip(days, kinds[kind], strict=True)]  # fmt: skip
            rows += [rows[i] for i in rng.choice(len(rows), 9, replace=False)]
            rows = [rows[i] for i in rng.permutation(len(rows))]
            return pd.DataFrame(rows, columns=["flight", "known_at", "arr_delay"]), start + pd.Timedelta(
                days=known
            )

        for known in 60, 25, 30:
            yield Case(table(known))
        days = pd.to_datetime(["2013-02-08", "2013-02-10"], utc=True)
        two = pd.DataFrame({"flight": ["HA 51"] * 2, "known_at": days, "arr_delay": [1272.0, 1270.0]})
        yield Case((two, days[1]), edge="a correction that arrives exactly at `when`")
        yield Case((two, start - pd.Timedelta(days=1)), edge="nothing has arrived yet")
        yield Case((two[:0], start), edge="no delivery at all")


class Tame(Exercise):
    """What is false becomes missing; what is true but extreme is clipped to what the past has seen."""

    id = "clean-4"
    index = True
    title = "Tame, do not kill"
    starter = """def tame(x, past, low, high):
    return ____
"""
    hints = (
        "Two different acts: a value outside `low` to `high` is false, so it becomes NaN. A high value inside is true, so it "
        "stays, clipped.",
        "First `possible = x.where(...)`. Then learn the cap from `possible[past]`, never from the false values or from the "
        "future.",
        "`possible.clip(upper=possible[past].quantile(0.99))` clips at the top only; pandas takes a NaN cap as no cap.",
    )
    solutions = (
        """def tame(x, past, low, high):
    possible = x.where((x >= low) & (x <= high))
    return possible.clip(upper=possible[past].quantile(0.99))
""",
        """def tame(x, past, low, high):
    out = x.to_numpy(dtype=float, copy=True)
    out[(out < low) | (out > high)] = np.nan
    seen = out[past.to_numpy() & ~np.isnan(out)]
    if len(seen):
        out = np.minimum(out, np.quantile(seen, 0.99))
    return pd.Series(out, x.index)
""",
    )
    mistakes = (
        Mistake(
            "clips what is false",
            """def tame(x, past, low, high):
    possible = x.clip(low, high)
    return possible.clip(upper=possible[past].quantile(0.99))
""",
            "You clip the false values to the limits, so a broken sensor becomes a record storm. What cannot be is not a "
            "measurement: make it NaN.",
        ),
        Mistake(
            "caps before it removes what is false",
            """def tame(x, past, low, high):
    return x.where((x >= low) & (x <= high)).clip(upper=x[past].quantile(0.99))
""",
            "Your cap was learned with the false values still in it, so it is too high. Remove them first.",
        ),
        Mistake(
            "learns the cap from all rows",
            """def tame(x, past, low, high):
    possible = x.where((x >= low) & (x <= high))
    return possible.clip(upper=possible.quantile(0.99))
""",
            "Your cap has seen the future: learn it from `possible[past]`, and apply it to all rows.",
        ),
        Mistake(
            "deletes real extremes",
            """def tame(x, past, low, high):
    possible = x.where((x >= low) & (x <= high))
    return possible.where(possible <= possible[past].quantile(0.99))
""",
            "You make real extremes NaN. A flight 1,301 minutes late was late: clip such values to the cap, do not lose them.",
        ),
        Mistake(
            "drops rows",
            """def tame(x, past, low, high):
    possible = x[(x >= low) & (x <= high)]
    return possible.clip(upper=possible[past].quantile(0.99))
""",
            "Your answer is shorter than `x`. Keep every row: what is false or missing is NaN in its place.",
        ),
        Mistake(
            "clips both ends",
            """def tame(x, past, low, high):
    possible = x.where((x >= low) & (x <= high))
    return possible.clip(possible[past].quantile(0.01), possible[past].quantile(0.99))
""",
            "You clip the low end too. Only values above the 99th percentile are to be clipped.",
        ),
        Mistake(
            "clips the past only",
            """def tame(x, past, low, high):
    possible = x.where((x >= low) & (x <= high))
    return possible.where(~past, possible.clip(upper=possible[past].quantile(0.99)))
""",
            "You learn from the past and clip only the past. The cap is for the rows to come as well.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Winds with false values and a stormier future; then the ends, no past value, no row."""
        import numpy as np
        import pandas as pd

        def winds(n, low, high):
            past = rng.permutation(n) < n // 2
            x = low + 1 + rng.gamma(3, 4, n) * np.where(past, 1, 1.6)
            x = np.minimum(x, high - 1)
            false = [low - 9, high + 900, high + 500, high + 7, np.nan, np.nan]
            ends = [low - 5, high + 3, low, high, high, np.nan]
            for rows, values in (past, false), (~past, ends):
                x[rng.choice(np.flatnonzero(rows), 6, replace=False)] = values
            index = rng.permutation(n) + 30
            return pd.Series(x, index), pd.Series(past, index), low, high

        for low, high in (0.0, 150.0), (-30.0, 120.0), (5.0, 200.0):
            yield Case(winds(int(rng.integers(220, 320)), low, high))
        x, past, low, high = winds(40, 0.0, 150.0)
        ends = pd.Series([0.0, 150.0, -0.1, 150.1])
        yield Case((ends, ends > -1, low, high), edge="values exactly at the ends")
        yield Case((x, past & False, low, high), edge="no row is past: clip nothing")
        yield Case((x.where(~past, 999.0), past, low, high), edge="no past value is possible: clip nothing")
        yield Case((x[:0], past[:0], low, high), edge="no row at all")
