"""What breaks, and what must hold nevertheless: bodies, disks, logs, processes, registries, swaps."""

# ruff: noqa: F811  (fixtures are imported by name)

import json
import os
import re
import resource
import shutil
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException
from types import SimpleNamespace

import pytest
from served import NAME, Client, place, process, registry, wait  # noqa: F401

from mlcourse.asgi import running
from mlcourse.check_service import FLIGHT
from mlcourse.durable import mend as mended
from mlcourse.serve import _TABLES, PredictionLog, Service, read_log

BODY = json.dumps({"flights": [FLIGHT]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture
def service(registry, tmp_path):
    return Service(registry, NAME, tmp_path / "log.db", poll=0.1)


@pytest.fixture
def url(service):
    with running(service) as url:
        yield url


@pytest.fixture
def hasty(registry, tmp_path):
    """Address of a service without patience, for those who try it."""
    with running(Service(registry, NAME, tmp_path / "log.db", patience=0.6)) as url:
        yield url


def until(condition, seconds=20):
    """Wait for it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def troubles(client):
    """How often the registry was in trouble."""
    text = client.ask("GET", "/metrics")[1]
    return float(re.search("^mlcourse_registry_errors_total (.*)$", text, re.M)[1])


def mend(path):
    """What `mend` does to a prediction log."""
    return mended(path, _TABLES)


def speak(url, *parts, pause=0.0):
    """Status of what a raw connection gets for these bytes; 0 if it is closed without a word."""
    host, port = url.partition("//")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        got = b""
        with suppress(ConnectionError):
            for part in parts:
                sock.sendall(part)
                time.sleep(pause)
        with suppress(ConnectionError):
            while not got.endswith(b"}") and (more := sock.recv(65536)):
                got += more
        return int(got.split()[1]) if got else 0


def test_a_body_of_100_megabytes_is_refused_unread(url):
    assert speak(url, HEAD + b"Content-Length: 100000000\r\n\r\n" + BODY) == 413
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    assert speak(url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 100) in (0, 413)
    assert Client(url).predict({})[0] == 200


def test_a_body_that_drips_is_given_up(hasty):
    began = time.monotonic()
    drips = [BODY[i : i + 1] for i in range(30)]
    assert speak(hasty, HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY), *drips, pause=0.05) in (0, 408)
    assert speak(hasty, HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY)) == 408
    assert time.monotonic() - began < 10


GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


def test_a_head_that_never_ends_is_closed(hasty):
    assert speak(hasty, b"") == 0
    assert speak(hasty, HEAD) == 0
    assert speak(hasty, GET) == 200


@pytest.mark.parametrize("drips", [1, 200])
def test_nor_may_a_later_head_of_a_kept_connection_take_for_ever(hasty, drips):
    host, port = hasty.partition("//")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as sock:
        for part in ([GET], [GET[:20], GET[20:]]):  # in two parts is no crime
            for piece in part:
                sock.sendall(piece)
                time.sleep(0.1)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            sock.sendall(GET[:-4])
            for _ in range(drips):
                sock.sendall(b"\r\nX: y")
                time.sleep(0.05)
            if not sock.recv(1):
                raise ConnectionError


def test_an_idle_connection_is_kept(hasty):
    client = Client(hasty)
    assert client.predict({})[0] == 200
    time.sleep(1.0)  # longer than the patience with a head
    assert client.predict({})[0] == 200


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data"],
)
def test_another_content_type_is_refused(url, kind):
    client = Client(url)
    client.headers["Content-Type"] = kind
    assert client.ask("POST", "/predict", BODY)[0] == 415


def test_json_with_its_charset_is_taken(url):
    client = Client(url)
    client.headers["Content-Type"] = "Application/JSON; charset=UTF-8"
    assert client.ask("POST", "/predict", BODY)[0] == 200


def test_what_is_no_http_is_refused_and_the_next_is_answered(url):
    for words in (
        b"\x16\x03\x01\x00\n\n",
        b"POST /predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n" * 3,
    ):
        assert speak(url, words) in (0, 400)
    assert Client(url).predict({})[0] == 200


def test_a_client_that_goes_away_disturbs_nobody(url, service):
    host, port = url.partition("//")[2].split(":")
    for cut in (len(HEAD), len(HEAD) + 60, None):
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall((HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)[:cut])
    assert Client(url).predict({})[0] == 200


def fill(path, n=4000):
    """A log with n predictions and as many outcomes, written in many commits, as if its process had just died."""
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("PRAGMA journal_mode = WAL")
        PredictionLog(path).close()
        for start in range(0, n, 100):
            con.execute("BEGIN")
            for k in range(start, start + 100):
                row = (f"p{k}", k, "DL", 1 + k % 9999, "JFK", 22_000_000 + k, "1", 0.25, 0, '{"dest": "LAX"}')
                con.execute("INSERT INTO predictions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                con.execute(
                    "INSERT INTO outcomes VALUES ('DL', ?, 'JFK', ?, 1.0, ?)",
                    (1 + k % 9999, 22_000_000 + k, k + 1),
                )
            con.execute("COMMIT")


def cut(path, share):
    os.truncate(path, int(os.path.getsize(path) * share))


@pytest.mark.parametrize("share", [0.03, 0.25, 0.5, 0.9, 0.999])
def test_a_log_that_was_cut_is_mended_up_to_the_cut(tmp_path, share):
    path = tmp_path / "log.db"
    fill(path)
    cut(path, share)
    found = mend(path)
    predictions, outcomes = read_log(path)
    assert found["predictions"] == len(predictions) and found["outcomes"] == len(outcomes)
    assert predictions.id.tolist() == [f"p{k}" for k in range(len(predictions))]
    assert (
        len(predictions) > 4000 * share * 0.9 - 200
        and (tmp_path / os.path.basename(found["broken"])).exists()
    )
    assert mend(path) is None
    log = PredictionLog(path)
    assert log.mended is None
    log.close()


def test_a_page_of_nonsense_costs_its_rows_only(tmp_path):
    path = tmp_path / "log.db"
    fill(path)
    with open(path, "r+b") as file:
        file.seek(4096 * 60)
        file.write(b"\xff" * 4096)
    found = mend(path)
    assert 3900 < found["predictions"] <= 4000 and 3900 < found["outcomes"] <= 4000
    assert read_log(path)[0].id.is_unique


@pytest.mark.parametrize("content", [b"", b"hello\n" * 1000], ids=["empty", "text"])
def test_what_is_no_log_is_kept_aside(tmp_path, content):
    path = tmp_path / "log.db"
    path.write_bytes(content)
    log = PredictionLog(path)
    log.close()
    if content:
        assert open(log.mended["broken"], "rb").read() == content and log.mended["predictions"] == 0
    assert read_log(path)[0].empty


@pytest.mark.parametrize("share", [0.0, 0.31, 0.5, 0.77])
def test_a_wal_that_was_cut_keeps_every_whole_commit(tmp_path, share):
    path, copy = tmp_path / "log.db", tmp_path / "copy.db"
    log = PredictionLog(path)
    row = lambda k: (f"p{k}", k, "DL", 1, "JFK", 1, "1", 0.5, 1, '{"dest": "LAX"}')
    for k in range(200):
        done = threading.Event()
        log.submit(
            lambda con, k=k: con.execute("INSERT INTO predictions VALUES (NULL,?,?,?,?,?,?,?,?,?,?)", row(k)),
            lambda *_, done=done: done.set(),
        )
        assert done.wait(10)
    for end in ("", "-wal"):
        shutil.copy(f"{path}{end}", f"{copy}{end}")
    log.close()
    cut(f"{copy}-wal", share)
    assert mend(copy) is None
    ids = read_log(copy)[0].id.tolist()
    assert ids == [f"p{k}" for k in range(len(ids))] and len(ids) <= 200


def test_both_files_cut_in_half(tmp_path, registry):
    path = tmp_path / "log.db"
    fill(path)
    service = Service(registry, NAME, path)
    with running(service) as url:
        for _ in range(50):
            Client(url).predict({})
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", tmp_path / f"half.db{end}")
            cut(tmp_path / f"half.db{end}", 0.5)
    again = Service(registry, NAME, tmp_path / "half.db")
    assert again.log.mended["predictions"] > 1000
    with running(again) as url:
        said = Client(url).predict({})[1]["predictions"][0]
    ids = read_log(tmp_path / "half.db")[0].id.tolist()
    assert ids[:1000] == [f"p{k}" for k in range(1000)] and ids[-1] == said["id"]


def test_a_log_that_is_moved_away_is_begun_anew(url, service, tmp_path):
    client = Client(url)
    client.predict({})

    def settled():  # how many predictions are in the main file itself
        with closing(sqlite3.connect(f"file:{service.log.path}?immutable=1", uri=True)) as con:
            with suppress(sqlite3.DatabaseError):  # no table there yet, or half of one
                return con.execute("SELECT count(*) FROM predictions").fetchone()[0]

    until(lambda: settled() == 1)
    for end in ("", "-wal", "-shm"):
        os.rename(f"{service.log.path}{end}", tmp_path / f"moved.db{end}")
    said = [client.predict({})[1]["predictions"][0]["id"] for _ in range(3)]
    assert read_log(service.log.path)[0].id.tolist() == said and len(read_log(tmp_path / "moved.db")[0]) == 1
    until(lambda: settled() == 3)


def test_two_services_keep_one_log(registry, tmp_path):
    answered = []

    def ask(url):
        client = Client(url)
        for _ in range(60):
            status, said = client.predict({}, {})
            assert status == 200
            answered.extend(p["id"] for p in said["predictions"])

    with (
        running(Service(registry, NAME, tmp_path / "log.db")) as one,
        running(Service(registry, NAME, tmp_path / "log.db")) as two,
    ):
        threads = [threading.Thread(target=ask, args=[url]) for url in (one, two, one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    ids = read_log(tmp_path / "log.db")[0].id
    assert len(answered) == 480 and sorted(answered) == sorted(ids)


def test_while_another_writes_it_waits_and_still_answers_health(url, service):
    with closing(sqlite3.connect(service.log.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        got = []
        thread = threading.Thread(target=lambda: got.append(Client(url).predict({})[0]))
        thread.start()
        time.sleep(0.2)
        assert Client(url).ask("GET", "/health")[0] == 200 and not got
        other.execute("COMMIT")
        thread.join(10)
    assert got == [200]


def test_a_full_disk_is_said_and_nothing_is_lost(place, tmp_path):
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
    with process(place, tmp_path / "log.db", before=limit) as (url, child):
        client, kept = Client(url), []
        for _ in range(400):
            status, said = client.predict({}, {})
            if status != 200:
                break
            kept += [p["id"] for p in said["predictions"]]
        assert (
            status == 503
            and "log cannot be written" in said["detail"]
            and client.ask("GET", "/ready")[0] == 503
        )
        assert client.ask("GET", "/health")[0] == 200 and client.ask("POST", "/outcomes", OUTCOME)[0] == 503
        resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        status, said = client.predict({})
        assert status == 200 and client.ask("GET", "/ready")[0] == 200
        kept += [p["id"] for p in said["predictions"]]
    ids = read_log(tmp_path / "log.db")[0].id.tolist()
    assert len(kept) > 50 and [i for i in ids if i in set(kept)] == kept


OUTCOME = {
    "outcomes": [{k: FLIGHT[k] for k in ("carrier", "flight", "origin", "scheduled")} | {"arr_delay": 1.0}]
}


class Load:
    """Threads that ask all the time: what was answered, and what failed."""

    def __init__(self, url, threads=4):
        self.url, self.answered, self.failed, self.stop = url, {}, [], threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def _ask(self):
        client = Client(self.url)
        while not self.stop.is_set():
            try:
                status, said = client.predict({}, {})
            except (OSError, ValueError, HTTPException) as error:
                return self.failed.append(repr(error))
            if status != 200:
                return self.failed.append(said)
            self.answered.update({p["id"]: said["version"] for p in said["predictions"]})

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def until(self, count):
        """Wait for so many answers more, or for a failure."""
        wanted, end = len(self.answered) + count, time.monotonic() + 30
        while len(self.answered) < wanted and not self.failed and time.monotonic() < end:
            time.sleep(0.005)


@pytest.mark.parametrize("options", [(), ("--power-safe",)], ids=["normal", "power-safe"])
def test_kill_9_loses_no_answered_prediction(place, tmp_path, options):
    answered = {}
    for _ in range(2):
        with process(place, tmp_path / "log.db", *options) as (url, child), Load(url) as load:
            load.until(100)
            child.send_signal(signal.SIGKILL)
            child.wait()
        answered |= load.answered
    ids = set(read_log(tmp_path / "log.db")[0].id)
    assert len(answered) >= 200 and not answered.keys() - ids


def test_sigterm_answers_what_it_has_accepted(place, tmp_path):
    with process(place, tmp_path / "log.db") as (url, child):
        host, port = url.partition("//")[2].split(":")
        with socket.create_connection((host, int(port)), timeout=20) as sock:
            sock.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"  # it is accepted
            sock.sendall(BODY[:50])
            child.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            sock.sendall(BODY[50:])
            got = b""
            while more := sock.recv(65536):
                got += more
        assert got.startswith(b"HTTP/1.1 200") and child.wait(20) == 0
    said = json.loads(got.partition(b"\r\n\r\n")[2])["predictions"][0]["id"]
    assert read_log(tmp_path / "log.db")[0].id.tolist() == [said] and not (tmp_path / "log.db-wal").exists()


def test_a_swap_under_load_drops_nothing_and_the_log_knows_who_answered(registry, tmp_path):
    service = Service(registry, NAME, tmp_path / "log.db", poll=60)
    with running(service) as url, Load(url) as load:
        for alias in ("challenger", "champion") * 3:
            load.until(20)
            assert Client(url).ask("POST", "/model", {"alias": alias})[0] == 200
        load.until(20)
        load.stop.set()
    predictions = read_log(tmp_path / "log.db")[0].set_index("id")
    assert not load.failed and {*load.answered.values()} == {"1", "2"}
    assert predictions.version.to_dict() == load.answered


def test_an_alias_that_moves_is_noticed(url, registry, service):
    client = Client(url)
    registry.promote(NAME, "2", force="a test")
    until(lambda: client.predict({})[1]["version"] != "1")
    assert client.ask("GET", "/model")[1]["version"] == "2"
    text = client.ask("GET", "/metrics")[1]
    assert 'version="1"' not in text and "mlcourse_model_swaps_total 1.0" in text
    registry.promote(NAME, "1", force="a test")


class Fake:
    """A registry whose answers a test decides."""

    def __init__(self, model):
        self.models, self.version, self.trouble = {"1": model}, "1", None

    def current(self, name, alias):
        if self.trouble:
            raise self.trouble
        return self.version

    def load(self, name, alias):
        if isinstance(found := self.models[self.current(name, alias)], Exception):
            raise found
        return found


@pytest.fixture
def fake(registry):
    return Fake(registry.load(NAME))


def misfit(model):
    """A model that was fitted on a feature that no request holds."""
    return SimpleNamespace(name=model.name, version="9", features=[*model.features, "moon"])


def test_a_model_whose_features_do_not_match_is_refused(fake, tmp_path):
    fake.models["9"] = misfit(fake.models["1"])
    with running(Service(fake, NAME, tmp_path / "log.db", poll=0.05)) as url:
        fake.version = "9"
        client = Client(url)
        status, said = client.ask("POST", "/model", {"alias": "champion"})
        assert status == 409 and "moon" in said["detail"] and "version 1 goes on" in said["detail"]
        time.sleep(0.3)
        assert client.predict({})[1]["version"] == "1"
        assert "mlcourse_registry_errors_total" in client.ask("GET", "/metrics")[1]
    with pytest.raises(ValueError, match="moon"):
        Service(fake, NAME, tmp_path / "other.db")


def other(model, version="2", **change):
    """The same model, but for what is changed."""
    kept = {k: getattr(model, k) for k in "name features encoder encode score lineage metrics card".split()}
    return SimpleNamespace(**kept | {"version": version} | change)


def text_in_temp(flights):
    raise ValueError("X must hold text in temp, got float64")


def test_a_model_that_fails_on_every_flight_is_not_taken(fake, tmp_path):
    """Its features have the names that they should, but a measurement is text to it."""
    fake.models["2"] = other(fake.models["1"], encode=text_in_temp)
    with running(Service(fake, NAME, tmp_path / "log.db", poll=60)) as url:
        fake.version = "2"
        client = Client(url)
        status, said = client.ask("POST", "/model", {"alias": "champion"})
        assert status == 409 and "fails on a flight: X must hold text in temp" in said["detail"]
        assert client.predict({})[1]["version"] == "1"
    with pytest.raises(ValueError, match="bad-flights 2 fails on a flight: X must hold text in temp"):
        Service(fake, NAME, tmp_path / "other.db")


def test_a_model_that_fails_on_some_flights_holds_nobody_up(fake, tmp_path, capsys):
    def score(matrix):
        if (matrix == 66.5).any():
            raise RuntimeError("66.5 is too much for me")
        return fake.models["1"].score(matrix)

    fake.version, fake.models["2"] = "2", other(fake.models["1"], score=score)
    service = Service(fake, NAME, tmp_path / "log.db", poll=60)
    with running(service) as url:
        client = Client(url)
        for _ in range(3):
            status, said = client.predict({}, {"temp": 66.5})
            assert status == 503 and "the model fails on this" in said["detail"]
            assert client.predict({})[0] == 200 and client.ask("GET", "/ready")[0] == 200
        assert client.ask("POST", "/explain", {"flight": FLIGHT | {"temp": 66.5}})[0] == 500
        text = client.ask("GET", "/metrics")[1]
        assert 'mlcourse_requests_total{route="/explain",status="500"} 1.0' in text
        assert "mlcourse_log_errors_total 0.0" in text and "mlcourse_log_seconds_count 3.0" in text
        assert service._held == 0
    said = capsys.readouterr().out
    assert said.count("RuntimeError in test_serve_faults.py, line") == 4 and "66.5" not in said
    assert len(read_log(tmp_path / "log.db")[0]) == 3


def test_a_swap_is_not_undone_by_a_look_that_began_before_it(fake, tmp_path):
    aliases, looks, answer = {"champion": "1", "challenger": "2"}, threading.Semaphore(0), threading.Event()
    fake.models["2"] = other(fake.models["1"])

    def current(name, alias):
        looks.release()
        assert alias == "challenger" or answer.wait(20)  # the first look takes its time
        return aliases[alias]

    with running(Service(fake, NAME, tmp_path / "log.db", poll=0.05)) as url:
        fake.current, client, got = current, Client(url), []
        assert looks.acquire(timeout=20)  # the champion is being looked up
        ask = lambda: got.append(Client(url).ask("POST", "/model", {"alias": "challenger"}))
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.5)
        answer.set()
        thread.join(20)
        for _ in range(5):  # its own two, and three of later looks
            assert looks.acquire(timeout=20)
        card = client.ask("GET", "/model")[1]
    assert got == [(200, {"model": NAME, "version": "2", "alias": "challenger"})]
    assert (card["version"], card["alias"]) == ("2", "challenger")


@pytest.mark.parametrize(
    "trouble",
    [
        OSError("gone"),
        sqlite3.OperationalError("database is locked"),
        ValueError("no alias"),
        RuntimeError("?"),
    ],
)
def test_a_registry_in_trouble_does_not_stop_it(fake, tmp_path, trouble, capsys):
    with running(Service(fake, NAME, tmp_path / "log.db", poll=0.05)) as url:
        fake.trouble, client = trouble, Client(url)
        until(lambda: troubles(client))
        assert client.predict({})[1]["version"] == "1" and client.ask("GET", "/ready")[0] == 200
        assert client.ask("POST", "/model", {"alias": "champion"})[0] == 409
        fake.models["2"], fake.version = other(fake.models["1"]), "2"
        fake.trouble = None  # last: a look may come at any moment
        until(lambda: client.predict({})[1]["version"] == "2")
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [e["trouble"] for e in events if e["event"] == "registry"]
    assert len(told) == 2 and str(trouble) in told[0] and told[1] == "none any more"


@contextmanager
def locked(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_and_a_vanished_registry_database(place, registry, tmp_path):
    copy = tmp_path / "registry"
    shutil.copytree(place, copy)
    store = type(registry)(copy)
    with running(Service(store, NAME, tmp_path / "log.db", poll=0.05)) as url:
        client = Client(url)
        with locked(copy / "registry.db"):
            time.sleep(0.3)
            assert client.predict({})[0] == 200
        before = troubles(client)
        shutil.rmtree(copy)
        until(lambda: troubles(client) > before)
        assert client.predict({})[0] == 200 and client.ask("GET", "/ready")[0] == 200


def test_a_restart_finds_the_log_and_goes_on(place, tmp_path):
    ids = []
    for _ in range(2):
        with process(place, tmp_path / "log.db") as (url, _):
            ids.append(Client(url).predict({})[1]["predictions"][0]["id"])
    assert read_log(tmp_path / "log.db")[0].id.tolist() == ids


def test_a_key_of_the_environment_guards(place, tmp_path):
    with process(place, tmp_path / "log.db", MLCOURSE_API_KEY="k") as (url, _):
        wait(url)
        assert Client(url).predict({})[0] == 401
        assert Client(url, **{"X-API-Key": "k"}).predict({})[0] == 200
