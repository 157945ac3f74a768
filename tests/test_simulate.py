"""The simulator: same seed, same cent; nothing of the future; services and operators that fail are told and bounded."""

import http.server
import json
import threading
import time
from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from mlcourse.frame import Decision
from mlcourse.incidents import INCIDENTS, answered, real_world
from mlcourse.services import HttpService, InProcess, champion
from mlcourse.simulate import LastMonth, Nothing, Oracle, calendar, play
from mlcourse.stage import PRICES, Action, State, _decided, _deliver, _recount, _repair


@pytest.fixture(scope="module")
def world():
    return real_world()


@pytest.fixture(scope="module")
def model(world):
    return champion(world, rows=8_000, max_iter=20)


@pytest.fixture
def run(world, model):
    def run(operator, scenario="nothing", days=4, seed=1, service=None, **more):
        return play(
            service or InProcess(world, model), operator, scenario, seed, days, world, yardstick=model, **more
        )

    return run


def test_rates_are_those_of_the_features(world):
    state = State(world, (), 0, 40)
    for watch in range(40):
        _repair(state, watch), _deliver(state, watch), _recount(state, watch)
    rows = np.concatenate([_decided(state, watch) for watch in range(40)])
    names = ["rate_airport_hour_30d", "rate_carrier_dest_30d", "rate_carrier_7d", "rate_airport_2d"]
    np.testing.assert_array_equal(state.rates[rows], world.sent[names].to_numpy()[rows])


def test_same_seed_same_cent(run):
    one, two = run(LastMonth(), "chaos"), run(LastMonth(), "chaos")
    assert one == two and one != run(LastMonth(), "chaos", seed=2)
    assert round(sum(one.parts.values()), 2) == one.money


def test_each_incident_changes_the_money_of_doing_nothing(run):
    calm = run(Nothing()).money
    same = [name for name in INCIDENTS if run(Nothing(), f"only {name}", days=4).money == calm]
    assert set(same) <= {
        "new airport",
        "labels late",
        "labels poisoned",
        "feedback loop",
        "clock skew",
        "carrier renamed",
    }  # these take longer


def test_operators_see_neither_future_nor_calendar(run):
    class Peeking:
        early, frozen = 0, 0

        def watch(self, seen):
            Peeking.early += int((seen.outcomes.scheduled + Decision().label_delay > seen.now).sum())
            assert not {"arr_delay", "dep_delay", "bad", "fate"} & set(seen.requests)
            assert (seen.requests["at"] <= seen.now).all()
            try:
                seen.watch = 5
            except FrozenInstanceError:
                Peeking.frozen += 1
            seen.requests.loc[:] = None  # its own copy
            return []

    seen = run(Peeking(), "chaos")
    assert Peeking.early == 0 and Peeking.frozen == 16 and not seen.told[:0]
    assert seen.money == run(Nothing(), "chaos").money


@pytest.mark.parametrize(
    "wrong", [RuntimeError("no"), "nonsense", [("fly", "", "")], [Action("mend", "moon")]]
)
def test_an_operator_that_fails_is_told(run, wrong):
    class Failing:
        def watch(self, seen):
            if isinstance(wrong, Exception):
                raise wrong
            return wrong

    score = run(Failing(), days=1)
    assert score.money == run(Nothing(), days=1).money and "the operator failed" in score.told[0]


def test_actions_cost_what_they_cost(run):
    class Nervous:
        def watch(self, seen):
            return [Action("mend", "weather"), Action("alert", "labels")]

    score = run(Nervous(), days=1)
    assert score.parts["mend"] == -4 * PRICES["mend"] and score.parts["alert"] == -4 * PRICES["alert"]
    assert score.false_alarms == 8


def test_the_oracle_pays_for_the_mend_and_no_more(run):
    name = "only airport state delayed"
    days = 12
    best, calm = run(Oracle(calendar(name, 1, days)), name, days=days), run(Nothing(), days=days)
    assert best.money == pytest.approx(calm.money - PRICES["mend"], abs=0.02)


@pytest.mark.parametrize("lines", [1, 6, 14])
def test_a_killed_run_goes_on_to_the_same_score(run, tmp_path, lines):
    path = tmp_path / "journal"
    whole = run(LastMonth(), "chaos", journal=path)
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join(kept[:lines]) + kept[lines][:20])  # the last line is torn
    assert run(LastMonth(), "chaos", journal=path) == whole
    with pytest.raises(ValueError, match="journal must be of the same run"):
        run(LastMonth(), "chaos", seed=9, journal=path)


def test_bad_arguments(world, model, run):
    with pytest.raises(ValueError, match="scenario must be one of"):
        run(Nothing(), "easy")
    with pytest.raises(ValueError, match="days must be at least 1"):
        run(Nothing(), days=0)
    with pytest.raises(ValueError, match="url must be like"):
        HttpService("ftp://x")


def serving(reply):
    """A service on loopback that does what `reply` says with a handler and the flights asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply(self, body.get("flights", []))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}"


def say(handler, thing, status=200):
    body = thing if isinstance(thing, bytes) else json.dumps(thing).encode()
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def good(flights, p=0.5):
    return {
        "version": "1",
        "predictions": [{"id": str(i), "probability": p, "act": p > 0.3} for i in range(len(flights))],
    }


def drip(handler, flights):
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


FAULTS = {
    "500": lambda h, f: say(h, {"detail": "broken"}, 500),
    "redirect": lambda h, f: say(h, b"", 307),
    "no JSON": lambda h, f: say(h, b"<html>"),
    "NaN": lambda h, f: say(h, json.dumps(good(f, float("nan"))).encode()),
    "text": lambda h, f: say(h, good(f, 0.4) | {"version": 3}),
    "above 1": lambda h, f: say(h, good(f, 7)),
    "too few": lambda h, f: say(h, good(f[1:])),
    "a list": lambda h, f: say(h, [1, 2]),
    "never ends": drip,
    "hangs up": lambda h, f: h.connection.close(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_service_that_fails_costs_money_and_is_told(run, name):
    server, url = serving(FAULTS[name])
    score = run(Nothing(), days=1, service=HttpService(url, seconds=0.3))
    server.shutdown()
    flights = -score.parts["unanswered"] / PRICES["unanswered"]
    assert flights > 500 and score.parts["flights"] == 0 and score.told


def test_a_good_service_gets_the_same_money_by_http(run, world):
    server, url = serving(lambda h, f: say(h, good(f)))
    by_http = run(Nothing(), days=1, service=HttpService(url))
    server.shutdown()

    class Always(InProcess):
        def predict(self, sent):
            return answered(np.full(len(sent), 0.5), np.ones(len(sent), bool), "1")

    own = run(Nothing(), days=1, service=Always(world, object()))
    assert by_http.money == own.money and not by_http.told


def test_a_dead_service_does_not_stop_the_simulator(run):
    score = run(Nothing(), days=1, service=HttpService("http://127.0.0.1:9", seconds=0.5))
    assert score.money < 0 and "no usable answer" in score.told[0]


def test_the_calendar_is_drawn_from_the_seed():
    assert calendar("drawn", 3) == calendar("drawn", 3) != calendar("drawn", 4)
    assert pd.Series([i.start for i in calendar("chaos", 1).incidents]).is_monotonic_increasing
