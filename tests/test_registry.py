"""mlcourse.registry: nothing foreign is run, ONNX is exact, aliases move through the gate and back, on every store."""

import hashlib
import json
import os
import pickle
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import numpy_helper
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer

from mlcourse import registry as module
from mlcourse.decide import Calibrated
from mlcourse.models import Encode, TableClassifier, make_model
from mlcourse.registry import (
    EXACT,
    Encoder,
    Model,
    Refused,
    Registry,
    Unreachable,
    freeze,
    furthest,
    lineage,
    runner,
    thaw,
    to_onnx,
)

NAME = "bad-flights"
PASSED = pd.DataFrame(
    {"value": [0.1, np.nan], "passed": [True, True], "reason": "fine"}, index=["money", "slice"]
)
FAILED = PASSED.assign(passed=[True, False])


def flights(n, seed=0):
    """Features as a model gets them: numbers with holes, text, a column that is never known; and labels."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {"temp": rng.normal(50, 20, n).round(2), "rate_airport_hour_30d": rng.random(n), "seats": 149}
    )
    X["gust"] = np.where(rng.random(n) < 0.4, np.nan, rng.gamma(2, 9, n))
    X["carrier"] = pd.Categorical(rng.choice(["UA", "B6", "ÖÄ"], n))
    X["dest"] = pd.Series(rng.choice(["BOS", "SFO", "ORD", None], n), dtype="str")
    X["never"] = np.nan
    bad = (
        X.gust.fillna(40) / 90 + X.rate_airport_hour_30d + (X.carrier == "UA") / 2 + rng.normal(0, 0.4, n)
        > 1.2
    )
    return X, bad


X, Y = flights(3000)
NEW, LATER = flights(600, seed=1)


def fitted(name, **more):
    return make_model(name, **more).fit(X, Y)


BOOSTING = fitted("boosting", max_iter=25, min_samples_leaf=20)
CALIBRATED = Calibrated(BOOSTING).fit(NEW, LATER)
EXACTLY = {
    "boosting": BOOSTING,
    "logistic": fitted("logistic"),
    "calibrated": CALIBRATED,
    "calibrated logistic": Calibrated(fitted("logistic")).fit(NEW, LATER),
    "frozen": Calibrated(FrozenEstimator(BOOSTING)).fit(NEW, LATER),
    "some columns": make_model("boosting", columns=["gust", "temp", "dest"], max_iter=5).fit(X, Y),
}
SLOWLY = {
    "constant": fitted("constant"),
    "last_month_rate": fitted("last_month_rate"),
    "tree": fitted("tree"),
    "isotonic": Calibrated(BOOSTING, "isotonic").fit(NEW, LATER),
    "no split": fitted("boosting", max_iter=3, min_samples_leaf=2000),
}
ALL = EXACTLY | SLOWLY


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A registry with two versions, the second of which did not pass its gate. Tests get a copy, in another place."""
    folder = tmp_path_factory.mktemp("made")
    store = Registry(folder)
    how = {"lineage": {"data.x": "1f", "settings.seed": 0}, "metrics": {"money": np.float64(12.5)}}
    assert store.save(CALIBRATED, NAME, example=NEW, card="# Card ✓", gate=PASSED, **how) == "1"
    assert store.save(BOOSTING, NAME, example=NEW, gate=FAILED) == "2"
    store.promote(NAME, "1")
    return folder


@pytest.fixture
def store(made, tmp_path):
    shutil.copytree(made, tmp_path / "registry")
    return Registry(tmp_path / "registry")


def path(store, version, file):
    """Where a file of a version lies."""
    _, run, *_ = store._find(NAME, version)
    return Path(store.files, NAME, run, "artifacts", file)


def sql(store, *statement):
    """Change the database behind the registry's back."""
    with closing(sqlite3.connect(store._file)) as database:
        database.execute(*statement)
        database.commit()


# Nothing foreign is run


class Bomb:
    """Writes a file as soon as it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.write_text, (self.trace, "boom")


def bombs(trace):
    """Hostile bytes: as pickles of every protocol, and as a skops file that names a function of ours."""
    from skops.io import dumps

    named = {f"pickle {n}": pickle.dumps(Bomb(trace), n) for n in range(pickle.HIGHEST_PROTOCOL + 1)}
    return named | {"skops": dumps(FunctionTransformer(os.system, kw_args={"command": f"touch {trace}"}))}


@pytest.mark.parametrize("name", ALL)
def test_freeze_and_thaw(name):
    content = freeze(ALL[name])
    assert freeze(ALL[name]) == content
    assert (
        name == "tree" or freeze(thaw(content)) == content
    )  # loaded, its nodes are padded with what lay in memory
    assert (thaw(content).predict_proba(NEW) == ALL[name].predict_proba(NEW)).all()


def test_a_bomb_would_go_off(tmp_path):
    pickle.loads(bombs(tmp_path / "trace")["pickle 2"])
    assert (tmp_path / "trace").exists()


def test_thaw_refuses_all_else(tmp_path):
    content = freeze(BOOSTING)
    broken = {"nothing": b"", "noise": b"PK\x03\x04 noise", "cut": content[:-30]}
    for hostile in (bombs(tmp_path / "trace") | broken).values():
        with pytest.raises(Refused, match="no model that `freeze` wrote"):
            thaw(hostile)
    assert not (tmp_path / "trace").exists()


def test_freeze_names_what_it_does_not_trust():
    with pytest.raises(Refused, match=r"TRUSTED, got .*posix.system|TRUSTED, got .*nt.system"):
        freeze(FunctionTransformer(os.system))


@pytest.mark.parametrize("file", ["manifest.json", "model.skops", "model.onnx", "encoder.json", "card.md"])
def test_a_changed_file_is_refused(store, tmp_path, file):
    at, other = path(store, "1", file), path(store, "2", file).read_bytes()
    whole = at.read_bytes()
    flipped = whole[:3] + bytes([whole[3] ^ 1]) + whole[4:]
    changed = [*bombs(tmp_path / "trace").values(), whole[:-1], whole + b"\n", b"", flipped, other]
    for content in (c for c in changed if c != whole):
        at.write_bytes(content)
        with pytest.raises(
            Refused, match=f"{file} of {NAME} 1 is (cut short|not what was saved), so nothing"
        ):
            store.load(NAME)
    at.unlink()
    with pytest.raises(Refused, match=f"{file} of {NAME} 1 cannot be read"):
        store.load(NAME)
    at.mkdir()
    with pytest.raises(Refused, match="cannot be read"):
        store.load(NAME)
    at.rmdir(), at.write_bytes(whole)
    assert store.load(NAME).version == "1" and not (tmp_path / "trace").exists()


@pytest.mark.parametrize("file", ["model.skops", "model.onnx", "encoder.json", "card.md", "manifest.json"])
def test_a_bomb_with_all_its_hashes_right_does_not_go_off(store, tmp_path, file):
    """Whoever may write files and database can replace the model, but still run nothing."""
    facts = json.loads(path(store, "1", "manifest.json").read_bytes())
    for content in bombs(tmp_path / "trace").values():
        path(store, "1", file).write_bytes(content)
        manifest = content
        if file != "manifest.json":
            manifest = json.dumps(facts | {"files": facts["files"] | {file: module._seal(content)}}).encode()
            path(store, "1", "manifest.json").write_bytes(manifest)
        sealed = json.dumps(module._seal(manifest))
        sql(store, "UPDATE model_version_tags SET value = ? WHERE key = 'manifest' AND version = 1", [sealed])
        with (
            pytest.raises(Refused) if file != "card.md" else suppress(Refused)
        ):  # a card is a text, whatever it says
            store.load(NAME).pipeline  # noqa: B018
        assert not (tmp_path / "trace").exists()


def test_files_beside_a_version_are_never_opened(store, tmp_path):
    for name in (
        "model.pkl",
        "model.pickle",
        "model.joblib",
        "python_model.pkl",
        "MLmodel",
        "conda.yaml",
        "model.pt",
    ):
        path(store, "1", name).write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    assert store.load(NAME).predict(NEW).shape == (600,) and store.load(NAME).pipeline is not None
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("run", ["../../../elsewhere", "", "/etc", "A" * 32, "0" * 31 + "/", None])
def test_a_version_cannot_point_out_of_the_registry(store, run):
    sql(store, "UPDATE model_versions SET run_id = ? WHERE version = 1", [run])
    with pytest.raises(Refused, match="points out of the registry"):
        store.load(NAME)


def test_the_source_in_the_database_is_not_believed(store):
    sql(store, "UPDATE model_versions SET source = 'file:///etc', storage_location = 'file:///etc'")
    assert store.load(NAME).version == "1"


@pytest.mark.parametrize("seal", ["", "[]", "no", '["x"]', "{}", "[1, 2]", '["ab", "cd"]'])
def test_a_damaged_seal_is_refused(store, seal):
    sql(store, "UPDATE model_version_tags SET value = ? WHERE key = 'manifest'", [seal])
    with pytest.raises(Refused):
        store.load(NAME)


def test_a_file_is_read_once():
    """The bytes that are checked are those that are used: no time between."""
    facts = module._facts({}, {}, PASSED)
    files = module._pack(BOOSTING, NEW, facts, "# Card")
    reads = []

    def read(file, size):
        reads.append(file)
        return files[file] if reads.count(file) == 1 else b"changed"

    model = module._unpack(NAME, "1", json.dumps(module._seal(files["manifest.json"])), read)
    assert sorted(reads) == sorted(files) and model.pipeline.predict_proba(NEW).shape == (600, 2)


# ONNX is exact


@pytest.mark.parametrize("name", EXACTLY)
def test_onnx_says_the_same(name):
    model = EXACTLY[name]
    encoder, run = Encoder(module._spec(model)), runner(to_onnx(model))
    assert furthest(model, encoder, run, NEW, n=10_000, seed=7) < EXACT / 1000
    for wild in (1e15, -1e15, 0.0, 1e-300):
        table = NEW.assign(**dict.fromkeys(encoder.numbers, wild))
        assert abs(run(encoder.table(table)) - model.predict_proba(table)[:, 1]).max() < EXACT


@pytest.mark.parametrize("direction", [-np.inf, np.inf])
def test_a_last_bit_of_a_threshold_is_noticed(direction):
    graph = onnx.load_from_string(to_onnx(BOOSTING))
    splits = next(a for n in graph.graph.node for a in n.attribute if a.name == "nodes_splits")
    moved = np.nextafter(numpy_helper.to_array(splits.t), direction)
    splits.t.CopyFrom(numpy_helper.from_array(moved))
    far = furthest(BOOSTING, Encoder(module._spec(BOOSTING)), runner(graph.SerializeToString()), NEW)
    assert far > 1e4 * EXACT


def test_a_scorer_that_says_nothing_is_infinitely_far():
    encoder = Encoder(module._spec(BOOSTING))
    assert furthest(BOOSTING, encoder, lambda matrix: np.full(len(matrix), np.nan), NEW) == np.inf


@pytest.mark.parametrize("name", SLOWLY)
def test_without_onnx_scikit_learn_answers(name, store):
    model = SLOWLY[name]
    found = store.load("slow", store.save(model, "slow", example=NEW))
    assert found.exact.startswith("no ONNX: ")
    assert np.array_equal(found.predict(NEW), model.predict_proba(NEW)[:, 1])
    records = NEW.astype(object).to_dict("records")
    assert np.array_equal(found.score(found.encode(records)), model.predict_proba(NEW)[:, 1])


def test_parts_without_a_graph_are_named():
    with pytest.raises(NotImplementedError, match="no graph for DecisionTreeClassifier"):
        to_onnx(SLOWLY["tree"])
    with pytest.raises(NotImplementedError, match="no graph for IsotonicRegression"):
        to_onnx(SLOWLY["isotonic"])


def test_a_graph_that_is_off_is_not_kept(monkeypatch):
    monkeypatch.setattr(module, "furthest", lambda *_: 1e-3)
    assert module._faster(BOOSTING, None, NEW) == (None, "no ONNX: it is 0.001 off")
    files = module._pack(BOOSTING, NEW, module._facts({}, {}, None), "")
    assert "model.onnx" not in files and "model.onnx" not in json.loads(files["manifest.json"])["files"]


# Flights become numbers


def test_encode_and_table_agree():
    encoder = Encoder(json.loads(json.dumps(module._spec(BOOSTING))))
    table = NEW.assign(
        carrier=NEW.carrier.astype(object).where(NEW.index % 3 > 0, "never seen"), more="ignored"
    )
    records = table.astype(object).where(table.notna(), None).to_dict("records")
    matrix = encoder.encode(records)
    assert matrix.shape == (600, len(encoder.columns)) and matrix.dtype == float
    assert np.array_equal(matrix, encoder.table(table), equal_nan=True)
    assert np.array_equal(matrix, encoder.table(module._undone(encoder, matrix)), equal_nan=True)
    assert encoder.encode([]).shape == (0, len(encoder.columns)) and encoder.features == list(X)
    assert runner(to_onnx(BOOSTING))(encoder.encode([])).shape == (0,)


def test_true_is_1_as_in_a_table():
    encoder, flight = Encoder(module._spec(BOOSTING)), NEW.head(1).astype(object).to_dict("records")[0]
    for value in (True, False):
        matrix = encoder.encode([flight | {"temp": value}])
        assert np.array_equal(matrix, encoder.encode([flight | {"temp": int(value)}]), equal_nan=True)
        assert np.array_equal(matrix, encoder.table(pd.DataFrame([flight | {"temp": value}])), equal_nan=True)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"temp": "12"}, "numbers in temp"),
        ({"temp": float("inf")}, "infinity in temp"),
        ({"temp": 10**400}, "must"),
        ({"temp": [1]}, "numbers in temp"),
        ({"carrier": 5}, "text in carrier"),
        ({"carrier": ["UA"]}, "must"),
    ],
)
def test_encode_names_what_is_wrong(change, rule):
    encoder, flight = Encoder(module._spec(BOOSTING)), NEW.head(1).astype(object).to_dict("records")[0]
    for others in ([], [flight]):
        with pytest.raises(ValueError, match=rule if not others else "must"):
            encoder.encode([*others, flight | change])
    with pytest.raises(ValueError, match="every flight must have 'gust'"):
        encoder.encode([flight, {k: v for k, v in flight.items() if k != "gust"}])


# A version knows what it is


def test_a_version_is_what_was_saved(store):
    model = store.load(NAME)
    assert isinstance(model, Model) and (model.name, model.version) == (NAME, "1")
    assert model.features == list(X) and model.card == "# Card ✓" and model.metrics == {"money": 12.5}
    assert (
        model.lineage["data.x"] == "1f"
        and model.lineage["settings.seed"] == 0
        and "scikit-learn" in model.lineage
    )
    pd.testing.assert_frame_equal(model.gate, PASSED)
    assert model.exact.startswith("ONNX within") and store.load(NAME, "2").card == ""
    assert abs(model.predict(NEW) - CALIBRATED.predict_proba(NEW)[:, 1]).max() < EXACT
    with pytest.raises(ValueError, match="X lacks the columns temp"):
        model.predict(NEW.drop(columns="temp"))


def test_mlflow_has_it_too(store):
    client = store._client()
    run = client.get_run(client.get_model_version(NAME, "1").run_id)
    assert run.data.metrics == {"money": 12.5} and run.data.params["settings.seed"] == "0"
    assert run.info.status == "FINISHED"


def test_lineage_follows_content(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n")
    found = lineage({"x": X, "a": tmp_path / "a.csv"}, [module], {"seed": 0})
    assert list(found) == ["data.x", "data.a", "code.mlcourse.registry", "settings.seed"]
    assert found["data.a"] == hashlib.sha256(b"1,2\n").hexdigest() and found["settings.seed"] == 0
    same = lineage({"x": X.copy(), "a": str(tmp_path / "a.csv")}, [module], {"seed": 0})
    assert same == found
    others = [
        X.head(9),
        X.rename(columns={"temp": "t"}),
        X.astype({"temp": "float32"}),
        X.iloc[::-1],
        X[sorted(X)],
    ]
    others += [
        X.set_index(X.index + 1),
        X.assign(temp=X.temp.where(X.index != 5, 0.0)),
        X.astype({"dest": object}),
    ]
    hashes = {lineage({"x": other}, [], {})["data.x"] for other in others}
    assert len(hashes) == len(others) and found["data.x"] not in hashes
    with pytest.raises(ValueError, match="tables or paths of files, got a list"):
        lineage({"x": [1]}, [], {})


REGRESSOR = make_model("linear").fit(X[["temp", "gust"]], X.temp)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"pipeline": make_model("boosting")}, "must be a fitted TableClassifier"),
        ({"pipeline": REGRESSOR}, "must be a fitted TableClassifier"),
        ({"pipeline": RandomForestClassifier()}, "must be a fitted TableClassifier"),
        ({"pipeline": None}, "must be a fitted TableClassifier"),
        ({"name": "../up"}, "name must match"),
        ({"name": ""}, "name must match"),
        ({"name": None}, "name must match"),
        ({"example": NEW[:0]}, "example must be a DataFrame with a row"),
        ({"example": [1]}, "example must be a DataFrame"),
        ({"example": NEW.drop(columns="gust")}, "lacks the columns gust"),
        ({"metrics": {"auc": "high"}}, "metrics must be numbers, got auc"),
        ({"metrics": {"auc": True}}, "metrics must be numbers, got auc"),
        ({"metrics": {"a=b": 1.0}}, "a name in lineage or metrics"),
        ({"gate": PASSED.drop(columns="passed")}, "gate must have a column passed"),
    ],
)
def test_save_names_what_is_wrong(tmp_path, change, rule):
    kept = {"pipeline": BOOSTING, "name": NAME, "example": NEW} | change
    with pytest.raises(ValueError, match=rule):
        Registry(tmp_path).save(kept.pop("pipeline"), kept.pop("name"), **kept)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("names", [{"metrics": {"/a": 1.0}}, {"lineage": {"data.a//b": 1}}], ids=str)
def test_a_name_that_mlflow_refuses_is_no_outage(store, names):
    with pytest.raises(ValueError, match="Invalid value"):
        store.save(BOOSTING, NAME, example=NEW, **names)
    assert len(store.history(NAME)) == 3


def test_save_refuses_parts_that_are_not_trusted(tmp_path):
    strange = TableClassifier(FunctionTransformer(), Encode())
    strange.core_, strange.encode_ = FunctionTransformer(os.system), BOOSTING.encode_
    with pytest.raises(Refused, match="TRUSTED"):
        Registry(tmp_path).save(strange, NAME, example=NEW)


def test_a_save_that_breaks_off_leaves_no_version(store, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(OSError, match="No space left"):
        store.save(BOOSTING, NAME, example=NEW)
    monkeypatch.undo()
    assert len(store.history(NAME)) == 3 and store.save(BOOSTING, NAME, example=NEW) == "3"


# Aliases


def test_the_gate_stands_before_the_champion(store):
    for alias in ("champion", "challenger"):
        with pytest.raises(Refused, match="did not pass its gate"):
            store.promote(NAME, "2", alias)
    with pytest.raises(Refused, match="did not pass its gate"):
        store.promote(NAME, "2", force="  ")
    assert store.current(NAME) == "1" and len(store.history(NAME)) == 3
    assert store.promote(NAME, "2", force="storm drill") == store.current(NAME) == "2"
    last = store.history(NAME).iloc[-1]
    assert [*last[["action", "alias", "version", "before", "reason"]]] == [
        "promote",
        "champion",
        "2",
        "1",
        "storm drill",
    ]


@pytest.mark.parametrize("gate", [None, PASSED[:0], FAILED, PASSED.assign(passed=[True, None])])
def test_no_proof_is_no_pass(store, gate):
    version = store.save(BOOSTING, NAME, example=NEW, gate=gate)
    with pytest.raises(Refused, match="did not pass its gate"):
        store.promote(NAME, version)


def test_rollback_undoes_one_promotion_after_the_other(store):
    third = store.save(BOOSTING, NAME, example=NEW, gate=PASSED)
    (
        store.promote(NAME, "2", force="drill"),
        store.promote(NAME, third),
        store.promote(NAME, third, "challenger"),
    )
    assert [store.rollback(NAME, reason="drill"), store.current(NAME)] == ["2", "2"]
    assert [store.rollback(NAME), store.current(NAME)] == ["1", "1"]
    with pytest.raises(Refused, match="has no champion before version 1"):
        store.rollback(NAME)
    with pytest.raises(Refused, match="has no challenger before version 3"):
        store.rollback(NAME, "challenger")
    assert store.current(NAME, "challenger") == third and store.promote(NAME, third) == third
    assert store.rollback(NAME) == "1"
    history = store.history(NAME)
    assert history["at"].is_monotonic_increasing and str(history["at"].dt.tz) == "UTC"
    assert history.action.value_counts().to_dict() == {"promote": 5, "rollback": 3, "save": 3}


@pytest.mark.parametrize(
    ("versions", "now", "stack"),
    [
        ("1 2 3", "3", "1 2 3"),
        ("1 2 - 3", "3", "1 3"),
        ("1 2 3", "2", "1 2"),  # the promotion of 3 was written down, but not done
        ("1 2 -", "2", "1 2"),  # the rollback was written down, but not done
        ("1 2", "7", "1 2 7"),  # moved by another hand
        ("", "7", "7"),
        ("1 1", "1", "1 1"),
    ],
)
def test_what_an_alias_pointed_to(versions, now, stack):
    events = [{"action": "rollback" if v == "-" else "promote", "version": v} for v in versions.split()]
    assert module._stack(events, now) == stack.split()


def test_an_alias_does_not_move_to_what_cannot_be_loaded(store):
    store.promote(NAME, "2", force="drill")
    path(store, "1", "model.skops").write_bytes(b"")
    for move in (lambda: store.promote(NAME, "1"), lambda: store.rollback(NAME)):
        with pytest.raises(Refused, match=r"model.skops of bad-flights 1 is cut short"):
            move()
    assert store.current(NAME) == "2"


@pytest.mark.parametrize("alias", ["latest", "v1", "Champion", "a b", "", "1"])
def test_aliases_have_plain_names(store, alias):
    with pytest.raises(ValueError, match="alias must match"):
        store.promote(NAME, "1", alias)


@pytest.mark.parametrize(
    ("name", "which"), [("nobody", "1"), (NAME, "99"), (NAME, "challenger"), (NAME, "²"), (NAME, "")]
)
def test_what_is_not_there(store, name, which):
    for ask in (store.load, store.promote, store.current):
        with pytest.raises(ValueError, match="has no version or alias"):
            ask(name, which)
    with pytest.raises(ValueError, match="nobody"):
        store.history("nobody")


# The database


def test_the_direct_way_says_what_mlflow_says(store):
    client = store._client()
    client.delete_model_version(NAME, "2")
    for which in ("1", "2", "3", "champion", "challenger"):
        direct, asked = module._direct(store._file, NAME, which), module._asked(client, NAME, which)
        assert (direct is None) == (asked is None)
        assert direct is None or [str(a) for a in direct] == [str(b) for b in asked]


def test_a_locked_database_is_told(store):
    with closing(sqlite3.connect(store._file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unreachable, match=r"does not answer: .*locked"):
            store.current(NAME)
        with pytest.raises(Unreachable, match=r"does not answer: .*locked"):
            store.promote(NAME, "1")
    assert store.current(NAME) == "1"


def test_a_registry_that_is_gone_is_told(store, tmp_path):
    model = store.load(NAME)
    store._file.rename(tmp_path / "away.db")
    for ask in (store.load, store.current, store.history, store.rollback):
        with pytest.raises(Unreachable, match="there is no registry at"):
            ask(NAME)
    assert not store._file.exists() and model.predict(NEW).shape == (600,)
    (tmp_path / "away.db").rename(store._file)
    assert store.current(NAME) == "1"
    store._file.write_bytes(b"no database, and long enough not to be taken for a new one" * 9)
    with pytest.raises(Unreachable, match="does not answer"):
        store.load(NAME)


def test_a_registry_may_move(store, made):
    before = sorted(made.rglob("*"))
    version = store.save(BOOSTING, NAME, example=NEW, gate=PASSED)
    assert store.load(NAME, version).version == version == "3"
    assert path(store, version, "model.onnx").exists() and sorted(made.rglob("*")) == before


def fresh(code, *arguments):
    """Output of a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_loading_needs_numbers_only(store):
    code = """
import sys
from mlcourse.registry import Registry
store = Registry(sys.argv[1])
model = store.load("bad-flights")
flight = dict.fromkeys(model.features)
print(store.current("bad-flights"), model.score(model.encode([flight])).shape)
print(*sorted({m.split(".")[0] for m in sys.modules} & set("mlflow sklearn skops sqlalchemy onnx scipy".split())))
"""
    os.chmod(store._file, 0o444)  # as on a read-only mount
    assert fresh(code, store._file.parent) == "1 (1,)\n\n"


SAVE = """
import sys
hosts = []
def heard(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        hosts.append((event, args[1:]))
sys.addaudithook(heard)
import os
from pathlib import Path
from mlcourse.registry import Registry, thaw
import pandas as pd
store, example = Registry(sys.argv[1]), pd.read_parquet(sys.argv[3])
gate = pd.DataFrame({"passed": [True]})
version = store.save(thaw(Path(sys.argv[2]).read_bytes()), "bad-flights", example=example, gate=gate)
store.promote("bad-flights", version)
assert not hosts, hosts
"""


def test_two_first_saves_at_once_silent_and_without_a_network(tmp_path):
    (tmp_path / "model").write_bytes(freeze(BOOSTING))
    NEW.to_parquet(tmp_path / "example")
    command = [sys.executable, "-c", SAVE, *(tmp_path / name for name in ("new", "model", "example"))]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in "ab"
    ]
    assert [process.communicate(timeout=120)[0] for process in both] == ["", ""]
    assert {p.returncode for p in both} == {0}
    store = Registry(tmp_path / "new")
    assert store.current(NAME) in ("1", "2") and store.load(NAME, "2").version == "2"
    assert store.history(NAME).action.tolist().count("promote") == 2


# The same with other addresses


@pytest.fixture
def server(tmp_path):
    """Address of a real MLflow server on the loopback, its files where it puts them by itself; and how to stop it."""
    pytest.importorskip("flask", reason="MLflow's server needs Flask")
    folder = tmp_path / "server"
    folder.mkdir()
    told = {
        "FILE_STORE": "sqlite:///mlflow.db",
        "ARTIFACT_ROOT": "mlflow-artifacts:/",
        "SERVE_ARTIFACTS": "true",
    }
    told |= {
        "REGISTRY_STORE": told["FILE_STORE"],
        "ARTIFACT_DESTINATION": "files",
    }  # as `mlflow server` tells it
    env = os.environ | {f"_MLFLOW_SERVER_{key}": value for key, value in told.items()}
    command = [sys.executable, "-u", "-m", "flask", "--app", "mlflow.server", "run", "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=-3, stderr=subprocess.PIPE, text=True
    ) as process:
        address = next(
            found[0] for line in process.stderr if (found := re.search(r"http://127.0.0.1:\d+", line))
        )
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield address, process.kill
        process.kill()


def test_a_team_has_an_mlflow_server(server, tmp_path, capfd):
    address, stop = server
    team = Registry(address)
    first, second = (team.save(BOOSTING, NAME, example=NEW, gate=gate) for gate in (PASSED, FAILED))
    assert team._find(NAME, first)[2].startswith(
        "mlflow-artifacts:/"
    )  # where the server puts files by itself
    team.promote(NAME, first), team.promote(NAME, second, force="drill")
    assert [team.current(NAME), team.rollback(NAME), team.current(NAME)] == ["2", "1", "1"]
    assert abs(team.load(NAME).predict(NEW) - BOOSTING.predict_proba(NEW)[:, 1]).max() < EXACT
    for ask in (team.load, team.current):
        with pytest.raises(ValueError, match="has no version or alias"):
            ask(NAME, "challenger")
    (onnx_file,) = (tmp_path / "server").rglob(f"{team._find(NAME, first)[1]}/artifacts/model.onnx")
    onnx_file.write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    with pytest.raises(Refused, match=r"model.onnx of bad-flights 1 is cut short"):
        team.load(NAME)
    onnx_file.unlink()
    with pytest.raises(Refused, match=r"model.onnx of bad-flights 1 cannot be read"):
        team.load(NAME)
    stop()
    with pytest.raises(Unreachable, match="does not answer"):
        team.current(NAME)
    assert capfd.readouterr().out == "" and not (tmp_path / "trace").exists()


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on the loopback, with a bucket."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    for key in ("AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.setenv(key, address)
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    boto3.client("s3").create_bucket(Bucket="models")
    yield boto3.client("s3"), server.stop
    server.stop()


def test_files_in_s3(bucket, store, tmp_path):
    s3, stop = bucket
    cloud = Registry(store._file.parent, files="s3://models/desk")
    version = cloud.save(BOOSTING, "cloud", example=NEW, gate=PASSED)
    cloud.promote("cloud", version)
    assert abs(cloud.load("cloud").predict(NEW) - BOOSTING.predict_proba(NEW)[:, 1]).max() < EXACT
    keys = [row["Key"] for row in s3.list_objects_v2(Bucket="models")["Contents"]]
    onnx_key = next(key for key in keys if key.endswith("model.onnx"))
    s3.put_object(Bucket="models", Key=onnx_key, Body=pickle.dumps(Bomb(tmp_path / "trace")))
    with pytest.raises(Refused, match=r"model.onnx of cloud 1 is cut short"):
        cloud.load("cloud")
    s3.delete_object(Bucket="models", Key=onnx_key)
    with pytest.raises(Refused, match=r"model.onnx of cloud 1 cannot be read"):
        cloud.load("cloud")
    stop()
    with pytest.raises(Unreachable, match="does not answer"):
        cloud.load("cloud")
    assert cloud.current("cloud") == "1" and not (tmp_path / "trace").exists()


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """Address of a real PostgreSQL server on the loopback, and how to stop it."""
    pytest.importorskip("psycopg")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    bin, folder = found[-1].parent, tmp_path_factory.mktemp("postgres")
    user = {"user": "postgres"} if os.getuid() == 0 else {}
    if user:  # the server refuses to run as root
        for parent in (folder, *folder.parents[:3]):  # pytest's own, with xdist's
            os.chmod(parent, 0o755)
        shutil.chown(folder, "postgres")
    quiet = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **user)
    ctl = [bin / "pg_ctl", "-D", folder / "db", "-w"]
    subprocess.run([bin / "initdb", "-D", folder / "db", "-U", "desk", "-A", "trust", "--no-sync"], **quiet)
    for tries in range(3):  # a free port may be taken before the server has it
        settings = f"-p {(port := free_port())} -h 127.0.0.1 -k '' -c fsync=off"
        with suppress(subprocess.CalledProcessError) if tries < 2 else nullcontext():
            subprocess.run([*ctl, "-l", folder / "log", "-o", settings, "start"], **quiet)
            break
    stop = lambda: subprocess.run([*ctl, "-m", "immediate", "stop"], **{**quiet, "check": False})
    yield f"postgresql+psycopg://desk:secret@127.0.0.1:{port}/postgres", stop
    stop()


def test_a_team_has_postgresql(postgres, tmp_path):
    address, stop = postgres
    team = Registry(address, files=tmp_path / "files")
    first, second = (team.save(BOOSTING, NAME, example=NEW, gate=gate) for gate in (PASSED, FAILED))
    team.promote(NAME, first), team.promote(NAME, second, force="drill")
    assert [team.current(NAME), team.rollback(NAME), team.current(NAME)] == ["2", "1", "1"]
    assert team.load(NAME).version == "1" and team.history(NAME).action.iloc[-1] == "rollback"
    for ask in (team.load, team.current):
        with pytest.raises(ValueError, match="has no version or alias"):
            ask(NAME, "challenger")
    stop()
    with pytest.raises(Unreachable, match="does not answer") as told:
        team.current(NAME)
    assert "secret" not in str(told.value)
