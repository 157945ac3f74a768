"""Exercises of lesson 19: a number and nothing else, who waits how long, outcomes settled, up to the last whole record."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class Number(Exercise):
    """A strict number: no conversion, no guess, no NaN."""

    id = "serve-1"
    title = "A number and nothing else"
    starter = """def number(value, low, high):
    return ____
"""
    hints = (
        "`type(value) in (int, float)` is true for numbers alone: `isinstance(True, int)` is true as well.",
        "NaN is neither below `low` nor above `high`. Ask whether it lies within, `low <= value <= high`, and refuse if not.",
        "Look at type and range first, and convert last: `float(value)` makes a number of much that is none.",
    )
    solutions = (
        """def number(value, low, high):
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"must be a number from {low} to {high}, got {value!r:.40}")
    return float(value)
""",
        """def number(value, low, high):
    import numbers

    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        if value >= low and value <= high:
            return float(value)
    raise ValueError(f"not a number from {low} to {high}")
""",
    )
    mistakes = (
        Mistake(
            "true is a number",
            """def number(value, low, high):
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise ValueError("no number")
    return float(value)
""",
            "You take True and False: in Python `isinstance(True, int)` holds. `false` in a request is no temperature.",
        ),
        Mistake(
            "refuses 0 and 1",
            """def number(value, low, high):
    if value in (True, False) or type(value) not in (int, float) or not low <= value <= high:
        raise ValueError("no number")
    return float(value)
""",
            "You refuse 0 and 1: in Python `0 == False`, so `value in (True, False)` holds for them too. Ask for the type.",
        ),
        Mistake(
            "converts",
            """def number(value, low, high):
    try:
        value = float(value)
    except (TypeError, OverflowError):
        raise ValueError("no number")
    if not low <= value <= high:
        raise ValueError("out of range")
    return value
""",
            "You convert before you look: `float` takes text, True, and whatever else can be made a number.",
        ),
        Mistake(
            "lets NaN through",
            """def number(value, low, high):
    if type(value) not in (int, float) or value < low or value > high:
        raise ValueError("no number")
    return float(value)
""",
            "NaN passes: it is neither below nor above anything. Ask whether the value is inside, not whether it is outside.",
        ),
        Mistake(
            "leaves out the ends",
            """def number(value, low, high):
    if type(value) not in (int, float) or not low < value < high:
        raise ValueError("no number")
    return float(value)
""",
            "You refuse `low` and `high` themselves. A humidity of 100 % is one.",
        ),
        Mistake(
            "fractions only",
            """def number(value, low, high):
    if type(value) is not float or not low <= value <= high:
        raise ValueError("no number")
    return value
""",
            "You refuse whole numbers. JSON writes 77 and 77.0 for the same temperature.",
        ),
        Mistake(
            "stays an integer",
            """def number(value, low, high):
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError("no number")
    return value
""",
            "You return an int where an int came in. Promise one type, float, and keep it.",
        ),
        Mistake(
            "clips",
            """def number(value, low, high):
    if type(value) not in (int, float) or value != value:
        raise ValueError("no number")
    return float(min(max(value, low), high))
""",
            "You clip to the range. A temperature of 5000 is no 120: refuse it, or nobody learns of the broken sensor.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Numbers inside, outside and at the ends; then what only looks like one."""
        low, high = -int(rng.integers(5, 40)), int(rng.integers(60, 120))
        for value in (
            float(rng.uniform(low, high)),
            int(rng.integers(low + 1, high)),
            0,
            1.0,
            low - 1,
            high + 1.5,
            low,
            float(high),
        ):
            yield Case((value, low, high))
        for value in ("50", None, [1], float("nan"), float("inf"), float("-inf"), False, True):
            yield Case((value, low, high))

    def same(self, got, want) -> bool:
        """The same float; NaN is NaN."""
        return type(got) is type(want) and (got == want or (got != got and want != want))


class AnsweredAt(Exercise):
    """Group commit by hand: who comes while one is written goes with the next."""

    id = "serve-2"
    title = "Who waits how long"
    starter = """def answered_at(arrivals, took, most):
    return ____
"""
    hints = (
        "Keep one clock, `free`: when the writer is idle again. A commit begins at the later of `free` and the arrival of the "
        "first request that is not answered yet.",
        "Into a commit that begins at `start` go the requests with `arrival <= start`, in order, at most `most`. All of them are "
        "answered at `start + took`.",
        "Loop while requests are left: find `start`, count who goes along, append as many answers, set `free` to their time.",
    )
    solutions = (
        """def answered_at(arrivals, took, most):
    answers, free = [], float("-inf")
    while len(answers) < len(arrivals):
        n = len(answers)
        start = max(free, arrivals[n])
        free = start + took
        answers += [free for a in arrivals[n : n + most] if a <= start]
    return answers
""",
        """def answered_at(arrivals, took, most):
    answers, start, room = [], None, None
    for arrival in arrivals:
        if start is None or arrival > start or not room:
            start = arrival if start is None else max(start + took, arrival)
            room = most
        room -= 1
        answers.append(start + took)
    return answers
""",
    )
    mistakes = (
        Mistake(
            "each for itself",
            """def answered_at(arrivals, took, most):
    answers, free = [], 0.0
    for arrival in arrivals:
        free = max(free, arrival) + took
        answers.append(free)
    return answers
""",
            "You commit each request alone. What waits together is written together, and shares the price.",
        ),
        Mistake(
            "nobody waits",
            """def answered_at(arrivals, took, most):
    return [arrival + took for arrival in arrivals]
""",
            "You begin a commit for each request when it comes. There is one writer: while it writes, the others wait.",
        ),
        Mistake(
            "jumps on",
            """def answered_at(arrivals, took, most):
    answers, free = [], 0.0
    while len(answers) < len(arrivals):
        n = len(answers)
        free = max(free, arrivals[n]) + took
        answers += [free for a in arrivals[n : n + most] if a < free]
    return answers
""",
            "You let a request join a commit that has begun already. What comes while it is written waits for the next.",
        ),
        Mistake(
            "forgets the limit",
            """def answered_at(arrivals, took, most):
    answers, free = [], 0.0
    while len(answers) < len(arrivals):
        n = len(answers)
        start = max(free, arrivals[n])
        free = start + took
        answers += [free for a in arrivals[n:] if a <= start]
    return answers
""",
            "More than `most` requests share one of your commits.",
        ),
        Mistake(
            "waits until it is full",
            """def answered_at(arrivals, took, most):
    answers, free = [], 0.0
    for n in range(0, len(arrivals), most):
        batch = arrivals[n : n + most]
        free = max(free, batch[-1]) + took
        answers += [free] * len(batch)
    return answers
""",
            "You wait until `most` requests are there. In a quiet hour the first one would wait for ever: begin with what is there.",
        ),
        Mistake(
            "ticks",
            """def answered_at(arrivals, took, most):
    import math

    answers, free = [], 0.0
    while len(answers) < len(arrivals):
        n = len(answers)
        start = max(free, math.ceil(arrivals[n] / took) * took)
        free = start + took
        answers += [free for a in arrivals[n : n + most] if a <= start]
    return answers
""",
            "You commit at fixed ticks. An idle writer begins at once: the first request need not wait for a clock.",
        ),
        Mistake(
            "just too late",
            """def answered_at(arrivals, took, most):
    answers, free = [], 0.0
    while len(answers) < len(arrivals):
        n = len(answers)
        start = max(free, arrivals[n])
        free = start + took
        answers += [free] + [free for a in arrivals[n + 1 : n + most] if a < start]
    return answers
""",
            "A request that comes in the very moment in which a commit begins goes along.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Quiet and busy hours, limits that bind; then one moment, arrivals as a commit begins, nobody."""
        import numpy as np

        for gap, most in (0.3, 100), (0.05, 3), (0.02, 50), (0.001, 7), (2.0, 2):
            arrivals = np.cumsum(rng.exponential(gap, 40)) + 0.013
            yield Case((arrivals.round(4).tolist(), round(float(rng.uniform(0.1, 0.4)), 4), most))
        yield Case(([5.0] * 7, 0.25, 3), edge="all come in one moment")
        yield Case(([1.0, 1.5, 1.75, 2.0, 2.5], 0.5, 10), edge="one comes as a commit begins")
        yield Case(([1.0, 1.0, 1.0, 1.5, 1.5], 0.5, 2), edge="a full commit leaves one behind")
        yield Case(([3.0], 0.5, 1), edge="one request")
        yield Case(([], 0.5, 4), edge="no request at all")


class Settle(Exercise):
    """Idempotent: the same again changes nothing and is said."""

    id = "serve-3"
    title = "Settle the outcomes"
    starter = """def settle(known, told):
    return ____
"""
    hints = (
        "Copy first: `new = dict(known)`. Then go through the pairs one by one, and let each see what the ones before it did.",
        "Whether a key is there is `key in new`. `new.get(key)` is None for a cancelled flight too.",
        "Three cases: not in the dict is *new*; there with the same minutes is *repeated*; else *changed*, and the later one stays.",
    )
    solutions = (
        """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        kind = "new" if key not in new else "repeated" if new[key] == minutes else "changed"
        counts[kind] += 1
        new[key] = minutes
    return new, counts
""",
        """def settle(known, told):
    nothing, now = object(), {**known}
    kinds = []
    for key, minutes in told:
        before = now.get(key, nothing)
        kinds.append("new" if before is nothing else "repeated" if before == minutes else "changed")
        now[key] = minutes
    return now, {kind: kinds.count(kind) for kind in ("new", "repeated", "changed")}
""",
    )
    mistakes = (
        Mistake(
            "changes what is known",
            """def settle(known, told):
    counts = {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        counts["new" if key not in known else "repeated" if known[key] == minutes else "changed"] += 1
        known[key] = minutes
    return known, counts
""",
            "You write into `known`. The caller still holds it: work on a copy.",
        ),
        Mistake(
            "the first one stays",
            """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        counts["new" if key not in new else "repeated" if new[key] == minutes else "changed"] += 1
        new.setdefault(key, minutes)
    return new, counts
""",
            "With you the first outcome stays for ever. A later one corrects it: it replaces what was there.",
        ),
        Mistake(
            "a cancelled flight is not there",
            """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        old = new.get(key)
        counts["new" if old is None else "repeated" if old == minutes else "changed"] += 1
        new[key] = minutes
    return new, counts
""",
            "You take None for *not there*. None is an outcome: the flight was cancelled.",
        ),
        Mistake(
            "zero is not there",
            """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        kind = "new" if key not in new else "changed" if new[key] != minutes and new[key] != 0 else "repeated"
        counts[kind] += 1
        new[key] = minutes
    return new, counts
""",
            "A flight that was exactly on time has 0 minutes, and that too may be corrected.",
        ),
        Mistake(
            "compares objects",
            """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        counts["new" if key not in new else "repeated" if new[key] is minutes else "changed"] += 1
        new[key] = minutes
    return new, counts
""",
            "You compare with `is`: it asks for the same object. Two messages bring the same minutes in two objects: use `==`.",
        ),
        Mistake(
            "compares with yesterday",
            """def settle(known, told):
    counts = {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        counts["new" if key not in known else "repeated" if known[key] == minutes else "changed"] += 1
    return {**known, **dict(told)}, counts
""",
            "You compare each pair with `known` alone. One message may tell the same flight twice: look at what came just before.",
        ),
        Mistake(
            "counts what changed as new",
            """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        counts["repeated" if key in new and new[key] == minutes else "new"] += 1
        new[key] = minutes
    return new, counts
""",
            "You count a correction as new. The desk wants to know how often the truth was changed afterwards.",
        ),
        Mistake(
            "counts everything it has seen as repeated",
            """def settle(known, told):
    new, counts = dict(known), {"new": 0, "repeated": 0, "changed": 0}
    for key, minutes in told:
        counts["repeated" if key in new else "new"] += 1
        new[key] = minutes
    return new, counts
""",
            "You count a correction as repeated: a key that is there with other minutes is *changed*.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Outcomes that are new, the same and different, None and 0 among them; then twice in one message, and none."""
        minutes = [None, 0.0, -5.0, 12.0, 47.0]
        for n in 12, 40, 80:
            keys = [("DL", int(k)) for k in rng.integers(1, 15, n)]
            told = [(key, minutes[int(rng.integers(5))]) for key in keys]
            known = {("DL", k): minutes[int(rng.integers(5))] for k in range(5, 12)}
            yield Case((known, told))
        yield Case(
            ({("UA", 1): None}, [(("UA", 1), None), (("UA", 1), 3.0), (("UA", 1), None)]),
            edge="a cancelled flight, told again",
        )
        yield Case(
            ({}, [(("UA", 1), 5.0), (("UA", 1), 5.0), (("UA", 1), 6.0)]),
            edge="one flight three times in a message",
        )
        yield Case(
            ({("UA", 1): float("4.5")}, [(("UA", 1), float("4.5"))]),
            edge="the same minutes, in another object",
        )
        yield Case(({("UA", 1): 0.0}, [(("UA", 1), 4.0)]), edge="an outcome of 0 minutes is corrected")
        yield Case(({("UA", 1): 2.0}, []), edge="nothing is told")


class Recover(Exercise):
    """A file that ends in the middle of a word: all that is whole, and nothing that is not."""

    id = "serve-4"
    title = "Up to the last whole record"
    starter = """def recover(data):
    return ____
"""
    hints = (
        "`*lines, rest = data.split(b'\\n')` gives the lines that end in a newline, and what comes after the last one.",
        "What comes after the last newline is not whole, even where it is JSON: `12` may be the beginning of `1207`.",
        "Go through the lines with `json.loads`; it raises ValueError (UnicodeDecodeError is one) for what is no JSON: stop there.",
    )
    setup = "import json"
    solutions = (
        """def recover(data):
    records = []
    for line in data.split(b"\\n")[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            return records
    return records
""",
        """def recover(data):
    records, begin = [], 0
    while (end := data.find(b"\\n", begin)) != -1:
        try:
            record = json.loads(data[begin:end].decode("utf-8"))
        except ValueError:
            break
        records.append(record)
        begin = end + 1
    return records
""",
    )
    mistakes = (
        Mistake(
            "falls over the cut",
            """def recover(data):
    return [json.loads(line) for line in data.splitlines()]
""",
            "You read every line, the broken one too: it raises, and the whole ones before it are lost with it.",
        ),
        Mistake(
            "takes half a record",
            """def recover(data):
    records = []
    for line in data.splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
""",
            "You take a last line without its newline. It may be JSON by chance, and still be half of what was written: 12 of 1207.",
        ),
        Mistake(
            "always drops the last",
            """def recover(data):
    records = []
    for line in data.splitlines()[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
""",
            "You drop the last line even where its newline is there. That record was acknowledged: it must not be lost.",
        ),
        Mistake(
            "skips",
            """def recover(data):
    records = []
    for line in data.split(b"\\n")[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records
""",
            "You skip a broken line and go on. What lies behind it is not to be trusted: stop at the first that is not whole.",
        ),
        Mistake(
            "knows text only",
            """def recover(data):
    records = []
    for line in data.decode().split("\\n")[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
""",
            "You decode all at once. A cut in the middle of a letter raises, and takes the whole records with it.",
        ),
        Mistake(
            "catches bad JSON alone",
            """def recover(data):
    records = []
    for line in data.split(b"\\n")[:-1]:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records
""",
            "A line that is no text raises UnicodeDecodeError, which JSONDecodeError does not cover. Catch ValueError: both are one.",
        ),
        Mistake(
            "overlooks broken letters",
            """def recover(data):
    records = []
    for line in data.decode(errors="ignore").split("\\n")[:-1]:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
""",
            "You decode and ignore what is no letter: a record that lost half a letter passes for a whole one, and is another.",
        ),
        Mistake(
            "all or nothing",
            """def recover(data):
    try:
        return [json.loads(line) for line in data.split(b"\\n")[:-1]]
    except ValueError:
        return []
""",
            "One broken line costs you all records. Keep those before it.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Files whole, cut anywhere, and broken in the middle; then half a number, half a letter, an empty file."""
        import json

        lines = [
            json.dumps({"id": int(k), "p": float(round(p, 3)), "to": "ZÜR"}, ensure_ascii=False) + "\n"
            for k, p in zip(rng.integers(9, 9999, 8), rng.random(8), strict=True)
        ]
        data = "".join(lines).encode()
        yield Case((data,))
        for cut in rng.integers(len(data) // 3, len(data) - 3, 4):
            yield Case((data[: int(cut)],))
        broken = [line.encode() for line in lines]
        broken[4] = broken[4].replace(b":", b"\x00")
        yield Case((b"".join(broken),))
        yield Case((b"1207\n1207\n12",), edge="half a number is a number too")
        yield Case((data[: data.rindex("Ü".encode()) + 1],), edge="the cut goes through a letter")
        yield Case((b'{"id": 1}\n\xff\xfe\n{"id": 3}\n',), edge="a line is no text")
        yield Case((b'{"id": 1}\n{"to": "Z\xc3"}\n{"id": 3}\n',), edge="a line holds half a letter")
        yield Case((b"",), edge="the file is empty")
        yield Case((b'{"id": 1}',), edge="not one line is whole")
        yield Case((b'{"id": 1}\n',), edge="one whole line")
