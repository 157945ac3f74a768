"""The contract of the flight service as questions to an address: any service may be asked, in any framework or language."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

FLIGHT = {
    "carrier": "DL", "flight": 422, "origin": "JFK", "dest": "LAX", "scheduled": "2013-07-01T18:45:00-04:00",
    "arrival_hour": 21, "distance": 2475.0, "temp": 77.0, "humid": 84.0, "visib": 4.0, "airport_delay_3h": 31.0,
    "airport_late_3h": 0.36, "plane_delay": 35.0, "rate_airport_2d": 0.41,
}  # fmt: skip
ASKED = FLIGHT | {"scheduled": "2099-07-01T18:45:00-04:00"}  # kept, but among no flights that anybody flies


class Finding(NamedTuple):
    """One rule of the contract: whether it holds, what was seen, and what to do if it does not."""

    rule: str
    holds: bool
    seen: str
    mend: str


class Reply(NamedTuple):
    """What came back: the status, the body's text and, if it is JSON, what it says."""

    status: int
    text: str
    json: Any


class Broken(Exception):
    """A rule does not hold; the text is what was seen."""


class Asked:
    """A service at an address, to put questions to; every question opens a connection of its own."""

    def __init__(self, url: str, key: str | None = None, seconds: float = 30.0):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url must be an address such as http://127.0.0.1:8000, got {url!r}")
        self.kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.place, self.path = (parts.hostname, parts.port), parts.path.rstrip("/")
        self.headers, self.seconds = {"X-API-Key": key} if key else {}, seconds

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Reply:
        """The reply to a request; OSError if none comes."""
        connection = self.kind(*self.place, timeout=self.seconds)
        try:
            headers = self.headers | ({"Content-Type": kind} if body is not None else {})
            connection.request(method, self.path + path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except HTTPException as error:
            raise OSError(f"no HTTP: {type(error).__name__} {error}") from error
        finally:
            connection.close()
        try:
            return Reply(answer.status, text, json.loads(text))
        except ValueError:
            return Reply(answer.status, text, None)

    def post(self, path: str, thing: Any) -> Reply:
        """The reply to a thing sent as JSON."""
        return self.ask("POST", path, json.dumps(thing).encode())

    def predict(self, *flights: dict) -> list[dict]:
        """The predictions of flights; Broken if they are not what the contract says."""
        reply = self.post("/predict", {"flights": list(flights)})
        need(reply.status == 200, f"status {reply.status}: {reply.text[:200]}")
        found = reply.json.get("predictions") if isinstance(reply.json, dict) else None
        need(isinstance(found, list), f"no list 'predictions' in {reply.text[:200]}")
        need(len(found) == len(flights), f"{len(found)} predictions for {len(flights)} flights")
        for p in found:
            need(isinstance(p, dict) and {"id", "probability", "act"} <= p.keys(), f"a prediction is {p}")
            number = isinstance(p["probability"], float | int) and not isinstance(p["probability"], bool)
            need(number and 0 <= p["probability"] <= 1, f"probability is {p['probability']!r}")
            need(isinstance(p["id"], str) and p["id"], f"id is {p['id']!r}")
            need(isinstance(p["act"], bool), f"act is {p['act']!r}")
        return found

    def refuses(self, flight: dict, name: str) -> None:
        """Broken unless the flight is refused with 422 and a text that names the field."""
        reply = self.post("/predict", {"flights": [flight]})
        need(reply.status == 422, f"status {reply.status}: {reply.text[:120]}")
        need(name in reply.text, f"the refusal does not name {name}: {reply.text[:120]}")


def need(holds: Any, seen: str) -> None:
    """Raise Broken with what was seen unless it holds."""
    if not holds:
        raise Broken(seen)


RULES: list[tuple[str, str, Callable[[Asked], None]]] = []


def rule(text: str, mend: str) -> Callable:
    """Enter a rule: what must hold, and what to do if it does not."""

    def enter(function):
        RULES.append((text, mend, function))
        return function

    return enter


@rule(
    "GET /health answers 200",
    "Start the service, and give it a route /health that needs neither model nor log.",
)
def _(service):
    reply = service.ask("GET", "/health")
    need(reply.status == 200, f"status {reply.status}")


@rule("GET /ready answers 200 when a model is loaded and the log can be written",
      "Add /ready; load a model, and look whether the log's folder may be written.")  # fmt: skip
def _(service):
    reply = service.ask("GET", "/ready")
    need(reply.status == 200, f"status {reply.status}: {reply.text[:120]}")


@rule("POST /predict answers a flight with id, probability 0 to 1 and act",
      'Answer {"model", "version", "predictions": [{"id", "probability", "act"}]}.')  # fmt: skip
def _(service):
    service.predict(ASKED)


@rule("GET /model names the model and version that /predict answers with", "Take both from the same place.")
def _(service):
    model = service.ask("GET", "/model").json
    said = service.post("/predict", {"flights": [ASKED]}).json
    need(isinstance(model, dict) and isinstance(said, dict), "no JSON")
    seen = model.get("name"), model.get("version"), said.get("model"), said.get("version")
    need(
        all(isinstance(s, str) and s for s in seen) and seen[:2] == seen[2:], f"{seen[:2]} against {seen[2:]}"
    )


@rule("A batch says what single requests say, in the order asked",
      "Keep the order when flights are batched, and let no flight change another's answer.")  # fmt: skip
def _(service):
    flights = [ASKED | {"airport_delay_3h": float(d), "flight": 1 + d} for d in (120, 0, 60, 5)]
    alone = [service.predict(f)[0]["probability"] for f in flights]
    together = [p["probability"] for p in service.predict(*flights)]
    need(
        all(math.isclose(a, t, abs_tol=1e-9) for a, t in zip(alone, together, strict=True)),
        f"{alone} alone, {together} together",
    )


@rule(
    "Every prediction has an id of its own",
    "Make ids unique over requests and restarts, such as a random prefix and a count.",
)
def _(service):
    ids = [p["id"] for _ in range(3) for p in service.predict(ASKED, ASKED)]
    need(len(set(ids)) == 6, f"ids {ids}")


@rule(
    "A feature that is null counts as one that is left out",
    "Default every feature that is not required to null.",
)
def _(service):
    left, null = service.predict(ASKED, ASKED | {"wind_gust": None, "seats": None})
    need(left["probability"] == null["probability"], f"{left['probability']} and {null['probability']}")


@rule(
    "The same moment in another time zone is the same flight",
    "Turn `scheduled` into New York time before you take its hour.",
)
def _(service):
    here, there = service.predict(ASKED, ASKED | {"scheduled": "2099-07-01T22:45:00Z"})
    need(here["probability"] == there["probability"], f"{here['probability']} and {there['probability']}")


def _refused(name: str, value: Any, text: str, mend: str) -> None:
    # Enter the rule that a flight with this value is refused, and the field is named.
    rule(text, mend)(lambda service: service.refuses(ASKED | {name: value}, name))


_STRICT = (
    "Check types strictly (pydantic: strict=True): a guess here is a wrong prediction that nobody notices."
)
_RANGE = "Check each number against its range, with the unit the contract names."
_refused("temp", False, "false is no number: 422", _STRICT)
_refused("temp", "77", "A number in quotes is no number: 422", _STRICT)
_refused("flight", 4.5, "A flight number is whole: 422", _STRICT)
_refused(
    "wind_mph",
    3,
    "An unknown field is refused: 422",
    "Forbid extra fields: a misspelt feature would count as not known.",
)
_refused("humid", 101, "A value out of range is refused (humid 101 %): 422", _RANGE)
_refused("airport_late_3h", 36, "A share is 0 to 1, not percent: 422", _RANGE)
_refused("flight", 10**400, "A huge number is refused, not a crash: 422", _RANGE)
_refused(
    "scheduled",
    "2013-07-01T18:45:00",
    "A departure without time zone is refused: 422",
    "Ask for the zone: New York has two.",
)
_refused(
    "scheduled",
    "2013-02-30T18:45:00Z",
    "A day that does not exist is refused: 422",
    "Parse the moment, do not only match it.",
)
_refused("carrier", None, "A required field may not be null: 422", "Give required fields no default.")


@rule("NaN and Infinity are no JSON numbers: 400 or 422", "Refuse them: pydantic has allow_inf_nan=False.")
def _(service):
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        body = json.dumps({"flights": [ASKED]}).replace("77.0", word).encode()
        need((got := service.ask("POST", "/predict", body).status) in (400, 422), f"{word}: status {got}")


@rule(
    "1 to 1,000 flights are answered, 0 and 1,001 refused: 422",
    "Limit the list, and make room for 1,000 flights in the body.",
)
def _(service):
    need(len(service.predict(*[ASKED] * 1000)) == 1000, "1,000 flights are not answered")
    for n in (0, 1001):
        need(
            (got := service.post("/predict", {"flights": [ASKED] * n}).status) in (413, 422),
            f"{n} flights: status {got}",
        )


@rule(
    "What is no JSON, or too deep, is refused: 400, 415 or 422",
    "Catch the parser's errors, recursion included.",
)
def _(service):
    for body in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"flights":' * 10_000, b"null", b'"x"'):
        need(
            (got := service.ask("POST", "/predict", body).status) in (400, 413, 415, 422),
            f"{body[:20]!r}: status {got}",
        )


@rule(
    "A body that is not said to be JSON is refused: 415",
    "Look at Content-Type: a form of a foreign web page comes as text/plain.",
)
def _(service):
    body = json.dumps({"flights": [ASKED]}).encode()
    need(
        (got := service.ask("POST", "/predict", body, "text/plain").status) in (400, 415, 422),
        f"status {got}",
    )


@rule("A body of 20 MB is refused: 413", "Look at Content-Length before you read, and count what comes in.")
def _(service):
    try:
        got = service.ask("POST", "/predict", b" " * 20_000_000).status
    except OSError:  # it closed the connection while we still sent: refused too, if it is still there
        return need(service.ask("GET", "/health").status == 200, "no answer")
    need(got == 413, f"status {got}")


def _counts(service: Asked, key: dict, delay: float | None) -> tuple:
    reply = service.post("/outcomes", {"outcomes": [key | {"arr_delay": delay}]})
    names = ("new", "repeated", "changed", "unmatched")
    need(reply.status == 200 and isinstance(reply.json, dict), f"status {reply.status}: {reply.text[:120]}")
    return tuple(reply.json.get(name) for name in names)


def _made_up() -> dict:
    # A departure that nobody will ever fly, so that no real outcome is touched.
    minute = secrets.randbelow(60 * 24 * 365)
    at = f"2099-{1 + minute // 1440 % 12:02}-{1 + minute // 17280 % 28:02}T{minute // 60 % 24:02}:{minute % 60:02}:00Z"
    return {"carrier": "ZZ", "flight": 1 + secrets.randbelow(9999), "origin": "JFK", "scheduled": at}


@rule(
    "POST /outcomes: the same outcome twice counts once",
    "Key outcomes by carrier, flight, origin and departure; replace, do not append.",
)
def _(service):
    key = _made_up()
    seen = [_counts(service, key, d) for d in (12.0, 12.0, None, None, 12.0)]
    want = [(1, 0, 0, 1), (0, 1, 0, 1), (0, 0, 1, 1), (0, 1, 0, 1), (0, 0, 1, 1)]
    need(seen == want, f"(new, repeated, changed, unmatched) were {seen}, not {want}")


@rule(
    "An outcome may come before its prediction, and is matched afterwards",
    "Keep outcomes that match nothing yet.",
)
def _(service):
    key = _made_up()
    early = _counts(service, key, 3.0)
    service.predict(ASKED | key)
    late = _counts(service, key, 3.0)
    need((early[3], late[3]) == (1, 0), f"unmatched before {early[3]}, after {late[3]}")


@rule("POST /outcomes refuses true as minutes: 422", _STRICT)
def _(service):
    reply = service.post("/outcomes", {"outcomes": [_made_up() | {"arr_delay": True}]})
    need(reply.status == 422, f"status {reply.status}")


@rule(
    "GET /metrics speaks Prometheus's text format",
    "Use a Prometheus client of your language; count requests at least.",
)
def _(service):
    reply = service.ask("GET", "/metrics")
    lines = [line for line in reply.text.splitlines() if line and not line.startswith("#")]
    good = re.compile(r"[a-zA-Z_:][\w:]*(\{.*\})? [-+\w.]+( \d+)?")
    need(reply.status == 200 and lines, f"status {reply.status}, {len(lines)} samples")
    need(
        all(good.fullmatch(line) for line in lines),
        f"no sample: {next((x for x in lines if not good.fullmatch(x)), '')!r}",
    )


@rule("Another method is refused: 405; another path: 404", "Leave both to your framework's router.")
def _(service):
    seen = service.ask("GET", "/predict").status, service.ask("GET", "/no-such-path").status
    need(seen == (405, 404), f"statuses {seen}")


@rule(
    "After all of this it still answers", "One request must not be able to end the service: look at its log."
)
def _(service):
    service.predict(ASKED)


def check_service(url: str, key: str | None = None) -> Iterator[Finding]:
    """A Finding for each rule of the contract, in order, from the service at `url`; `key`: its X-API-Key.

    It leaves about a thousand predictions and two outcomes, all of departures in 2099. Raises ValueError for what is
    no address."""
    service = Asked(url, key)
    for text, mend, look in RULES:
        try:
            look(service)
            yield Finding(text, True, "", mend)
        except Broken as broken:
            yield Finding(text, False, str(broken), mend)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            yield Finding(text, False, f"{type(error).__name__}: {error}", mend)
