"""The service: what it answers, what it refuses, what it keeps, and how it is asked about itself."""

# ruff: noqa: F811  (fixtures are imported by name)

import asyncio
import json
import math
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from served import ENV, NAME, Client, place, registry, table  # noqa: F401
from test_browser import CHROMIUM, browser, shot  # noqa: F401

from mlcourse import cli, serve
from mlcourse.asgi import faults, listen, running, say
from mlcourse.check_service import FLIGHT, RULES, check_service
from mlcourse.features import FEATURES
from mlcourse.folder import Stop
from mlcourse.frame import Decision
from mlcourse.serve import PredictionLog, Service, flight_model, parse_flights, read_log

ALL = [name for names in FEATURES.values() for name in names]


@pytest.fixture
def service(registry, tmp_path):
    return Service(registry, NAME, tmp_path / "log.db", poll=0.1)


@pytest.fixture
def url(service):
    with running(service) as url:
        yield url


def request(*flights):
    return json.dumps({"flights": [FLIGHT | f for f in flights]}).encode()


def test_a_flight_has_every_feature_by_its_name():
    fields = flight_model().model_fields
    assert set(fields) == {*ALL, "flight", "scheduled"} - {"hour", "minute", "weekday"}
    needed = {name for name, field in fields.items() if field.is_required()}
    assert needed == {"carrier", "flight", "origin", "dest", "scheduled", "arrival_hour", "distance"}


BAD = [
    ("temp", "false"), ("temp", '"77"'), ("temp", "[]"), ("temp", "NaN"), ("temp", "Infinity"), ("temp", "-Infinity"),
    ("temp", "1e999"), ("temp", "1" + "0" * 400), ("temp", "121"), ("temp", "-41"), ("flight", "true"), ("flight", "0"),
    ("flight", "10000"), ("flight", "1.5"), ("flight", "null"), ("flight", "9" * 400), ("carrier", '"D"'),
    ("carrier", '"dl"'), ("carrier", '"DL\\n"'), ("carrier", "7"), ("origin", '"JFKX"'), ("dest", "null"),
    ("arrival_hour", "24"), ("arrival_hour", "-1"), ("distance", "null"), ("distance", "9"), ("humid", "100.1"),
    ("rate_airport_2d", "1.01"), ("plane_delay", "20001"), ("built", "1902"), ("wind_gust", "-1"),
    *(("scheduled", json.dumps(moment)) for moment in (
        "2013-07-01T18:45:00", "2013-07-01T18:45:30-04:00", "2013-07-01T18:45:00.5Z", "2013-07-01", "1372700700",
        "2013-02-29T10:00Z", "2013-04-31T10:00Z", "2013-13-01T10:00Z", "2013-07-01T24:00Z", "2013-07-01 18:45Z",
        "1979-12-31T23:59Z", "2100-01-01T00:00Z", "2013-07-01T18:45+15:00", "٢٠١٣-07-01T18:45Z", "")),
    ("scheduled", "1372700700"), ("scheduled", "null"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{n}={v[:24]}" for n, v in BAD])
def test_what_is_no_flight_is_refused_by_its_name(name, value):
    raw = request({name: "?"}).replace(b'"?"', value.encode())
    with pytest.raises(ValidationError) as error:
        parse_flights(raw)
    assert [f["loc"] for f in error.value.errors()] == [("flights", 0, name)]
    assert name in json.dumps(faults(error.value)) and value[:30] * 2 not in str(faults(error.value))


GOOD = [
    {"scheduled": "2012-02-29T00:00Z"}, {"scheduled": "2000-02-29T23:59:00-14:59"}, {"scheduled": "1980-01-01T00:00Z"},
    {"scheduled": "2099-12-31T23:59:00+14:00"}, {"flight": 1}, {"flight": 9999.0}, {"temp": -40}, {"temp": 120},
    {"temp": None}, {"arrival_hour": 0}, {"plane_delay": -120}, {"rate_airport_2d": 0}, {"rate_airport_2d": 1},
]  # fmt: skip


@pytest.mark.parametrize("change", GOOD, ids=str)
def test_what_is_at_the_limit_is_taken(change):
    (flight,) = parse_flights(request(change))
    assert {k: getattr(flight, k) for k in change} == change


def test_every_day_of_the_calendar_is_taken_and_no_other():
    import re

    days = pd.date_range("1980-01-01", "2099-12-31").strftime("%Y-%m-%d")
    assert all(re.match(serve._ZONED, f"{day}T10:00Z") for day in days)
    every = {f"{y}-{m:02}-{d:02}" for y in (1980, 1999, 2000, 2096) for m in range(14) for d in range(33)} - {
        *days
    }
    assert not any(re.match(serve._ZONED, f"{day}T10:00Z") for day in every)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 10**5, b'{"flights":' * 10**4, request(), request(*[{}] * 1001),
     b'{"flights": [], "x": 1}', b'{"flights": {}}', request().replace(b"77.0", b"9" * 10**5)],
    ids=lambda raw: repr(raw[:16]) + str(len(raw)),
)  # fmt: skip
def test_what_is_no_request_is_refused(raw):
    with pytest.raises(ValidationError):
        parse_flights(raw)


def test_many_faults_are_counted_not_listed():
    with pytest.raises(ValidationError) as error:
        parse_flights(json.dumps({"flights": [{}] * 1000}).encode())
    assert faults(error.value).startswith("7000 faults")


def test_it_says_what_the_model_says_and_acts_above_break_even(url, registry):
    X, _ = table(40, seed=7)
    rows = []
    for row in X.drop(columns=["hour", "minute", "weekday"]).astype(object).to_dict("records"):
        known = {
            k: v
            for k, v in row.items()
            if v == v and k not in ("origin", "carrier", "dest", "arrival_hour", "distance")
        }
        rows.append(FLIGHT | known)
    status, said = Client(url).ask("POST", "/predict", {"flights": rows})
    asked = pd.DataFrame([dict.fromkeys(ALL) | r for r in rows])[ALL].assign(hour=18, minute=45, weekday=0)
    asked = asked.astype({c: "category" if c in ("origin", "carrier", "dest") else float for c in ALL})
    want = registry.load(NAME).pipeline.predict_proba(asked)[:, 1]
    got = [p["probability"] for p in said["predictions"]]
    assert status == 200 and np.abs(np.array(got) - want).max() < 1e-12 and np.ptp(want) > 0.01
    assert [p["act"] for p in said["predictions"]] == [p > Decision().break_even for p in got]
    assert (said["model"], said["version"]) == (NAME, "1")
    assert len({p["id"] for p in said["predictions"]}) == 40


@pytest.mark.parametrize("moment", ["2013-03-10T01:59-05:00", "2013-03-10T03:00-04:00", "2013-11-03T01:30-04:00",
                                    "2013-11-03T01:30-05:00", "2013-12-31T23:59-05:00", "1980-07-01T00:00Z"])  # fmt: skip
def test_hour_minute_and_weekday_are_new_york_s(moment, url, service):
    status, _ = Client(url).predict({"scheduled": moment})
    local = datetime.fromisoformat(moment).astimezone(ZoneInfo("America/New_York"))
    row = read_log(service.log.path)[0].iloc[-1]
    assert status == 200 and (row.hour, row.minute, row.weekday) == (
        local.hour,
        local.minute,
        local.weekday(),
    )
    assert row.scheduled == pd.Timestamp(moment)


def test_what_is_answered_is_in_the_log_already(url, service):
    client = Client(url)
    for n in range(5):
        _, said = client.predict({"temp": 50.0 + n, "wind_gust": None})
        predictions, outcomes = read_log(service.log.path)
        row = predictions.set_index("id").loc[said["predictions"][0]["id"]]
        assert (
            row.probability == said["predictions"][0]["probability"]
            and row.act == said["predictions"][0]["act"]
        )
        assert row.temp == 50 + n and math.isnan(row.wind_gust) and row.dest == "LAX" and row.version == "1"
    assert outcomes.empty and list(outcomes) == [
        "carrier",
        "flight",
        "origin",
        "scheduled",
        "arr_delay",
        "at",
    ]
    key = ["id", "at", "carrier", "flight", "origin", "scheduled", "version", "probability", "act"]
    assert list(predictions) == [*key, *[n for n in ALL if n not in key]]
    assert predictions.act.dtype == bool and predictions["at"].is_monotonic_increasing
    assert abs(predictions["at"].iloc[-1] - pd.Timestamp.now("UTC")) < pd.Timedelta("1min")


def test_an_empty_log_is_read_with_its_columns(tmp_path):
    PredictionLog(tmp_path / "log.db").close()
    predictions, outcomes = read_log(tmp_path / "log.db")
    assert len(predictions) == len(outcomes) == 0 and set(ALL) <= set(predictions)
    with pytest.raises(ValueError, match=r"none at .*other\.db"):
        read_log(tmp_path / "other.db")


def told(delay, **change):
    key = {k: FLIGHT[k] for k in ("carrier", "flight", "origin", "scheduled")}
    return {"outcomes": [key | {"arr_delay": delay} | change]}


def test_outcomes_count_once_and_may_come_first(url, service):
    client = Client(url)
    tell = lambda delay, **change: tuple(client.ask("POST", "/outcomes", told(delay, **change))[1].values())
    assert tell(12.0) == (1, 0, 0, 1)
    client.predict({})
    assert tell(12.0) == (0, 1, 0, 0)
    assert tell(12.0, scheduled="2013-07-01T22:45Z") == (0, 1, 0, 0)  # the same moment
    assert tell(None) == (0, 0, 1, 0) and tell(None) == (0, 1, 0, 0) and tell(0.0) == (0, 0, 1, 0)
    assert tell(0.0, flight=423) == (1, 0, 0, 1)
    twice = told(1.0, flight=9)["outcomes"] + told(2.0, flight=9)["outcomes"]
    assert client.ask("POST", "/outcomes", {"outcomes": twice})[1] == {
        "new": 1,
        "repeated": 0,
        "changed": 1,
        "unmatched": 2,
    }
    kept = read_log(service.log.path)[1].set_index("flight").arr_delay
    assert kept.to_dict() == {422: 0.0, 423: 0.0, 9: 2.0}


@pytest.mark.parametrize("bad", [told(True), told("1"), told(1e9), told(0, extra=1), {"outcomes": []}, {}, told(0, flight=0),
                                 {"outcomes": told(0)["outcomes"] * 1001}], ids=lambda b: str(b)[:60])  # fmt: skip
def test_what_is_no_outcome_is_refused(bad, url):
    assert Client(url).ask("POST", "/outcomes", bad)[0] == 422


def test_it_speaks_of_itself(url):
    client = Client(url)
    assert client.ask("GET", "/health") == (200, {"status": "alive"})
    assert client.ask("GET", "/ready") == (200, {"status": "ready"})
    status, card = client.ask("GET", "/model")
    assert status == 200 and (card["name"], card["version"], card["alias"], card["card"]) == (
        NAME,
        "1",
        "champion",
        "# Model 0",
    )
    assert "scikit-learn" in card["lineage"] and set(card["features"]) == set(ALL)
    assert client.ask("DELETE", "/model")[0] == 405 and client.ask("GET", "/nothing")[0] == 404
    client.connection.request("OPTIONS", "/model")
    assert client.connection.getresponse().headers["Allow"] == "GET, POST"


def test_metrics_count_what_happens(url):
    client = Client(url)
    far, now = "2099-01-01T00:00Z", f"{pd.Timestamp.now('UTC') + pd.Timedelta('3h'):%Y-%m-%dT%H:%MZ}"
    client.predict({}, {"scheduled": far}, {"scheduled": now})
    client.predict({"temp": False})
    client.ask("GET", "/nothing")
    client.ask("POST", "/outcomes", told(1.0))
    text = client.ask("GET", "/metrics")[1]
    for line in ('mlcourse_flights_total{leaves="past"} 1.0', 'mlcourse_flights_total{leaves="far"} 1.0',
                 'mlcourse_flights_total{leaves="week"} 1.0', "mlcourse_probability_count 3.0", "mlcourse_log_seconds_count 1.0",
                 'mlcourse_requests_total{route="/predict",status="200"} 1.0', 'mlcourse_outcomes_total{kind="new"} 1.0',
                 'mlcourse_requests_total{route="/predict",status="422"} 1.0', 'mlcourse_model{name="bad-flights",version="1"} 1.0',
                 'mlcourse_requests_total{route="other",status="404"} 1.0', "process_resident_memory_bytes"):  # fmt: skip
        assert line in text, line


def test_a_key_is_asked_for_where_it_matters(registry, tmp_path):
    with running(Service(registry, NAME, tmp_path / "log.db", key="s3cret-é")) as url:
        for key in (None, "", "s3cret", "S3CRET-É", "x" * 10**4):
            client = Client(url, **({} if key is None else {"X-API-Key": key.encode()}))
            for path in ("/predict", "/outcomes", "/explain", "/model"):
                assert client.ask("POST", path, {})[0] == 401
        assert Client(url).ask("GET", "/health")[0] == Client(url).ask("GET", "/metrics")[0] == 200
        good = Client(url, **{"X-API-Key": "s3cret-é".encode()})
        assert good.predict({})[0] == 200 and good.ask("POST", "/model", {"alias": "champion"})[0] == 200


def test_why_is_the_difference_that_a_group_makes(url, registry):
    client = Client(url)
    flight = FLIGHT | {"airport_late_3h": 0.9}
    status, why = client.ask("POST", "/explain", {"flight": flight})
    p = lambda f: client.ask("POST", "/predict", {"flights": [f]})[1]["predictions"][0]["probability"]
    z = lambda p: math.log(p / (1 - p))
    groups = {g["group"]: g for g in why["groups"]}
    assert status == 200 and why["probability"] == p(flight) and list(groups) == list(FEATURES)
    for group in ("plane", "weather", "airport", "rates"):
        without = flight | dict.fromkeys(FEATURES[group])
        assert math.isclose(groups[group]["change"], z(p(flight)) - z(p(without)), abs_tol=1e-9)
        assert groups[group]["known"] == sum(flight.get(n) is not None for n in FEATURES[group])
    assert groups["airport"]["change"] > 0
    bare = {k: v for k, v in flight.items() if k not in FEATURES["rates"]}
    assert client.ask("POST", "/explain", {"flight": bare})[1]["groups"][-1] == {
        "group": "rates",
        "known": 0,
        "change": 0.0,
    }


def test_documentation_is_complete_and_its_examples_work(url):
    client = Client(url)
    api = client.ask("GET", "/openapi.json")[1]
    posts = {path: verbs["post"] for path, verbs in api["paths"].items() if "post" in verbs}
    assert set(posts) == {"/predict", "/outcomes", "/explain", "/model"}
    assert all(
        {"200", "401", "408", "413", "415", "422"} <= set(post["responses"]) for post in posts.values()
    )
    flight = api["components"]["schemas"]["Flight"]["properties"]
    example = {name: field["examples"][0] for name, field in flight.items() if "examples" in field}
    assert client.ask("POST", "/predict", {"flights": [example]})[0] == 200
    assert flight["temp"]["anyOf"][0] == {"maximum": 120.0, "minimum": -40.0, "type": "number"}
    for path in ("/", "/docs"):
        status, page = client.ask("GET", path)
        assert status == 200 and "https:" not in page and "//cdn" not in page


def test_generated_requests_get_documented_answers_only(service, registry, tmp_path):
    """A share of what `bench/serve.py --fuzz` sends; 5,000 cases are run before a release."""
    script = Path(__file__).with_name("fuzz.py")
    with running(service) as url:
        done = subprocess.run(
            [sys.executable, script, url, "25"], capture_output=True, text=True, timeout=200
        )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert int(done.stdout.split()[-1]) > 300


def test_every_rule_of_the_contract_holds_and_the_questions_are_of_no_real_flight(url, service):
    findings = list(check_service(url))
    assert len(findings) == len(RULES) and [f.rule for f in findings if not f.holds] == []
    predictions, outcomes = read_log(service.log.path)
    assert 1000 < len(predictions) < 1100 and len(outcomes) == 2
    assert {*predictions.scheduled.dt.year, *outcomes.scheduled.dt.year} == {2099}


def naive():
    """A service as one writes it in a hurry."""
    from fastapi import FastAPI, Request

    api, kept = FastAPI(), []

    @api.get("/health")
    def health():
        return {"status": "alive"}

    @api.post("/predict")
    async def predict(asked: Request):
        flights = json.loads(await asked.body())["flights"]
        said = [{"id": str(n), "probability": 0.5 if f.get("temp") is None else float(f["temp"]) / 200, "act": True}
                for n, f in enumerate(flights)]  # fmt: skip
        return {"model": "naive", "version": "1", "predictions": said}

    @api.post("/outcomes")
    async def outcomes(told: Request):
        kept.extend((await told.json())["outcomes"])
        return {"new": 1, "repeated": 0, "changed": 0, "unmatched": 0}

    return api


@pytest.fixture(scope="module")
def naive_findings():
    with running(naive()) as url:
        return {f.rule: f for f in check_service(url)}


@pytest.mark.parametrize(
    "broken",
    ["false is no number: 422", "A number in quotes is no number: 422", "An unknown field is refused: 422",
     "Every prediction has an id of its own", "A huge number is refused, not a crash: 422",
     "NaN and Infinity are no JSON numbers: 400 or 422", "What is no JSON, or too deep, is refused: 400, 415 or 422",
     "POST /outcomes: the same outcome twice counts once", "GET /metrics speaks Prometheus's text format",
     "GET /model names the model and version that /predict answers with", "A body of 20 MB is refused: 413"],
)  # fmt: skip
def test_a_naive_service_breaks_the_contract(broken, naive_findings):
    finding = naive_findings[broken]
    assert not finding.holds and finding.seen and len(finding.mend) > 20


def test_a_naive_service_keeps_what_it_keeps(naive_findings):
    kept = {rule for rule, finding in naive_findings.items() if finding.holds}
    assert {
        "GET /health answers 200",
        "POST /predict answers a flight with id, probability 0 to 1 and act",
    } <= kept


def run(*args, cwd=None, **env):
    return subprocess.run(
        [sys.executable, "-m", "mlcourse", *args], capture_output=True, text=True, cwd=cwd, env=ENV | env
    )


def test_the_command_says_what_holds_and_what_does_not(url):
    done = run("check-service", url)
    assert done.returncode == 0 and f"{len(RULES)} of {len(RULES)} rules hold." in done.stdout
    nobody = run("check-service", "http://127.0.0.1:9")
    assert nobody.returncode == 1 and not nobody.stdout
    assert nobody.stderr.startswith("Nothing answers at http://127.0.0.1:9 (")
    assert not any(finding.holds for finding in check_service("http://127.0.0.1:9"))
    assert run("check-service", "ftp://x").returncode == 2


def test_serve_without_a_model_says_what_to_do(tmp_path):
    done = run("serve", "--registry", str(tmp_path / "registry"), cwd=tmp_path)
    assert (
        done.returncode == 2 and "Run `mlcourse run` first" in done.stderr and "Traceback" not in done.stderr
    )
    nobody = run("serve", "--registry", "http://127.0.0.1:9", cwd=tmp_path)
    assert nobody.returncode == 2 and "does the registry run?" in nobody.stderr
    assert "http://127.0.0.1:9 does not answer: " in nobody.stderr and "mlcourse run" not in nobody.stderr


def test_a_mistyped_alias_registers_nothing(registry, tmp_path, monkeypatch):
    (tmp_path / "model_card.md").write_text("of a finished run")
    monkeypatch.setattr(cli, "_register", lambda *args: pytest.fail("it registered a run"))
    with pytest.raises(Stop, match=r"'champoin'.*is --alias right"):
        cli._filled(registry, NAME, "champoin", tmp_path)


def test_a_taken_port_is_said(service, registry, tmp_path):
    with running(service) as url, pytest.raises(OSError):
        listen(Service(registry, NAME, tmp_path / "other.db"), port=int(url.rpartition(":")[2]))


def test_lines_are_json_without_who_asked(capsys):
    say("refused", route="/predict", status=422, ms=1.5)
    line = json.loads(capsys.readouterr().out)
    assert line.pop("at").endswith("Z") and line == {
        "event": "refused",
        "route": "/predict",
        "status": 422,
        "ms": 1.5,
    }


def test_nothing_of_a_request_is_in_the_lines(capsys, registry, tmp_path):
    with running(Service(registry, NAME, tmp_path / "log.db", key="geheim")) as url:
        client = Client(url, **{"X-API-Key": "geheim"})
        client.predict({"carrier": "Q7", "temp": False})
        client.predict({"carrier": "Q7"})
        Client(url, **{"X-API-Key": "falsch"}).predict({})
    said = capsys.readouterr().out
    assert {json.loads(line)["event"] for line in said.splitlines()} == {"listening", "refused", "stopped"}
    assert not any(word in said.replace(url, "") for word in ("Q7", "geheim", "falsch", "127.0.0.1", "DL"))


def test_requests_of_one_moment_share_a_commit(service):
    async def ask(n):
        body, sent = request({"flight": 1 + n}), []

        async def receive():
            return {"type": "http.request", "body": body}

        async def send(message):
            sent.append(message)

        head = [(b"content-type", b"application/json")]
        await service({"type": "http", "method": "POST", "path": "/predict", "headers": head}, receive, send)
        return json.loads(sent[1]["body"])["predictions"][0]["id"]

    async def together():
        return await asyncio.gather(*(ask(n) for n in range(20)))

    ids = asyncio.run(together())
    predictions, _ = read_log(service.log.path)
    assert predictions.id.tolist() == ids and predictions.flight.tolist() == list(range(1, 21))
    assert predictions["at"].nunique() == 1
    service.log.close()


def test_too_much_waiting_is_refused(service, monkeypatch):
    monkeypatch.setattr(Service, "most_waiting", -1)
    with running(service) as url:
        assert Client(url).predict({}) == (
            503,
            {"detail": "too many flights wait already: try again in a second"},
        )


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (Debian: apt install chromium)")
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1200, "light")])
def test_a_person_tries_a_flight(url, service, browser, width, scheme):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
    page.goto(url)
    page.get_by_label("Airline").wait_for()
    assert page.evaluate(
        "() => [...document.querySelectorAll('input, select')].every(i => i.labels.length === 1)"
    )
    page.get_by_role("button", name="Fill in an example").focus()
    page.keyboard.press("Enter")  # the keyboard is enough
    page.get_by_role("button", name="Predict").focus()
    page.keyboard.press("Enter")
    page.locator(".big").wait_for()
    row = read_log(service.log.path)[0].iloc[0]
    assert page.locator(".big").inner_text() == f"{100 * row.probability:.1f} %"
    assert (
        row.scheduled == pd.Timestamp("2013-07-01T18:45-04:00")
        and math.isnan(row.wind_gust)
        and row.temp == 77
    )
    page.get_by_text("The same as a table").click()
    assert page.get_by_role("row").count() == 1 + len(FEATURES)
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    shot(page, f"serve_{width}_{scheme}")
    page.get_by_label("Airline").fill("?!")
    page.get_by_role("button", name="Predict").click()
    assert page.evaluate("() => document.activeElement.name") == "carrier" and not page.errors
    page.goto(f"{url}/docs")
    page.get_by_role("heading", name="POST /predict").wait_for()
    assert page.evaluate("() => document.documentElement.scrollWidth") == width and not page.errors
    page.close()


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (Debian: apt install chromium)")
def test_a_winter_flight_is_sent_with_winter_s_offset(url, service, browser):
    page = browser.new_page(timezone_id="Asia/Tokyo")
    page.goto(url)
    page.get_by_label("Airline").wait_for()
    found = [
        page.evaluate("t => zoned(t)", t)
        for t in ("2013-01-15T06:00", "2013-07-15T06:00", "2013-03-10T03:00", "2013-03-10T01:59")
    ]
    assert found == [
        "2013-01-15T06:00-05:00",
        "2013-07-15T06:00-04:00",
        "2013-03-10T03:00-04:00",
        "2013-03-10T01:59-05:00",
    ]
    page.close()
