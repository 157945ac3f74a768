"""How long a newcomer waits: from `python start.py` to JupyterLab's address, beside the bare installer.

python bench/start.py [--rounds N] [--json FILE]      (N rounds, the three in turn, empty caches each time)
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from tree import copy_tree

import start


def to_address(folder: Path, env: dict) -> float:
    """Seconds from the command to the printed address."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "start.py", "--no-browser"],
        cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines = []
    for line in child.stdout:
        lines.append(line)
        if "http://" in line:
            seconds = time.perf_counter() - began
            child.terminate()
            child.communicate(timeout=30)
            return seconds
    raise RuntimeError("no address:\n" + "".join(lines))


def bare(folder: Path, env: dict, compiled: bool) -> float:
    """Seconds of `uv pip install` alone: the same set, into an environment that is there already."""
    ini = ConfigParser(delimiters=["="])
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    python = folder / "bare" / start.BIN.name / Path(start.PYTHON).name
    subprocess.run([sys.executable, "-m", "venv", folder / "bare"], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", start.UV], check=True)
    listing = subprocess.run(
        [python, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    command = [
        python.parent / "uv",
        "pip",
        "install",
        "-q",
        "--python",
        python,
        "--index-strategy=unsafe-best-match",
    ]
    command += [*start.indexes(listing), "-c", ROOT / "constraints.txt"]
    command += ini["DEFAULT"]["requirements"].split("\n")
    began = time.perf_counter()
    subprocess.run(command, check=True, env={**env, **({"UV_COMPILE_BYTECODE": "1"} if compiled else {})})
    return time.perf_counter() - began


def once(kind: str) -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        env.update(UV_CACHE_DIR=f"{name}/uv", PIP_CACHE_DIR=f"{name}/pip")
        if kind == "start":
            return to_address(copy_tree(folder / "course"), env)
        return bare(folder, env, compiled=kind == "bare, with bytecode")


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    given = options.parse_args()
    seconds = {"start": [], "bare, with bytecode": [], "bare, no bytecode": []}
    for _ in range(given.rounds):
        for kind, took in seconds.items():
            took.append(once(kind))
            print(f"{kind:22} {took[-1]:6.1f} s", flush=True)
    middle = {kind: statistics.median(took) for kind, took in seconds.items()}
    print("\n| median of", given.rounds, "| seconds | start.py against it |\n|---|---|---|")
    for kind, value in middle.items():
        print(f"| {kind} | {value:.1f} | {middle['start'] / value:.2f} |")
    if given.json:
        given.json.write_text(json.dumps({"seconds": seconds, "load": os.getloadavg()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
