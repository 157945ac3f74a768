"""Exercises of lesson 09: the delay so far, the plane's last flight, a share counted at night, when parity broke."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class DelaySoFar(Exercise):
    """The delay that a board shows at a moment, not the one that the flight ends with."""

    id = "features-1"
    title = "Delay so far"
    starter = """def delay_so_far(scheduled, delay, now):
    return ____
"""
    hints = (
        "Three kinds of flights: gone (its delay), due but not gone (the minutes since its schedule), not yet due (NaN).",
        "The smaller of `delay` and `now - scheduled` is right for the first two kinds, if a missing delay is skipped: "
        "`np.fmin` does so.",
        "`np.where(condition, this, that)` puts NaN where `scheduled` is after `now`.",
    )
    solutions = (
        """def delay_so_far(scheduled, delay, now):
    return np.where(scheduled <= now, np.fmin(delay, now - scheduled), np.nan)
""",
        """def delay_so_far(scheduled, delay, now):
    shown = []
    for s, d in zip(scheduled, delay):
        if s > now:
            shown.append(np.nan)
        elif np.isnan(d):
            shown.append(now - s)
        else:
            shown.append(min(d, now - s))
    return np.array(shown, dtype=float)
""",
    )
    mistakes = (
        Mistake(
            "shows the final delay",
            """def delay_so_far(scheduled, delay, now):
    return np.where(scheduled <= now, np.where(np.isnan(delay), now - scheduled, delay), np.nan)
""",
            "A flight that leaves 150 minutes late shows 60 one hour after its schedule. You show how it ends: nobody "
            "knew that at `now`.",
        ),
        Mistake(
            "loses those that never leave",
            """def delay_so_far(scheduled, delay, now):
    return np.where(scheduled <= now, np.minimum(delay, now - scheduled), np.nan)
""",
            "A flight that never leaves has a delay of NaN, and yours stays NaN. On the board it waits like any other: "
            "it shows the minutes since its schedule.",
        ),
        Mistake(
            "shows flights not yet due",
            """def delay_so_far(scheduled, delay, now):
    return np.fmin(delay, now - scheduled)
""",
            "A flight scheduled after `now` has no delay yet, not a negative one. It must be NaN.",
        ),
        Mistake(
            "shows 0 until it leaves",
            """def delay_so_far(scheduled, delay, now):
    gone = scheduled + delay <= now
    return np.where(scheduled <= now, np.where(gone, delay, 0.0), np.nan)
""",
            "A flight that is due and still there shows 0 with you. It is late already, by the minutes since its schedule.",
        ),
        Mistake(
            "shows only what has left",
            """def delay_so_far(scheduled, delay, now):
    return np.where((scheduled <= now) & (scheduled + delay <= now), delay, np.nan)
""",
            "You show only flights that have left. The worst ones are still at the gate: they show the minutes since "
            "their schedule.",
        ),
        Mistake(
            "forgets early departures",
            """def delay_so_far(scheduled, delay, now):
    return np.where(scheduled <= now, np.clip(np.fmin(delay, now - scheduled), 0, None), np.nan)
""",
            "A flight that left 5 minutes early has a delay of -5. You cut it off at 0.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Flights of three hours with early, late and lost ones; then exactly now, none left, no flight."""
        import numpy as np

        for _ in range(4):
            n, now = int(rng.integers(40, 90)), int(rng.integers(600, 1200))
            scheduled = rng.integers(now - 180, now + 40, n)
            delay = np.round(rng.choice([-5.0, 0.0, 30.0, 150.0], n) + rng.integers(-3, 20, n))
            delay[rng.random(n) < 0.15] = np.nan
            scheduled[:4], delay[:4] = now - 60, [150.0, -4.0, np.nan, 7.0]
            yield Case((scheduled, delay, now))
        due = np.array([900, 901, 900, 890, 890])
        yield Case(
            (due, np.array([5.0, 5.0, np.nan, 10.0, 11.0]), 900), edge="scheduled, or leaving, exactly now"
        )
        yield Case((due[:0], np.array([]), 900), edge="no flight at all")


class Inbound(Exercise):
    """An as-of look-up by key, with a limit, of a delay so far."""

    id = "features-2"
    title = "The plane's delay"
    starter = """def inbound(log, plane, now):
    return ____
"""
    hints = (
        "First the rows: this plane, scheduled at or before `now`, and at or after `now - 1440`. Then the last of them.",
        "Last means last *scheduled*: `rows.loc[rows.scheduled.idxmax()]`. The rows come in any order. None left: NaN.",
        "Its delay so far is the smaller of `delay` and `now - scheduled`; `np.fmin` skips a missing delay.",
    )
    solutions = (
        """def inbound(log, plane, now):
    rows = log[(log.plane == plane) & log.scheduled.between(now - 1440, now)]
    if rows.empty:
        return np.nan
    last = rows.loc[rows.scheduled.idxmax()]
    return np.fmin(last.delay, now - last.scheduled)
""",
        """def inbound(log, plane, now):
    latest, shown = now - 1440, np.nan
    for name, scheduled, delay in zip(log["plane"], log["scheduled"], log["delay"]):
        if name == plane and latest <= scheduled <= now:
            latest = scheduled
            shown = now - scheduled if np.isnan(delay) else min(delay, now - scheduled)
    return float(shown)
""",
    )
    mistakes = (
        Mistake(
            "takes the final delay",
            """def inbound(log, plane, now):
    rows = log[(log["plane"] == plane) & log["scheduled"].between(now - 1440, now)]
    if rows.empty:
        return np.nan
    last = rows.sort_values("scheduled").iloc[-1]
    return now - last["scheduled"] if np.isnan(last["delay"]) else last["delay"]
""",
            "You give the final delay of the plane's last flight. At `now` it may still be at the gate: then it shows the "
            "minutes since its schedule.",
        ),
        Mistake(
            "takes the last row",
            """def inbound(log, plane, now):
    rows = log[(log["plane"] == plane) & log["scheduled"].between(now - 1440, now)]
    if rows.empty:
        return np.nan
    last = rows.iloc[-1]
    return np.fmin(last["delay"], now - last["scheduled"])
""",
            "You take the last row. The log is in any order: look for the latest schedule.",
        ),
        Mistake(
            "looks ahead",
            """def inbound(log, plane, now):
    rows = log[(log["plane"] == plane) & (log["scheduled"] >= now - 1440)]
    if rows.empty:
        return np.nan
    last = rows.sort_values("scheduled").iloc[-1]
    return np.fmin(last["delay"], now - last["scheduled"])
""",
            "You use flights scheduled after `now`. The plane has not been on them yet.",
        ),
        Mistake(
            "has no limit",
            """def inbound(log, plane, now):
    rows = log[(log["plane"] == plane) & (log["scheduled"] <= now)]
    if rows.empty:
        return np.nan
    last = rows.sort_values("scheduled").iloc[-1]
    return np.fmin(last["delay"], now - last["scheduled"])
""",
            "You go back further than a day. A flight that was cancelled last month would still be waiting.",
        ),
        Mistake(
            "asks every plane",
            """def inbound(log, plane, now):
    rows = log[log["scheduled"].between(now - 1440, now)]
    if rows.empty:
        return np.nan
    last = rows.sort_values("scheduled").iloc[-1]
    return np.fmin(last["delay"], now - last["scheduled"])
""",
            "You take the last flight of any plane. Keep the rows of `plane` first.",
        ),
        Mistake(
            "skips what has not left",
            """def inbound(log, plane, now):
    rows = log[(log["plane"] == plane) & log["scheduled"].between(now - 1440, now)]
    rows = rows[rows["scheduled"] + rows["delay"] <= now]
    if rows.empty:
        return np.nan
    return rows.sort_values("scheduled").iloc[-1]["delay"]
""",
            "You skip flights that have not left by `now`. A plane that still waits on its last flight is the worst news "
            "there is: it shows the minutes since its schedule.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Logs of three planes in any order; then the ends of the day, a plane that waits, an unknown one, no row."""
        import numpy as np
        import pandas as pd

        fixed = [
            ("N1", 31, 150.0),
            ("N2", 32, np.nan),
            ("N3", 33, 20.0),
            ("N4", 3000, 3.0),
            ("N2", -300, 8.0),
        ]

        def log(now, n=60):
            before = rng.permutation(np.arange(34, 1000))[:n]
            delay = np.where(rng.random(n) < 0.1, np.nan, rng.integers(-5, 200, n))
            rows = [*fixed, *zip(rng.choice(["N1", "N2", "N3"], n), before, delay, strict=True)]
            table = pd.DataFrame(rows, columns=["plane", "scheduled", "delay"])
            table["scheduled"] = now - table["scheduled"].astype(int)
            return table.set_axis(rng.permutation(len(table)))

        for _ in range(3):
            now = int(rng.integers(4000, 9000))
            table = log(now)
            yield from (Case((table, plane, now)) for plane in ("N1", "N2", "N3", "N4"))
        ends = pd.DataFrame({"plane": ["A", "B", "C", "D", "E"], "scheduled": [9000, 7560, 7559, 9001, 8990], "delay": [4.0, 5.0, 6.0, 7.0, 10.0]})  # fmt: skip
        yield from (Case((ends, plane, 9000), edge="at the very ends of the day before") for plane in "ABCDE")
        yield Case((ends, "Z", 9000), edge="a plane that the log does not know")
        yield Case((ends[:0], "A", 9000), edge="an empty log")


class NightlyShare(Exercise):
    """A share of labels that were certain when a nightly job last counted them."""

    id = "features-3"
    index = True
    title = "The nightly share"
    starter = """def nightly_share(labels, asks, days):
    return ____
"""
    hints = (
        "What is known at `decided` is what the last job counted: `job = decided // 24 * 24`.",
        "For one ask: the labels of its group with `job - 24 * days < certain <= job`, and the mean of `bad` over them.",
        "A loop over `asks` is fine: collect the means in a list, and return `pd.Series(list, asks.index)`. The mean of no "
        "rows is NaN.",
    )
    solutions = (
        """def nightly_share(labels, asks, days):
    shares = []
    for group, decided in zip(asks.group, asks.decided):
        job = decided // 24 * 24
        known = (labels.certain <= job) & (labels.certain > job - 24 * days) & (labels.group == group)
        shares.append(labels.bad[known].mean())
    return pd.Series(shares, asks.index, dtype=float)
""",
        """def nightly_share(labels, asks, days):
    night = np.floor(asks["decided"].to_numpy() / 24)[:, None]
    counted = np.ceil(labels["certain"].to_numpy() / 24)[None, :]
    same = asks["group"].to_numpy()[:, None] == labels["group"].to_numpy()[None, :]
    known = same & (counted <= night) & (counted > night - days)
    total, bad = known.sum(axis=1), known @ labels["bad"].to_numpy().astype(float)
    return pd.Series(bad, asks.index) / total
""",
    )
    mistakes = (
        Mistake(
            "counts labels up to the decision",
            """def nightly_share(labels, asks, days):
    shares = []
    for group, decided in zip(asks["group"], asks["decided"]):
        age = decided - labels["certain"]
        known = (age >= 0) & (age < 24 * days) & (labels["group"] == group)
        shares.append(labels["bad"][known].mean())
    return pd.Series(shares, asks.index, dtype=float)
""",
            "You count labels up to the moment of the decision. The job ran last night: labels certain since then are "
            "known, but not counted yet.",
        ),
        Mistake(
            "counts labels of the next job",
            """def nightly_share(labels, asks, days):
    shares = []
    for group, decided in zip(asks["group"], asks["decided"]):
        job = np.ceil(decided / 24) * 24
        known = (labels["certain"] <= job) & (labels["certain"] > job - 24 * days) & (labels["group"] == group)
        shares.append(labels["bad"][known].mean())
    return pd.Series(shares, asks.index, dtype=float)
""",
            "You count what the *next* job will find: some of those labels are not certain at the decision. That is a leak.",
        ),
        Mistake(
            "forgets the window",
            """def nightly_share(labels, asks, days):
    shares = []
    for group, decided in zip(asks["group"], asks["decided"]):
        known = (labels["certain"] <= decided // 24 * 24) & (labels["group"] == group)
        shares.append(labels["bad"][known].mean())
    return pd.Series(shares, asks.index, dtype=float)
""",
            "You count all labels since the start. Only those of the last `days` days before the job are asked for.",
        ),
        Mistake(
            "forgets the groups",
            """def nightly_share(labels, asks, days):
    shares = []
    for decided in asks["decided"]:
        job = decided // 24 * 24
        known = (labels["certain"] <= job) & (labels["certain"] > job - 24 * days)
        shares.append(labels["bad"][known].mean())
    return pd.Series(shares, asks.index, dtype=float)
""",
            "Your share is that of all groups together. Keep the labels of the ask's own group.",
        ),
        Mistake(
            "uses the whole table",
            """def nightly_share(labels, asks, days):
    return asks["group"].map(labels.groupby("group")["bad"].mean()).astype(float)
""",
            "You take the share over the whole table, later labels included. None of that was known at the decision.",
        ),
        Mistake(
            "fills with 0",
            """def nightly_share(labels, asks, days):
    shares = []
    for group, decided in zip(asks["group"], asks["decided"]):
        job = decided // 24 * 24
        known = (labels["certain"] <= job) & (labels["certain"] > job - 24 * days) & (labels["group"] == group)
        shares.append(labels["bad"][known].sum() / max(known.sum(), 1))
    return pd.Series(shares, asks.index, dtype=float)
""",
            "Where nothing is known you say 0. No news is not good news: it must be NaN.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Labels of twelve days for three groups, and a group without; then labels and asks exactly at a job, none."""
        import numpy as np
        import pandas as pd

        def tables(n, m):
            labels = pd.DataFrame(
                {"group": rng.choice(list("EJL"), n), "certain": rng.integers(0, 288, n).astype(float)}
            )
            labels["bad"] = rng.random(n) < np.where(labels["certain"] > 144, 0.2, 0.6) * np.where(
                labels["group"] == "E", 1.5, 1
            )
            asks = pd.DataFrame(
                {"group": rng.choice(list("EJLX"), m), "decided": rng.integers(24, 300, m).astype(float)}
            )
            asks.loc[:3, "group"], asks.loc[:3, "decided"] = list("EJLX"), 211.0
            return labels.set_axis(rng.permutation(n) + 7), asks.set_axis(rng.permutation(m) + 50)

        for days in (2, 3, 5):
            yield Case((*tables(600, 40), days))
        labels = pd.DataFrame(
            {"group": "E", "certain": [24.0, 48.0, 48.5, 72.0, 72.5], "bad": [True, False, True, False, True]}
        )
        asks = pd.DataFrame(
            {"group": "E", "decided": [0.0, 23.0, 24.0, 47.9, 48.0, 71.5, 72.0, 95.0, 96.0, 144.0]}
        )
        yield from (Case((labels, asks, days), edge="exactly at a job") for days in (1, 2))
        yield Case((labels[:0], asks, 2), edge="no label yet")
        yield Case((labels, asks[:0], 2), edge="no ask")


class BrokenSince(Exercise):
    """Which columns differ between two tables, and since when."""

    id = "features-4"
    title = "Since when?"
    starter = """def broken_since(offline, online, decided):
    return ____
"""
    hints = (
        "First put both in the same order: `online.loc[offline.index, offline.columns]`, and `decided.loc[offline.index]`.",
        "A value is the same if `a == b`, or if both are missing: `(a == b) | (a.isna() & b.isna())`.",
        "For each column that has a difference: `decided[differs].min()`.",
    )
    solutions = (
        """def broken_since(offline, online, decided):
    since = {}
    for name in offline:
        a, b = offline[name], online[name].loc[offline.index]
        differs = (a != b) & (a.notna() | b.notna())
        if differs.any():
            since[name] = decided.loc[offline.index][differs].min()
    return since
""",
        """def broken_since(offline, online, decided):
    since = {}
    for label in decided.sort_values().index:
        for name in offline.columns:
            a, b = offline.at[label, name], online.at[label, name]
            if a != b and (pd.notna(a) or pd.notna(b)):
                since.setdefault(name, decided[label])
    return since
""",
    )
    mistakes = (
        Mistake(
            "takes two holes for a difference",
            """def broken_since(offline, online, decided):
    online = online.loc[offline.index, offline.columns]
    when = decided.loc[offline.index]
    return {c: when[offline[c] != online[c]].min() for c in offline if (offline[c] != online[c]).any()}
""",
            "NaN is not equal to NaN, so two missing values count as a difference with you. Both missing is identical.",
        ),
        Mistake(
            "overlooks a hole on one side",
            """def broken_since(offline, online, decided):
    online = online.loc[offline.index, offline.columns]
    when, gap = decided.loc[offline.index], (offline - online).abs()
    return {c: when[gap[c] > 0].min() for c in offline if (gap[c] > 0).any()}
""",
            "A value on one side and a hole on the other is a difference. Yours overlooks it: NaN > 0 is False.",
        ),
        Mistake(
            "is content with close",
            """def broken_since(offline, online, decided):
    online, when = online.loc[offline.index, offline.columns], decided.loc[offline.index]
    differs = pd.DataFrame(~np.isclose(offline, online, equal_nan=True), offline.index, offline.columns)
    return {c: when[differs[c]].min() for c in offline if differs[c].any()}
""",
            "You accept values that are close. A tolerance hides a small leak: identical means equal.",
        ),
        Mistake(
            "goes by position",
            """def broken_since(offline, online, decided):
    a, b, when = offline.to_numpy(), online[offline.columns].to_numpy(), decided.to_numpy()
    differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
    return {c: pd.Series(when[d]).min() for c, d in zip(offline, differs.T) if d.any()}
""",
            "You compare row by row as they lie. The rows come in any order: go by their labels.",
        ),
        Mistake(
            "takes the first row",
            """def broken_since(offline, online, decided):
    online, when = online.loc[offline.index, offline.columns], decided.loc[offline.index]
    differs = (offline != online) & ~(offline.isna() & online.isna())
    return {c: when[differs[c]].iloc[0] for c in offline if differs[c].any()}
""",
            "You give the moment of the first row that differs. The rows are in any order: the earliest moment is asked for.",
        ),
        Mistake(
            "lists columns that agree",
            """def broken_since(offline, online, decided):
    online, when = online.loc[offline.index, offline.columns], decided.loc[offline.index]
    differs = (offline != online) & ~(offline.isna() & online.isna())
    return {c: when[differs[c]].min() for c in offline}
""",
            "You list columns that agree, too. Only those that differ are asked for.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Tables in different orders with planted differences; then none, one that is tiny, one row, no row."""
        import numpy as np
        import pandas as pd

        def tables(n, planted=True):
            index = rng.permutation(n) + 100
            a = pd.DataFrame(rng.integers(1, 9, (n, 5)).astype(float), index, list("abcde"))
            a = a.mask(rng.random((n, 5)) < 0.2)
            decided = pd.Series(
                pd.Timestamp("2013-07-01") + pd.to_timedelta(rng.permutation(n), unit="h"), index
            )
            b = a.copy()
            if planted:
                rows = [np.flatnonzero(a[c].notna())[-6:] for c in "abc"]
                b.iloc[rows[0], 0] += 1
                b.iloc[rows[1], 1] = np.nan
                b.iloc[rows[2], 2] *= 1 + 1e-12
            decided.iloc[0], decided.iloc[-1] = pd.Timestamp("2013-06-30"), pd.Timestamp("2013-08-30")
            order = rng.permutation(n)
            return a, b.iloc[order][list("dbeca")], decided.iloc[rng.permutation(n)]

        for _ in range(4):
            yield Case(tables(int(rng.integers(40, 70))))
        yield Case(tables(20, planted=False), edge="nothing differs")
        a, b, decided = tables(30)
        yield Case((b, a, decided), edge="a hole offline, a value online")
        yield Case((a[:0], b[:0], decided[:0]), edge="no row at all")
