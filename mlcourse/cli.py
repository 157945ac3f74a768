"""The `mlcourse` command: open the course, see progress, check and reset work, look after the installation."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

import mlcourse
from mlcourse.folder import Stop, course, find, lay, lessons, plain, restore, write
from mlcourse.jupyter import code, execute, fault
from mlcourse.jupyter import serve as open_lab

NOT_RUN = {"outcome": "not run", "message": "Its check was not reached."}
COLOURS = {"passed": "green", "fragile": "yellow", "not yet": "red"}

app = typer.Typer(
    help="From Python to production: a course of checked notebooks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
Dir = Annotated[Path | None, typer.Option("--dir", help="The course folder; else the one you are in.")]


def main(args: list[str] | None = None) -> int:
    """Exit code of the command. Every foreseen end is a sentence for the learner, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # an old Windows console knows few characters
    try:
        app(args, prog_name="mlcourse")
    except (SystemExit, KeyboardInterrupt) as end:
        if (ended := getattr(end, "code", 130)) != 130:
            return int(ended or 0)
        return _say("Stopped. Nothing is lost: run the same command again.", 130)
    except Stop as stop:
        return _say(str(stop), stop.code)
    except OSError as error:
        return _say(plain(error), 1)
    except Exception as error:
        if "MLCOURSE_TRACEBACK" in os.environ:
            raise
        what = f"mlcourse stopped on something unforeseen, {type(error).__name__}: {error}"
        return _say(f"{what}. Run `mlcourse doctor`; MLCOURSE_TRACEBACK=1 shows where it was.", 1)
    return 0


def _say(text: str, code: int) -> int:
    Console(stderr=True, highlight=False, markup=False).print(text, soft_wrap=True)
    return code


def _print(*parts: object) -> None:
    Console(highlight=False, markup=False).print(*parts, soft_wrap=not isinstance(parts[0], Table))


def _count(things: list, word: str) -> str:
    return f"{len(things) or 'no'} {word}{'' if len(things) == 1 else 's'}"


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, no_wrap=header not in ("Message", "Found"), overflow="fold")
    return table


@app.callback(invoke_without_command=True)
def _options(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        _print(f"mlcourse {mlcourse.__version__}, Python {sys.version.split()[0]}")
        raise typer.Exit


def _root(dir: Path | None, start: Path | None = None) -> Path | None:
    # The course folder that is named, or holds `start`, or lies as my-course in it.
    from mlcourse.exercises.progress import folder

    here = dir or start or Path.cwd()
    return folder(here) or folder(here / "my-course")


def _need(dir: Path | None, start: Path | None = None) -> Path:
    if root := _root(dir, start):
        return root
    here = dir or start or Path.cwd()
    raise Stop(f"There is no course folder at {here}: `mlcourse learn` makes one, `--dir` names one.", 2)


@app.command()
def learn(
    dir: Annotated[
        Path | None, typer.Argument(help="Your folder; else the one you are in, or my-course.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the course in your browser.")] = True,
    start: Annotated[bool, typer.Option(help="Start JupyterLab; --no-start only lays the lessons.")] = True,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Else a free one, 8888 first.")] = None,
) -> None:
    """Lay the lessons in your folder, never over your work, and open JupyterLab on the home page."""
    root = (dir or _root(None) or Path("my-course")).expanduser().resolve()
    _see_that_it_is_the_learners(root)
    done = lay(root)
    if done["added"]:
        _print(f"Laid {_count(done['added'], 'file')} in {root}.")
    if done["waiting"]:
        _print(
            f"The course has a newer version of {_count(done['waiting'], 'file')}: `mlcourse update` brings it."
        )
    if start:
        open_lab(root, browser, port, _open)
        _print(f"JupyterLab is stopped. Your work is in {root}.")


def _see_that_it_is_the_learners(root: Path) -> None:
    from mlcourse.exercises.progress import folder

    own = "name a folder of your own, such as my-course"
    if root.exists() and not root.is_dir():
        raise Stop(f"{root} is a file: name another folder.", 2)
    if root == course().parent or root.is_relative_to(course()):
        raise Stop(f"{root} holds the course itself: {own}.", 2)
    if (root / ".mlcourse").is_dir() or (root / "index.ipynb").exists():  # which is laid first
        return
    if outer := folder(root):
        raise Stop(f"{root} lies inside your course folder {outer}: `mlcourse learn` opens that one.", 2)
    if root.is_relative_to(course().parent) and any(root.glob("[!.]*")):
        raise Stop(f"{root} lies in the course and is not empty: {own}.", 2)


def _open(address: str) -> None:
    _print(f"The course is open at\n\n    {address}\n\nCtrl-C here ends it.")


@app.command()
def status(dir: Dir = None) -> None:
    """Show how far you are in each stage, and what comes next."""
    from mlcourse.exercises.engine import exercises
    from mlcourse.exercises.progress import Progress as Record

    record = Record(_need(dir))
    passed = {id for id, entry in record.read().items() if entry["passed"]}
    table = _table("Stage", "Lessons", "Progress", "Exercises passed")
    ahead = []
    for stage, group in groupby(lessons(), key=lambda lesson: lesson.stage):
        here = [(lesson, exercise) for lesson in group for exercise in exercises(lesson.name)]
        left = [(lesson, exercise) for lesson, exercise in here if exercise.id not in passed]
        if here:
            numbers = sorted({lesson.number for lesson, _ in here})
            done, all = len(here) - len(left), len(here)
            table.add_row(stage, " ".join(numbers), ProgressBar(all, done, width=24), f"{done} of {all}")
        ahead += left
    _print(table)
    if record.trouble:
        _say(record.trouble, 0)
    if not ahead:
        return _print("\nEvery exercise is passed.")
    lesson, exercise = ahead[0]
    called = f"{lesson.number} {lesson.title}".strip()
    _print(f"\nNext: {exercise.id}, {exercise.title}, in {lesson.path}\n      {called}")


@app.command()
def check(
    lesson: Annotated[str, typer.Argument(help="Such as 06, frame or 1_frame/06_frame.ipynb.")],
    dir: Dir = None,
    timeout: Annotated[int, typer.Option(min=1, help="Seconds that one cell may take.")] = 120,
) -> None:
    """Run your notebook of a lesson from top to bottom in a fresh kernel; exit code 0 if all of it is right."""
    from mlcourse.exercises.card import MIME
    from mlcourse.exercises.engine import exercises

    wanted = find(lesson)
    given = Path(lesson).resolve() if lesson.endswith(".ipynb") and Path(lesson).is_file() else None
    root = _need(dir, given and given.parent)
    path = given or root / wanted.path
    cells, stop = _run(code(path), root, path.parent, timeout, f"{wanted.number} {wanted.title}")
    shown = [(cell, out) for cell in cells for out in cell.outputs]
    faults = [fault(cell, out) for cell, out in shown if out.output_type == "error"] + [stop] * bool(stop)
    said = [out.data[MIME] for _, out in shown if MIME in out.get("data", {})]
    outcomes = {e.id: NOT_RUN for e in exercises(wanted.name)} | {entry["id"]: entry for entry in said}
    if outcomes:
        _print(_outcomes(outcomes))
    for text in faults:
        _print(f"\n{text}")
    passed = sum(entry["outcome"] == "passed" for entry in outcomes.values())
    _print(f"\n{passed} of {len(outcomes)} exercises passed, {_count(faults, 'cell')} failed.")
    raise typer.Exit(int(passed < len(outcomes) or bool(faults)))


def _run(sources: list[str], root: Path, cwd: Path, seconds: int, title: str) -> tuple[list, str]:
    says = TextColumn("{task.description}", markup=False)
    with Progress(says, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True) as bar:
        task = bar.add_task(title, total=len(sources))
        return execute(sources, root, cwd, seconds, lambda: bar.advance(task))


def _outcomes(outcomes: dict[str, dict]) -> Table:
    table = _table("Exercise", "Outcome", "Message")
    for id, entry in outcomes.items():
        outcome = entry["outcome"]
        table.add_row(Text(id), Text(outcome, COLOURS.get(outcome, "")), Text(entry["message"]))
    return table


@app.command()
def run(
    dir: Dir = None,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; else run in the course folder, or mlcourse-run.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of your tables; else the real year 2013.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="Do this stage and all after it again.")] = None,
    until: Annotated[str | None, typer.Option(help="Stop after this stage.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same predictions to the last bit.")] = 0,
    test_from: Annotated[str | None, typer.Option(help="First day of the test; else the last third.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the report in your browser.")] = True,
) -> None:
    """Run the whole workflow, from the tables to a report of what the model earns; what is up to date is not done twice."""
    # Threads that spin while they wait make a fit take eight times as long as soon as a core has other work
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from mlcourse import run as workflow

    place = (out or ((root := _root(dir)) and root / "run") or Path("mlcourse-run")).expanduser().resolve()
    data = data and data.expanduser().resolve()
    with _stages() as tell:
        record = workflow.run(place, data, seed, test_from, first, until, tell)
    if "save" in record and (until or "save") == "save":
        _show(place, browser)


def _show(place: Path, browser: bool) -> None:
    import webbrowser

    from mlcourse.report import figures, verdict
    from mlcourse.run import unpack

    evaluation, decision = (unpack(place / f"{name}.json") for name in ("evaluation", "decision"))
    table = _table("Figure", "Value", "95 % interval")
    for row in figures(evaluation, decision):
        table.add_row(*map(Text, row.values()))
    _print(table)
    _print(verdict(decision))
    _print(f"The report: {place / 'report.html'}")
    if browser and Console().is_terminal:
        webbrowser.open((place / "report.html").as_uri())


@contextmanager
def _stages() -> Iterator[Callable[..., None]]:
    # How a run is shown: a bar for each stage, or where nobody watches a line for each.
    if not Console().is_terminal:
        yield _stage_line
        return
    says = TextColumn("{task.description:<9}", markup=False), TextColumn("{task.fields[note]}", markup=False)
    with Progress(says[0], BarColumn(24), TimeElapsedColumn(), says[1]) as bars:
        tasks = {}

        def tell(
            stage: str, state: str, done: int = 0, total: int | None = None, why: str = "", **_: object
        ) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note="" if why == "asked for" else why)
            if state == "step":
                bars.update(tasks[stage], total=total, completed=done)
            elif state != "begins":
                bars.update(tasks[stage], total=1, completed=1, note="" if why else state)
                bars.stop_task(tasks[stage])

        yield tell


def _stage_line(stage: str, state: str, seconds: float = 0, why: str = "", **_: object) -> None:
    if state in ("done", "up to date"):
        _print(f"{stage:<9} {f'{seconds:6.1f} s  {why}' if why else state}")


@app.command()
def serve(
    dir: Dir = None,
    registry: Annotated[
        str | None,
        typer.Option(
            envvar="MLCOURSE_REGISTRY",
            help="Folder or address; else registry in the course folder, or mlcourse-registry.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(envvar="MLCOURSE_MODEL", help="Which model of the registry.")
    ] = "bad-flights",
    alias: Annotated[
        str, typer.Option(envvar="MLCOURSE_ALIAS", help="The version it points to answers.")
    ] = "champion",
    log: Annotated[
        Path | None,
        typer.Option(
            envvar="MLCOURSE_LOG", help="The prediction log; else predictions.db beside the registry."
        ),
    ] = None,
    host: Annotated[str, typer.Option(envvar="MLCOURSE_HOST", help="0.0.0.0 in a container.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="MLCOURSE_PORT", min=0, max=65535, help="0: a free one.")
    ] = 8000,
    power_safe: Annotated[
        bool,
        typer.Option(
            envvar="MLCOURSE_POWER_SAFE", help="Wait for the disk: a power cut loses nothing either."
        ),
    ] = False,
) -> None:
    """Answer over HTTP with the registry's model; MLCOURSE_API_KEY sets a key that callers must send.

    A finished `mlcourse run` is registered first if the registry has no such model yet."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from mlcourse.asgi import listen
    from mlcourse.registry import Registry
    from mlcourse.serve import Service

    root = _root(dir)
    where = registry or str(root / "registry" if root else Path("mlcourse-registry").resolve())
    store = Registry(where)
    _filled(store, name, alias, root / "run" if root else Path("mlcourse-run"))
    key = os.environ.get("MLCOURSE_API_KEY") or None
    place = log or (Path("predictions.db") if "://" in where else Path(where, "predictions.db"))
    listen(Service(store, name, place, alias=alias, key=key, power_safe=power_safe), host, port)


@app.command("check-service")
def check_service(
    url: Annotated[str, typer.Argument(help="Such as http://127.0.0.1:8000.")],
) -> None:
    """Ask a service, in any framework, whether it keeps the contract; exit code 0 if it does. MLCOURSE_API_KEY is sent."""
    from mlcourse import check_service as contract

    findings, key = [], os.environ.get("MLCOURSE_API_KEY") or None
    try:
        contract.Asked(url, key).ask("GET", "/health")
    except ValueError as error:
        raise Stop(str(error), 2) from error
    except OSError as error:
        raise Stop(f"Nothing answers at {url} ({error}). Start the service, or mend the address.") from error
    for finding in contract.check_service(url, key):
        findings.append(finding)
        colour = "green" if finding.holds else "red"
        _print(Text("holds   " if finding.holds else "broken  ", colour) + finding.rule)
        if not finding.holds:
            _print(f"        Seen: {finding.seen}\n        Do:   {finding.mend}")
    broken = sum(not finding.holds for finding in findings)
    _print(f"\n{len(findings) - broken} of {len(findings)} rules hold.")
    raise typer.Exit(int(broken > 0))


def _filled(registry: Any, name: str, alias: str, place: Path) -> None:
    # A registry without the model takes it from a finished run.
    from mlcourse.registry import Refused, Unreachable

    try:
        registry.current(name, alias)
    except (ValueError, Unreachable) as error:
        if isinstance(error, Unreachable) and not registry.address.startswith("sqlite:"):
            raise Stop(f"{error}. Is the address right, and does the registry run?", 2) from error
        if alias != "champion":
            raise Stop(f"{error}. A run makes the champion only: is --alias right?", 2) from error
        if not (place / "model_card.md").is_file():
            raise Stop(
                f"{error}. Run `mlcourse run` first: `mlcourse serve` then takes what it made.", 2
            ) from error
        try:
            _print(f"Version {_register(registry, name, place)} of {name} is registered from {place}.")
        except Refused as refused:
            raise Stop(str(refused), 2) from refused


def _register(registry: Any, name: str, place: Path) -> str:
    # A finished run as a new version, promoted if its gate passed; where it comes from is what the run recorded.
    import pandas as pd

    from mlcourse.registry import thaw
    from mlcourse.run import RECORD, unpack

    record, evaluation, decision = (unpack(place / f) for f in (RECORD, "evaluation.json", "decision.json"))
    features = unpack(place / "features.parquet")
    hashes = record["validate"]["saw"]["data"] | {
        f: sha for done in record.values() for f, sha in done["made"].items()
    }
    version = registry.save(
        thaw(unpack(place / "model.skops")), name, example=features.iloc[:: max(1, len(features) // 1000)],
        lineage={"seed": record["train"]["saw"]["seed"], **hashes},
        metrics={row["score"]: row["value"] for row in evaluation["scores"]["model"]},
        card=unpack(place / "model_card.md"), gate=pd.DataFrame(decision["gate"]).set_index("check"),
    )  # fmt: skip
    return registry.promote(name, version)


@app.command()
def simulate(
    url: Annotated[
        str | None, typer.Option(help="Your service's address; else the course's own, without HTTP.")
    ] = None,
    scenario: Annotated[
        str, typer.Option(help="calm, summer, feeds, chaos, or drawn: any, from the seed.")
    ] = "calm",
    days: Annotated[int, typer.Option(min=1, max=184, help="From 1 July 2013 on.")] = 184,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same score, to the cent.")] = 0,
    operator: Annotated[
        str, typer.Option(help="careful, nothing, last-month, nightly, MODULE:CLASS or http://…")
    ] = "careful",
    registry: Annotated[
        Path | None,
        typer.Option(
            help="Folder of your service's registry and predictions.db, a new one for each run: the operator can retrain there."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of the post-mortem, and of what a run goes on from.")
    ] = Path("mlcourse-simulate"),
    timeout: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds that an answer may take.")
    ] = 10.0,
    nightly: Annotated[bool, typer.Option(help="Compare with 'retrain every night' too: minutes.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of the page to watch; 0: a free one.")] = 0,
) -> None:
    """Play the second half of 2013 against a service, with incidents, and score it and its operator in money.

    MLCOURSE_API_KEY is sent along. A run that was stopped goes on when started again."""
    if registry and not url:
        raise Stop("--registry is that of the service at --url: name both, or neither.", 2)
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from mlcourse import careful, live
    from mlcourse import simulate as sim
    from mlcourse.incidents import real_world
    from mlcourse.services import champion

    sys.path.insert(0, os.getcwd())  # MODULE:CLASS of one's own
    rest = ("nothing", "last-month", *["nightly"] * nightly, "careful", "oracle")
    rest = tuple(name for name in rest if url or name != operator)
    try:
        sim.calendar(scenario, seed, days)
        world = real_world()
        service, policy = _service(url, timeout, registry, world), careful.operator_named(operator, world)
        out.mkdir(parents=True, exist_ok=True)
        journal = out / f"{scenario}-{seed}-{days}-{'http' if url else 'own'}.jsonl"
        with live.web(port) as (page, publish), _screen(live, publish, page) as tell:
            score = sim.play(service, policy, scenario, seed, days, world, tell, journal, champion(world))
            others = careful.references(scenario, seed, days, world, rest)  # the page shows the end meanwhile
    except ValueError as error:
        raise Stop(f"{error}.", 2) from error
    write(out / "score.json", live.as_json(score).encode())
    write(out / "post-mortem.html", live.postmortem(score, others).encode())
    journal.unlink(missing_ok=True)
    _scores(live.compared([score, *others]), score.told, out / "post-mortem.html")


def _service(url: str | None, seconds: float, registry: Path | None, world: Any) -> Any:
    # Whom a simulation asks; with a registry it can also train.
    from mlcourse.registry import Registry
    from mlcourse.services import HttpService, InProcess, Trainer

    if url is None:
        return InProcess(world)
    trainer = registry and Trainer(Registry(registry), registry / "predictions.db", world)
    return HttpService(url, seconds=seconds, trainer=trainer, key=os.environ.get("MLCOURSE_API_KEY", ""))


def _scores(rows: list[dict], told: list[str], page: Path) -> None:
    table = _table(*(shown := [name for name in rows[0] if name not in ("Flights", "Downtime and lateness")]))
    for row in rows:
        table.add_row(*(str(row[name]) for name in shown))
    _print("This run, then other operators on the course's own service:")
    _print(table)
    for text in told[:5]:
        _print(text)
    if len(told) > 5:
        _print(f"… and {len(told) - 5} more lines of what went wrong.")
    _print(f"The post-mortem: {page}")


@contextmanager
def _screen(live: Any, publish: Callable, page: str) -> Iterator[Callable]:
    # Every day to the page and to the terminal; where nobody watches, a line a month.
    from rich.live import Live

    if not Console().is_terminal:

        def tell(now: dict) -> None:
            publish(now)
            if now["day"] % 30 == 0:
                _print(f"day {now['day']:>3}  {now['money']:>14,.0f} dollars")

        yield tell
        return
    _print(f"The same as a page: {page}")
    with Live(refresh_per_second=8) as screen:
        yield lambda now: (publish(now), screen.update(live.view(now)))


@app.command()
def reset(exercise: Annotated[str, typer.Argument(help="Such as frame-1.")], dir: Dir = None) -> None:
    """Put an exercise's starter back into your notebook; your answer is kept in .mlcourse/answers."""
    from mlcourse.exercises.progress import Progress as Record

    root, exercise = _need(dir), exercise.lower()
    kept = restore(root, exercise)
    record = Record(root)
    record.reset(exercise)
    if record.trouble:
        raise Stop(record.trouble)
    if kept is None:
        return _print(f"{exercise} is as the course gave it; its tries and hints are forgotten.")
    _print(f"{exercise} is as the course gave it. Your answer is kept in {kept.relative_to(root)}.")
    _print("If the notebook is open in JupyterLab: File > Reload Notebook from Disk.")


@app.command()
def update(dir: Dir = None) -> None:
    """Bring your folder up to the installed course: new lessons, newer ones where you changed nothing, never over yours."""
    words = {
        "added": "new",
        "replaced": "newer (you had not changed it)",
        "beside": "newer, laid beside yours, which stays as it is",
    }
    done = lay(_need(dir), update=True)
    for what, word in words.items():
        for path in done[what]:
            _print(f"{path}: {word}")
    if not any(done.values()):
        _print(
            f"Every lesson is that of mlcourse {mlcourse.__version__} already; in a clone, `git pull` brings a newer course."
        )


@app.command()
def doctor(dir: Dir = None) -> None:
    """Look at versions, data, disk, kernel and your folder: what is wrong, and the mend."""
    from mlcourse.doctor import examine

    root = _need(dir) if dir else _root(None)
    table = _table("", "What", "Found")
    wrong = 0
    for what, found, mend in examine(root):
        wrong += bool(mend)
        state = Text("wrong", "red") if mend else Text("ok", "green")
        table.add_row(state, what, Text(f"{found}\n{mend}".strip()))
    _print(table)
    if not root:
        _print("No course folder here yet: `mlcourse learn` makes one.")
    raise typer.Exit(int(wrong > 0))
