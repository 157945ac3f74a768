"""Features of 1, 10 and 100 years: seconds and peak memory, beside a bare scan and join by DuckDB, and beside pandas.

python bench/features.py [--copies 1,10,100] [--rounds N] [--pandas 1,10] [--threads N] [--days N] [--json FILE]

The years are copies of 2013, shifted by whole weeks (364 days), as Parquet in a temporary folder. Each run is a process of
its own: it reads those files and writes one row a flight to Parquet. The fastest of the rounds counts, and the largest peak.
`join` is the least that any such program does: flights with the weather of their hour and their plane. `pandas` makes the
same kinds of features with groupby, rolling and merge_asof.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

RUN = """
import resource, sys, time
sys.path[:0] = [{root!r}, {bench!r}]
import duckdb, pandas, features, mlcourse.features
used = resource.getrusage(resource.RUSAGE_SELF)
began, started = time.perf_counter(), used.ru_utime + used.ru_stime
getattr(features, "by_" + {how!r})({source!r}, {out!r}, {threads}, {days})
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
used = resource.getrusage(resource.RUSAGE_SELF)
print(seconds, peak, used.ru_utime + used.ru_stime - started)
"""


def make(folder: Path, copies: int) -> int:
    """Write `copies` years to `folder`; the number of flights."""
    import duckdb

    from mlcourse.data import load

    folder.mkdir()
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for name in ("flights", "weather"):
            con.register(name, load(name))
            for i in range(copies):
                day = f"make_date(year::INT, month::INT, day::INT) + {364 * i}"
                shifted = f"year({day}) AS year, month({day}) AS month, day({day}) AS day"
                con.execute(f"""COPY (SELECT * REPLACE ({shifted}, time_hour + INTERVAL {364 * i} DAY AS time_hour)
                    FROM {name}) TO '{folder}/{name}-{i:03}.parquet' (FORMAT parquet)""")
        con.register("planes", load("planes"))
        con.execute(f"COPY planes TO '{folder}/planes.parquet' (FORMAT parquet)")
        return con.execute(f"SELECT count(*) FROM '{folder}/flights-*.parquet'").fetchone()[0]


def by_course(source, out, threads, days):
    """The course's own."""
    import duckdb

    from mlcourse.features import write_features

    connect = duckdb.connect
    duckdb.connect = lambda: connect(config={"threads": threads})
    write_features(source, out, days=days)


def by_join(source, out, threads, days):
    """Scan and join alone."""
    import duckdb

    Path(out).mkdir()
    with duckdb.connect(config={"threads": threads}) as con:
        con.execute(f"""COPY (
            SELECT f.*, w.* EXCLUDE (origin, year, month, day, hour, time_hour), p.* EXCLUDE (tailnum, year), p.year AS built
            FROM '{source}/flights-*.parquet' AS f
            LEFT JOIN '{source}/weather-*.parquet' AS w ON f.origin = w.origin AND f.time_hour = w.time_hour
            LEFT JOIN '{source}/planes.parquet' AS p ON f.tailnum = p.tailnum) TO '{out}/all.parquet' (FORMAT parquet)""")


def by_pandas(source, out, threads, days):
    """The same kinds of features with groupby, rolling and merge_asof."""
    import pandas as pd

    folder = Path(source)
    flights = pd.concat(map(pd.read_parquet, sorted(folder.glob("flights-*"))), ignore_index=True)
    weather = pd.concat(map(pd.read_parquet, sorted(folder.glob("weather-*"))), ignore_index=True)
    flights["s"] = flights.time_hour.astype("int64") // 60_000_000 + flights.minute
    flights["quarter"] = (flights.s - 120) // 15
    out_table = _board(flights)
    out_table = out_table.merge(_sky(weather), how="left", on=["origin", "time_hour"])
    planes = pd.read_parquet(folder / "planes.parquet")[["tailnum", "seats", "year"]]
    out_table = out_table.merge(planes.rename(columns={"year": "built"}), how="left", on="tailnum")
    out_table = _rates(_plane(out_table, flights))
    Path(out).mkdir()
    out_table.to_parquet(f"{out}/all.parquet")


def _board(flights):
    import numpy as np
    import pandas as pd

    seen = flights[["origin", "carrier", "s", "dep_delay"]]
    seen = seen.loc[seen.index.repeat(12)]
    k = np.tile(np.arange(12), len(flights))
    quarter = (seen.s + 14) // 15 + k
    shown = np.fmin(seen.dep_delay, quarter * 15 - seen.s)
    hour = pd.DataFrame({"n_1h": k < 4, "shown_1h": shown.where(k < 4, 0.0)})
    seen = seen[["origin", "carrier"]].assign(quarter=quarter, n=1, shown=shown, late=shown >= 30, worst=shown,
        waiting=~(seen.dep_delay <= shown), n_1h=hour.n_1h, shown_1h=hour.shown_1h.to_numpy())  # fmt: skip
    total = dict.fromkeys(["n", "shown", "late", "n_1h", "shown_1h", "waiting"], "sum") | {"worst": "max"}
    desk = seen.groupby(["origin", "carrier", "quarter"]).agg(total)
    airport = desk.groupby(["origin", "quarter"]).agg(total)
    city = airport.groupby("quarter")[["shown", "n"]].sum()
    out = flights.join(airport.add_prefix("airport_"), on=["origin", "quarter"])
    out = out.join(desk[["n", "shown", "late"]].add_prefix("carrier_"), on=["origin", "carrier", "quarter"])
    return out.join((city.shown / city.n).rename("city_delay_3h"), on="quarter")


def _sky(weather):
    weather = weather.drop(columns=["year", "month", "day", "hour"]).sort_values(["origin", "time_hour"])
    how = {"precip": "sum", "visib": "min", "wind_speed": "max", "wind_gust": "max"}
    rolled = weather.set_index("time_hour").groupby("origin").rolling("3h", closed="left").agg(how)
    return weather.merge(rolled.add_suffix("_3h").reset_index(), how="left", on=["origin", "time_hour"])


def _plane(out, flights):
    import pandas as pd

    flown = flights.loc[flights.tailnum.notna(), ["tailnum", "s", "dep_delay"]].sort_values("s")
    asked = (
        out[["tailnum", "s", "quarter"]]
        .assign(read=out.quarter * 15, row=out.index)
        .dropna()
        .sort_values("read")
    )
    got = pd.merge_asof(asked, flown, left_on="read", right_on="s", by="tailnum", tolerance=1440)
    got["plane_delay"] = got.dep_delay.fillna(1e9).clip(upper=got["read"] - got.s_y)
    got["plane_gap"] = got.s_x - got.s_y
    return out.join(got.set_index("row")[["plane_delay", "plane_gap"]])


def _rates(out):
    bad = ~(out.arr_delay < 30)
    job, night = -((480 - out.s - 780) // 1440), (out.s - 120 - 480) // 1440
    groups = {"rate_airport_hour_30d": (["origin", "hour"], 30), "rate_carrier_dest_30d": (["carrier", "dest"], 30),
              "rate_carrier_7d": (["carrier"], 7), "rate_airport_2d": (["origin"], 2)}  # fmt: skip
    for name, (keys, days) in groups.items():
        daily = out[keys].assign(job=job, bad=bad, n=1).groupby([*keys, "job"])[["bad", "n"]].sum()
        wide = daily.unstack(keys).reindex(range(int(night.min()), int(job.max()) + 1)).fillna(0)
        summed = wide.rolling(days, min_periods=1).sum().stack(keys, future_stack=True)
        rate = (summed.bad / summed.n).rename(name).reset_index()
        out = out.assign(night=night.to_numpy()).merge(
            rate, how="left", left_on=["night", *keys], right_on=["job", *keys]
        )
        out = out.drop(columns=["night", "job"])
    return out


def once(how: str, folder: Path, threads: int, days: int) -> tuple[float, float, float]:
    """Seconds, peak memory (GiB) and seconds of processor time of one run in a process of its own."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as out:
        code = RUN.format(root=str(ROOT), bench=str(Path(__file__).parent), how=how, source=str(folder),
                          out=f"{out}/out", threads=threads, days=days)  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{how} ended with {done.returncode}: {done.stderr[-500:]}")
        return tuple(map(float, done.stdout.split()[-3:]))  # DuckDB may print its progress before


def measure(copies: int, hows: list[str], options) -> list[dict]:
    """One row for each way: copies, rows, seconds, gib, cpu."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "years"
        rows = make(folder, copies)
        runs = {how: [] for how in hows}
        for _ in range(options.rounds):
            for how in hows:
                runs[how].append(once(how, folder, options.threads, options.days))
    columns = {how: list(zip(*found, strict=True)) for how, found in runs.items()}
    return [
        {"how": how, "copies": copies, "rows": rows, "seconds": min(s), "gib": max(g), "cpu": min(c)}
        for how, (s, g, c) in columns.items()
    ]


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--copies", default="1,10,100")
    options.add_argument("--pandas", default="1,10", help="copies that pandas is asked for, too")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--days", type=int, default=364, help="of schedule in one output file")
    options.add_argument("--json", type=Path)
    options = options.parse_args()
    rows, with_pandas = [], [c for c in options.pandas.split(",") if c]
    for copies in options.copies.split(","):
        rows += measure(
            int(copies), ["course", "join", *(["pandas"] if copies in with_pandas else [])], options
        )
        for row in rows[-3:] if copies in with_pandas else rows[-2:]:
            print(
                "{how:>7} {copies:>4} x {rows:>11,} rows {seconds:8.2f} s {cpu:8.2f} s of processor {gib:6.2f} GiB".format(
                    **row
                ),
                flush=True,
            )
    seconds = {(r["how"], r["copies"]): r["seconds"] for r in rows}
    cpu = {(r["how"], r["copies"]): r["cpu"] for r in rows}
    sizes = sorted({r["copies"] for r in rows})
    ratio = {n: seconds["course", n] / seconds["join", n] for n in sizes}
    print("times the bare join:", ", ".join(f"{n}x: {r:.2f}" for n, r in ratio.items()))
    print("by processor time:", ", ".join(f"{n}x: {cpu['course', n] / cpu['join', n]:.2f}" for n in sizes))
    exponent = None
    if len(sizes) > 1:
        exponent = math.log(seconds["course", sizes[-1]] / seconds["course", sizes[0]]) / math.log(
            sizes[-1] / sizes[0]
        )
        print(f"growth: seconds grow with rows to the power {exponent:.2f}")
    if options.json:
        options.json.write_text(json.dumps({"runs": rows, "ratio": ratio, "exponent": exponent}, indent=1))


if __name__ == "__main__":
    main()
