"""Operators over seeds: net savings, and the share of the oracle's lead over doing nothing, with 95 % intervals.

python bench/simulate.py --seeds 20 --days 184 --scenarios calm,summer,feeds,chaos --operators careful [--json FILE]
"""

import argparse
import json
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np

from mlcourse.careful import references


def interval(values):
    """Mean and 95 % interval of independent values."""
    values = np.asarray(values, float)
    half = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return [values.mean(), values.mean() - half, values.mean() + half]


def main():
    """Play and print a line for each scenario and operator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--days", type=int, default=184)
    parser.add_argument("--scenarios", default="calm,summer,feeds,chaos")
    parser.add_argument(
        "--operators", default="careful", help="such as careful,nightly (nightly takes minutes a seed)"
    )
    parser.add_argument("--json")
    given = parser.parse_args()
    names, found = ("nothing", *given.operators.split(","), "oracle"), {}
    for scenario in given.scenarios.split(","):
        began = time.perf_counter()
        runs = [
            [s.money for s in references(scenario, seed, given.days, names=names)]
            for seed in range(given.seeds)
        ]
        money = dict(zip(names, np.array(runs).T, strict=True))
        seconds = (time.perf_counter() - began) / given.seeds
        for name in names[1:-1]:
            of_all = interval(money[name] / money["oracle"])
            of_lead = interval((money[name] - money["nothing"]) / (money["oracle"] - money["nothing"]))
            ahead = interval(money[name] - money["nothing"])
            found[f"{scenario} {name}"] = {
                "net": of_all,
                "lead": of_lead,
                "ahead": ahead,
                "money": money[name].tolist(),
            }
            text = ", ".join(
                f"{label} {m:.3f} [{a:.3f}, {b:.3f}]"
                for label, (m, a, b) in (("of oracle", of_all), ("of its lead", of_lead))
            )
            print(
                f"{scenario} {name}: {text}; {ahead[0]:,.0f} dollars beyond doing nothing; {seconds:.0f} s a seed",
                flush=True,
            )
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
