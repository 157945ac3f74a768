"""Every command of the README is run as it stands there, in its order, in a fresh copy of the tree."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from conftest import LESSONS, ROOT
from tree import copy_tree

import start

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\S.*$", "\n".join(re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)), re.M)
BASE = sys._base_executable


class Clone:
    """A fresh copy of the tree, and commands run in it as a reader would."""

    def __init__(self, folder):
        self.folder = copy_tree(folder)
        self.python = folder / ".venv" / start.BIN.name / Path(start.PYTHON).name
        commands = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        self.env = {**os.environ, "PATH": commands, "BROWSER": "true"}
        self.service = self.address = None

    def words(self, command):
        first, *rest = shlex.split(command)
        if rest[:2] == ["-m", "pip"]:
            return [BASE, "-m", "pip", "--python", str(self.python), *rest[2:]]
        return [BASE if first == "python" else str(self.python.with_name(first)), *rest]

    def run(self, command, code=0):
        """What the command prints; it must leave with `code`."""
        done = subprocess.run(
            self.words(command), cwd=self.folder, env=self.env, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    def opens(self, command):
        """The command prints an address where JupyterLab answers, lays the lessons, and ends at Ctrl-C."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        child = subprocess.Popen(self.words(command), cwd=self.folder, env=self.env, **pipes)
        said = ""
        try:
            for line in child.stdout:
                said += line
                if address := re.search(r"http://(127\.0\.0\.1|localhost):\d+/\S+", line):
                    assert urlopen(address[0], timeout=60).status == 200
                    break
            else:
                pytest.fail(f"no address:\n{said}")
        finally:
            child.send_signal(signal.SIGINT) if os.name != "nt" else child.terminate()
            said += child.communicate(timeout=60)[0]
        assert child.returncode == 0 or os.name == "nt", said
        assert "Traceback" not in said
        assert all((self.folder / "my-course" / path.relative_to(ROOT / "nbs")).exists() for path in LESSONS)

    def serves(self, command):
        """The command prints an address where a model answers; it goes on answering for the commands after it."""
        env = {**self.env, "MLCOURSE_PORT": "0"}  # 8000 may be taken here
        words = [*self.words(command), "--dir", "my-course"]
        self.service = subprocess.Popen(words, cwd=self.folder, env=env, stdout=subprocess.PIPE, text=True)
        said = ""
        for line in self.service.stdout:
            said += line
            if address := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.address = address[0]
                break
        else:
            pytest.fail(f"no address:\n{said}")
        wait(lambda: urlopen(f"{self.address}/ready", timeout=60).status == 200)

    def asks(self, command):
        """The running service keeps the contract."""
        assert "rules hold" in self.run(command.replace("http://127.0.0.1:8000", self.address))

    def plays(self, command):
        """The running service is put through some days and scored; then it stops at Ctrl-C."""
        said = self.run(command.replace("http://127.0.0.1:8000", self.address))
        assert "oracle" in said and "post-mortem" in said
        self.service.send_signal(signal.SIGINT) if os.name != "nt" else self.service.terminate()
        self.service.communicate(timeout=60)
        assert self.service.returncode == 130 or os.name == "nt"

    def tests(self, command):
        """The whole of it is what runs this test; here one test, so that it ends."""
        assert "1 passed" in self.run(f"{command} -q -k bare_import tests/test_settings.py")

    def wheel(self, command):
        self.run(command)
        (wheel,) = (self.folder / "dist").iterdir()
        assert wheel.name in README


def wait(holds, seconds=60):
    """Return when it holds; what it raises after that many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except OSError:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    made = Clone(tmp_path_factory.mktemp("readme") / "mlcourse")
    yield made
    if made.service and made.service.poll() is None:
        made.service.kill()


def says(*parts, code=0):
    """A check: the command leaves with `code` and prints all the parts."""

    def run(clone, command):
        said = clone.run(f"{command} --dir my-course" if command.startswith("mlcourse") else command, code)
        assert [part for part in parts if part not in said] == [], said

    return run


CHECKS = {
    "python start.py": Clone.opens,
    "python start.py test": Clone.tests,
    "python start.py --no-browser": Clone.opens,
    "mlcourse learn my-course": Clone.opens,
    "mlcourse status": says("frame"),
    "mlcourse check frame": says("frame-1", "to do", code=1),
    "mlcourse reset frame-1": says("frame-1"),
    "mlcourse run": says("Net savings", "report.html"),
    "mlcourse serve": Clone.serves,
    "mlcourse check-service http://127.0.0.1:8000": Clone.asks,
    "mlcourse simulate --url http://127.0.0.1:8000 --days 3": Clone.plays,
    "mlcourse update": says(),
    "mlcourse doctor": says(),
    "python -m pip wheel --no-deps --wheel-dir dist .": Clone.wheel,
    "python -m pip install dist/mlcourse-0.1.0-py3-none-any.whl": says(),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_command(clone, command):
    assert command in CHECKS, "the README names a command that no test runs"
    CHECKS[command](clone, command)


def test_no_check_without_its_command():
    assert set(COMMANDS) == set(CHECKS)


def test_first_screen_says_what_how_and_where():
    """What you will be able to do, the two commands and the map, before any detail and in one screen."""
    screen = README.split("\n---\n")[0]
    assert len(screen.splitlines()) <= 45
    places = [
        screen.index(part)
        for part in ("You will be able to", "python start.py\n", "start.py test", "## The map")
    ]
    assert places == sorted(places)


def test_map_is_that_of_the_tree():
    rows = re.findall(r"^\| (\d \w+) \| (.*) \|$", README, re.M)
    named = [
        (stage, *found) for stage, row in rows for found in re.findall(r"(\*\*|)(\d\d[a-z]?) (\w+)", row)
    ]
    assert [number for _, _, number, _ in named if number.isdigit()] == [f"{n:02}" for n in range(1, 29)]
    opened = {
        f"{stage.replace(' ', '_')}/{number}_{name}.ipynb" for stage, bold, number, name in named if bold
    }
    assert opened == {path.relative_to(ROOT / "nbs").as_posix() for path in LESSONS}


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_link_leads_somewhere(target):
    assert (ROOT / target).exists()
