"""Exercises of lesson 20: a patient probe, Kubernetes' numbers, Services that select nobody, pods during a rollout."""

from __future__ import annotations

from collections.abc import Iterator

from mlcourse.exercises.engine import Case, Exercise, Mistake


class Patience(Exercise):
    """Probe k comes at delay + (k - 1) * period, so a threshold gives one period less than the product says."""

    id = "containers-1"
    title = "A probe that waits long enough"
    starter = """def patience(starts, delay, period, share):
    return ____
"""
    hints = (
        "Probes come at `delay`, `delay + period`, `delay + 2 * period`, … The first that comes when the container is up "
        "succeeds. Which one is it for a container that needs `s` seconds?",
        "It is number `1 + ceil((s - delay) / period)`, and number 1 for one that is up by `delay`. All before it fail.",
        "A container survives a threshold of t if its first success is number t or earlier. Take the smallest t with "
        "`np.mean(number > t) <= share`.",
    )
    solutions = (
        """def patience(starts, delay, period, share):
    number = 1 + np.maximum(np.ceil((starts - delay) / period), 0)
    return int(min(t for t in number if np.mean(number > t) <= share))
""",
        """def patience(starts, delay, period, share):
    killed = []
    for needs in starts:
        probe, at = 1, delay
        while at < needs:
            probe, at = probe + 1, at + period
        killed.append(probe)
    return min(t for t in killed if np.mean([k > t for k in killed]) <= share)
""",
    )
    mistakes = (
        Mistake(
            "threshold times period",
            """def patience(starts, delay, period, share):
    number = np.maximum(np.ceil((starts - delay) / period), 1)
    return int(min(t for t in number if np.mean(number > t) <= share))
""",
            "You give threshold * period seconds. The first probe comes at once after the delay, so failure number t comes at "
            "delay + (t - 1) * period, and that is when it is killed.",
        ),
        Mistake(
            "forgets the delay",
            """def patience(starts, delay, period, share):
    number = 1 + np.ceil(starts / period)
    return int(min(t for t in number if np.mean(number > t) <= share))
""",
            "You leave out the delay. The first probe comes `delay` seconds after the start, not at the start.",
        ),
        Mistake(
            "waits for the mean",
            """def patience(starts, delay, period, share):
    return int(1 + max(np.ceil((np.mean(starts) - delay) / period), 0))
""",
            "You wait for the mean start. About half of all starts take longer, and each of those is killed.",
        ),
        Mistake(
            "spares only that share",
            """def patience(starts, delay, period, share):
    number = 1 + np.ceil(np.maximum(starts - delay, 0) / period)
    return int(min(t for t in number if np.mean(number > t) <= 1 - share))
""",
            "You spare `share` of the starts and kill the rest. At most `share` may be killed.",
        ),
        Mistake(
            "waits for the slowest",
            """def patience(starts, delay, period, share):
    return int(1 + np.ceil(max(starts.max() - delay, 0) / period))
""",
            "You wait for the slowest start. A few may be killed, `share` of all: every second more is a second in which a "
            "container that hangs is not noticed.",
        ),
        Mistake(
            "rounds down",
            """def patience(starts, delay, period, share):
    number = 1 + np.floor(np.maximum(starts - delay, 0) / period)
    return int(min(t for t in number if np.mean(number > t) <= share))
""",
            "You round down: the probe just before the container is up fails, so it needs the next one.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Starts in quarter seconds, most quick and some slow; then on the probe, up before it, nobody may die, one start."""
        import numpy as np

        for share in 0.05, 0.1, 0.2:
            starts = np.round(4 * rng.gamma(2, 8, 60)) / 4 + 5
            yield Case((starts, int(rng.integers(2, 5)), int(rng.integers(2, 6)), share))
        yield Case((np.arange(1.0, 41.0), 2, 3, 0.25))
        yield Case((np.array([60.0] * 9 + [61.0]), 0, 10, 0.1), edge="up at the very second of a probe")
        yield Case((np.array([3.0, 4.0, 5.0]), 20, 5, 0.0), edge="all are up before the first probe")
        yield Case((np.array([3.0] * 9 + [50.5]), 5, 10, 0.0), edge="nobody may be killed")
        yield Case(
            (np.array([3.0] * 8 + [50.5] * 2), 5, 10, 0.2), edge="exactly the share that may be killed"
        )
        yield Case((np.array([12.0]), 5, 10, 0.1), edge="a single start")


_UNITS = """UNITS = {"": 1, "m": 0.001, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
UNITS |= {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}
"""


def _quantity(found='re.fullmatch("([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)", text)', units=_UNITS):
    # An answer to containers-2 that reads the text, or counts the units, in its own way.
    return f"""{units}

def quantity(text):
    found = {found}
    if not found or found[2] not in UNITS:
        raise ValueError(text)
    return float(found[1]) * UNITS[found[2]]
"""


class Quantity(Exercise):
    """A unit is one of a short list, and one letter makes a factor of a thousand million."""

    id = "containers-2"
    title = "What a quantity says"
    setup = "import re"
    starter = """UNITS = {"": 1, "m": 0.001, "k": 1000, "Ki": 1024}  # go on: M G T, Mi Gi Ti


def quantity(text):
    return ____
"""
    hints = (
        "M, G, T are powers of 1000; Mi, Gi, Ti are powers of 1024; m is a thousandth.",
        'Part the text in two: `re.fullmatch(r"([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)", text)` gives number and unit, or None.',
        "No match, or a unit that is not in `UNITS`: raise a ValueError that names the text. Else number times factor.",
    )
    solutions = (
        """UNITS = {"": 1, "m": 0.001, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
UNITS |= {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def quantity(text):
    found = re.fullmatch("([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)", text)
    if not found or found[2] not in UNITS:
        raise ValueError(f"text must be a number and a unit such as 500m or 256Mi, got {text!r}")
    return float(found[1]) * UNITS[found[2]]
""",
        """def quantity(text):
    digits = text.rstrip("KMGTikm")
    unit = text.removeprefix(digits)
    if not re.fullmatch("[0-9]+([.][0-9]+)?", digits):
        raise ValueError(f"no quantity: {text!r}")
    if unit in ("", "m"):
        return float(digits) / (1000 if unit else 1)
    if unit not in ("k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"):
        raise ValueError(f"no unit: {unit!r}")
    return float(digits) * (1024 if unit.endswith("i") else 1000) ** " kMGT".index(unit[0].replace("K", "k"))
""",
    )
    mistakes = (
        Mistake(
            "Mi is a million",
            _quantity(
                units="""UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 1e3, "Mi": 1e6, "Gi": 1e9, "Ti": 1e12}
"""
            ),
            "You count Mi in thousands. The i stands for binary: 1 Mi is 1024 * 1024 bytes, 5 % more than 1 M; at Ti it is 10 %.",
        ),
        Mistake(
            "M is binary too",
            _quantity(
                units="""UNITS = {"": 1, "m": 0.001} | {u: 1024**n for n, units in enumerate("k M G T".split(), 1) for u in units}
UNITS |= {f"{u}i": 1024**n for n, u in enumerate("KMGT", 1)}
"""
            ),
            "You count M in 1024s. Without the i, Kubernetes' units are decimal: 1 M is 1,000,000 bytes.",
        ),
        Mistake(
            "m is mega",
            _quantity(units=_UNITS.replace("0.001", "1000**2")),
            "Your m is a million. It is a thousandth: 500m is half a core; and `memory: 512m` is half a byte, a pod that "
            "never starts.",
        ),
        Mistake(
            "takes any case",
            """UNITS = {"": 1, "m": 0.001, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
UNITS |= {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def quantity(text):
    found = re.fullmatch("([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)", text)
    known = {unit.lower(): factor for unit, factor in UNITS.items() if unit != "m"}
    unit = found[2] if found and found[2] == "m" else found[2].lower() if found else None
    if not found or unit not in known | {"m": 0.001}:
        raise ValueError(text)
    return float(found[1]) * (known | {"m": 0.001})[unit]
""",
            "You forgive the wrong case. Kubernetes does not: 256mi, 1g and 1K are refused, so your check must refuse them.",
        ),
        Mistake(
            "an unknown unit counts as none",
            """UNITS = {"": 1, "m": 0.001, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
UNITS |= {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def quantity(text):
    found = re.match("([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)", text)
    if not found:
        raise ValueError(text)
    return float(found[1]) * UNITS.get(found[2], 1)
""",
            "An unknown unit passes as if there were none: `512MB` would be 512 bytes. Raise a ValueError.",
        ),
        Mistake(
            "float decides",
            """UNITS = {"": 1, "m": 0.001, "k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
UNITS |= {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Ti": 1024**4}


def quantity(text):
    unit = next((u for u in UNITS if u and text.endswith(u)), "")
    return float(text.removesuffix(unit)) * UNITS[unit]
""",
            "You let `float` say what a number is. It takes -1, inf, 1_000 and blanks as well: match the digits.",
        ),
        Mistake(
            "a point needs no digit before it",
            _quantity('re.fullmatch("([0-9]*[.]?[0-9]+)([A-Za-z]*)", text)'),
            "You take `.5`. The rule here wants digits on both sides of a point: nobody reads `.5` for `5` then.",
        ),
        Mistake(
            "strips blanks",
            _quantity('re.fullmatch("([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)", text.strip())'),
            "You strip blanks before you look. A quantity has none: what your check repairs, the cluster still refuses.",
        ),
        Mistake(
            "a newline at the end",
            _quantity('re.match("^([0-9]+(?:[.][0-9]+)?)([A-Za-z]*)$", text)'),
            "A newline at the end passes: `$` matches before it too. Use `re.fullmatch`.",
        ),
        Mistake(
            "whole numbers only",
            _quantity('re.fullmatch("([0-9]+)([A-Za-z]*)", text)'),
            "You refuse a point. `0.5` cores and `1.5Gi` are good quantities.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Every unit, with and without a point; then what Kubernetes refuses."""
        for unit in rng.permutation(["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]):
            yield Case((f"{rng.integers(2, 900)}{unit}",))
            yield Case((f"{rng.integers(2, 9)}.{rng.integers(1, 9)}{unit}",))
        units = ("256mi", "1g", "512MB", "12mm", "Mi", "", "5i", "1K")
        for wrong in (*units, "1.", ".5", "-1", "1.2.3", "1_000", "inf", "1 Gi", " 2", "2\n"):
            yield Case((wrong,), edge=f"{wrong!r} is no number with a unit: raise a ValueError")


class Unmatched(Exercise):
    """A Service finds pods by their labels: all that it names, on the pod's template, in its namespace."""

    id = "containers-3"
    title = "Services that select nobody"
    setup = ""
    starter = """def unmatched(objects):
    return ____
"""
    hints = (
        "A Deployment's pods carry the labels in `spec.template.metadata.labels`; those of its own metadata are another thing.",
        "A selector matches if every pair in it is among the labels: `selector.items() <= labels.items()`.",
        'Only pods of the same namespace count: `o["metadata"].get("namespace", "default")`. A Service without a selector is '
        "filled by somebody else: leave it out. Return the names sorted.",
    )
    solutions = (
        """def unmatched(objects):
    home = lambda o: o["metadata"].get("namespace", "default")
    pods = [(home(o), o["spec"]["template"]["metadata"]["labels"]) for o in objects if o["kind"] == "Deployment"]
    lost = []
    for o in objects:
        wanted = o["spec"].get("selector") if o["kind"] == "Service" else None
        if wanted and not any(at == home(o) and wanted.items() <= labels.items() for at, labels in pods):
            lost.append(o["metadata"]["name"])
    return sorted(lost)
""",
        """def unmatched(objects):
    def selects(service, deployment):
        spaces = {o["metadata"].get("namespace", "default") for o in (service, deployment)}
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        return len(spaces) == 1 and all(labels.get(k) == v for k, v in service["spec"]["selector"].items())

    services = [o for o in objects if o["kind"] == "Service" and o["spec"].get("selector")]
    deployments = [o for o in objects if o["kind"] == "Deployment"]
    return sorted(s["metadata"]["name"] for s in services if not any(selects(s, d) for d in deployments))
""",
    )
    mistakes = (
        Mistake(
            "wants equal labels",
            """def unmatched(objects):
    home = lambda o: o["metadata"].get("namespace", "default")
    pods = [(home(o), o["spec"]["template"]["metadata"]["labels"]) for o in objects if o["kind"] == "Deployment"]
    return sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Service" and o["spec"].get("selector")
                  and (home(o), o["spec"]["selector"]) not in pods)
""",
            "You ask for the same labels. A pod may carry more than the selector names: it is selected all the same.",
        ),
        Mistake(
            "one pair is enough",
            """def unmatched(objects):
    home = lambda o: o["metadata"].get("namespace", "default")
    pods = [(home(o), o["spec"]["template"]["metadata"]["labels"]) for o in objects if o["kind"] == "Deployment"]
    return sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Service" and o["spec"].get("selector")
                  and not any(at == home(o) and o["spec"]["selector"].items() & labels.items() for at, labels in pods))
""",
            "One pair in common is enough for you. A selector is an *and*: every pair must be on the pod.",
        ),
        Mistake(
            "reads the Deployment's own labels",
            """def unmatched(objects):
    home = lambda o: o["metadata"].get("namespace", "default")
    pods = [(home(o), o["metadata"].get("labels", {})) for o in objects if o["kind"] == "Deployment"]
    return sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Service" and o["spec"].get("selector")
                  and not any(at == home(o) and o["spec"]["selector"].items() <= labels.items() for at, labels in pods))
""",
            "You read the labels of the Deployment. Its pods carry those of its template, `spec.template.metadata.labels`.",
        ),
        Mistake(
            "compares keys only",
            """def unmatched(objects):
    home = lambda o: o["metadata"].get("namespace", "default")
    pods = [(home(o), o["spec"]["template"]["metadata"]["labels"]) for o in objects if o["kind"] == "Deployment"]
    return sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Service" and o["spec"].get("selector")
                  and not any(at == home(o) and o["spec"]["selector"].keys() <= labels.keys() for at, labels in pods))
""",
            "You compare the labels' keys without their values: `app: serve` and `app: server` are two apps.",
        ),
        Mistake(
            "looks into every namespace",
            """def unmatched(objects):
    pods = [o["spec"]["template"]["metadata"]["labels"] for o in objects if o["kind"] == "Deployment"]
    return sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Service" and o["spec"].get("selector")
                  and not any(o["spec"]["selector"].items() <= labels.items() for labels in pods))
""",
            "You take pods of any namespace. A Service selects in its own only; where none is written it is `default`.",
        ),
        Mistake(
            "counts Services without a selector",
            """def unmatched(objects):
    home = lambda o: o["metadata"].get("namespace", "default")
    pods = [(home(o), o["spec"]["template"]["metadata"]["labels"]) for o in objects if o["kind"] == "Deployment"]
    return sorted(o["metadata"]["name"] for o in objects if o["kind"] == "Service" and not (o["spec"].get("selector")
                  and any(at == home(o) and o["spec"]["selector"].items() <= labels.items() for at, labels in pods)))
""",
            "You name a Service without a selector. It asks for no pods (its addresses are written by hand): leave it out.",
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Made sets of objects, with every way to miss; then none at all."""
        for _ in range(4):
            yield Case((_objects(rng),))
        alone = {"kind": "Service", "metadata": {"name": "alone"}, "spec": {"selector": {"app": "a"}}}
        yield Case(([alone],), edge="a Service, and no Deployment at all")
        yield Case(([],), edge="no object at all")


def _thing(kind, name, spec, space=None, **labels):
    # A parsed manifest.
    metadata = (
        {"name": name} | ({"namespace": space} if space else {}) | ({"labels": labels} if labels else {})
    )
    return {"kind": kind, "metadata": metadata, "spec": spec}


def _objects(rng):
    # Deployments and Services in any order; each Service misses its Deployment in another way, or does not miss it.
    word = lambda: "".join(rng.choice(list("bcdfgklmnprst"), 5))
    app, tier, space, name = (word() for _ in range(4))
    pods = lambda **labels: {"template": {"metadata": {"labels": labels}}}
    service = lambda space=None, **selector: _thing("Service", word(), {"selector": selector}, space)
    everything = [
        _thing("Deployment", name, pods(app=app, tier=tier, release=word()), team=tier, app=app),
        _thing("Deployment", name, pods(app=name), space),
        _thing("Service", word(), {"type": "ExternalName"}),
        _thing("ConfigMap", word(), {"selector": {"x": "y"}}),
        service(app=app),
        service("default", app=app, tier=tier),
        service(space, app=name),
        service(app=f"{app}r"),
        service(app=app, tier=word()),
        service(team=tier),
        service(app=name),
        service(space, app=app),
    ]
    return [everything[i] for i in rng.permutation(len(everything))]


class During(Exercise):
    """How few and how many pods there are while a rollout runs."""

    id = "containers-4"
    title = "How few pods, how many?"
    setup = "import math"
    starter = """def during(replicas, surge, unavailable):
    return ____
"""
    hints = (
        "Fewest ready: `replicas` less `unavailable`, never below 0. Most at once: `replicas` plus `surge`.",
        'A text such as "25%" is a share of `replicas`: `replicas * int(text[:-1]) / 100`. Kubernetes rounds the surge up '
        "(`math.ceil`) and the unavailable down (`math.floor`): both on the safe side.",
        "If both come to 0, nothing could ever move: then one pod may be unavailable.",
    )
    solutions = (
        """def during(replicas, surge, unavailable):
    count = lambda part, whole: whole(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge, math.ceil), count(unavailable, math.floor)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), replicas + more
""",
        """def during(replicas, surge, unavailable):
    if isinstance(surge, str):
        surge = -(-replicas * int(surge.rstrip("%")) // 100)
    if isinstance(unavailable, str):
        unavailable = replicas * int(unavailable.rstrip("%")) // 100
    unavailable = unavailable or (not surge)
    return max(0, replicas - unavailable), surge + replicas
""",
    )
    mistakes = (
        Mistake(
            "rounds the unavailable up",
            """def during(replicas, surge, unavailable):
    count = lambda part: math.ceil(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge), count(unavailable)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), replicas + more
""",
            "You round the unavailable up. Kubernetes rounds it down, so that no more pods are missing than you allowed.",
        ),
        Mistake(
            "rounds the surge down",
            """def during(replicas, surge, unavailable):
    count = lambda part: math.floor(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge), count(unavailable)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), replicas + more
""",
            "You round the surge down: 25 % of 1 pod would be none, and the rollout would have to stop the only one. It is "
            "rounded up.",
        ),
        Mistake(
            "rounds to the nearest",
            """def during(replicas, surge, unavailable):
    count = lambda part: round(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge), count(unavailable)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), replicas + more
""",
            "You round to the nearest. The surge is rounded up and the unavailable down, whatever the fraction.",
        ),
        Mistake(
            "stands still",
            """def during(replicas, surge, unavailable):
    count = lambda part, whole: whole(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge, math.ceil), count(unavailable, math.floor)
    return max(replicas - fewer, 0), replicas + more
""",
            "When both come to 0 your rollout can neither add nor take a pod. Kubernetes then lets one be unavailable.",
        ),
        Mistake(
            "counts the new ones as ready",
            """def during(replicas, surge, unavailable):
    count = lambda part, whole: whole(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge, math.ceil), count(unavailable, math.floor)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas + more - fewer, 0), replicas + more
""",
            "You count surge pods as ready. They are there, but starting: only `replicas - unavailable` is sure.",
        ),
        Mistake(
            "twice as many at most",
            """def during(replicas, surge, unavailable):
    count = lambda part, whole: whole(replicas * int(part[:-1]) / 100) if isinstance(part, str) else part
    more, fewer = count(surge, math.ceil), count(unavailable, math.floor)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), min(replicas + more, 2 * replicas)
""",
            "You stop at twice the replicas. Nothing limits the surge: 2 pods with a surge of 3 are 5 at once.",
        ),
        Mistake(
            "divides first",
            """def during(replicas, surge, unavailable):
    count = lambda part, whole: whole(int(part[:-1]) / 100 * replicas) if isinstance(part, str) else part
    more, fewer = count(surge, math.ceil), count(unavailable, math.floor)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), replicas + more
""",
            "You divide by 100 first: `28 / 100 * 25` is a hair above 7, and rounds up to 8. Multiply first.",
        ),
        Mistake(
            "percent as a number of pods",
            """def during(replicas, surge, unavailable):
    count = lambda part: int(part.rstrip("%")) if isinstance(part, str) else part
    more, fewer = count(surge), count(unavailable)
    if more == 0 and fewer == 0:
        fewer = 1
    return max(replicas - fewer, 0), replicas + more
""",
            'You take "25%" for 25 pods. It is a share of `replicas`.',
        ),
    )

    def cases(self, rng) -> Iterator[Case]:
        """Numbers and shares, exact and with a fraction; then both 0, one pod, more than there are."""
        for _ in range(6):
            n, share = int(rng.integers(3, 40)), lambda: f"{rng.integers(1, 99)}%"
            yield Case((n, share(), share()))
            yield Case((n, int(rng.integers(1, 4)), share()))
            yield Case((n, share(), int(rng.integers(1, 3))))
        for n in 4, 8, 40:
            yield Case((n, "25%", "25%"))
            yield Case((n, "75%", 0))
        yield Case((10, "25%", "25%"))
        yield Case((25, "28%", 0))  # exactly 7
        yield Case((2, 3, 0))
        yield Case((6, 0, 2))
        yield Case((6, 2, 0))
        yield Case((6, 0, "10%"), edge="both come to 0")
        yield Case((1, "25%", "25%"), edge="a single pod, with Kubernetes' defaults")
        yield Case((1, 0, 1), edge="a single pod, stopped before the new one starts")
        yield Case((3, 1, 5), edge="more unavailable than there are")
