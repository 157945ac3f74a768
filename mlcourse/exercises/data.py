"""Exercises of lesson 07: a stuck sensor, missing hours, clock texts of the Bureau, late corrections."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mlcourse.exercises.engine import Case, Exercise, Mistake

AIRPORTS = ("EWR", "JFK", "LGA")
NOON = pd.Timestamp("2013-07-04 12:00", tz="UTC")


def hours(n: int, start: pd.Timestamp = NOON) -> list[pd.Timestamp]:
    """`n` consecutive hours."""
    return [start + pd.Timedelta(hours=i) for i in range(n)]


class Stuck(Exercise):
    """Runs of equal values, in time, within an airport, without gaps."""

    id = "data-1"
    title = "A sensor that is stuck"
    starter = """def stuck(weather, column, hours):
    return ____
"""
    hints = (
        "Sort by airport and hour first. Where does a new run begin? Where the airport changes, the value changes, or "
        "more than an hour has passed.",
        "The running count of these beginnings, `new.cumsum()`, is a number for each run. How long each run is, for each "
        "of its rows: `run.groupby(run).transform('size')`.",
        "NaN is never equal to NaN, so a missing value is a run of its own; take it out with `notna()`. At the end bring "
        "the rows back into the order of `weather`: `.reindex(weather.index)`.",
    )
    solutions = (
        """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    late = t["time_hour"].diff() != pd.Timedelta("1h")
    new = late | (t["origin"] != t["origin"].shift()) | (t[column] != t[column].shift())
    run = new.cumsum()
    long = run.groupby(run).transform("size") >= hours
    return (long & t[column].notna()).reindex(weather.index)
""",
        """def stuck(weather, column, hours):
    answer = pd.Series(False, index=weather.index)
    for _, rows in weather.dropna(subset=[column]).sort_values("time_hour").groupby("origin"):
        on = rows[column].eq(rows[column].shift()) & rows["time_hour"].diff().eq(pd.Timedelta("1h"))
        run = (~on).cumsum()
        size = run.map(run.value_counts())
        answer.loc[size.index[size >= hours]] = True
    return answer
""",
    )
    mistakes = (
        Mistake(
            "takes the rows as they come",
            """def stuck(weather, column, hours):
    new = (weather["origin"] != weather["origin"].shift()) | (weather[column] != weather[column].shift())
    new = new | (weather["time_hour"].diff() != pd.Timedelta("1h"))
    run = new.cumsum()
    return (run.groupby(run).transform("size") >= hours) & weather[column].notna()
""",
            "You compare each row with the one above it, but rows come in any order. Sort by airport and hour first, and "
            "give the result back in the order you were given.",
        ),
        Mistake(
            "marks only from the last needed hour on",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    new = (t["origin"] != t["origin"].shift()) | (t[column] != t[column].shift())
    run = (new | (t["time_hour"].diff() != pd.Timedelta("1h"))).cumsum()
    return ((run.groupby(run).cumcount() + 1 >= hours) & t[column].notna()).reindex(weather.index)
""",
            "You mark a row once the run *so far* is long enough, so the first hours of a stuck run stay False. They are as "
            "wrong as the later ones: mark every row of the run.",
        ),
        Mistake(
            "a gap does not end the run",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    run = ((t["origin"] != t["origin"].shift()) | (t[column] != t[column].shift())).cumsum()
    return ((run.groupby(run).transform("size") >= hours) & t[column].notna()).reindex(weather.index)
""",
            "Two equal readings with hours missing in between are no run: nobody knows what was there. Compare `time_hour` "
            "with the row before it.",
        ),
        Mistake(
            "a missing value counts as a reading",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    value = t[column].fillna(-999)
    new = (t["origin"] != t["origin"].shift()) | (value != value.shift())
    run = (new | (t["time_hour"].diff() != pd.Timedelta("1h"))).cumsum()
    return (run.groupby(run).transform("size") >= hours).reindex(weather.index)
""",
            "You call a sensor stuck while it sends nothing. A missing value is another fault, with another repair: leave "
            "those rows False.",
        ),
        Mistake(
            "looks at the temperature, whatever is asked",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    new = (t["origin"] != t["origin"].shift()) | (t["temp"] != t["temp"].shift())
    run = (new | (t["time_hour"].diff() != pd.Timedelta("1h"))).cumsum()
    return ((run.groupby(run).transform("size") >= hours) & t["temp"].notna()).reindex(weather.index)
""",
            'You look at `weather["temp"]`. Which sensor is meant comes as an argument: `weather[column]`.',
        ),
        Mistake(
            "longer than instead of at least",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    new = (t["origin"] != t["origin"].shift()) | (t[column] != t[column].shift())
    run = (new | (t["time_hour"].diff() != pd.Timedelta("1h"))).cumsum()
    return ((run.groupby(run).transform("size") > hours) & t[column].notna()).reindex(weather.index)
""",
            "A run of exactly `hours` hours counts: *at least* is `>=`.",
        ),
        Mistake(
            "rounds before it compares",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    value = t[column].round()
    new = (t["origin"] != t["origin"].shift()) | (value != value.shift())
    run = (new | (t["time_hour"].diff() != pd.Timedelta("1h"))).cumsum()
    return ((run.groupby(run).transform("size") >= hours) & value.notna()).reindex(weather.index)
""",
            "You round, or call values equal that lie close together. A sensor that still goes from 51.1 to 51.3 is alive: "
            "only *exactly* the same value is a run.",
        ),
        Mistake(
            "runs go on from one airport to the next",
            """def stuck(weather, column, hours):
    t = weather.sort_values(["origin", "time_hour"])
    run = ((t["time_hour"].diff() != pd.Timedelta("1h")) | (t[column] != t[column].shift())).cumsum()
    return ((run.groupby(run).transform("size") >= hours) & t[column].notna()).reindex(weather.index)
""",
            "Where one airport's rows end and the next one's begin, your run goes on. Two airports are two sensors.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Three airports with runs of all lengths, gaps and missing values; then the rare ones."""
        for n in (2, 3, 5):
            yield Case((self.table(rng), "temp", n))
        next_day = [*hours(3), *hours(3, NOON + pd.Timedelta(hours=3))]
        turn = pd.DataFrame({"origin": ["EWR"] * 3 + ["JFK"] * 3, "time_hour": next_day, "temp": [50.0] * 6})
        yield Case((turn, "temp", 4), edge="an airport whose rows begin in the hour after the other's end")
        other = self.table(rng).rename(columns={"temp": "visib"}).assign(temp=50.0)
        yield Case((other, "visib", 3), edge="another column")
        yield Case((self.table(rng), "temp", 1), edge="hours=1, where every reading is a run")
        yield Case((turn.head(0), "temp", 2), edge="an empty table")

    def table(self, rng) -> pd.DataFrame:
        """Runs of 1 to 6 hours of few different values, some missing; a tenth of the hours gone; shuffled rows."""
        parts = []
        for origin in AIRPORTS:
            value = np.repeat(rng.choice([50.0, 51.1, 51.3, np.nan], 18), rng.integers(1, 7, 18))
            parts.append(pd.DataFrame({"origin": origin, "time_hour": hours(len(value)), "temp": value}))
            for n in (2, 3, 5):  # a run of exactly n, one cut by a gap, one of missing values
                start = NOON + pd.Timedelta(days=10 * n)
                at = [*hours(n, start), *hours(n - 1, start + pd.Timedelta(hours=n + 2))]
                value = [60.0] * (2 * n - 1)
                parts.append(pd.DataFrame({"origin": origin, "time_hour": at, "temp": value}))
                at = hours(n, start + pd.Timedelta(days=5))
                parts.append(pd.DataFrame({"origin": origin, "time_hour": at, "temp": np.nan}))
        table = pd.concat(parts, ignore_index=True)
        keep = (rng.random(len(table)) > 0.1) | (table["time_hour"] >= NOON + pd.Timedelta(days=10))
        return table[keep].sample(frac=1, random_state=int(rng.integers(1e6)))


class MissingHours(Exercise):
    """What should be there and is not."""

    id = "data-2"
    title = "Which hours are missing?"
    starter = """def missing_hours(weather, start, end):
    return ____
"""
    hints = (
        "First write down everything that should be there: each of the three airports with each hour. Then take away what "
        "is there.",
        "The hours: `pd.date_range(start, end, freq='h', inclusive='left')`. All pairs: "
        "`pd.MultiIndex.from_product([airports, hours])`.",
        "`wanted.difference(there)` of two MultiIndexes is what is missing, sorted; `there` comes from "
        "`pd.MultiIndex.from_frame(weather[['origin', 'time_hour']])`. Make a frame of it with both column names.",
    )
    solutions = (
        """def missing_hours(weather, start, end):
    hours = pd.date_range(start, end, freq="h", inclusive="left")
    wanted = pd.MultiIndex.from_product([["EWR", "JFK", "LGA"], hours])
    there = pd.MultiIndex.from_frame(weather[["origin", "time_hour"]])
    return pd.DataFrame(list(wanted.difference(there)), columns=["origin", "time_hour"])
""",
        """def missing_hours(weather, start, end):
    there = set(zip(weather["origin"], weather["time_hour"]))
    step = pd.Timedelta("1h")
    hours = [start + i * step for i in range((end - start) // step)]
    rows = [(origin, hour) for origin in ("EWR", "JFK", "LGA") for hour in hours if (origin, hour) not in there]
    return pd.DataFrame(rows, columns=["origin", "time_hour"])
""",
    )
    mistakes = (
        Mistake(
            "the end counts too",
            """def missing_hours(weather, start, end):
    wanted = pd.MultiIndex.from_product([["EWR", "JFK", "LGA"], pd.date_range(start, end, freq="h")])
    there = pd.MultiIndex.from_frame(weather[["origin", "time_hour"]])
    return pd.DataFrame(list(wanted.difference(there)), columns=["origin", "time_hour"])
""",
            "You also ask for the hour `end`. It is excluded, so that one day's end can be the next day's start without "
            "counting an hour twice.",
        ),
        Mistake(
            "looks only between the first and the last row",
            """def missing_hours(weather, start, end):
    hours = pd.date_range(weather["time_hour"].min(), weather["time_hour"].max(), freq="h")
    wanted = pd.MultiIndex.from_product([["EWR", "JFK", "LGA"], hours])
    there = pd.MultiIndex.from_frame(weather[["origin", "time_hour"]])
    return pd.DataFrame(list(wanted.difference(there)), columns=["origin", "time_hour"])
""",
            "You take the span from the rows that arrived. A file that breaks off half-way then looks complete: the span is "
            "what was ordered, from `start` to `end`.",
        ),
        Mistake(
            "asks only the airports that sent something",
            """def missing_hours(weather, start, end):
    hours = pd.date_range(start, end, freq="h", inclusive="left")
    wanted = pd.MultiIndex.from_product([sorted(weather["origin"].unique()), hours])
    there = pd.MultiIndex.from_frame(weather[["origin", "time_hour"]])
    return pd.DataFrame(list(wanted.difference(there)), columns=["origin", "time_hour"])
""",
            "You take the airports from the table. One that sent nothing at all is not in it, and one that nobody asked for "
            "may be: the three airports are known, so name them.",
        ),
        Mistake(
            "an hour is missing only where no airport has it",
            """def missing_hours(weather, start, end):
    hours = pd.date_range(start, end, freq="h", inclusive="left")
    gone = [hour for hour in hours if hour not in set(weather["time_hour"])]
    rows = [(origin, hour) for origin in ("EWR", "JFK", "LGA") for hour in gone]
    return pd.DataFrame(rows, columns=["origin", "time_hour"])
""",
            "You look for the hour anywhere in the table. If JFK sent it and LGA did not, it is missing at LGA: look for the "
            "pair of airport and hour.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Tables with holes, with rows before the start and at the end; then a silent airport, nothing, no span."""
        for n in (6, 30):
            end = NOON + pd.Timedelta(hours=n)
            yield Case((self.table(rng, n, [*AIRPORTS]), NOON, end))
        yield Case((self.table(rng, 8, ["EWR", "LGA"]), NOON, end), edge="an airport that sent nothing")
        yield Case(
            (self.table(rng, 8, [*AIRPORTS, "BOS"]), NOON, end), edge="an airport that nobody asked for"
        )
        yield Case((self.table(rng, 8, [*AIRPORTS]).head(0), NOON, hours(3)[-1]), edge="an empty table")
        full = pd.DataFrame([(o, h) for h in hours(3) for o in AIRPORTS], columns=["origin", "time_hour"])
        yield Case((full, NOON, hours(4)[-1]), edge="a table without holes")
        yield Case((full, NOON, NOON), edge="a span of no hours")

    def table(self, rng, n: int, airports: list[str]) -> pd.DataFrame:
        """About half of the hours, never the first or the one at the end, in any order; some of the hours before."""
        rows = [(o, h) for o in airports for h in hours(n - 1, NOON + pd.Timedelta(hours=1))]
        some = [rows[i] for i in rng.permutation(len(rows))[: len(rows) // 2]]
        some += [(o, NOON - pd.Timedelta(hours=2)) for o in airports]
        return pd.DataFrame(some, columns=["origin", "time_hour"]).assign(temp=rng.normal(60, 9, len(some)))


class MinuteOfDay(Exercise):
    """hhmm is no number: 0559 and 0600 are a minute apart."""

    id = "data-3"
    title = "Clock texts"
    starter = """def minute_of_day(clock):
    return ____
"""
    hints = (
        'As a number, "0517" is 517: the hours are `// 100`, the minutes `% 100`. That also puts up with lost zeros.',
        'An empty text becomes missing with `clock.replace("", np.nan)`; `astype(float)` then keeps it missing.',
        "No time of day: anything but one to four digits, minutes above 59, a number above 2400. Test all of that before "
        "you return, and raise `ValueError`.",
    )
    solutions = (
        r"""def minute_of_day(clock):
    text = clock.replace("", np.nan)
    digits = text.dropna().str.fullmatch(r"\d{1,4}").all()
    if not digits:
        raise ValueError("clock must be hhmm")
    number = text.astype(float)
    minute = number % 100
    if ((minute > 59) | (number > 2400)).any():
        raise ValueError("clock must be a time of day")
    return (number - minute) / 100 * 60 + minute
""",
        """def minute_of_day(clock):
    def one(text):
        if pd.isna(text) or text == "":
            return np.nan
        if not text.isdigit() or len(text) > 4:
            raise ValueError(f"{text!r} is not hhmm")
        hour, minute = divmod(int(text), 100)
        if not (hour < 24 and minute < 60 or (hour, minute) == (24, 0)):
            raise ValueError(f"{text!r} is no time of day")
        return hour * 60 + minute

    return pd.Series([one(text) for text in clock], index=clock.index, dtype=float)
""",
    )
    mistakes = (
        Mistake(
            "reads hhmm as a number",
            """def minute_of_day(clock):
    return pd.to_numeric(clock.replace("", np.nan))
""",
            '"0517" is not 517 minutes. After 0559 comes 0600, 41 higher as a number and one minute later on the clock.',
        ),
        Mistake(
            "takes the last two digits for hundredths",
            """def minute_of_day(clock):
    return clock.replace("", np.nan).astype(float) / 100 * 60
""",
            "You divide by 100 and go on with the fraction: 0530 becomes 5.30 hours, but it is five and a half. Split hours "
            "and minutes first, with `// 100` and `% 100`.",
        ),
        Mistake(
            "cuts the text at a fixed place",
            """def minute_of_day(clock):
    text = clock.replace("", np.nan)
    hour, minute = text.str[:2].astype(float), text.str[2:].astype(float)
    if ((minute > 59) | (hour > 24) | ((hour == 24) & (minute > 0))).any():
        raise ValueError("clock must be a time of day")
    return hour * 60 + minute
""",
            'You cut after two characters. Where a zero was lost, "517" becomes 51 hours and 7 minutes: fill up with '
            "`str.zfill(4)`, or count from the right.",
        ),
        Mistake(
            "the end of the day becomes its beginning",
            r"""def minute_of_day(clock):
    number = clock.replace("", np.nan).astype(float)
    hour, minute = number // 100, number % 100
    digits = clock.dropna().str.fullmatch(r"\d{0,4}").all()
    if not digits or ((minute > 59) | (number > 2400)).any():
        raise ValueError("clock must be a time of day")
    return (hour * 60 + minute) % 1440
""",
            '"2400" became 0. An aircraft that lands at the end of the day would have landed 24 hours earlier, and its delay '
            "is off by a day: 2400 is 1440.",
        ),
        Mistake(
            "a parser that knows no 24 o'clock",
            """def minute_of_day(clock):
    time = pd.to_datetime(clock.replace("", np.nan).str.zfill(4), format="%H%M")
    return time.dt.hour * 60.0 + time.dt.minute
""",
            '`pd.to_datetime` ends the day at 23:59 and refuses "2400", which the Bureau uses for midnight. Do the '
            "arithmetic yourself.",
        ),
        Mistake(
            "takes what float can read",
            """def minute_of_day(clock):
    number = clock.replace("", np.nan).astype(float)
    hour, minute = number // 100, number % 100
    if ((minute > 59) | (number > 2400) | (number < 0)).any():
        raise ValueError("clock must be a time of day")
    return hour * 60 + minute
""",
            '"12.5", "1e3" and "+517" are numbers, but no clock shows them, and "00517" has a digit too many. Look at the '
            "text, one to four digits, before you take it for a number.",
        ),
        Mistake(
            "takes any number for a time",
            """def minute_of_day(clock):
    number = clock.replace("", np.nan).astype(float)
    return number // 100 * 60 + number % 100
""",
            'You turn "1260" into a time of day without a word. A value that cannot be must not get through: raise '
            "`ValueError`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Times of all day with missing ones; then lost zeros, midnight, empty texts, and what is no time."""
        minutes = [0, 5, 60, 719, 720, 1439, *rng.integers(0, 1440, 20)]
        texts = [f"{m // 60:02d}{m % 60:02d}" for m in minutes]
        clock = pd.Series([*texts, np.nan], dtype="str").sample(frac=1, random_state=int(rng.integers(1e6)))
        yield Case((clock,))
        yield Case((pd.Series(["0559", "0600", "2359", "0000"], dtype="str"),))
        lost = pd.Series(["5", "17", "517", "0", "959"], dtype="str")
        yield Case((lost,), edge="times whose leading zeros are lost")
        yield Case((pd.Series(["2359", "2400", "0001"], dtype="str"),), edge='midnight as "2400"')
        yield Case((pd.Series(["1200", "", None], dtype="str"),), edge="empty and missing texts")
        yield Case((pd.Series([], dtype="str"),), edge="no times at all")
        for wrong in ("1260", "2401", "2430", "abc", "-100", "12345", "12.5", "1e3", "+517", "00517"):
            edge = f'"{wrong}", which is no time of day'
            yield Case((pd.Series([texts[0], wrong, texts[-1]], dtype="str"),), edge=edge)


class Reconcile(Exercise):
    """A second delivery corrects the first, and neither is complete."""

    id = "data-4"
    title = "Late corrections"
    starter = """def reconcile(first, second):
    return ____
"""
    hints = (
        "Four columns are the key. Inside each delivery keep the last row of each key: `drop_duplicates(key, keep='last')`.",
        "Two roads: set the key as the index and use `new.combine_first(old)`; or put both below each other and take the "
        "last value per key that is not missing: `groupby(key).last()` does just that.",
        "Both roads sort by the key in the order you name it, so begin with `time_hour`. Bring the key back as columns "
        "(`reset_index()`, `as_index=False`), in the order of `first.columns`.",
    )
    solutions = (
        """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    old, new = (d.drop_duplicates(key, keep="last").set_index(key) for d in (first, second))
    return new.combine_first(old).sort_index().reset_index()[list(first.columns)]
""",
        """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    both = pd.concat([d.drop_duplicates(key, keep="last") for d in (first, second)])
    return both.groupby(key, as_index=False).last()[list(first.columns)]
""",
    )
    mistakes = (
        Mistake(
            "puts both below each other",
            """def reconcile(first, second):
    return pd.concat([first, second]).sort_values(["time_hour", "carrier", "flight", "origin"], kind="stable")
""",
            "Both deliveries' rows are in your result, so a corrected flight counts twice. One row per key.",
        ),
        Mistake(
            "keeps what came first",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    old, new = (d.drop_duplicates(key, keep="last").set_index(key) for d in (first, second))
    return old.combine_first(new).sort_index().reset_index()[list(first.columns)]
""",
            "Where both deliveries have a value you keep the older one, so no correction ever arrives.",
        ),
        Mistake(
            "a missing correction erases the value",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    return pd.concat([first, second]).drop_duplicates(key, keep="last").sort_values(key)
""",
            "You replace whole rows. Where the second delivery has no value, the first one's must stand: decide column by "
            "column.",
        ),
        Mistake(
            "loses the flights that only the second delivery has",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    old, new = (d.drop_duplicates(key, keep="last").set_index(key) for d in (first, second))
    old.update(new)
    return old.sort_index().reset_index()[list(first.columns)]
""",
            "`update` only changes rows that are there already. Flights that were reported late, in the second delivery "
            "alone, are lost.",
        ),
        Mistake(
            "loses the flights that only the first delivery has",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    old, new = (d.drop_duplicates(key, keep="last").set_index(key) for d in (first, second))
    return new.combine_first(old).loc[new.index].sort_index().reset_index()[list(first.columns)]
""",
            "A delivery of corrections need not repeat what was right. Flights that only the first one has must stay.",
        ),
        Mistake(
            "takes the flight number for the key",
            """def reconcile(first, second):
    key = ["carrier", "flight"]
    both = pd.concat([first, second]).groupby(key, as_index=False).last()[list(first.columns)]
    return both.sort_values(["time_hour", "carrier", "flight", "origin"])
""",
            "The same flight number flies every day, and may leave two airports. All four columns together are the key.",
        ),
        Mistake(
            "names the columns that it saw",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    old, new = (d.drop_duplicates(key, keep="last").set_index(key) for d in (first, second))
    both = old.join(new.add_suffix("_new"), how="outer")
    for column in ("tailnum", "arr_delay"):
        both[column] = both[column + "_new"].fillna(both[column])
    return both.sort_index().reset_index()[list(first.columns)]
""",
            "You name columns such as `tailnum` and `arr_delay`. The next delivery has others: apart from the key, take "
            "those that `first.columns` lists.",
        ),
        Mistake(
            "mixes the rows of the second delivery",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    both = pd.concat([first.drop_duplicates(key, keep="last"), second])
    return both.groupby(key, as_index=False).last()[list(first.columns)]
""",
            "You keep the last row of a key in the first delivery, not in the second: there the row that was replaced fills "
            "the gaps of the one that replaced it.",
        ),
        Mistake(
            "mixes the rows of a repeated key",
            """def reconcile(first, second):
    key = ["time_hour", "carrier", "flight", "origin"]
    return pd.concat([first, second]).groupby(key, as_index=False).last()[list(first.columns)]
""",
            "Where one delivery repeats a key, only its last row counts, as a whole. You fill that row's gaps from the rows "
            "it replaced.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Two deliveries that share half of their flights; then a repeated key, and an empty delivery."""
        yield Case(self.deliveries(rng, 30))
        # Twenty flights, so that neither has fewer than two; no missing delay, so that a repeated row makes the only gap
        first, second = (d.assign(arr_delay=d["arr_delay"].fillna(7.0)) for d in self.deliveries(rng, 20))
        again = second.tail(2).assign(arr_delay=np.nan, tailnum="N1")
        yield Case((first, pd.concat([second, again])), edge="a delivery that repeats a key")
        again = first.head(2).assign(arr_delay=[np.nan, 99.0])
        late = second.assign(arr_delay=np.nan)
        yield Case((pd.concat([first, again]), late), edge="a first delivery that repeats a key")
        others = tuple(d.rename(columns={"arr_delay": "dep_delay"}) for d in (first, second))
        yield Case(others, edge="deliveries with another column")
        yield Case((first, second.head(0)), edge="no corrections")
        yield Case((first.head(0), second), edge="an empty first delivery")

    def deliveries(self, rng, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A month in two deliveries of about `n` flights; a third of the values missing in either."""
        flights = pd.DataFrame({
            "carrier": rng.choice(["AA", "B6", "UA"], n), "flight": rng.integers(1, 4, n),
            "origin": rng.choice(AIRPORTS, n), "time_hour": [hours(6)[i] for i in rng.integers(0, 6, n)],
        }).drop_duplicates()  # fmt: skip
        flights = pd.concat([flights, pd.DataFrame(
            {"carrier": "DL", "flight": 7, "origin": ["EWR", "LGA", "EWR"], "time_hour": [NOON, NOON, hours(2)[1]]})]
        )  # fmt: skip
        deliveries = []
        for _ in range(2):
            d = flights.assign(
                tailnum=rng.choice(["N10", "N11", None], len(flights)),
                arr_delay=rng.integers(-20, 90, len(flights)) * 1.0,
            )
            d.loc[rng.random(len(d)) < 0.3, "arr_delay"] = np.nan
            deliveries.append(d[rng.random(len(d)) < 0.7].sample(frac=1, random_state=int(rng.integers(1e6))))
        return deliveries[0], deliveries[1]
