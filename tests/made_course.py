"""A small course made for tests: the command's own code on lessons that run in a moment."""

import json
import subprocess
import sys
from pathlib import Path

OUTCOME = """from IPython.display import display
____ = None
def check(id, outcome):
    bundle = {"application/vnd.mlcourse.outcome+json": {"id": id, "outcome": outcome, "message": f"said of {id}"}}
    display(bundle, raw=True)"""
LESSONS = {
    "index.ipynb": ["# Welcome\n\n> The map."],
    "0_start/01_one.ipynb": ["# One: first steps", OUTCOME, 'answer = 1\n\ncheck("one-1", "passed")'],
    "1_next/02_two.ipynb": ["# Two: further", OUTCOME, 'answer = ____\n\ncheck("two-1", "to do")', 'check("two-2", "passed")'],
}  # fmt: skip


def notebook(*sources: str) -> str:
    """A notebook's text; sources that start with # and a blank are headings, the others code."""
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [s]}
        if s.startswith("# ")
        else {"cell_type": "code", "metadata": {}, "source": [s], "outputs": [], "execution_count": None}
        for s in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})


def make(home: Path, lessons: dict[str, list[str]] = LESSONS) -> Path:
    """Write the course's lessons below `home`/nbs, and return that place."""
    nbs = home / "nbs"
    for name, sources in lessons.items():
        (nbs / name).parent.mkdir(parents=True, exist_ok=True)
        (nbs / name).write_text(notebook(*sources), encoding="utf-8")
    (nbs / "matplotlibrc").write_text("lines.linewidth: 2\n")
    return nbs


def start(home: Path, *args: str, before: str = "", **popen) -> subprocess.Popen:
    """The command as a process of its own on the course below `home`; `before` is run in it first."""
    lines = [
        "import sys, time",
        "import mlcourse",
        f"mlcourse.__file__ = {str(home / 'mlcourse' / '__init__.py')!r}",
        before,
        "from mlcourse.__main__ import main",
        "print('begun', flush=True)",
        f"sys.argv = ['mlcourse', *{args!r}]",
        "sys.exit(main())",
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen([sys.executable, "-c", "\n".join(lines)], **pipes | popen)
    assert process.stdout.readline() == "begun\n"
    return process
