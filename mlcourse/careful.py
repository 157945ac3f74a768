"""The course's own operator in lesson 26, built on `monitor` and `retrain`; operators by name or address; who is compared."""

from __future__ import annotations

import importlib
from functools import cache

import numpy as np
import pandas as pd

from mlcourse.features import FEATURES
from mlcourse.incidents import GROUPS, KEY, LEAD, WATCH, World, moments, real_world
from mlcourse.monitor import matched, quality, usual
from mlcourse.retrain import Trigger, contradicted, duel
from mlcourse.services import InProcess, Line, champion, records
from mlcourse.simulate import LastMonth, Nightly, Nothing, Oracle, calendar, play
from mlcourse.stage import PRICES, Action, Observation, Operator

_LOOKED = [*KEY, "at", "airport_flights_3h", *FEATURES["weather"]]  # at what the feeds send
_SAID = [*KEY, "at", "act", "version", "probability", "shadow"]


class _Memory:
    # What an operator keeps in mind: what the feeds sent in the last watches; ten days of answers and outcomes
    def __init__(self, decision, watches=40):
        self.decision, self.watches, self.sent, self.said, self.outcomes = decision, watches, [], [], []

    def take(self, seen):
        ours = seen.requests[seen.requests.flight < 9000]  # no flight of this timetable has such a number
        self.sent = [*self.sent, ours[_LOOKED]][-5:]
        self.said = [*self.said, ours[_SAID]][-self.watches :]
        self.outcomes = [*self.outcomes, seen.outcomes.assign(at=seen.now)][-self.watches :]

    def log(self):  # as the service's own log has it
        return pd.concat(self.sent, ignore_index=True)

    def labelled(self, now, says="probability"):  # flights, what was said of them, and what is known by now
        log = pd.concat(self.said, ignore_index=True)
        log = log[log[says].notna() & (log.version != "rule")]
        told = pd.concat(self.outcomes, ignore_index=True)
        return matched(log.assign(probability=log[says]), told, self.decision, now) if len(log) else None


def _version_trouble(asked, versions):  # what nobody ordered may not decide, whatever it says
    strange = asked.version[~asked.version.isin([*versions, "", "rule"])]
    if len(strange) > 20:
        why = f"nobody ordered version {strange.iloc[0]}, which answers {len(strange) / len(asked):.0%}"
        yield Action("roll back", "", why)


def _service_trouble(asked):  # what the answers themselves say
    if len(asked) < 20 or (missing := asked.probability.isna().mean()) < 0.1:
        return
    said = asked.fault[asked.fault != ""].mode()[0]
    why = f"{missing:.0%} unanswered: {said}"
    feeds = [feed for feed in ("airport", "weather") if f"{feed} feed" in said]
    for feed in feeds or (["schedule"] if said.startswith("429") else []):
        yield Action("mend", feed, why)
    if missing > 0.9 and "no usable answer" in said:
        yield Action("rule", "", why)


def _board_trouble(log):  # the airport's board counts the flights of three hours; the requests tell them too
    at = log["at"].dt.tz_localize(None).to_numpy().astype("M8[m]").astype(int)
    one, origin = ~log.duplicated(list(KEY)).to_numpy(), log.origin.to_numpy()
    late, off, count = at >= at.max() - WATCH, 0, 0
    for airport in set(origin):
        mine, quarter = origin == airport, at[late & (origin == airport)] // 15 * 15
        due = np.sort(at[mine & one] + LEAD)  # not `scheduled`: a clock may be wrong
        due = np.searchsorted(due, quarter, "right") - np.searchsorted(due, quarter - 180, "right")
        shown = log.airport_flights_3h.to_numpy()[late & mine]
        off, count = off + (~(abs(shown - due) <= 3 + 0.1 * due)).sum(), count + len(due)
    if off > 0.2 * count:
        yield Action(
            "mend", "airport", f"{off / count:.0%} of its boards do not show the flights of the timetable"
        )


def _feed(feature):
    return next((group for group in GROUPS if feature in FEATURES[group]), "schedule")


def _data_trouble(log, usual, now):  # rules of `monitor.quality`, as a mend of the feed they speak of
    for row in quality(
        log.drop(columns="airport_flights_3h"), usual, now
    ).itertuples():  # boards pause at night
        passes = row.rule == "gone" and row.value < 8  # hours without weather come to an end
        weather = row.feature in FEATURES["weather"] and not passes
        if row.rule in ("repeated", "clock") or (row.rule in ("unit", "stuck", "gone", "range") and weather):
            what = f"{row.rule} {row.feature}".strip()
            yield Action("mend", _feed(row.feature), f"{what}: {row.value:.3g}, the limit is {row.limit:.3g}")


def _name_trouble(log, known):  # names never seen: a carrier under a new one, or a new airport
    strange = log.carrier[~log.carrier.isin(known["carrier"])]
    if len(strange) > 0.005 * len(log):
        yield Action("mend", "schedule", f"carrier {strange.iloc[0]} was never seen")
    strange = log.dest[~log.dest.isin(known["dest"])]
    if len(strange) > 0.01 * len(log):
        yield Action("alert", "schedule", f"destination {strange.iloc[0]} was never seen")


def _label_trouble(flights, odd, now):  # outcomes that do not come, or cannot be
    age = now - flights.scheduled
    due = flights[(age > pd.Timedelta("19h")) & (age < pd.Timedelta("61h"))]
    if len(due) > 200 and due.overdue.mean() > 0.5:
        why = f"{due.overdue.mean():.0%} of the outcomes of two days have not come"
        yield "late", Action("mend", "labels", why)
    known = flights[flights.bad.notna()]
    for row in odd[odd.day > now.tz_localize(None) - pd.Timedelta("84h")].itertuples():
        why = f"{row.day:%d %B}: at {row.origin} {row.excess:.0%} more flights are called bad than expected"
        yield "poisoned", Action("mend", "labels", why)
    sums = known.groupby("act")[["bad", "probability"]].sum().reindex([False, True])
    ratio = sums.bad / sums.probability
    if known.act.sum() >= 150 and ratio[True] < 0.55 < 0.7 < ratio[False]:
        why = f"of the flights acted on, {ratio[True]:.0%} of those expected are called bad"
        yield "feedback", Action("mend", "labels", why)


def _renew(careful, seen, flights):
    # Retrain for a reason; promote what saves more on the same days, for certain
    if seen.watch == careful.trial + careful.memory.watches and careful.trial > 0:
        other = careful.memory.labelled(seen.now, "shadow")
        if other is not None:
            both = flights.merge(other[[*KEY, "probability"]], "inner", list(KEY), suffixes=("", "_new"))
            found = duel(both, both.probability, both.probability_new, careful.memory.decision)
            if found.low > 0:
                yield "promote", Action("promote", "", f"saves {found.low:,.0f} dollars a day more at least")
    if reason := careful.trigger.reason(seen.now, careful.trained):
        careful.trained, careful.trial = [*careful.trained, seen.now], seen.watch
        yield "retrain", Action("retrain", ",".join(careful.odd), reason)


@cache
def _past(world):  # what the past looked like, for `monitor.quality`
    sent = world.sent.iloc[: world.past]
    log = sent.assign(scheduled=moments(sent.scheduled), at=moments(world.at[: world.past]))
    return usual(log), {name: set(sent[name]) for name in ("carrier", "dest")}


class Careful:
    """The course's operator: rules on answers, data and labels, each with its mend; no costly act on what passes by itself."""

    name = "careful"

    def __init__(self, world: World):
        self.usual, self.names = _past(world)
        self.memory, self.last, self.asleep = _Memory(world.decision), {}, 0
        self.versions, self.ordered = set(), True  # that decide rightfully; whether another may appear now
        self.trigger, self.trained = Trigger(price=PRICES["retrain"]), [moments([world.start])[0]]
        self.trial, self.odd = -1, []  # when the last challenger was made; days that may not teach

    def watch(self, seen: Observation) -> list:
        """Mends and roll backs that evidence asks for; nothing is ordered twice for the same evidence."""
        asked = seen.requests
        if self.ordered:
            self.versions |= {*asked.version} - {"", "rule"}
        self.memory.take(seen)
        found = [("now", a) for a in (*_version_trouble(asked, self.versions), *_service_trouble(asked))]
        if seen.watch >= 7 and len(asked):
            found += self._look(seen)
        actions = [action for name, action in found if self._fresh(name, action, seen.watch)]
        self.ordered = not self.versions or any(a.kind in ("promote", "roll back") for a in actions)
        self.asleep = self.asleep + 1 if seen.rule else 0
        return [*actions, Action("model", "", "is it back?")] if self.asleep == 4 else actions

    def _look(self, seen):
        log = self.memory.log()
        found = [("now", action) for action in _board_trouble(log)]
        if seen.watch % 2:
            data = _data_trouble(log, self.usual, seen.now)
            found += [("", action) for action in (*data, *_name_trouble(seen.requests, self.names))]
        if seen.watch % 4 == 3 and (flights := self.memory.labelled(seen.now)) is not None:
            odd = contradicted(flights)
            found += [*_label_trouble(flights, odd, seen.now), *_renew(self, seen, flights)]
            days = {f"{day:%Y-%m-%d}/{day:%Y-%m-%d}" for day in odd.day}
            self.odd += sorted(days - {*self.odd})
        return found

    def _fresh(
        self, name, action, watch
    ):  # not yet ordered for what is seen again until the mend has done its work
        key = name if name not in ("", "now") else action[:2]
        fresh = watch - self.last.get(key, -9999) >= _RESTS.get(action.kind, _RESTS[name])
        if fresh:
            self.last[key] = watch
        return fresh


_RESTS = {"": 8, "now": 4, "late": 12, "poisoned": 16, "feedback": 60, "retrain": 1, "promote": 1,  # watches
          "roll back": 2, "rule": 1, "alert": 400}  # fmt: skip


class Webhook:
    """An operator at an address: it is sent each observation as JSON and answers {"actions": [{"kind", "target", "why"}]}."""

    def __init__(self, url: str, seconds: float = 30.0):
        self.line, self.name = Line(url, seconds), f"webhook {url}"

    def watch(self, seen: Observation) -> list:
        """The actions it answers; ValueError for an answer of another shape."""
        tables = {name: records(getattr(seen, name)) for name in ("requests", "outcomes")}
        body = {
            "watch": seen.watch,
            "now": seen.now.isoformat(),
            "off": seen.off,
            "rule": seen.rule,
            "told": seen.told,
        }
        found = self.line.post("", body | tables)
        actions = found.get("actions") if isinstance(found, dict) else None
        if not isinstance(actions, list) or not all(isinstance(a, dict) for a in actions):
            raise ValueError(f'the answer must be {{"actions": [{{"kind": …}}]}}, got {str(found)[:80]}')
        return [(a.get("kind"), a.get("target", ""), a.get("why", "")) for a in actions]


OPERATORS = {"nothing": lambda world: Nothing(), "last-month": lambda world: LastMonth(), "nightly": lambda world: Nightly(),
             "careful": Careful}  # fmt: skip


def operator_named(text: str, world: World) -> Operator:
    """The operator that `text` names: one of OPERATORS, MODULE:CLASS of your own, or the address of a webhook.

    Raises ValueError for one that cannot be found or made."""
    if text in OPERATORS:
        return OPERATORS[text](world)
    if text.startswith(("http://", "https://")):
        return Webhook(text)
    module, _, name = text.partition(":")
    try:
        return getattr(importlib.import_module(module), name)()
    except (Exception, SystemExit) as error:
        names = f"{', '.join(OPERATORS)}, MODULE:CLASS or http://…"
        raise ValueError(
            f"operator must be {names}, got {text!r} ({type(error).__name__}: {error})"
        ) from error


def references(
    scenario: str,
    seed: int = 0,
    days: int = 184,
    world: World | None = None,
    names: tuple = ("nothing", "last-month", "careful", "oracle"),
) -> list:  # a Score each
    """What the course's own service earns on the same days, under operators to compare with; "nightly" takes minutes."""
    world = world or real_world()
    model, made = champion(world), OPERATORS | {"oracle": lambda _: Oracle(calendar(scenario, seed, days))}
    if unknown := [name for name in names if name not in made]:
        raise ValueError(f"names must be among {', '.join(made)}, got {', '.join(unknown)}")
    return [
        play(InProcess(world, model), made[name](world), scenario, seed, days, world, yardstick=model)
        for name in names
    ]
