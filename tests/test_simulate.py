"""The simulator: same seed, same cent; nothing of the future; services and operators that fail are told and bounded."""

import gc
import http.server
import json
import re
import threading
import time
import types
import urllib.request
from dataclasses import FrozenInstanceError, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from mlcourse import careful, live, services, simulate
from mlcourse.asgi import running
from mlcourse.careful import Careful, Webhook, operator_named, references
from mlcourse.cli import main
from mlcourse.data import load
from mlcourse.frame import Decision, label, scheduled
from mlcourse.incidents import (
    DECOYS,
    INCIDENTS,
    KEY,
    SENT,
    WATCH,
    Incident,
    World,
    answered,
    as_features,
    minutes,
    moments,
    real_world,
)
from mlcourse.registry import Registry
from mlcourse.serve import Service, read_log
from mlcourse.services import Bounded, HttpService, InProcess, Line, Trainer, champion
from mlcourse.simulate import Calendar, LastMonth, Nightly, Nothing, Oracle, calendar, play
from mlcourse.stage import (
    FEEDS,
    PRICES,
    Action,
    State,
    _decided,
    _deliver,
    _notice,
    _recount,
    _repair,
    _worth,
    checked,
    step,
)


@pytest.fixture(scope="module")
def world():
    return real_world()


@pytest.fixture(scope="module")
def model(world):
    return champion(world, rows=8_000, max_iter=20)


@pytest.fixture(scope="module")
def run(world, model):
    def run(operator, scenario="nothing", days=4, seed=1, service=None, **more):
        return play(
            service or InProcess(world, model), operator, scenario, seed, days, world, yardstick=model, **more
        )

    return run


@pytest.fixture(scope="module")
def played(run, world):
    """A short run with incidents, a decoy and told faults: its score, its snapshots, and that of doing nothing."""
    shown = []
    score = run(Careful(world), "chaos", days=5, tell=shown.append)
    return score, shown, run(Nothing(), "chaos", days=5)


# ---------------------------------------------------------------- the world, and what happens in it


def test_rates_are_those_of_the_features(world):
    state = State(world, (), 0, 40)
    for watch in range(40):
        _repair(state, watch), _deliver(state, watch), _recount(state, watch)
    rows = np.concatenate([_decided(state, watch) for watch in range(40)])
    names = ["rate_airport_hour_30d", "rate_carrier_dest_30d", "rate_carrier_7d", "rate_airport_2d"]
    np.testing.assert_array_equal(state.rates[rows], world.sent[names].to_numpy()[rows])


def test_the_calendar_is_drawn_from_the_seed():
    assert calendar("drawn", 3) == calendar("drawn", 3) != calendar("drawn", 4)
    assert pd.Series([i.start for i in calendar("chaos", 1).incidents]).is_monotonic_increasing
    assert {i.name for i in calendar("chaos", 1).incidents} == set(INCIDENTS)


DAYS = {"labels poisoned": 14, "feedback loop": 14, "new airport": 12}


@pytest.fixture(scope="module")
def calm(run):
    """What doing nothing earns on untouched days: dollars of each day."""
    return run(Nothing(), days=14).daily


@pytest.mark.parametrize("name", INCIDENTS)
def test_each_incident_alone_changes_the_money_and_is_found(run, world, calm, name):
    days, alone = DAYS.get(name, 6), f"only {name}"
    idle = run(Nothing(), alone, days)
    assert abs(idle.money - sum(calm[:days])) > 1 and idle.incidents[0]["hours"] is None
    (found,) = run(Careful(world), alone, days).incidents
    assert found["name"] == name and found["hours"] is not None


@pytest.mark.parametrize("name", DECOYS)
def test_a_decoy_alone_is_left_alone(run, world, name):
    for seed in range(2):
        score = run(Careful(world), f"only {name}", days=5, seed=seed)
        assert not [a for a in score.actions if a["dollars"] > PRICES["alert"]] and not score.incidents


def test_clock_skew_moves_the_hour_and_the_match(world):
    sent = world.sent.iloc[world.past :][:500]
    skewed = INCIDENTS["clock skew"](0, 4).send(sent, world, None)
    hours = as_features(skewed).hour - as_features(sent).hour
    assert (hours % 24 == 19).all() and ((skewed.arrival_hour - sent.arrival_hour) % 24 == 19).all()


# ---------------------------------------------------------------- money


def test_same_seed_same_cent(run):
    one, two = run(LastMonth(), "chaos"), run(LastMonth(), "chaos")
    assert one == two and one != run(LastMonth(), "chaos", seed=2)
    assert round(sum(one.parts.values()), 2) == one.money


def test_careful_is_the_same_to_the_cent(run, world, played):
    assert run(Careful(world), "chaos", days=5) == played[0] and played[0].actions


def test_actions_cost_what_they_cost(run):
    class Nervous:
        def watch(self, seen):
            return [Action("mend", "weather"), Action("alert", "labels")]

    score = run(Nervous(), days=1)
    assert score.parts["mend"] == -4 * PRICES["mend"] and score.parts["alert"] == -4 * PRICES["alert"]
    assert score.false_alarms == 8


def test_each_flight_is_paid_as_counted_by_hand(world):
    state, cost = State(world, (), 0, 4), world.decision.act_cost
    rows = _decided(state, 0)[
        :5
    ]  # asked once, twice, not answered, late, late and not answered; then three strangers
    sent = world.sent.iloc[[*rows, rows[1]]]
    strangers = sent.iloc[:3].set_axis([-1] * 3)
    p = np.array([0.9, 0.9, np.nan, 0.1, np.nan, 0.9, 0.9, 0.9, np.nan])
    wait = np.array([0, 0, 0, 2, 2, 0, 2, 0, 0])  # seconds; the desk waits one
    answers = answered(p, p > 0.5)._replace(wait=wait)
    parts = _worth(state, rows, pd.concat([sent, strangers]), answers)
    saved = world.decision.prevented * (int(world.bad[rows[0]]) + int(world.bad[rows[1]])) - 3 * cost
    assert parts == pytest.approx({"flights": saved, "unanswered": -50.0, "late": -10.0, "copies": -0.10})


def test_what_incidents_lose_is_the_yardstick_on_clean_data_less_what_was_earned(world):
    struck = [INCIDENTS["weather gone"](1, 3), INCIDENTS["nulls"](2, 3)]
    state = State(world, struck, 0, 4)
    always = types.SimpleNamespace(predict=lambda clean: np.full(len(clean), 1.0))
    for watch in range(4):
        step(state, watch, Always(0.0), always)  # a service that never acts earns nothing
    value = lambda rows: (
        world.decision.prevented * world.bad[rows].sum() - world.decision.act_cost * len(rows)
    )
    first, both = (value(_decided(state, watch)) for watch in (1, 2))
    assert [state.lost[i] for i in struck] == pytest.approx(
        [first + both / 2, both / 2]
    )  # shared where both struck


def test_an_alarm_is_right_from_two_watches_before_to_the_end(world):
    storm = INCIDENTS["weather gone"](5, 8)
    false = []
    for watch in range(10):
        state = State(world, [storm], 0, 40)
        _notice(state, watch, Action("mend", "weather")), _notice(state, watch, Action("alert", "labels"))
        false.append(state.false_alarms - 1)  # that of the labels is false on any watch
        assert state.noticed == ({} if false[-1] else {storm: watch})
    assert false == [1, 1, 1, 0, 0, 0, 0, 0, 1, 1]


def test_the_oracle_pays_for_the_mend_and_no_more(run):
    name = "only airport state delayed"
    days = 8
    best, calm = run(Oracle(calendar(name, 1, days)), name, days=days), run(Nothing(), days=days)
    assert best.money == pytest.approx(calm.money - PRICES["mend"], abs=0.02)


def test_retraining_leaves_out_what_it_is_told_to(world, model):
    one, two = (InProcess(world, model, rows=2_000) for _ in range(2))
    now = world.start + 60
    assert one.retrain(now) == two.retrain(now, "2013-04-01/2013-05-15") == ""
    assert one.models["2"] is not two.models["2"]
    assert "no days are left" in one.retrain(now, "2013-01-01/2013-07-01")
    assert "nothing was learned" in one.retrain(now, "2013-13-01/2013-13-02")
    assert one.promote() == "" and one.live == ["1", "2"] and one.roll_back() == ""
    assert "no version to roll back to" in one.roll_back() and "no version '9'" in one.promote("9")


def test_other_parameters_make_another_model(world, model):
    assert champion(world, rows=8_000, max_iter=20) is model
    assert champion(world, rows=8_000, max_iter=2) is not model
    assert champion(world, rows=10**6, max_iter=1) is not champion(world, rows=10**6, seed=1, max_iter=1)


def test_a_log_that_holds_the_future_teaches_the_past_alone(world):
    """The log of a finished run, and a second run on it: what came later may not teach on its first days."""
    now = world.start + 4 * WATCH
    rows = np.arange(world.past, world.past + 9000)
    sent, bad = services._learnable(world, world.sent.iloc[rows], world.bad[rows], now, "", 180, 10**6)
    certain = pd.DatetimeIndex(moments(sent.scheduled)) + world.decision.label_delay
    assert certain.max() <= moments([now])[0] < moments(world.sent.scheduled.iloc[rows]).max()
    in_time = rows[world.sent.scheduled.to_numpy()[rows] + 780 <= now]
    known, truth = services._learnable(
        world, world.sent.iloc[in_time], world.bad[in_time], now, "", 180, 10**6
    )
    assert len(in_time) and len(known) == len(sent) and (truth == bad).all()


def test_nightly_pays_every_night(run):
    score = run(Nightly(), days=2)
    assert (
        score.parts["retrain"] == -2 * PRICES["retrain"] and score.parts["promote"] == -2 * PRICES["promote"]
    )


def test_the_rule_needs_no_service(run):
    score = run(LastMonth(), days=1, service=HttpService("http://127.0.0.1:9", seconds=0.5))
    assert score.parts["rule"] == -PRICES["rule"]


# ---------------------------------------------------------------- killed, and gone on


class Killed(Exception):
    pass


def killed_on(day):
    def tell(now):
        if now["day"] == day:
            raise Killed

    return tell


@pytest.mark.parametrize("day", [1, 3, 4])
def test_a_killed_run_goes_on_to_the_same_score(run, world, played, tmp_path, day):
    path = tmp_path / "journal"
    with pytest.raises(Killed):
        run(Careful(world), "chaos", days=5, journal=path, tell=killed_on(day))
    path.write_bytes(path.read_bytes()[:-20])  # the last line is torn
    assert run(Careful(world), "chaos", days=5, journal=path) == played[0]


def test_a_journal_of_another_run_is_refused(run, tmp_path):
    path = tmp_path / "journal"
    run(Nothing(), days=1, journal=path)
    for wrong in (dict(seed=9), dict(days=2), dict(scenario="calm")):
        with pytest.raises(ValueError, match="journal must be of the same run"):
            run(Nothing(), **{"days": 1, "journal": path} | wrong)
    path.write_text("no journal\n")
    with pytest.raises(ValueError, match="journal must be of the same run"):
        run(Nothing(), days=1, journal=path)


def test_another_service_does_not_go_on_from_the_first(run, tmp_path):
    (first, one), (second, two) = (serving(lambda h, f: say(h, good(f))) for _ in range(2))
    with pytest.raises(Killed):
        run(Nothing(), days=2, service=HttpService(one), journal=tmp_path / "j", tell=killed_on(1))
    with pytest.raises(ValueError, match="journal must be of the same run"):
        run(Nothing(), days=2, service=HttpService(two), journal=tmp_path / "j")
    first.shutdown(), second.shutdown()


def test_an_operator_that_was_changed_does_not_go_on_from_the_old_one(run, tmp_path):
    old = types.SimpleNamespace(name="mine", watch=lambda seen: [("mend", "labels", "to be sure")])
    new = types.SimpleNamespace(name="mine", watch=lambda seen: [])
    path = tmp_path / "journal"
    with pytest.raises(Killed):
        run(old, days=3, journal=path, tell=killed_on(1))
    kept = path.read_bytes()
    with pytest.raises(ValueError, match="journal holds what another operator did: name another --out"):
        run(new, days=3, journal=path)
    assert path.read_bytes() == kept and run(old, days=3, journal=path) == run(old, days=3)


def test_an_operator_that_failed_before_goes_on(run, tmp_path):
    class Moody:
        name, asked = "moody", 0

        def watch(self, seen):
            Moody.asked += 1
            if Moody.asked == 1:
                raise OSError("the line is down")
            return [("alert", "labels", "")] if Moody.asked < 5 else []

    with pytest.raises(Killed):
        run(Moody(), days=2, journal=tmp_path / "journal", tell=killed_on(1))
    score = run(Moody(), days=2, journal=tmp_path / "journal")  # no longer asked a first time
    assert len(score.actions) == 3 and "the line is down" in score.told[0]


def test_a_killed_run_asks_a_service_nothing_twice(run, tmp_path):
    asked = []
    server, url = serving(lambda h, f: (asked.append((h.path, json.dumps(f))), say(h, good(f))))
    whole = run(Nothing(), days=2, service=HttpService(url))
    once = sorted(asked)
    asked.clear()
    with pytest.raises(Killed):
        run(Nothing(), days=2, service=HttpService(url), journal=tmp_path / "j", tell=killed_on(1))
    assert run(Nothing(), days=2, service=HttpService(url), journal=tmp_path / "j") == whole
    assert sorted(asked) == once
    server.shutdown()


# ---------------------------------------------------------------- neither future nor calendar


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
    assert Peeking.early == 0 and Peeking.frozen == 16
    assert seen.money == run(Nothing(), "chaos").money


def reachable(thing):
    """Everything that an object holds: attributes, items, what functions close over, arrays beneath arrays."""
    found, left = {}, [thing]
    while left:
        one = left.pop()
        if id(one) in found or isinstance(one, types.ModuleType | type | types.BuiltinFunctionType):
            continue
        found[id(one)] = one
        if isinstance(one, types.FunctionType):
            cells = [cell.cell_contents for cell in one.__closure__ or ()]
            left += [*cells, *(one.__defaults__ or ()), *vars(one).values()]
        else:
            left += [*gc.get_referents(one), getattr(one, "base", None)]
    return list(found.values())


def leaks(seen, world):
    """What of the calendar, the fates or days to come can be reached from an observation."""
    most = max(len(seen.requests), len(seen.outcomes), 64) * (len(SENT) + 10)
    for one in reachable(seen):
        if isinstance(one, Incident | Calendar | World | State | Oracle):
            yield type(one).__name__
        if isinstance(one, np.ndarray) and (one.size > most or np.shares_memory(one, world.fate)):
            yield f"array of {one.size}"


def test_nothing_hidden_can_be_reached_from_an_observation(run, world):
    kept = []
    keep = types.SimpleNamespace(watch=lambda seen: kept.append(seen))
    run(keep, "chaos", days=3)
    assert len(kept) == 12
    assert not [leak for seen in kept for leak in leaks(seen, world)]
    hidden = calendar("chaos", 1, 3)
    planted = [replace(kept[5], told=((lambda: hidden),)), replace(kept[5], off=world.fate[5:9]),
               replace(kept[5], requests=world.sent.iloc[:5]), replace(kept[5], told=(hidden.incidents[0],))]  # fmt: skip
    assert all([*leaks(seen, world)] for seen in planted)


def test_requests_hold_no_outcome_and_outcomes_come_late(run):
    posts = []

    def keep(handler, flights):
        posts.append((handler.path, handler.body))
        say(handler, good(flights))

    server, url = serving(keep)
    run(Nothing(), "calm", days=3, service=HttpService(url))
    server.shutdown()
    moment = lambda rows: pd.to_datetime([row["scheduled"] for row in rows])
    later = None
    for path, body in reversed(posts):  # from the end: every outcome was certain before the next decision
        if path == "/predict":
            assert all(set(flight) == set(SENT) for flight in body["flights"])
            later = (moment(body["flights"]) - Decision().lead).min()
        elif later is not None:
            assert set(body["outcomes"][0]) == {"carrier", "flight", "origin", "scheduled", "arr_delay"}
            assert (moment(body["outcomes"]) + Decision().label_delay).max() <= later
    assert {path for path, _ in posts} == {"/predict", "/outcomes"}


def test_what_the_simulator_cannot_prevent_is_called_out(run, world):
    """2013 and the calendar of a known seed are public: a score proves nothing to those who did not draw the seed."""
    flights = load("flights")
    fates = dict(zip(zip(flights.carrier.astype(str), flights.flight, flights.origin.astype(str),
                         minutes(scheduled(flights)), strict=True), label(flights), strict=True))  # fmt: skip

    class LookUp(Always):
        def predict(self, sent):
            known = [float(fates.get(key, 0)) for key in zip(*(sent[name] for name in KEY), strict=True)]
            return answered(known, np.array(known) > 0.5, "1")

    name = "only airport state delayed"
    honest, best = run(Nothing(), name), run(Oracle(calendar(name, 1, 4)), name)
    cheat = run(Nothing(), name, service=LookUp(0))
    peeking = types.SimpleNamespace(
        watch=Oracle(calendar(name, 1, 4)).watch
    )  # as any operator may, of a seed it knows
    assert cheat.money > 1.1 * best.money and run(peeking, name).money == best.money
    page = live.postmortem(cheat, [honest, best])
    assert "one that has seen these days" in page and "No incident cost anything" in page
    for score in (honest, best):
        assert "has seen these days" not in live.postmortem(score, [honest, best])


# ---------------------------------------------------------------- operators that fail


@pytest.mark.parametrize(
    "wrong",
    [RuntimeError("no"), SystemExit(3), "nonsense", 7, [("fly", "", "")], [Action("mend", "moon")],
     [Action("retrain", "last week")], [None]],
)  # fmt: skip
def test_an_operator_that_fails_is_told(run, wrong):
    class Failing:
        def watch(self, seen):
            if isinstance(wrong, BaseException):
                raise wrong
            return wrong

    score = run(Failing(), days=1)
    assert score.money == run(Nothing(), days=1).money and "the operator failed" in score.told[0]


def test_an_operator_that_hangs_is_bounded_and_told(run, monkeypatch):
    monkeypatch.setattr(simulate, "Bounded", partial(Bounded, seconds=0.1))
    awake = threading.Event()

    class Hanging:
        asked = 0

        def watch(self, seen):
            Hanging.asked += 1
            awake.wait(30)

    score = run(Hanging(), days=2)
    awake.set()
    assert score.money == run(Nothing(), days=2).money and Hanging.asked == 1
    assert sum("did not answer within 0.1 s" in text for text in score.told) == 1


def test_an_operator_that_hangs_twice_is_left_alone():
    slow = types.SimpleNamespace(watch=lambda seen: time.sleep(0.3))
    bounded, told = Bounded(slow, checked, seconds=0.05), []
    for _ in range(4):
        told += bounded.watch(None)[1]
        bounded.thread.join()
    assert len(told) == 2 and "not asked again" in told[1]


def test_an_endless_operator_is_cut(run):
    class Endless:
        def watch(self, seen):
            while True:
                yield Action("alert", "labels")

    assert run(Endless(), days=1).parts["alert"] == -4 * 20 * PRICES["alert"]


def test_operators_by_name(world, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_of_a_learner.py").write_text(
        "class Policy:\n    def watch(self, seen):\n        return []\n"
    )
    assert operator_named("mine_of_a_learner:Policy", world).watch(None) == []
    assert isinstance(operator_named("careful", world), Careful)
    assert isinstance(operator_named("http://127.0.0.1:1", world), Webhook)
    (tmp_path / "that_ends.py").write_text("raise SystemExit('no')\n")
    for wrong in ("nobody", "mine_of_a_learner:Other", "mine_of_a_learner", "that_ends:Policy"):
        with pytest.raises(ValueError, match="operator must be nothing, last-month"):
            operator_named(wrong, world)


def test_a_webhook_is_an_operator(run):
    seen = []

    def act(handler, _):
        seen.append(handler.body)
        broken = any(row["probability"] is None for row in handler.body["requests"])
        say(handler, {"actions": [{"kind": "mend", "target": "airport", "why": "silence"}] if broken else []})

    class Same:
        name = "same"

        def watch(self, seen):
            return [("mend", "airport", "silence")] if seen.requests.probability.isna().any() else []

    server, url = serving(act)
    scores = [run(policy, "only slow dependency", days=3) for policy in (Webhook(url), Same())]
    server.shutdown()
    assert scores[0].money == scores[1].money and scores[0].actions == scores[1].actions != []
    assert set(seen[0]) == {"watch", "now", "off", "rule", "told", "requests", "outcomes"}


@pytest.mark.parametrize(
    "answer", [b"no JSON", {"actions": 3}, [], {"actions": [3]}, {"actions": [{"kind": "fly"}]}]
)
def test_a_webhook_that_answers_nonsense_is_told(run, answer):
    server, url = serving(lambda h, _: say(h, answer))
    score = run(Webhook(url), days=1)
    server.shutdown()
    assert not score.actions and sum("the operator failed" in text for text in score.told) == 4


def test_what_comes_from_outside_is_shown_as_text(run):
    """Half a character, or an order to the terminal, reaches neither page nor screen; null is no target."""
    odd = {"kind": "retrain", "target": None, "why": "\ud800 \x1b[2J"}
    server, url = serving(
        lambda h, _: say(
            h,
            {"actions": [odd]} if "watch" in h.body else b"\x1b]0;mine\x07",
            500 * ("watch" not in h.body) or 200,
        )
    )
    score = run(Webhook(url), days=1, service=HttpService(url))
    server.shutdown()
    text = live.postmortem(score) + live.as_json(score) + "".join(score.told)
    assert len(score.actions) == 4 and score.actions[0]["target"] == "" and "no usable answer" in text
    assert text.encode() and "\x1b" not in text and "\\u001b" not in text


def test_a_webhook_that_never_ends_is_told(run):
    server, url = serving(drip)
    score = run(Webhook(url, seconds=0.2), days=1)
    server.shutdown()
    assert sum("no whole answer within 0.2 s" in text for text in score.told) == 4


# ---------------------------------------------------------------- services that fail


def serving(reply):
    """A service on loopback that does what `reply` says with a handler and the flights asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version, wbufsize = (
            "HTTP/1.1",
            -1,
        )  # head and body in one piece: no waiting for an acknowledgement

        def do_POST(self):
            self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply(self, self.body.get("flights", []))

        def log_message(self, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads, block_on_close = True, False

        def handle_error(self, *args):
            pass  # a client that hung up

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
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


def with_each(flights, **other):
    said = good(flights)
    return said | {"predictions": [one | other for one in said["predictions"]]}


def drip(handler, flights, drop=b" ", head=True):
    if head:
        handler.send_response(200)
        handler.end_headers()
    for _ in range(2000):
        handler.wfile.write(drop)
        handler.wfile.flush()
        time.sleep(0.02)


def flood(handler, flights):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 2**16)


def hang_up(handler, flights):
    handler.close_connection = True
    handler.connection.shutdown(2)


FAULTS = {
    "500": lambda h, f: say(h, {"detail": "broken"}, 500),
    "redirect": lambda h, f: say(h, b"", 307),
    "no JSON": lambda h, f: say(h, b"<html>"),
    "deep JSON": lambda h, f: say(h, b"[" * 100_000),
    "no text": lambda h, f: say(h, b"\xff\xfe"),
    "NaN": lambda h, f: say(h, json.dumps(good(f, float("nan"))).encode()),
    "no probability": lambda h, f: say(h, with_each(f, probability=None)),
    "a probability as text": lambda h, f: say(h, with_each(f, probability="0.4")),
    "act as text": lambda h, f: say(h, with_each(f, act="yes")),
    "version as number": lambda h, f: say(h, good(f, 0.4) | {"version": 3}),
    "half a character": lambda h, f: say(h, good(f, 0.4) | {"version": "\ud83d"}),
    "a version without end": lambda h, f: say(h, good(f, 0.4) | {"version": "1" * 100_000}),
    "above 1": lambda h, f: say(h, good(f, 7)),
    "too few": lambda h, f: say(h, good(f[1:])),
    "too many": lambda h, f: say(h, good([*f, 1])),
    "a list": lambda h, f: say(h, [1, 2]),
    "late": lambda h, f: (time.sleep(0.6), say(h, good(f))),
    "a body that never ends": drip,
    "a head that never ends": partial(drip, drop=b"X", head=False),
    "a flood": flood,
    "hangs up": hang_up,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_service_that_fails_costs_money_and_is_told(run, name):
    server, url = serving(FAULTS[name])
    score = run(Nothing(), days=1, service=HttpService(url, seconds=0.3))
    server.shutdown()
    flights = -score.parts["unanswered"] / PRICES["unanswered"]
    assert flights > 500 and score.parts["flights"] == 0 and "no usable answer" in " ".join(score.told)


def test_a_dead_service_does_not_stop_the_simulator(run):
    score = run(Nothing(), days=1, service=HttpService("http://127.0.0.1:9", seconds=0.5))
    assert score.money < 0 and "no usable answer" in score.told[0]


def test_a_service_that_dies_and_comes_back_earns_again(run):
    state = {"posts": 0}

    def mortal(handler, flights):
        state["posts"] += 1
        (hang_up if 60 < state["posts"] <= 64 else lambda h, f: say(h, good(f)))(handler, flights)

    server, url = serving(mortal)
    score = run(Nothing(), days=3, service=HttpService(url, seconds=2.0))
    server.shutdown()
    whole = run(Nothing(), days=3, service=Always(0.5))
    lost = -score.parts["unanswered"] / PRICES["unanswered"]
    assert 20 < lost < 1500 and score.daily[-1] == whole.daily[-1]


class Always:
    """A service in this process that says one thing."""

    lasting = False

    def __init__(self, p):
        self.p = p

    def predict(self, sent):
        return answered(np.full(len(sent), self.p), np.full(len(sent), self.p > 0.3), "1")

    def outcomes(self, outcomes):
        return ""


def test_a_good_service_gets_the_same_money_by_http(run):
    server, url = serving(lambda h, f: say(h, good(f)))
    by_http = run(Nothing(), days=1, service=HttpService(url))
    server.shutdown()
    assert by_http.money == run(Nothing(), days=1, service=Always(0.5)).money and not by_http.told


def test_a_kept_line_that_was_closed_is_opened_again():
    def once(handler, flights):
        say(handler, good(flights))
        handler.close_connection = True

    server, url = serving(once)
    line = Line(url, 5.0)
    assert all(line.post("/predict", {"flights": [1]}) == good([1]) for _ in range(3))
    server.shutdown()


def test_bad_arguments(run, world):
    with pytest.raises(ValueError, match="scenario must be one of"):
        run(Nothing(), "easy")
    with pytest.raises(ValueError, match="days must be at least 1"):
        run(Nothing(), days=0)
    for url in ("ftp://x", "http://", "http://x/?q=1", "127.0.0.1:8000", "http://127.0.0.1:99999"):
        with pytest.raises(ValueError, match="url must be like"):
            HttpService(url)
    with pytest.raises(ValueError, match="seconds must be more than 0"):
        HttpService("http://x", seconds=0)
    with pytest.raises(ValueError, match="MLCOURSE_API_KEY") as told:
        HttpService("http://x", key="s3cret\r")
    assert "s3cret" not in str(told.value)
    with pytest.raises(ValueError, match="names must be among"):
        references("calm", names=("nobody",), days=1, world=world)


# ---------------------------------------------------------------- the course's own service


def test_the_courses_own_service_is_played_by_http(run, world, model, tmp_path):
    registry, log = Registry(tmp_path), tmp_path / "predictions.db"
    example = as_features(world.sent.iloc[: world.past : 200])
    registry.promote(
        "bad-flights", registry.save(model.model, "bad-flights", example=example), force="a test"
    )

    class Renewing:
        def __init__(self):
            self.seen = []
            self.plan = {4: ("retrain", "2013-04-01/2013-04-09"), 5: ("promote",), 9: ("roll back",)}

        def watch(self, seen):
            self.seen.append({*seen.requests.version})
            return [self.plan[seen.watch]] if seen.watch in self.plan else []

    renewing = Renewing()

    with running(Service(registry, "bad-flights", log, key="secret", poll=600)) as url:
        idle = run(Nothing(), "only nulls", days=2, service=HttpService(url, key="secret"))
        trainer = Trainer(registry, log, world, rows=3_000)
        score = run(renewing, days=3, service=HttpService(url, trainer=trainer, key="secret"))
        locked = run(Nothing(), days=1, service=HttpService(url, key="wrong"))
    assert idle == run(Nothing(), "only nulls", days=2)  # to the cent
    assert renewing.seen[0] == {"1"} and renewing.seen[7] == {"2"} and renewing.seen[11] == {"1"}
    assert not score.told and score.parts["retrain"] == -PRICES["retrain"]
    assert registry.load("bad-flights", "2").lineage["without"] == "2013-04-01/2013-04-09"
    assert "answered 401" in locked.told[0] and locked.parts["flights"] == 0
    predictions, outcomes = read_log(log)
    assert predictions.groupby("version").size().to_dict().keys() == {"1", "2"} and len(outcomes) > 1000


def test_a_service_without_trainer_says_so(run):
    server, url = serving(lambda h, f: say(h, good(f)))
    plan = types.SimpleNamespace(watch=lambda seen: [("retrain",), ("promote",), ("roll back",)])
    score = run(plan, days=1, service=HttpService(url))
    server.shutdown()
    assert "this service has no trainer" in score.told[0] and len(score.told) == 4


# ---------------------------------------------------------------- what people see


@pytest.mark.parametrize("width", [60, 120])
def test_the_terminal_shows_money_and_incidents(played, width):
    console = Console(record=True, width=width, file=open("/dev/null", "w"), color_system=None)
    console.print(live.view(played[1][-1]))
    text = console.export_text()
    assert "Day 5 of 5" in text and "Incidents noticed or over" in text and "Last actions" in text
    assert max(map(len, text.splitlines())) <= width
    for one in played[1]:
        console.print(live.view(one))


def test_a_snapshot_hides_what_is_hidden(run, played):
    """Neither an incident that has not begun nor the end of one that goes on, whatever was ordered in time."""
    alarm = types.SimpleNamespace(watch=lambda seen: [("alert", feed) for feed in FEEDS])
    shown = list(played[1])
    run(alarm, "chaos", days=9, tell=shown.append)
    going = 0
    for now in shown:
        text = json.dumps(now)
        assert all(i["start"] < now["now"] and (i["end"] or "") <= now["now"] for i in now["incidents"])
        going += text.count('"end": null')
        assert text.count('"end": null') == sum(
            i["Ended by"] == "nobody" for i in live.as_page(now)["incidents"]
        )
    assert going > 5 and len(played[1][0]["incidents"]) < len(played[0].incidents)


def test_what_a_run_cuts_off_was_ended_by_nobody(run):
    score = run(Nothing(), "only new airport", days=6)
    (row,) = score.incidents
    assert not row["over"] and not row["mended"] and "<td>nobody</td>" in live.postmortem(score)


def test_what_was_not_measured_is_not_called_nothing(world, model):
    score = play(InProcess(world, model), Nothing(), "only deploy that fails", 1, 6, world)
    page = live.postmortem(score)
    assert score.incidents[0]["lost"] is None and "not measured" in page and "No incident cost" not in page


def test_a_decoy_ends_with_the_run(run):
    (row,) = run(Nothing(), "only quiet week", days=2, seed=0).decoys
    assert row["first"] <= row["last"] <= "2013-07-02"


def test_each_flight_without_an_answer_is_counted_once(run):
    """A burst brings copies and flights that are none of the desk's: the screen counts what the money counts."""
    shown = []
    score = run(Nothing(), "only traffic burst", days=8, tell=shown.append, service=Always(0.5))
    counted = sum(now["unanswered"] for now in shown)
    assert counted * PRICES["unanswered"] == -score.parts["unanswered"] > 0
    assert all(now["unanswered"] <= now["flights"] for now in shown)


def test_a_port_that_is_taken_is_named():
    with live.web() as (url, _), pytest.raises(ValueError, match="port must be one that is free"):
        live.web(int(url.split(":")[2].strip("/"))).__enter__()


def test_the_web_page_shows_the_same(played):
    with live.web() as (url, publish):
        page = urllib.request.urlopen(url).read().decode()
        assert json.load(urllib.request.urlopen(url + "now")) == {"page": {}}
        publish(played[1][-1])
        now = json.load(urllib.request.urlopen(url + "now"))["page"]
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url + "else")
    assert now["share"] == 1 and len(now["daily"]) == 5 and now["incidents"] and "day 5 of 5" in now["title"]
    assert not re.search(r"""(src|href)=|https?://""", page) and "aria-live" in page


def test_the_post_mortem_tells_all_and_stands_alone(played):
    score, others = replace(played[0], operator="<b>mine</b>"), [played[0], played[2]]
    page = live.postmortem(score, others)
    assert all(i["name"] in page for i in score.incidents) and "What careful did" in page
    assert "<b>mine" not in page and "&lt;b&gt;mine" in page
    assert not re.search(r"""(src|href)="(?!#)|https?://|<script""", page)
    alone = live.postmortem(replace(score, incidents=[], decoys=[], actions=[], told=[]))
    assert "None." in alone and "Nothing." in alone
    assert json.loads(live.as_json(score))["money"] == score.money


def test_the_command_plays_and_writes_a_post_mortem(world, model, tmp_path, monkeypatch, capsys):
    for module in (services, careful):
        monkeypatch.setattr(module, "champion", lambda world: model)
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "--days", "2", "--scenario", "chaos", "--seed", "1"]) == 0
    said = capsys.readouterr().out
    assert said.count("careful") == 1 and "oracle" in said and "post-mortem.html" in said
    made = tmp_path / "mlcourse-simulate"
    assert {p.name for p in made.iterdir()} == {"score.json", "post-mortem.html"}
    score = json.loads((made / "score.json").read_text())
    assert score["days"] == 2 and score["operator"] == "careful"


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--scenario", "easy"], "scenario must be"), (["--operator", "nobody"], "operator must be"),
     (["--url", "ftp://x"], "url must be"), (["--timeout", "inf"], "3600")],
)  # fmt: skip
def test_the_command_refuses_what_cannot_be(options, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "--days", "1", *options]) == 2
    assert says in capsys.readouterr().err
