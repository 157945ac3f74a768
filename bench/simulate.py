"""What operators earn in half a year of flights, beside each other, with 95 % intervals over seeds; two further measures.

python bench/simulate.py [--seeds N] [--days D] [--scenarios NAMES] [--operators NAMES] [--json FILE]
python bench/simulate.py --decoys [--seeds N]       (the costly actions of careful where nothing is broken)
python bench/simulate.py --http [--days D]          (all flights over HTTP against the course's own service)

With --json every run is kept as it ends, and one that is kept is not played again: a run that was stopped goes on.
"""

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import psutil
from scipy.stats import t

from mlcourse.careful import Careful, references
from mlcourse.incidents import DECOYS, as_features, real_world
from mlcourse.live import money
from mlcourse.registry import Registry
from mlcourse.services import HttpService, InProcess, champion
from mlcourse.simulate import SCENARIOS, Nothing, play
from mlcourse.stage import PRICES


class Kept(dict):
    """What was measured so far, by name, in a file if there is one."""

    def __init__(self, path):
        super().__init__(json.loads(path.read_text()) if path and path.exists() else {})
        self.path = path

    def once(self, key, measure):
        """What `measure` gave for this key, measured now if it is not there."""
        if key not in self:
            self[key] = measure()
            if self.path:
                part = self.path.with_suffix(".part")
                part.write_text(json.dumps(self, indent=1))
                part.replace(self.path)
        return self[key]


def interval(values):
    """Mean and 95 % interval of independent values, with Student's t: seeds are few."""
    values = np.asarray(values, float)
    n = len(values)
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5 if n > 1 else np.nan
    return [float(values.mean()), float(values.mean() - half), float(values.mean() + half)]


def peak():
    """Most memory that this process had so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def one(scenario, seed, days, name):
    """A run's money, and what it took."""
    began, used = time.perf_counter(), time.process_time()
    (score,) = references(scenario, seed, days, names=(name,))
    noticed = sum(i["hours"] is not None for i in score.incidents)
    return {
        "money": score.money, "noticed": noticed, "incidents": len(score.incidents), "false_alarms": score.false_alarms,
        "seconds": round(time.perf_counter() - began, 2), "cpu": round(time.process_time() - used, 2), "peak_mb": peak(),
    }  # fmt: skip


def operators(given, kept):
    """Play every operator on every scenario and seed; a line a run, then a table of each scenario."""
    names = given.operators.split(",")
    for scenario in given.scenarios.split(","):
        runs = {name: [] for name in names}
        for seed in range(given.seeds):
            for name in names:
                key = f"{scenario} {seed} {given.days} {name}"
                found = kept.once(key, lambda s=scenario, k=seed, n=name: one(s, k, given.days, n))
                runs[name].append(found)
                print(f"{key:40} {money(found['money']):>9}  {found['cpu']:6.1f} s of processor, {given.days / found['seconds']:5.1f} days/s, "
                      f"{found['peak_mb']} MB", flush=True)  # fmt: skip
        table(scenario, runs)


def table(scenario, runs):
    """Net savings, the share of the oracle's, the share of its lead over doing nothing, and the lead over nightly."""
    won = {name: np.array([run["money"] for run in found]) for name, found in runs.items()}
    show = lambda x, form: form(x[0]) + (f" [{form(x[1])}, {form(x[2])}]" if np.isfinite(x[1]) else "")
    share = "{:.0%}".format
    print(f"\n{scenario}, {len(next(iter(won.values())))} seeds: mean [95 % interval]")
    for name, own in won.items():
        says = f"  {name:11} {show(interval(own), money)}"
        if "oracle" in won and "nothing" in won and name not in ("oracle", "nothing"):
            lead = won["oracle"] - won["nothing"]
            says += f"; of the oracle's net savings {show(interval(own / won['oracle']), share)}"
            says += f"; of its lead {show(interval((own - won['nothing']) / lead), share)}"
        if "nightly" in won and name == "careful":
            says += f"; beyond nightly {show(interval(own - won['nightly']), money)}"
        print(says, flush=True)
    print(flush=True)


def decoys(given, kept):
    """Share of the seeds in which careful orders nothing costly on a decoy alone."""
    world, days = real_world(), min(given.days, 8)
    model = champion(world, rows=20_000)

    def quiet(name, seed):
        score = play(InProcess(world, model), Careful(world), f"only {name}", seed, days, world)
        return [[a["kind"], a["target"], a["why"]] for a in score.actions if a["dollars"] > PRICES["alert"]]

    for name in DECOYS:
        found = [
            kept.once(f"decoy {name} {seed} {days}", lambda n=name, s=seed: quiet(n, s))
            for seed in range(given.seeds)
        ]
        calm = sum(not acts for acts in found)
        print(
            f"{name:11} {calm} of {len(found)} seeds without a costly action; {[a for acts in found for a in acts]}",
            flush=True,
        )


@contextmanager
def served(place):
    """Address and process of `mlcourse serve` on a registry."""
    command = [sys.executable, "-m", "mlcourse", "serve", "--registry", str(place), "--port", "0"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=place)
    try:
        found = (re.search(r'"listening", "address": "(.*?)"', line) for line in child.stdout)
        yield next(match[1] for match in found if match), psutil.Process(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)


def over_http(given, kept):
    """Flights, seconds and memory of a run over HTTP, and whether it earns what the same model earns without."""
    world, seen = real_world(), []
    model = champion(world)
    with tempfile.TemporaryDirectory() as place:
        registry = Registry(place)
        example = as_features(world.sent.iloc[: world.past : 100])
        registry.promote(
            "bad-flights", registry.save(model.model, "bad-flights", example=example), force="a measurement"
        )
        with served(place) as (url, process):
            mb = lambda p: round(p.memory_info().rss / 2**20)
            tell = lambda now: seen.append((now["flights"], mb(psutil.Process()), mb(process)))
            began = time.perf_counter()
            score = play(HttpService(url), Nothing(), "nothing", 0, given.days, world, tell)
            seconds = time.perf_counter() - began
    own = play(InProcess(world, model), Nothing(), "nothing", 0, given.days, world)
    quarters = [seen[int(share * (len(seen) - 1))][1:] for share in (0, 0.25, 0.5, 0.75, 1)]
    found = {
        "days": given.days, "flights": sum(day[0] for day in seen), "seconds": round(seconds, 1),
        "days_per_second": round(given.days / seconds, 2), "memory_mb_simulator_service": quarters, "told": score.told,
        "money": score.money, "same_to_the_cent": score.money == own.money,
    }  # fmt: skip
    kept.once(f"http {given.days} at {time.strftime('%FT%T')}", lambda: found)
    print(json.dumps(found, indent=1))


def main():
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--operators", default="nothing,last-month,nightly,careful,oracle")
    parser.add_argument("--decoys", action="store_true")
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    work = decoys if given.decoys else over_http if given.http else operators
    work(given, Kept(given.json))


if __name__ == "__main__":
    main()
