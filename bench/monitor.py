"""Drift of a million rows beside Evidently, NannyML and SciPy; the alarm's level on sound and on held-out weeks; its power on planted shifts.

python bench/monitor.py [--rows N] [--rounds N] [--env DIR] [--json FILE]                        (needs uv for the peers)
python bench/monitor.py --level WEEKS | --power WEEKS [--json FILE]

Speed: 20 features, a reference of N rows over 60 days and N new rows of a week, the same files for all, a process each.
Our reference is made beforehand and timed apart ("made"), NannyML's fit too; Evidently's preset and SciPy have none. NannyML
is asked twice: for one statistic a feature, and for as much as we tell (two distances, missing and unseen values). A peer that
cannot be installed or run is said so in the table.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
PEERS = [
    "evidently>=0.7",
    "nannyml>=0.13",
    "pandas<3",
    "pyarrow",
]  # Evidently 0.7 cannot be imported beside pandas 3
QUIET = {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1"}  # the peers would call home
HEAD = """
import json, resource, sys, time, warnings; warnings.filterwarnings("ignore")
import pyarrow.parquet as pq
where, rounds, took, made = sys.argv[1], int(sys.argv[2]), [], 0.0
def read(name):
    table = pq.read_table(f"{where}/{name}.parquet").to_pandas(split_blocks=True, self_destruct=True)
    return table, table.pop("day")
def clock(do):
    begin = time.perf_counter(); found = do(); return time.perf_counter() - begin, found
"""
TAIL = """
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": took, "made": made, "peak": peak, "moved": sorted(moved)}))
"""
CODE = {
    "mlcourse": """
import pathlib; sys.path.insert(0, {root!r})
from mlcourse.monitor import Reference, drift, reference
if rounds == 0:
    made, past = clock(lambda: reference(*read("old"))); moved = []
    pathlib.Path(f"{{where}}/reference.json").write_text(past.text())
else:
    past, (new, day) = Reference.read(pathlib.Path(f"{{where}}/reference.json").read_text()), read("new")
    for _ in range(rounds):
        seconds, table = clock(lambda: drift(past, new, day)); took.append(seconds)
    moved = set(table[table.alarm].index.get_level_values("feature"))
""",
    "SciPy ks_2samp, numbers": """
from scipy.stats import ks_2samp
(old, _), (new, _) = read("old"), read("new")
numbers = list(old.select_dtypes("number"))
each = lambda: {{c: ks_2samp(old[c].dropna(), new[c].dropna()) for c in numbers}}
for _ in range(rounds):
    seconds, found = clock(each); took.append(seconds)
moved = [c for c, f in found.items() if f.statistic > 0.05]
""",
    "NannyML, KS and chi2": """
import nannyml
(old, _), (new, _) = read("old"), read("new")
ask = nannyml.UnivariateDriftCalculator(column_names=list(old), chunk_number=1, continuous_methods=["kolmogorov_smirnov"],
    categorical_methods=["chi2"])
made, ask = clock(lambda: ask.fit(old))
for _ in range(rounds):
    seconds, found = clock(lambda: ask.calculate(new)); took.append(seconds)
table = found.filter(period="analysis").to_df()
value = lambda c: table[c].xs("value", axis=1, level=-1).iloc[0, 0]
moved = [c for c in old if c[0] == "n" and value(c) > 0.05 or c[0] == "t" and value(c) / len(new) > 0.01]
""",
    "NannyML, as much": """
import nannyml
(old, _), (new, _) = read("old"), read("new")
names, term = list(old), {{"chunk_number": 1}}
asks = [nannyml.UnivariateDriftCalculator(column_names=names, continuous_methods=["kolmogorov_smirnov", "jensen_shannon"],
    categorical_methods=["chi2", "jensen_shannon"], **term), nannyml.MissingValuesCalculator(column_names=names, **term),
    nannyml.UnseenValuesCalculator(column_names=[c for c in names if c[0] == "t"], **term)]
made, asks = clock(lambda: [ask.fit(old) for ask in asks])
for _ in range(rounds):
    seconds, found = clock(lambda: [ask.calculate(new) for ask in asks]); took.append(seconds)
table = found[0].filter(period="analysis").to_df()
moved = [c for c in names if table[c].loc[0, ("jensen_shannon", "value")] > 0.1]
""",
    "Evidently preset": """
from evidently import Report
from evidently.presets import DataDriftPreset
(old, _), (new, _) = read("old"), read("new")
seconds, found = clock(lambda: Report([DataDriftPreset()]).run(new, old).dict()); took.append(seconds)
moved = set()
for metric in found["metrics"]:
    config = metric.get("config", {{}})
    if "column" in config and "threshold" in config:
        value, level = float(metric["value"]), float(config["threshold"])
        small = "p_value" in config.get("method", "") or "p_value" in metric.get("metric_name", "")
        if value < level if small else value >= level:
            moved.add(config["column"])
""",
}


def write(where: Path, rows: int) -> set[str]:
    """Two tables of 17 numbers and 3 texts, and the names of the features that move from one to the other."""
    rng, planted = np.random.default_rng(0), {"n00", "n05", "n11", "t0"}
    for name, days, moves in (("old", 60, set()), ("new", 7, planted)):
        table = {}
        for i in range(17):
            x = (rng.normal(0, 1, rows), rng.gamma(2, 3, rows), rng.poisson(12, rows).astype(float))[i % 3]
            x = x + 0.5 * x.std() * (f"n{i:02}" in moves)
            x[rng.random(rows) < 0.01 * (i % 4)] = np.nan
            table[f"n{i:02}"] = x
        for i, k in enumerate((4, 16, 100)):
            weights = rng.permutation(k) + 1.0 if i else np.arange(1.0, k + 1)[:: -1 if "t0" in moves else 1]
            weights = weights if i == 0 else np.arange(1.0, k + 1)
            table[f"t{i}"] = np.array([f"v{j}" for j in range(k)])[
                rng.choice(k, rows, p=weights / weights.sum())
            ]
        table["day"] = np.sort(rng.integers(0, days, rows)).astype("M8[D]").astype("M8[us]")
        pd.DataFrame(table).to_parquet(where / f"{name}.parquet")
    return planted


def peers(env: Path) -> str:
    """Installs the peers into `env` unless it is there; what went wrong, if anything."""
    if env.exists():
        return ""
    uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, env], check=True)
    install = [uv, "pip", "install", "-q", "--python", env / "bin" / "python", *PEERS]
    return subprocess.run(install, capture_output=True, text=True).stderr[-300:]


def asked(name: str, python: str | Path, where: Path, rounds: int) -> dict:
    """What a process of its own measured: seconds of each round, of what is made beforehand, peak MB, features that moved."""
    code = HEAD + CODE[name].format(root=str(ROOT)) + TAIL
    command = [python, "-c", code, str(where), str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | QUIET)
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no word"])[-1][:160]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def speed(args: argparse.Namespace) -> dict:
    """Seconds and memory of ours and the peers on the same files, and whether they see the same shifts."""
    found = {}
    with tempfile.TemporaryDirectory() as room:
        where, env = Path(room), args.env or Path(room) / "peers"
        planted, wrong = write(where, args.rows), peers(env)
        beforehand = asked("mlcourse", sys.executable, where, 0)
        for name in CODE:
            python = (
                sys.executable if name in ("mlcourse", "SciPy ks_2samp, numbers") else env / "bin" / "python"
            )
            found[name] = asked(name, python, where, args.rounds)
        found["mlcourse"] |= {
            "made": beforehand["made"],
            "peak": max(beforehand["peak"], found["mlcourse"]["peak"]),
        }
    print(f"{args.rows:,} rows x 20 features, planted: {', '.join(sorted(planted))}")
    print(
        f"{'':23} {'seconds':>8} {'ratio':>7} {'made':>7} {'ratio with made':>16} {'peak MB':>8}  planted seen, others"
    )
    ours = found["mlcourse"]
    for name, row in found.items():
        if "error" in row:
            print(f"{name:23} not measured: {row['error']} {wrong}")
            continue
        seconds, seen = statistics.median(row["seconds"]), set(row["moved"])
        row |= {"median": seconds, "seen": sorted(seen & planted), "others": sorted(seen - planted)}
        row |= {
            "ratio": seconds / ours["median"],
            "whole": (seconds + row["made"]) / (ours["median"] + ours["made"]),
        }
        print(f"{name:23} {seconds:8.2f} {row['ratio']:6.1f}x {row['made']:7.2f} {row['whole']:15.1f}x {row['peak']:8.0f}  "
              f"{len(seen & planted)} of {len(planted)}, {len(seen - planted)}")  # fmt: skip
    return found


class Weeks:
    """January to June, without the first two days: the past of the lesson, its reference, and weeks drawn from it."""

    def __init__(self, seed: int = 1):
        from mlcourse.data import load
        from mlcourse.features import FlightFeatures
        from mlcourse.frame import Decision, decision_time
        from mlcourse.monitor import _checked, _counted, reference

        flights = load("flights")
        day = (
            decision_time(flights, Decision())
            .dt.tz_convert("America/New_York")
            .dt.tz_localize(None)
            .dt.normalize()
        )
        seen = day.between("2013-01-03", "2013-06-30")
        self.X = FlightFeatures().fit(flights[seen]).transform(flights[seen]).reset_index(drop=True)
        self.day = day[seen].reset_index(drop=True)
        self.past, self.rng = reference(self.X, self.day), np.random.default_rng(seed)
        self.counts = _counted(self.past.hows, self.X, *_checked(self.X, self.day))
        self.rows = list(self.day.groupby(self.day).indices.values())

    def start(self) -> int:
        """A day with twelve more after it."""
        return int(self.rng.integers(len(self.rows) - 12))

    def rest(self, first: int) -> object:
        """The reference without the seven days from `first` on: a week is not compared with itself."""
        counts = {c: self.past.counts[c] - n[first : first + 7].sum(axis=0) for c, n in self.counts.items()}
        return replace(self.past, counts=counts)

    def without(self, first: int) -> object:
        """A reference of the days outside the thirteen from `first` on."""
        from mlcourse.monitor import reference

        rows = np.concatenate(self.rows[:first] + self.rows[first + 13 :])
        return reference(self.X.iloc[rows], self.day.iloc[rows])

    def before(self, first: int) -> object:
        """A reference of the eight weeks before the looks that begin six days after `first`."""
        from mlcourse.monitor import reference

        rows = np.concatenate(self.rows[first - 50 : first + 6])
        return reference(self.X.iloc[rows], self.day.iloc[rows], draws=1000)

    def drawn(self, first: int) -> list[pd.DataFrame]:
        """Thirteen days from `first` on, other flights of each: drawn from its own, with replacement."""
        return [self.X.iloc[self.rng.choice(r, len(r))] for r in self.rows[first : first + 13]]


def level(args: argparse.Namespace) -> dict:
    """How often anything rings at several stated levels: in weeks drawn anew from the past, and in days that are held out.

    Weeks drawn anew stray as the days did that set the level; only blocks of thirteen days, each compared with a reference
    made from the other days, tell what a new week does.
    """
    weeks, drawn = Weeks(), []
    for _ in range(args.level):
        first = weeks.start()
        drawn.append(_least([weeks.rest(first + i) for i in range(7)], weeks.drawn(first)))
    print(
        f"38 features, looked at daily, half a year of past\n{'':20}stated   rang  95 % interval of the share"
    )
    blocks = range(0, len(weeks.rows) - 12, 13)
    held = [_least([weeks.without(b)] * 7, [weeks.X.iloc[r] for r in weeks.rows[b : b + 13]]) for b in blocks]
    return {
        name: _rang(name, least)
        for name, least in {"weeks drawn anew": drawn, "held-out blocks": held}.items()
    }


def _least(pasts, days):  # least p in seven daily looks at thirteen days
    from mlcourse.monitor import drift

    dates = [np.full(len(d), i, "M8[D]") for i, d in enumerate(days)]
    looks = [(pd.concat(days[i : i + 7]), np.concatenate(dates[i : i + 7])) for i in range(7)]
    return min(drift(past, *look).p.min() for past, look in zip(pasts, looks, strict=True))


def _rang(name, least):
    from scipy.stats import binomtest

    found = {}
    for stated in (0.01, 0.02, 0.05, 0.1, 0.2):
        rang = int(np.sum(np.array(least) <= stated))
        low, high = binomtest(rang, len(least)).proportion_ci(0.95)
        found[stated] = {"rang": rang, "weeks": len(least), "low": low, "high": high}
        print(f"{name:20}{stated:6.0%} {rang:6,}  {low:7.2%} to {high:7.2%} of {len(least):,}")
    return found


def _missing(names, share):
    return lambda t, rng: t.assign(**{c: t[c].mask(rng.random(len(t)) < share) for c in names})


def shifts() -> dict:
    """Changes of known size: name -> function of (table, rng)."""
    from mlcourse.features import FEATURES

    new = lambda t, c, share, to, rng: t.assign(
        **{c: t[c].astype("str").where(rng.random(len(t)) > share, to)}
    )
    more = lambda t, rng: pd.concat([t, t[(t.carrier == "UA") & (rng.random(len(t)) < 0.2)]])
    made = {"nothing": lambda t, rng: t}
    made |= {f"temp +{d} °F": lambda t, rng, d=d: t.assign(temp=t.temp + d) for d in (5, 15, 30)}
    made |= {
        "temp in °C": lambda t, rng: t.assign(temp=(t.temp - 32) / 1.8),
        "temp stuck at 50": lambda t, rng: t.assign(temp=50.0),
        "wind in km/h": lambda t, rng: t.assign(wind_speed=t.wind_speed * 1.609344),
    }
    made |= {f"temp missing {s:.0%}": _missing(["temp"], s) for s in (0.01, 0.02, 0.05)}
    made |= {
        "weather missing": _missing(FEATURES["weather"], 1),
        "board missing": _missing(FEATURES["airport"], 1),
        "board missing 5%": _missing(FEATURES["airport"], 0.05),
        "airport delay +5 min": lambda t, rng: t.assign(airport_delay_3h=t.airport_delay_3h + 5),
        "UA flights +20%": more,
        "UA renamed": lambda t, rng: t.assign(carrier=t.carrier.astype("str").replace("UA", "U2")),
        "a new airport, 1%": lambda t, rng: new(t, "dest", 0.01, "ZZZ", rng),
    }
    return made


def power(args: argparse.Namespace) -> dict:
    """Share of weeks in which a shift that begins on the first of seven looks rings at level 2 %, and the day of it.

    Against the rest of half a year, which knows no season, and against the eight weeks before, which know nothing else;
    "nothing" planted shows what each rings without a fault.
    """
    weeks, found = Weeks(), {}
    starts = weeks.rng.integers(50, len(weeks.rows) - 12, size=args.power)
    recent = [weeks.before(s) for s in starts]
    print(
        f"{args.power} weeks, level 2 %: share found, median day of the alarm\n{'planted':24} half a year    eight weeks before"
    )
    for name, change in shifts().items():
        kinds = {
            "half": [_first(weeks, s, change, [weeks.rest(s + i) for i in range(7)]) for s in starts],
            "recent": [_first(weeks, s, change, [past] * 7) for s, past in zip(starts, recent, strict=True)],
        }
        found[name] = {
            k: {"found": np.mean([d > 0 for d in days]), "days": days} for k, days in kinds.items()
        }
        print(f"{name:24} {'   '.join(map(_said, kinds.values()))}", flush=True)
    return found


def _said(days):
    rang = [d for d in days if d]
    return f"{len(rang) / len(days):6.0%} {f'day {statistics.median(rang):g}' if rang else '':8}"


def _first(weeks, start, change, pasts):  # number of the look that rings first, 1 to 7; 0: none
    from mlcourse.monitor import drift

    days = [weeks.X.iloc[r] for r in weeks.rows[start : start + 13]]
    days = days[:6] + [change(d, weeks.rng) for d in days[6:]]
    for i in range(7):
        dates = np.concatenate([np.full(len(d), j, "M8[D]") for j, d in enumerate(days[i : i + 7])])
        if drift(pasts[i], pd.concat(days[i : i + 7]), dates).alarm.any():
            return i + 1
    return 0


def main() -> None:
    """Measure what was asked for, print it, and write it where `--json` says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--env", type=Path, help="the peers' environment, made there if it is not; else a temporary one"
    )
    parser.add_argument(
        "--level", type=int, metavar="WEEKS", help="only this: sound weeks to draw, such as 1000"
    )
    parser.add_argument(
        "--power", type=int, metavar="WEEKS", help="only this: weeks to plant each shift in, such as 25"
    )
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    found = level(args) if args.level else power(args) if args.power else speed(args)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
