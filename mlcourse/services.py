"""Whom lesson 26 asks: a service in this process, or any at an address; and how a run is remembered and bounded."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from mlcourse.incidents import (
    DAY,
    KEY,
    SENT,
    Answers,
    World,
    answered,
    as_features,
    midnight,
    minutes,
    moments,
)
from mlcourse.models import make_model

_SAID, _NUMBERS = {}, [name for name in SENT if name not in ("carrier", "origin", "dest", "flight")]


def _digest(sent):  # of all that a model may look at
    text = "".join(sent.carrier) + "".join(sent.origin) + "".join(sent.dest)
    return blake2b(sent[_NUMBERS].to_numpy(float).tobytes() + text.encode(), digest_size=16).digest()


class _Model:
    # A fitted model that answers at once what it was asked before
    def __init__(self, model, name):
        self.model, self.name = model, name

    def predict(self, sent):
        key = self.name, _digest(sent)
        if key not in _SAID:
            if len(_SAID) > 10_000:
                _SAID.clear()
            _SAID[key] = self.model.predict_proba(as_features(sent))[:, 1]
        return _SAID[key]


def _fit(sent, bad, seed, **params):  # memory for models too: the same rows give the same model
    key = _digest(sent) + np.packbits(bad).tobytes() + repr((seed, sorted(params.items()))).encode()
    name = blake2b(key, digest_size=16).hexdigest()
    if name not in _FITTED:
        if len(_FITTED) > 800:
            _FITTED.clear()
        _FITTED[name] = _Model(make_model("boosting", seed, **params).fit(as_features(sent), bad), name)
    return _FITTED[name]


_FITTED = {}


def champion(world: World, rows: int = 40_000, seed: int = 0, **params: object) -> Any:
    """The model that serves on the first day: boosting on flights whose label was certain by then."""
    wait = int(world.decision.label_delay / pd.Timedelta("1min"))
    known = np.flatnonzero(world.sent.scheduled.to_numpy() + wait <= world.start)
    some = np.sort(np.random.default_rng(seed).permutation(known)[:rows])
    return _fit(world.sent.iloc[some], world.bad[some], seed, **{"max_iter": 60} | params)


class _Retrains:
    # What an in-process service learns anew, from what it was sent and told
    def retrain(self, now: int, without: str = "") -> str:
        """Fit a challenger at minute `now`; it waits to be promoted."""
        try:
            sent, bad = _learnable(self.world, *self._told(), now, without, self.window, self.rows)
        except ValueError as error:
            return f"nothing was learned: {error}"
        self.models[str(len(self.models) + 1)] = _fit(sent, bad, 0, max_iter=40, max_leaf_nodes=15)
        return ""

    def promote(self, version: str = "") -> str:
        """Let a version decide, the newest if none is named."""
        version = version or [*self.models][-1]
        if version not in self.models:
            return f"there is no version {version!r}"
        self.live.append(version)
        return ""

    def roll_back(self) -> str:
        """Let the version before decide."""
        return "" if len(self.live) > 1 and self.live.pop() else "there is no version to roll back to"


class InProcess(_Retrains):
    """A service without HTTP: the same flights in, the same answers out. It retrains on what it was sent and told."""

    lasting = False

    def __init__(self, world: World, model: Any = None, window: int = 180, rows: int = 12_000):
        self.world, self.window, self.rows = world, window, rows
        self.models, self.live = {"1": model or champion(world)}, ["1"]
        self.log, self.place, self.labels = [], {}, {}

    def predict(self, sent: pd.DataFrame) -> Answers:
        """Answers of the live model."""
        p = self.models[self.live[-1]].predict(sent) if len(sent) else np.empty(0)
        self.place |= {key: (len(self.log), i) for i, key in enumerate(_keys(sent))}
        self.log.append(sent)
        q = (
            self.models[newest].predict(sent)
            if (newest := [*self.models][-1]) not in self.live and len(sent)
            else np.nan
        )
        return answered(p, p > self.world.decision.break_even, self.live[-1], q)

    def outcomes(self, outcomes: pd.DataFrame) -> str:
        """Take in labels."""
        bad = ~(outcomes.arr_delay.to_numpy() < self.world.decision.late)
        self.labels |= dict(zip(_keys(outcomes), bad, strict=True))
        return ""

    def _told(self):  # the flights of the log whose label has come, and that label
        starts = np.cumsum([0, *map(len, self.log)])
        known = [
            (starts[k] + i, self.labels[key]) for key, (k, i) in self.place.items() if key in self.labels
        ]
        rows, bad = zip(*known, strict=True) if known else ((), ())
        return pd.concat([self.world.sent.iloc[:0], *self.log])[list(SENT)].iloc[list(rows)], bad


def _keys(table):
    return zip(*(table[name].array for name in KEY), strict=True)


def _spans(text):  # "2013-08-01/2013-08-09,…" in minutes
    days = [part.split("/") for part in text.split(",") if part]
    return [(midnight(a), midnight(pd.Timestamp(b) + pd.Timedelta("1D"))) for a, b in days]


def _learnable(world, sent, bad, now, without, window, rows):
    # Some of the flights of the past and of a log whose label has come and is certain by now, within a window of days, on
    # no day left out; a log may hold what an earlier run on it was told of days that have not come yet
    wait = int(world.decision.label_delay / pd.Timedelta("1min"))
    old = np.flatnonzero(world.sent.scheduled.to_numpy()[: world.past] + wait <= world.start)
    sent = pd.concat([world.sent.iloc[old], sent[list(SENT)]])
    bad, clock = np.r_[world.bad[old], bad].astype(bool), sent.scheduled.to_numpy()
    may = (clock >= now - window * DAY) & (clock + wait <= now)
    for first, end in _spans(without):
        may &= (clock < first) | (clock >= end)
    some = np.flatnonzero(may)[np.sort(np.random.default_rng(now).permutation(may.sum())[:rows])]
    if len(set(bad[some])) < 2:
        raise ValueError("no days are left to learn from")
    return sent.iloc[some], bad[some]


class Trainer:
    """Makes challengers in the registry of a service, from the log of that service; promotes them and takes them back.

    Raises ValueError where there is no log at `log`, Refused and Unreachable as the registry does."""

    def __init__(self, registry: Any, log: Any, world: World, name: str = "bad-flights", rows: int = 40_000):
        self.registry, self.log, self.world, self.name, self.rows = registry, log, world, name, rows

    def retrain(self, now: int, without: str) -> None:
        """Save a new version, to which the alias challenger points."""
        sent, bad = _learnable(self.world, *self._told(), now, without, 180, self.rows)
        lineage = {
            "minute": now,
            "without": without,
            "flights": len(bad),
            "challenges": self.registry.current(self.name),
        }
        model, example = _fit(sent, bad, 0, max_iter=60).model, as_features(sent)[:500]
        version = self.registry.save(model, self.name, example=example, lineage=lineage, card=_CARD)
        self.registry.promote(self.name, version, "challenger", force=_WHY)

    def promote(self, version: str) -> None:
        """Let the version decide, the newest challenger for ""."""
        self.registry.promote(
            self.name, version or self.registry.current(self.name, "challenger"), force=_WHY
        )

    def roll_back(self) -> None:
        """Let the version before decide."""
        self.registry.rollback(self.name, reason=_WHY)

    def _told(self):
        from mlcourse.serve import read_log

        said, came = read_log(self.log)
        known = said.drop_duplicates(list(KEY), keep="last").merge(came[[*KEY, "arr_delay"]], on=list(KEY))
        return known.assign(scheduled=minutes(known.scheduled)), ~(known.arr_delay < self.world.decision.late)


_WHY = "ordered by the operator of a simulation"
_CARD = "# Challenger\n\nTrained in a simulation, at its operator's order. No gate has looked at it."


class Line:
    """One kept connection that never waits longer, nor reads more, than agreed; no redirects, no proxy."""

    def __init__(self, url, seconds, most=2**22):
        parts = urlsplit(url)
        try:
            port, good = parts.port, parts.scheme in ("http", "https") and parts.hostname
        except ValueError:  # no port that can be
            good = False
        if not good or parts.query or parts.fragment:
            raise ValueError(f"url must be like http://127.0.0.1:8000, got {url!r}")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.open = lambda: kind(parts.hostname, port, timeout=seconds)
        self.base, self.seconds, self.most, self.line = parts.path.rstrip("/"), seconds, most, None

    def post(self, path: str, body: dict, key: str = "", seconds: float | None = None) -> Any:
        """The JSON answered; OSError where the line failed or the time is over, ValueError where the answer is none."""
        fresh = self.line is None
        head = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
        try:
            self.line = self.line or self.open()
            with _limit(self.line, seconds or self.seconds) as held:
                self.line.request("POST", self.base + path, json.dumps(body, allow_nan=False), head)
                held.append(self.line.sock)
                return _read_json(self.line.getresponse(), path, self.most)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not fresh and isinstance(error, ConnectionError):
                return self.post(path, body, key, seconds)  # a kept line may have been closed meanwhile
            raise OSError(f"{path}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """End the connection."""
        line, self.line = self.line, None
        if line is not None:
            line.close()


@contextmanager
def _limit(line, seconds):  # a drop a second is not an answer: the line is cut when the time is over
    over, held = threading.Event(), []

    def cut():
        over.set()
        with suppress(OSError, IndexError, TypeError):  # a response may have taken the socket over
            socket.socket.shutdown(line.sock or held[0], socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield held
    except (OSError, http.client.HTTPException, ValueError):
        if not over.is_set():
            raise
    finally:
        timer.cancel()
    if over.is_set():  # whatever half an answer looked like
        raise TimeoutError(f"no whole answer within {seconds:.2g} s")


def _read_json(response, path, most):
    body = b""
    while chunk := response.read(2**16):
        body += chunk
        if len(body) > most:
            raise OSError(f"the answer is longer than {most:,} bytes")
    if response.status != 200:
        more = "; redirects are not followed" if 300 <= response.status < 400 else ""
        raise ValueError(f"{path} answered {response.status}{more}: {body[:80].decode(errors='replace')}")
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError(f"{path} answered JSON that is nested too deep") from None


def records(table: pd.DataFrame) -> list:
    """Rows as JSON has them: moments in ISO, null where nothing is known."""
    moments = {c: table[c].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for c in table if table[c].dtype.kind == "M"}
    table = table.assign(**moments).astype(object)
    return table.where(table.notna(), None).to_dict("records")


def _batches(quarter, most=1000):  # rows of each quarter of an hour, in its order
    for rows in np.split(np.argsort(quarter, kind="stable"), np.flatnonzero(np.diff(np.sort(quarter))) + 1):
        yield from (rows[i : i + most] for i in range(0, len(rows), most))


def _as_json(sent):  # flights as the contract has them
    return records(sent[list(SENT)].assign(scheduled=moments(sent.scheduled)))


def _read(said, n):  # probability, act and version of n flights, if the answer is as agreed
    found = said.get("predictions") if isinstance(said, dict) else None
    if not isinstance(found, list) or len(found) != n or not all(isinstance(one, dict) for one in found):
        got = len(found) if isinstance(found, list) else type(found).__name__
        raise ValueError(f"predictions must be a list of {n}, one a flight, got {got}")
    p, act = [one.get("probability") for one in found], [one.get("act") for one in found]
    wrong = [x for x in p if isinstance(x, bool) or not isinstance(x, int | float) or not 0 <= x <= 1]
    version = said.get("version")
    if wrong or not isinstance(version, str) or not version.isprintable() or len(version) > 100:
        got = repr((wrong or [version])[0])[:80]
        raise ValueError(
            f"probability must be a number from 0 to 1 and version a line of at most 100 characters, got {got}"
        )
    if not all(isinstance(one, bool) for one in act):
        raise ValueError("act must be true or false for every flight")
    return p, act, version


class _Remote:
    # Models of a service at an address: kept by its trainer's registry, taken up when the service is told
    def _with(self, do, told=True):
        try:
            do()
            if told:
                self.line.post("/model", {"alias": "champion"}, self.key)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"{type(error).__name__}: {error}"[:200]
        return ""

    def retrain(self, now: int, without: str = "") -> str:
        """Let the trainer make a challenger; what went wrong, or ""."""
        no = "this service has no trainer: retrain it yourself, it is charged all the same"
        return self._with(lambda: self.trainer.retrain(now, without), told=False) if self.trainer else no

    def promote(self, version: str = "") -> str:
        """Let the trainer move the alias, and tell the service."""
        return self._with(lambda: self.trainer and self.trainer.promote(version))

    def roll_back(self) -> str:
        """Let the trainer move the alias back, and tell the service."""
        return self._with(lambda: self.trainer and self.trainer.roll_back())


class HttpService(_Remote):
    """Any service that meets the contract, at an address: what does not come in time and as agreed is a fault, told.

    Requests go out as they come, a quarter of an hour together. `seconds` bounds a whole answer; after a fault of the
    line the rest of the watch is not sent, and the next one is waited for half as long, so that no service can stop
    the simulator. `trainer` (optional) retrains, promotes and rolls back in its registry."""

    lasting = True

    def __init__(
        self,
        url: str,
        seconds: float = 10.0,
        trainer: Any = None,
        key: str = "",
    ):
        if not seconds > 0:
            raise ValueError(f"seconds must be more than 0, got {seconds}")
        if not (key.isascii() and key.isprintable()):
            raise ValueError(
                "key (MLCOURSE_API_KEY) must be printable ASCII; this one has a line end or the like in it"
            )
        self.line, self.address, self.trainer, self.key = Line(url, seconds), url, trainer, key
        self.seconds, self.lost = seconds, 0  # watches in a row that ended in a fault of the line

    def predict(self, sent: pd.DataFrame) -> Answers:
        """Answers to all flights of a watch."""
        whole, down = answered(np.full(len(sent), np.nan), np.zeros(len(sent))), ""
        flights = _as_json(sent)
        for rows in _batches(sent["at"].to_numpy() // 15):
            try:
                if down:
                    raise OSError(down)
                found = _read(self._post("/predict", {"flights": [flights[i] for i in rows]}), len(rows))
            except (OSError, http.client.HTTPException, ValueError) as error:
                down = down or ("" if isinstance(error, ValueError) else str(error))
                whole.fault[rows] = f"no usable answer: {error}"[:200]
                continue
            for column, part in zip(whole[:3], found, strict=True):
                column[rows] = part
        self.lost = self.lost + 1 if down else 0
        return whole

    def _post(self, path, body):
        return self.line.post(path, body, self.key, max(self.seconds / 2**self.lost, 0.02 * self.seconds))

    def outcomes(self, outcomes: pd.DataFrame) -> str:
        """Send labels; what went wrong, or ""."""
        rows = records(outcomes.assign(scheduled=moments(outcomes.scheduled)))
        try:
            for i in range(0, len(rows), 1000):
                self._post("/outcomes", {"outcomes": rows[i : i + 1000]})
        except (OSError, http.client.HTTPException, ValueError) as error:
            return f"outcomes were not taken: {error}"[:200]
        return ""


class Journal:
    """What was answered and done, a line a watch: a killed run is played again from it, up to where it was."""

    def __init__(self, path, head, service):
        head = head | {"service": getattr(service, "address", "")}
        self.path, self.old, self.sure = path, {}, True
        if path is None:
            return
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        good = [line for line in lines if line.endswith("\n")]  # the last one may be torn
        self.old = dict(enumerate(_kept(good, head, path)))
        part = path.with_name(f".{path.name}.part")
        part.write_text("".join(good) or json.dumps(head) + "\n", encoding="utf-8")
        part.replace(path)

    def open(self, watch: int) -> None:
        """Begin a watch."""
        self.now, self.new = self.old.get(watch), {"said": []}

    def close(self) -> None:
        """Keep a watch that is new."""
        if self.path is not None and self.now is None:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(self.new) + "\n")

    def actions(self, ask: Any) -> tuple:
        """Actions and troubles of this watch: those kept, else those of `ask`. ValueError where it now does otherwise."""
        actions, trouble = ask()  # asked again in any case: it remembers what it saw
        if self.now is not None:
            self.sure &= not (trouble or self.now["trouble"])  # from then on it may remember other things
            if self.sure and [list(action) for action in actions] != self.now["actions"]:
                raise ValueError(
                    f"{self.path} holds what another operator did: name another --out, or delete it. If yours is the same,"
                    " it still remembers the run that was stopped: start it anew"
                )
            return self.now["actions"], self.now["trouble"]
        self.new |= {"actions": actions, "trouble": trouble}
        return actions, trouble


def _kept(lines, head, path):  # the watches that a journal of this very run holds
    try:
        found = [json.loads(line) for line in lines]
    except ValueError:
        found = [None]
    if found and found[0] != head:
        raise ValueError(
            f"journal must be of the same run, {head}, got {lines[0].strip()[:200]} in {path}; name another file"
        )
    return found[1:]


class Recorded:
    """A service behind the journal: what is recorded is not asked again, unless it would be forgotten."""

    def __init__(self, service, book):
        self.service, self.book = service, book

    def _do(self, name, *args):
        old = self.book.now
        done = getattr(self.service, name)(*args) if old is None or not self.service.lasting else None
        if name == "predict":
            if old is not None:
                return Answers(
                    *(
                        np.array(old[c], object if c in ("version", "fault") else None)
                        for c in Answers._fields
                    )
                )
            if self.book.path is not None:
                self.book.new |= {name: column.tolist() for name, column in done._asdict().items()}
            return done
        self.book.new["said"].append(done)
        return done if old is None else old["said"][len(self.book.new["said"]) - 1]

    def __getattr__(self, name):
        return lambda *args: self._do(name, *args)


class Bounded:
    """An operator that may raise, hang or return nonsense, and does no harm by it."""

    def __init__(self, operator, check, seconds=60.0):
        self.operator, self.check, self.seconds, self.hung, self.thread = operator, check, seconds, 0, None

    def watch(self, seen: Any) -> tuple:
        """Its actions, and what went wrong. One that still thinks about an earlier watch is not asked."""
        if self.hung == 2 or (self.thread and self.thread.is_alive()):
            return [], []
        found = []
        think = lambda: found.append(_tried(self.operator, self.check, seen))
        self.thread = threading.Thread(target=think, daemon=True)
        self.thread.start()
        self.thread.join(self.seconds)
        if found:
            return found[0]
        self.hung += 1
        more = " for the second time, and is not asked again" if self.hung == 2 else ""
        return [], [f"the operator did not answer within {self.seconds:g} s{more}"]


def _tried(operator, check, seen):
    done, trouble = [], []
    try:
        for action in operator.watch(seen) or ():
            done.append(check(action))
            if len(done) == 20:
                break
    except BaseException as error:
        trouble.append(f"the operator failed: {type(error).__name__}: {str(error)[:300]}")
    return done, trouble
