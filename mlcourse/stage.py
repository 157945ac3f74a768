"""One watch after another in lesson 26: what becomes of the played world, what an operator sees and does, and the score."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from mlcourse.features import FEATURES
from mlcourse.incidents import DAY, GROUPS, KEY, NIGHT, WATCH, Answers, Rates, answered, moments


class Action(NamedTuple):
    """What an operator may do; `kind` is one of PRICES, `target` a feed, a group of features or a version.

    alert FEED; mend FEED, done in two watches; off or on GROUP; rule and model: who decides; retrain DAYS/DAYS,… leaves
    these local dates out; promote VERSION; roll back."""

    kind: str
    target: str = ""
    why: str = ""


PRICES = {  # dollars: assumptions of the desk, as `act_cost`
    "alert": 200.0, "mend": 4000.0, "off": 500.0, "on": 500.0, "rule": 500.0, "model": 500.0, "retrain": 1500.0,
    "promote": 500.0, "roll back": 500.0,
    "unanswered": 25.0,  # a flight that nobody answered for: somebody looks it up
    "late": 5.0,  # a flight whose answer came later than the desk waits
    "copies": 0.05,  # an answer for a flight that is none of ours
}  # fmt: skip


FEEDS = ("schedule", "plane", "weather", "airport", "rates", "labels", "service")


MEND, _NEVER = 2, 1e12  # watches from order to repair; the minute at which what is held back comes


@dataclass(frozen=True, eq=False)
class Observation:
    """What production shows at the end of a watch, and no more: the flights sent and answered, outcomes that arrived.

    Nothing in it leads to the calendar or to a fate. Code in the same process can still dig for them, as Python hides
    nothing; at an address these columns are all that travels. But the calendar follows from scenario and seed, and 2013 is
    public: believe a score only with a seed drawn afterwards, and a service whose training you can check."""

    watch: int
    now: pd.Timestamp  # UTC
    requests: pd.DataFrame  # SENT as it was sent, at (UTC), and the columns of Answers
    outcomes: pd.DataFrame  # carrier, flight, origin, scheduled, arr_delay as reported
    off: tuple  # groups switched off
    rule: bool  # whether the rule decides, and not the model
    told: tuple  # sentences about what went wrong


class Service(Protocol):
    """What the simulator asks of a service. A sentence is returned where something went wrong, else ""."""

    lasting: bool  # whether its state outlives the simulator's process

    def predict(self, sent: pd.DataFrame) -> Answers:
        """Answers to the flights of a watch."""

    def outcomes(self, outcomes: pd.DataFrame) -> str:
        """Take in labels."""

    def retrain(self, now: int, without: str) -> str:
        """Make a challenger at minute `now`, without the days left out."""

    def promote(self, version: str) -> str:
        """Let a version decide; the newest for ""."""

    def roll_back(self) -> str:
        """Let the version before decide."""


class Operator(Protocol):
    """A policy that watches and acts: it is shown an Observation every six hours and returns Actions."""

    def watch(self, seen: Observation) -> Iterable[Action]:
        """What to do at the end of a watch."""


def plain(thing: object) -> str:
    """Its text, a space for each character that no page or terminal may get: control characters, halves of pairs."""
    return "".join(c if c.isprintable() else " " for c in str("" if thing is None else thing))


def checked(action: object) -> Action:
    """The action; ValueError if there is none like it."""
    kind, target, why = map(plain, (*action, "", "")[:3])
    allowed = {"alert": FEEDS, "mend": FEEDS[:-1], "off": GROUPS, "on": GROUPS}
    if kind not in [*PRICES][:9] or target not in allowed.get(kind, (target,)):
        raise ValueError(
            f"an action must be one of {', '.join([*PRICES][:9])}, on what it can be done to, got {kind!r} {target!r}"
        )
    if kind == "retrain" and not re.fullmatch(f"({_DAYS}(,{_DAYS})*)?", target):
        raise ValueError(f"retrain leaves out days such as 2013-08-01/2013-08-09, got {target[:100]!r}")
    return Action(kind, target[:5000], why[:500])


_DAYS = r"2013-\d\d-\d\d/2013-\d\d-\d\d"


class State:
    """What has become of the played world so far."""

    def __init__(self, world, incidents, seed, watches):
        n, wait = len(world.fate), int(world.decision.label_delay / pd.Timedelta("1min"))
        self.world, self.incidents, self.seed, self.watches = world, incidents, seed, watches
        self.due = (world.sent.scheduled.to_numpy() + wait).astype(float)  # when each label is certain
        self.known, self.reported, self.bad = self.due.copy(), world.fate.copy(), world.bad.copy()
        self.acted, self.rates, self.truth = np.zeros(n, bool), np.empty((n, 4)), np.empty((n, 4))
        self.count, self.past, self.start = Rates(world).count, world.past, world.start
        self.certain = np.searchsorted(self.due, self.start, side="right")
        self.arrived = np.arange(n) < self.certain
        self.off, self.rule, self.repairs, self.ended, self.noticed = set(), False, [], {}, {}
        self.money, self.lost = defaultdict(lambda: np.zeros(watches)), dict.fromkeys(incidents, 0.0)
        self.deeds, self.told, self.facts, self.false_alarms = [], [], [], 0

    def minute(self, watch: int) -> int:
        """Minute (UTC) at which a watch begins."""
        return self.start + watch * WATCH

    def active(self, watch: int) -> list:
        """Incidents that go on in a watch."""
        return [i for i in self.incidents if i.start <= watch < i.end and i not in self.ended]

    def chance(self, watch: int, incident: object) -> np.random.Generator:
        """The same draws whoever plays, and whatever else is on the calendar."""
        return np.random.default_rng([self.seed, watch, *incident.name.encode()])


def _decided(state, watch):  # flights whose decision falls into a watch
    first, last = np.searchsorted(state.world.at, [state.minute(watch), state.minute(watch + 1)])
    return np.arange(max(first, state.past), max(last, state.past))


def _repair(state, watch):  # what is mended by now, and the outcomes that this sets free
    done = {(kind, target) for due, kind, target in state.repairs if due == watch}
    state.ended |= {i: watch for i in state.active(watch) if i.remedy in done}
    if not any(i.name == "labels late" for i in state.active(watch)):
        state.known[state.known == _NEVER] = state.minute(watch)


def _deliver(state, watch):  # rows whose outcomes arrive now, as they are reported
    now, first = state.minute(watch), state.certain
    state.certain = np.searchsorted(state.due, now, side="right")
    new, origin = np.arange(first, state.certain), state.world.sent.origin.array
    for incident in state.active(watch):
        told = incident.report(
            state.reported[new], state.acted[new], np.asarray(origin[new]), state.chance(watch, incident)
        )
        state.known[new] = np.where(np.isinf(told), _NEVER, state.known[new])
        state.reported[new] = np.where(np.isinf(told), state.reported[new], told)
    state.bad[new] = ~(state.reported[new] < state.world.decision.late)
    back = max(0, np.searchsorted(state.due, now - 40 * DAY))
    rows = back + np.flatnonzero(
        ~state.arrived[back : state.certain] & (state.known[back : state.certain] <= now)
    )
    state.arrived[rows] = True
    return rows[rows >= state.past]


def _recount(state, watch):  # the rates that count until the next night
    now, at = state.minute(watch), state.world.at
    night, rest = divmod(now - NIGHT, DAY)
    if watch == 0 or rest == 0:
        rows = np.arange(*np.searchsorted(at, [now, (night + 1) * DAY + NIGHT]))
        state.rates[rows] = state.count(night, state.known, state.bad, rows)
        state.truth[rows] = state.count(night, state.due, state.world.bad, rows)


def _known(state, rows, rates):  # what the feeds know of these flights
    rates = dict(zip(FEATURES["rates"], rates[rows].T, strict=True))
    return state.world.sent.iloc[rows].assign(**rates, at=state.world.at[rows])


def _ask(state, watch, rows, service):  # what is sent, and what comes back
    sent, world = _known(state, rows, state.rates), state.world
    biting = [i for i in state.active(watch) if i.feed not in state.off]
    for incident in biting:
        sent = incident.send(sent, world, state.chance(watch, incident))
    sent = sent.assign(**{name: np.nan for group in sorted(state.off) for name in FEATURES[group]})
    if state.rule:
        rate = sent.rate_airport_hour_30d.to_numpy()
        return sent, answered(rate, rate > world.decision.break_even, "rule")
    answers = service.predict(sent)
    for incident in biting:
        answers = incident.answer(answers, world, state.chance(watch, incident))
    return sent, answers


def _worth(state, rows, sent, answers):  # dollars of a watch, by what they are for
    own, n, decision = sent.index.to_numpy() >= 0, len(rows), state.world.decision
    place, known = sent.index.to_numpy()[own] - rows[0], np.isfinite(answers.probability)
    acts = np.bincount(place, answers.act[own], n)
    state.acted[rows] = acts > 0
    saved = decision.prevented * (state.world.bad[rows] & (acts > 0)).sum() - decision.act_cost * acts.sum()
    counts = {"unanswered": (np.bincount(place, known[own], n) == 0).sum(),
              "late": (answers.wait[own] > 1).sum(), "copies": (known & ~own).sum()}  # fmt: skip
    return {"flights": saved} | {name: -PRICES[name] * count for name, count in counts.items() if count}


def step(state: State, watch: int, service: Service, yardstick: object) -> tuple:
    """One watch, up to what the operator is shown: sent, answers, outcomes, fault."""
    _repair(state, watch)
    arrived, rows = _deliver(state, watch), _decided(state, watch)
    _recount(state, watch)
    outcomes = state.world.sent.iloc[arrived][list(KEY)].assign(arr_delay=state.reported[arrived])
    fault = service.outcomes(outcomes) if len(arrived) else ""
    sent, answers = _ask(state, watch, rows, service)
    worth = _worth(state, rows, sent, answers) if len(rows) else {}
    for name, dollars in worth.items():
        state.money[name][watch] = dollars
    if yardstick is None:
        state.lost = dict.fromkeys(state.lost)  # not measured
    elif (active := state.active(watch)) and len(rows):
        clean, acted = _known(state, rows, state.truth), state.acted[rows].copy()
        p = yardstick.predict(clean)
        short = sum(
            _worth(state, rows, clean, answered(p, p > state.world.decision.break_even)).values()
        ) - sum(worth.values())
        state.acted[rows] = acted
        state.lost |= {i: state.lost[i] + short / len(active) for i in active}
    return sent, answers, outcomes, fault


def _shown(state, watch, sent, answers, outcomes, told):
    at = {"scheduled": moments(sent.scheduled), "at": moments(sent["at"])}
    seen = sent.assign(**at, **answers._asdict()).reset_index(drop=True)
    arrived = outcomes.assign(scheduled=moments(outcomes.scheduled)).reset_index(drop=True)
    now = moments([state.minute(watch + 1)])[0]
    return Observation(watch, now, seen, arrived, tuple(sorted(state.off)), state.rule, tuple(told))


def _apply(state, watch, action, service):  # the effect of an action; a sentence if it has none
    state.money[action.kind][watch] -= PRICES[action.kind]
    kind, target = action.kind, action.target
    if kind in ("off", "on"):
        (state.off.add if kind == "off" else state.off.discard)(target)
    elif kind in ("rule", "model"):
        state.rule = kind == "rule"
    elif kind == "mend":
        state.repairs.append((watch + MEND, kind, target))
    elif kind == "retrain":
        return service.retrain(state.minute(watch + 1), target)
    elif kind == "promote":
        return service.promote(target)
    elif kind == "roll back":
        state.repairs.append((watch + 1, kind, ""))
        deploys = [i for k in (watch, watch + 1) for i in state.active(k) if i.remedy[0] == kind]
        return "" if deploys else service.roll_back()
    return ""


def _notice(state, watch, action):  # was it right? An alarm about nothing is a false alarm
    if action.kind not in ("alert", "mend", "off", "roll back"):
        return
    feed = action.target or "service"
    found = [
        i for k in range(MEND + 1) for i in state.active(watch + k) if i.feed == feed
    ]  # the oracle is early
    state.noticed |= {i: watch for i in found if i not in state.noticed}
    state.false_alarms += not found


@dataclass(frozen=True)
class Score:
    """What a run earned, in dollars: net savings against a desk that never acts, and what they are made of."""

    operator: str
    scenario: str
    seed: int
    first: str  # the first local date
    days: int
    money: float
    parts: dict  # dollars by what they were for
    daily: list  # dollars of each day
    incidents: list  # a dict each: name, where, start, end, mended, over, seen, hours, lost (None: no yardstick); times ISO, UTC
    decoys: list
    actions: list  # a dict each: at, kind, target, why, dollars
    false_alarms: int
    told: list  # what went wrong, in sentences


def _iso(state, watch):
    return moments([state.minute(watch)])[0].isoformat()


def _history(state, incident):  # an incident, as the post-mortem tells it
    end, noticed = min(state.ended.get(incident, incident.end), state.watches), state.noticed.get(incident)
    lost = state.lost[incident]
    return {
        "name": incident.name, "where": incident.where, "start": _iso(state, incident.start), "end": _iso(state, end),
        "mended": incident in state.ended, "over": incident.end <= state.watches, "seen": None if noticed is None else _iso(state, noticed + 1),
        "hours": None if noticed is None else max(0, 6 * (noticed + 1 - incident.start)), "lost": None if lost is None else round(float(lost), 2),
    }  # fmt: skip


def _daily(state):
    series = np.sum([np.zeros(state.watches), *state.money.values()], axis=0)
    return [round(float(day), 2) for day in series.reshape(-1, 4).sum(axis=1)]


def placed(world: object, decoys: tuple, days: int) -> list:
    """The dates of the decoys, as far as they are played."""
    date = lambda day: str((pd.Timestamp(world.first) + pd.Timedelta(days=day)).date())
    return [
        {"name": name, "first": date(day), "last": date(min(day + len(real), days) - 1)}
        for name, day, real in decoys
    ]


def scored(state: State, names: dict) -> Score:
    """The score of all watches."""
    parts = {name: round(float(series.sum()), 2) for name, series in sorted(state.money.items())}
    deeds = [{"at": _iso(state, w + 1), **a._asdict(), "dollars": PRICES[a.kind]} for w, a in state.deeds]
    histories = [_history(state, i) for i in state.incidents if i.start < state.watches]
    return Score(**names, first=state.world.first, days=state.watches // 4, money=round(sum(parts.values()), 2), parts=parts, daily=_daily(state),
                 incidents=histories, actions=deeds, false_alarms=int(state.false_alarms), told=state.told)  # fmt: skip


def snapshot(state: State, names: dict, watch: int) -> dict:
    """What a screen may show: nothing that is still hidden."""
    money = sum(float(series[: watch + 1].sum()) for series in state.money.values())
    past = lambda i: i in state.ended or i.end <= watch + 1
    over = [i for i in state.incidents if past(i) or (i in state.noticed and i.start <= watch)]
    known = [_history(state, i) | ({} if past(i) else {"end": None}) for i in over]  # an end ahead is hidden
    flights, acts, unanswered = np.sum(state.facts[-4:], axis=0).tolist()
    return names | {
        "now": _iso(state, watch + 1), "day": (watch + 1) // 4, "days": state.watches // 4, "money": round(money, 2),
        "daily": _daily(state)[: (watch + 1) // 4], "flights": flights, "acts": acts, "unanswered": unanswered,
        "incidents": known, "false_alarms": int(state.false_alarms), "told": state.told[-8:],
        "actions": [{"at": _iso(state, w + 1), **a._asdict()} for w, a in state.deeds[-8:]], "off": sorted(state.off),
    }  # fmt: skip


def take(state: State, watch: int, service: Service, operator: object, book: object, seen: tuple) -> None:
    """Let the operator look, and do what it says."""
    sent, answers, outcomes, fault = seen
    told = list(dict.fromkeys([*(f for f in answers.fault if f), *([fault] if fault else [])]))
    own, flights = sent.index.to_numpy() >= 0, len(_decided(state, watch))  # copies of a message are none
    heard = len({*sent.index[own & np.isfinite(answers.probability)]})
    state.facts.append((flights, int(answers.act[own].sum()), flights - heard))
    actions, trouble = book.actions(
        lambda: operator.watch(_shown(state, watch, sent, answers, outcomes, told))
    )
    for action in (Action(*a) for a in actions):
        _notice(state, watch, action)
        if said := _apply(state, watch, action, service):
            trouble = [*trouble, said]
        state.deeds.append((watch, action))
    at = f"{moments([state.minute(watch + 1)])[0]:%Y-%m-%d %H:%M} UTC: "
    state.told += [at + plain(text) for text in [*told[:3], *trouble]][: max(0, 500 - len(state.told))]


def named(operator: object) -> str:
    """The name of an operator."""
    return str(getattr(operator, "name", type(operator).__name__))[:80]
