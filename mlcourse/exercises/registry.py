"""Exercises of lesson 18: may a scorer stand in, what changed between two versions, a delivery checked, who decided."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class StandIn(Exercise):
    """The largest difference, not the average one; and the acts, which are what the desk pays for."""

    id = "registry-1"
    title = "May it stand in?"
    starter = """def stand_in(old, new, cut, most):
    return ____
"""
    hints = (
        "Three questions, each a line: `abs(new - old).max()`; how often `old > cut` and `new > cut` disagree; both together.",
        "NaN hides: `nan <= most` is False, but so is `nan > most`, and NaN counts as no act. Look for it first: "
        "`np.isnan(new - old).any()`.",
        "No flight has no largest difference, and `max()` of nothing raises: return `(0.0, 0, False)` before you ask.",
    )
    solutions = (
        """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = int(((old > cut) != (new > cut)).sum())
    if np.isnan(old).any() or np.isnan(new).any():
        return np.inf, changes, False
    furthest = float(abs(new - old).max())
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
        """def stand_in(old, new, cut, most):
    furthest, changes = 0.0, 0
    for a, b in zip(old, new):
        furthest = max(furthest, np.inf if a != a or b != b else abs(float(a) - float(b)))
        changes += int((a > cut) ^ (b > cut))
    return furthest, changes, len(old) > 0 and changes == 0 and furthest <= most and furthest < np.inf
""",
    )
    mistakes = (
        Mistake(
            "takes the mean",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = int(((old > cut) != (new > cut)).sum())
    furthest = float(abs(new - old).mean())
    if np.isnan(furthest):
        return np.inf, changes, False
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
            "You average the differences. One flight sent the wrong way among thousands disappears in a mean: take the largest.",
        ),
        Mistake(
            "forgets the sign",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = int(((old > cut) != (new > cut)).sum())
    if np.isnan(new - old).any():
        return np.inf, changes, False
    furthest = float((new - old).max())
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
            "You look only at flights where new is above old. Being far below is as far: take the absolute difference.",
        ),
        Mistake(
            "skips what is missing",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = int(((old > cut) != (new > cut)).sum())
    gap = abs(new - old)
    furthest = float(np.max(gap[~np.isnan(gap)], initial=0))
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
            "You leave out the flights with a missing probability. A scorer that says nothing may not stand in for one that "
            "does: the difference is `np.inf`.",
        ),
        Mistake(
            "never looks at the acts",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = int(((old > cut) != (new > cut)).sum())
    if np.isnan(new - old).any():
        return np.inf, changes, False
    furthest = float(abs(new - old).max())
    return furthest, changes, bool(furthest <= most)
""",
            "You let it stand in although acts change. A tiny difference right at the threshold still costs an act.",
        ),
        Mistake(
            "counts acts, not changes",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = abs(int((new > cut).sum()) - int((old > cut).sum()))
    if np.isnan(new - old).any():
        return np.inf, changes, False
    furthest = float(abs(new - old).max())
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
            "You compare how many acts there are. One lost and one won leave the number as it was: compare flight by flight.",
        ),
        Mistake(
            "acts at the threshold too",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, False
    changes = int(((old >= cut) != (new >= cut)).sum())
    if np.isnan(new - old).any():
        return np.inf, changes, False
    furthest = float(abs(new - old).max())
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
            "You let the desk act at exactly `cut`. It acts above it: `p > cut`.",
        ),
        Mistake(
            "trusts no evidence",
            """def stand_in(old, new, cut, most):
    if len(old) == 0:
        return 0.0, 0, True
    changes = int(((old > cut) != (new > cut)).sum())
    if np.isnan(new - old).any():
        return np.inf, changes, False
    furthest = float(abs(new - old).max())
    return furthest, changes, bool(furthest <= most and changes == 0)
""",
            "You let it stand in after a test on no flights. No evidence is no proof: `(0.0, 0, False)`.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Good twins and bad ones; then acts at the threshold, missing numbers on either side, no flight."""
        import numpy as np

        for size, n in ((1e-12, 40), (1e-3, 60), (0.2, 50)):
            old = rng.uniform(0.05, 0.95, n)
            new = old + rng.uniform(-0.4, 0.1, n) * size
            yield Case((old, new, 2.0, 1e-9))
            yield Case((new, old, float(np.median(old)), 0.3))
        old = np.array([0.25, 0.5, 0.75])
        yield Case((old, old + np.array([0, 2.0**-30, 0]), 0.5, 1e-6))
        yield Case((old - 2.0**-30, old, 0.5, 1e-6))
        yield Case((old, old[::-1].copy(), 0.6, 1.0))  # one act lost, one won
        yield Case((old, old + np.array([0.125, 0, 0]), 0.9, 0.125), edge="a difference of exactly `most`")
        yield Case((old, np.array([0.25, 0.5, np.nan]), 0.9, 1.0), edge="new says nothing of a flight")
        yield Case(
            (old, np.array([0.25, 0.5, np.nan]), 0.6, np.inf), edge="new says nothing, and all is allowed"
        )
        yield Case((np.array([np.nan, 0.5, 0.75]), old, 0.9, np.inf), edge="old says nothing of a flight")
        yield Case((np.full(3, np.nan), np.full(3, np.nan), 0.5, 1.0), edge="neither says anything")
        yield Case((old[:1], old[:1], 0.5, 0.0), edge="one flight, the very same")
        yield Case((old[:0], old[:0], 0.5, 1.0), edge="no flight at all")


class Changed(Exercise):
    """Every name of both sides; what is lacking is not the same as what is 0, False or None."""

    id = "registry-2"
    title = "What changed?"
    starter = """def changed(old, new):
    return ____
"""
    hints = (
        "A name may be in old only, in new only, or in both: walk through `old | new`, which has each name once.",
        '`old.get(name, "absent")` gives the value, or the text where there is none. `old.get(name) or "absent"` would take '
        "0 and False for absent too.",
        "NaN is the one value that is not equal to itself: `a != a` is True for it alone. Two NaN are no change.",
    )
    solutions = (
        """def changed(old, new):
    found = {}
    for name in old | new:
        a, b = old.get(name, "absent"), new.get(name, "absent")
        both_nan = a != a and b != b
        if a != b and not both_nan:
            found[name] = (a, b)
    return found
""",
        """def changed(old, new):
    gone = {name: (old[name], "absent") for name in old if name not in new}
    added = {name: ("absent", new[name]) for name in new if name not in old}
    nan = lambda value: isinstance(value, float) and np.isnan(value)
    same = lambda a, b: a == b or (nan(a) and nan(b))
    moved = {n: (old[n], new[n]) for n in old if n in new and not same(old[n], new[n])}
    return {**gone, **added, **moved}
""",
    )
    mistakes = (
        Mistake(
            "sees only what both have",
            """def changed(old, new):
    same = lambda a, b: a == b or (a != a and b != b)
    return {n: (old[n], new[n]) for n in old if n in new and not same(old[n], new[n])}
""",
            "You compare only the names that both have. A module that is new, or a table that is gone, is the change to see.",
        ),
        Mistake(
            "sees only old's names",
            """def changed(old, new):
    found = {}
    for name in old:
        a, b = old[name], new.get(name, "absent")
        if a != b and not (a != a and b != b):
            found[name] = (a, b)
    return found
""",
            "You walk through the names of old alone. What came in with new is missing from your answer.",
        ),
        Mistake(
            "sees only new's names",
            """def changed(old, new):
    found = {}
    for name in new:
        a, b = old.get(name, "absent"), new[name]
        if a != b and not (a != a and b != b):
            found[name] = (a, b)
    return found
""",
            "You walk through the names of new alone. What old had and new lacks is missing from your answer.",
        ),
        Mistake(
            "takes 0 for absent",
            """def changed(old, new):
    found = {}
    for name in old | new:
        a, b = old.get(name) or "absent", new.get(name) or "absent"
        if a != b and not (a != a and b != b):
            found[name] = (a, b)
    return found
""",
            "You call a value absent that is 0, False or empty. A seed of 0 is a seed: only a name that is not there is absent.",
        ),
        Mistake(
            "takes None for absent",
            """def changed(old, new):
    found = {}
    for name in old | new:
        a, b = old.get(name), new.get(name)
        if a != b and not (a != a and b != b):
            found[name] = (old.get(name, "absent"), new.get(name, "absent"))
    return found
""",
            "You take None for *not there*. A setting may be None, and then be gone: ask `name in old`.",
        ),
        Mistake(
            "compares texts",
            """def changed(old, new):
    found = {}
    for name in old | new:
        a, b = old.get(name, "absent"), new.get(name, "absent")
        if str(a) != str(b):
            found[name] = (a, b)
    return found
""",
            'You compare how the values print. 0 and "0" print alike, and so do None and "None": compare the values.',
        ),
        Mistake(
            "finds NaN changed",
            """def changed(old, new):
    found = {}
    for name in old | new:
        a, b = old.get(name, "absent"), new.get(name, "absent")
        if a != b:
            found[name] = (a, b)
    return found
""",
            "You report a NaN that stayed NaN. NaN is not equal to itself, so `!=` alone cries wolf.",
        ),
        Mistake(
            "turns old and new around",
            """def changed(old, new):
    found = {}
    for name in old | new:
        a, b = old.get(name, "absent"), new.get(name, "absent")
        if a != b and not (a != a and b != b):
            found[name] = (b, a)
    return found
""",
            "Your pairs are the wrong way round: `(old value, new value)`.",
        ),
        Mistake(
            "lists everything",
            """def changed(old, new):
    return {n: (old.get(n, "absent"), new.get(n, "absent")) for n in old | new}
""",
            "You list what stayed the same too. The reader looks for the one line that changed.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Lineages with hashes and settings that changed, came and went; then zeros, NaN, nothing."""

        def some(n):
            hashes = {f"data.table{i}": f"{rng.integers(2**40):x}" for i in range(n)}
            return hashes | {"settings.rate": float(rng.random()), "settings.seed": int(rng.integers(1, 99))}

        for n in 3, 5:
            old = some(n)
            name = f"data.table{rng.integers(n)}"
            yield Case((old, old | {name: "moved", "code.models": "new"}))
            new = {k: v for k, v in old.items() if k != name} | {"settings.seed": 100}
            yield Case((old, new))
            yield Case((new, old))
        yield Case((old, dict(reversed(old.items()))))
        zero = {"settings.seed": 0, "settings.flag": False, "settings.note": ""}
        yield Case((zero, {"settings.seed": 1}), edge="values that are 0, False or empty")
        yield Case(({}, zero), edge="a 0 that came in")
        nan = float("nan")
        yield Case(({"a": nan, "b": 1.0}, {"a": nan, "b": 2.0}), edge="NaN on both sides")
        yield Case(({"a": nan}, {"a": 1.0}), edge="NaN became a number")
        yield Case(({"a": 1.0}, {"a": nan}), edge="a number became NaN")
        yield Case(({"a": nan}, {}), edge="a NaN is gone")
        yield Case(({"a": "nan"}, {"a": nan}), edge="a text became NaN")
        none = zero | {"settings.cap": None}
        yield Case((none, zero), edge="a value of None is gone")
        yield Case((none, none | {"settings.cap": "None", "settings.seed": "0"}), edge="values became texts")
        yield Case((old, old), edge="nothing changed")
        yield Case(({}, {}), edge="two empty lineages")


class Faults(Exercise):
    """Size tells a file that was cut short, the hash all else; and look at what is there as well as at what is listed."""

    id = "registry-3"
    title = "Check a delivery"
    setup = "import hashlib\nimport numpy as np\nimport pandas as pd"
    starter = """import hashlib


def faults(manifest, files):
    return ____
"""
    hints = (
        "`hashlib.sha256(content).hexdigest()` is the hash of bytes as hex text, as the manifest has it.",
        "Ask in this order: is it there? is it smaller than listed? is its hash another? A longer file with another hash is altered.",
        "Last, the files that nobody listed: `files.keys() - manifest.keys()`. Somebody may load them by name.",
    )
    solutions = (
        """import hashlib


def faults(manifest, files):
    found = {name: "unlisted" for name in files if name not in manifest}
    for name, (sha, size) in manifest.items():
        if name not in files:
            found[name] = "missing"
        elif len(files[name]) < size:
            found[name] = "cut short"
        elif hashlib.sha256(files[name]).hexdigest() != sha:
            found[name] = "altered"
    return found
""",
        """from hashlib import sha256


def faults(manifest, files):
    def state(name):
        if name not in manifest or name not in files:
            return "missing" if name in manifest else "unlisted"
        content, (digest, size) = files[name], manifest[name]
        if sha256(content).digest() == bytes.fromhex(digest):
            return "whole"
        return "altered" if len(content) >= size else "cut short"

    states = {name: state(name) for name in manifest | files}
    return {name: word for name, word in states.items() if word != "whole"}
""",
    )
    mistakes = (
        Mistake(
            "compares sizes only",
            """import hashlib


def faults(manifest, files):
    found = {name: "unlisted" for name in files if name not in manifest}
    for name, (sha, size) in manifest.items():
        if name not in files:
            found[name] = "missing"
        elif len(files[name]) != size:
            found[name] = "cut short" if len(files[name]) < size else "altered"
    return found
""",
            "You trust a file of the right size. Whoever swaps a file on purpose keeps its size: compare the hash.",
        ),
        Mistake(
            "ignores what is not listed",
            """import hashlib


def faults(manifest, files):
    found = {}
    for name, (sha, size) in manifest.items():
        if name not in files:
            found[name] = "missing"
        elif len(files[name]) < size:
            found[name] = "cut short"
        elif hashlib.sha256(files[name]).hexdigest() != sha:
            found[name] = "altered"
    return found
""",
            "You look only at listed files. One more file in the folder, such as `model.pkl`, is how somebody else's code gets in.",
        ),
        Mistake(
            "ignores what is missing",
            """import hashlib


def faults(manifest, files):
    found = {}
    for name, content in files.items():
        if name not in manifest:
            found[name] = "unlisted"
        elif len(content) < manifest[name][1]:
            found[name] = "cut short"
        elif hashlib.sha256(content).hexdigest() != manifest[name][0]:
            found[name] = "altered"
    return found
""",
            "You look only at the files that are there. A file that is listed and did not come is a fault too.",
        ),
        Mistake(
            "stops at the first fault",
            """import hashlib


def faults(manifest, files):
    for name, (sha, size) in manifest.items():
        if name not in files:
            return {name: "missing"}
        if len(files[name]) < size:
            return {name: "cut short"}
        if hashlib.sha256(files[name]).hexdigest() != sha:
            return {name: "altered"}
    return {name: "unlisted" for name in files if name not in manifest}
""",
            "You report one fault and stop. The colleague would have to send the delivery once for each of them.",
        ),
        Mistake(
            "calls a longer file cut short",
            """import hashlib


def faults(manifest, files):
    found = {name: "unlisted" for name in files if name not in manifest}
    for name, (sha, size) in manifest.items():
        if name not in files:
            found[name] = "missing"
        elif len(files[name]) != size:
            found[name] = "cut short"
        elif hashlib.sha256(files[name]).hexdigest() != sha:
            found[name] = "altered"
    return found
""",
            "You call a file cut short that is longer than listed. Something was added to it: it is altered.",
        ),
        Mistake(
            "accepts any listed content",
            """import hashlib


def faults(manifest, files):
    known = {sha for sha, _ in manifest.values()}
    found = {name: "unlisted" for name in files if name not in manifest}
    for name, (_, size) in manifest.items():
        if name not in files:
            found[name] = "missing"
        elif len(files[name]) < size:
            found[name] = "cut short"
        elif hashlib.sha256(files[name]).hexdigest() not in known:
            found[name] = "altered"
    return found
""",
            "You accept a content that is listed under another name. Two files that changed places are both altered: compare each "
            "with its own hash.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Deliveries whole and broken in each way, two files swapped; then longer files, empty ones, nothing."""
        manifest, files = _delivery(rng, 4)
        yield Case((manifest, files))
        for n in 4, 6:
            manifest, files = _delivery(rng, n)
            a, b, c, d = (str(name) for name in rng.permutation(list(files))[:4])
            yield Case((manifest, files | {a: rng.bytes(24), "model.pkl": b"!"}))
            yield Case((manifest, {k: v for k, v in files.items() if k != b} | {c: files[c][:-1]}))
            yield Case((manifest, files | {a: files[b], b: files[a]}))
            rest = {k: v for k, v in files.items() if k != d}
            yield Case((manifest, rest | {"extra": b"x", a: files[a][:3], b: files[b] + b" "}))
        yield Case((manifest, files | {a: files[a] + b"\n"}), edge="one byte more")
        yield Case((manifest, files | {a: b""}), edge="an empty file")
        yield Case((_listed({"note.txt": b""}), {"note.txt": b""}), edge="a file that is listed as empty")
        yield Case((manifest, {}), edge="nothing came")
        yield Case(({}, files), edge="an empty manifest")
        yield Case(({}, {}), edge="nothing listed, nothing sent")


def _listed(files):
    return {name: (hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}


def _delivery(rng, n):
    files = {f"part{i}.bin": rng.bytes(24) for i in range(n)}
    return _listed(files), files


class Decided(Exercise):
    """The last move of that alias, up to and including the moment."""

    id = "registry-4"
    title = "Who decided?"
    starter = """def decided(history, alias, at):
    return ____
"""
    hints = (
        'Keep the rows that move this alias, up to the moment: `history[(history.alias == alias) & (history["at"] <= at)]`.',
        'The rows come in any order: `sort_values("at")`, then the last row\'s `version`. A rollback is a move as well.',
        'If no row is left, nothing had been promoted yet: `""`.',
    )
    solutions = (
        """def decided(history, alias, at):
    moves = history[(history["alias"] == alias) & (history["at"] <= at)].sort_values("at")
    return moves["version"].iloc[-1] if len(moves) else ""
""",
        """def decided(history, alias, at):
    rows = history.to_dict("records")
    moves = {row["at"]: row["version"] for row in rows if row["alias"] == alias and row["at"] <= at}
    return moves[max(moves)] if moves else ""
""",
    )
    mistakes = (
        Mistake(
            "takes any alias",
            """def decided(history, alias, at):
    moves = history[(history["alias"] != "") & (history["at"] <= at)].sort_values("at")
    return moves["version"].iloc[-1] if len(moves) else ""
""",
            "You take the last move of any alias. A challenger that was named later decided on nothing.",
        ),
        Mistake(
            "takes saves for moves",
            """def decided(history, alias, at):
    moves = history[history["alias"].isin([alias, ""]) & (history["at"] <= at)].sort_values("at")
    return moves["version"].iloc[-1] if len(moves) else ""
""",
            "You count a save as a move. A version that is saved lies on the shelf until somebody promotes it.",
        ),
        Mistake(
            "trusts the order of rows",
            """def decided(history, alias, at):
    moves = history[(history["alias"] == alias) & (history["at"] <= at)]
    return moves["version"].iloc[-1] if len(moves) else ""
""",
            "You take the last row, but the rows come in any order: sort them by `at` first.",
        ),
        Mistake(
            "leaves out the moment itself",
            """def decided(history, alias, at):
    moves = history[(history["alias"] == alias) & (history["at"] < at)].sort_values("at")
    return moves["version"].iloc[-1] if len(moves) else ""
""",
            "You leave out a move at exactly `at`. It counts from that moment on.",
        ),
        Mistake(
            "forgets rollbacks",
            """def decided(history, alias, at):
    promoted = history[(history["alias"] == alias) & (history["action"] == "promote")]
    moves = promoted[promoted["at"] <= at].sort_values("at")
    return moves["version"].iloc[-1] if len(moves) else ""
""",
            "You look at promotions alone. A rollback moves the alias as well, to an older version.",
        ),
        Mistake(
            "takes the newest version",
            """def decided(history, alias, at):
    moves = history[(history["alias"] == alias) & (history["at"] <= at)]
    return max(moves["version"], key=int) if len(moves) else ""
""",
            "You take the highest number. After a rollback an older version decides: the last move counts.",
        ),
        Mistake(
            "answers with today",
            """def decided(history, alias, at):
    moves = history[history["alias"] == alias].sort_values("at")
    return moves["version"].iloc[-1] if len(moves) and moves["at"].iloc[0] <= at else ""
""",
            "You say what decides now. The question is about a moment in the past: leave out the moves after it.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Histories of two aliases, shuffled, asked at all sorts of moments; then exactly at a move, before all, empty."""
        import pandas as pd

        for n in 3, 7:
            table = _history(rng, n)
            mixed = table.sample(frac=1, random_state=int(rng.integers(2**31)))
            for i in rng.choice(len(table), 6, replace=False):
                moment = table["at"].iloc[int(i)] + pd.Timedelta("10min")
                yield Case((mixed, "champion", moment))
                yield Case((table, "challenger", moment))
            yield Case((mixed, "champion", table["at"].max()))
            yield Case((mixed.iloc[::-1], "champion", table["at"].max()))
        for row in table[table.alias == "champion"].itertuples():
            yield Case((mixed, "champion", row.at), edge="at the very moment of a move")
        yield Case((mixed, "champion", pd.Timestamp(START)), edge="before the first move")
        yield Case((mixed, "canary", table["at"].max()), edge="an alias that was never set")
        yield Case((table[:0], "champion", pd.Timestamp(START)), edge="an empty history")


START = "2013-06-01 00:00+00:00"


def _history(rng, n):
    # Versions saved, promoted and named challenger; every third is rolled back.
    import pandas as pd

    rows, stack = [], []
    for i in range(1, n + 1):
        rows += [("save", "", str(i)), ("promote", "champion", str(i)), ("promote", "challenger", str(n - i))]
        stack.append(str(i))
        if i % 3 == 0:
            stack.pop()
            rows.append(("rollback", "champion", stack[-1]))
    table = pd.DataFrame([*rows, ("save", "", str(n + 1))], columns=["action", "alias", "version"])
    hours = sorted(rng.choice(range(1, 400), len(table), replace=False))
    return table.assign(at=pd.Timestamp(START) + pd.to_timedelta(hours, unit="h"), before="", reason="")
