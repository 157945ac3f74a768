"""The `mlcourse` command when it is stopped at any moment, may not write, or has no room left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import made_course
import psutil
import pytest

import mlcourse
from mlcourse import folder
from mlcourse.cli import main

STOPPED = "Stopped. Nothing is lost: run the same command again."
SLOW = """import os
replace, laid = os.replace, []
os.replace = lambda *a: (laid.append(a), print('laying', flush=True), len(laid) == {} and time.sleep(60), replace(*a))"""
posix = pytest.mark.skipif(os.name == "nt", reason="Windows cannot send Ctrl-C to one process alone")


@pytest.fixture
def home(tmp_path, monkeypatch):
    made_course.make(tmp_path / "home")
    monkeypatch.setattr(mlcourse, "__file__", str(tmp_path / "home" / "mlcourse" / "__init__.py"))
    return tmp_path / "home"


@pytest.fixture
def mine(home, tmp_path):
    folder.lay(tmp_path / "mine")
    return tmp_path / "mine"


def finish(process, code=0):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code and "Traceback" not in err, err
    return out + err


def stop(process, code=130):
    process.send_signal(signal.SIGINT)
    said = finish(process, code)
    wait(lambda: not family(process.pid))
    return said


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def family(group):
    """Every process that was started below ours; a kernel notices its parent's end within a second."""
    return [
        p for p in psutil.process_iter(["environ"]) if (p.info["environ"] or {}).get("MADE_BY") == str(group)
    ]


def lay_all(mine):
    folder.lay(mine)
    assert all(json.loads((mine / n).read_text())["cells"] for n in made_course.LESSONS)
    assert not list(mine.rglob("*.part"))


MARK = "import os; os.environ['MADE_BY'] = str(os.getpid())"


@posix
@pytest.mark.parametrize("laid", [1, 4])
def test_ctrl_c_while_learn_copies(home, tmp_path, laid):
    process = made_course.start(home, "learn", "mine", "--no-start", before=SLOW.format(laid), cwd=tmp_path)
    for _ in range(laid):
        process.stdout.readline()
    assert STOPPED in stop(process)
    for name in made_course.LESSONS:
        assert not (tmp_path / "mine" / name).exists() or json.loads((tmp_path / "mine" / name).read_text())
    assert not list((tmp_path / "mine").rglob("*.part"))
    lay_all(tmp_path / "mine")


@posix
@pytest.mark.parametrize("laid", [1, 3])
def test_ctrl_c_while_update_copies(home, mine, laid):
    touched = mine / "0_start/01_one.ipynb"
    touched.write_text(touched.read_text().replace("answer = 1", "answer = 42"))
    made_course.make(home, {name: [*cells, "new = 1"] for name, cells in made_course.LESSONS.items()})
    process = made_course.start(home, "update", "--dir", str(mine), before=SLOW.format(laid))
    for _ in range(laid):
        process.stdout.readline()
    assert STOPPED in stop(process)
    finish(made_course.start(home, "update", "--dir", str(mine)))
    assert "answer = 42" in touched.read_text() and "new = 1" not in touched.read_text()
    for name in ("index.ipynb", "0_start/01_one.new.ipynb", "1_next/02_two.ipynb"):
        assert "new = 1" in (mine / name).read_text()
    assert not list(mine.rglob("*.part")) and not list(mine.rglob("*new2*"))


@posix
@pytest.mark.parametrize("command", [["learn", "--no-start"], ["update"], ["check", "one"]])
def test_ctrl_c_from_the_first_moment_on(home, mine, command):
    processes = []
    for delay in (0.0, 0.05, 0.12, 0.25):
        processes.append(made_course.start(home, *command, cwd=mine))
        time.sleep(delay)
        processes[-1].send_signal(signal.SIGINT)
    for process in processes:
        _, err = process.communicate(timeout=120)
        if "def main() -> int:" in err:  # it came before the first line of main: that is still Python's own
            continue
        assert "Traceback" not in err, err
        assert process.returncode in (0, 130) and (STOPPED in err) == (process.returncode == 130), err


@posix
def test_ctrl_c_in_a_callback_of_python_is_not_lost(home, mine):
    lines = """import signal, weakref
from mlcourse import cli
class Lock: pass
def busy():
    lock = Lock()
    seen = weakref.ref(lock, lambda _: signal.raise_signal(signal.SIGINT))
    del lock  # as the import system does: what its callback raises is dropped
    time.sleep(60)
cli.main = busy"""
    process = made_course.start(home, "update", before=lines, cwd=mine)
    assert finish(process, 130).strip() == STOPPED


@posix
@pytest.mark.parametrize("delay", [0.2, 0.5, 1.5])
def test_ctrl_c_while_check_runs_leaves_no_kernel(home, mine, delay):
    cells = ["# One", f"open({str(mine / 'up')!r}, 'w').close()", "import time\nwhile True: time.sleep(0.1)"]
    (mine / "0_start/01_one.ipynb").write_text(made_course.notebook(*cells))
    process = made_course.start(home, "check", "one", before=MARK, cwd=mine)
    if delay == 1.5:
        wait(lambda: (mine / "up").exists())
    time.sleep(delay)
    assert STOPPED in stop(process)


@posix
def test_a_killed_check_leaves_no_kernel(home, mine):
    cells = ["# One", f"open({str(mine / 'up')!r}, 'w').close()", "import time\nwhile True: time.sleep(0.1)"]
    (mine / "0_start/01_one.ipynb").write_text(made_course.notebook(*cells))
    process = made_course.start(home, "check", "one", before=MARK, cwd=mine)
    wait(lambda: (mine / "up").exists())
    assert len(family(process.pid)) == 1
    process.kill()
    process.communicate()
    wait(lambda: not family(process.pid))


def ask(url, token="", data=None):
    request = urllib.request.Request(
        url, data=data, headers={"Authorization": f"token {token}"} if token else {}
    )
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        return answer.read().decode()


def address(process):
    text = ""
    while line := process.stdout.readline():
        text += line
        if found := re.search(r"(http://127\.0\.0\.1:\d+/)lab/tree/index\.ipynb\?token=(\w+)", text):
            return found.groups()
    raise AssertionError(process.communicate()[1])


@posix
@pytest.mark.parametrize("sign", ["SIGINT", "SIGHUP"])
def test_learn_serves_on_loopback_with_a_token_until_it_is_stopped(home, mine, sign):
    heard = (
        MARK + "; import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    )  # even if the tests run under nohup
    process = made_course.start(home, "learn", "--no-browser", before=heard, cwd=mine)
    place, token = address(process)
    if sign == "SIGINT":
        with pytest.raises(urllib.error.HTTPError):
            ask(place + "api/contents")
        assert "index.ipynb" in ask(place + "api/contents", token)
        page = ask(f"{place}lab/tree/index.ipynb?token={token}")
        assert "JupyterLab" in page
        settings = json.loads(
            ask(place + "lab/api/settings/@jupyterlab/apputils-extension:notification", token)
        )
        assert json.loads(settings["raw"]) == {"fetchNews": "false", "checkForUpdates": False}
        kernel = json.loads(ask(place + "api/kernels", token, b'{"name": "python3"}'))
        assert kernel["name"] == "python3"
    process.send_signal(getattr(signal, sign))
    said = finish(process)
    assert said.strip().splitlines()[-1] == f"JupyterLab is stopped. Your work is in {mine}."
    wait(lambda: not family(process.pid))
    with pytest.raises(OSError):  # or, if another test's server has the port by now, its refusal of our token
        ask(place + "api/contents", token)
    assert not list((mine / ".mlcourse" / "jupyter").glob("runtime-*"))


@posix
def test_a_terminal_inside_jupyterlab_finds_the_command(home, mine):
    from websockets.sync.client import connect

    (home / ".profile").write_text(f"PATH={os.defpath}\n")  # what Debian's /etc/profile does to a login shell
    env = os.environ | {"HOME": str(home), "SHELL": "/bin/sh", "PATH": os.defpath}
    process = made_course.start(home, "learn", "--no-browser", before=MARK, cwd=mine, env=env)
    place, token = address(process)
    name = json.loads(ask(place + "api/terminals", token, b"{}"))["name"]
    seen = ""
    where = f"{place.replace('http', 'ws', 1)}terminals/websocket/{name}?token={token}"
    with connect(where, proxy=None) as terminal:
        terminal.send(json.dumps(["stdin", 'echo "<$(command -v mlcourse)>"\r']))
        while not (found := re.search(r"<(/.*|)>", seen)):
            seen += str(json.loads(terminal.recv(60))[1:])
    stop(process, code=0)
    assert found[1] == os.path.join(os.path.dirname(sys.executable), "mlcourse")


@posix
def test_servers_that_start_at_once_all_get_a_port(home, tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for place in folders:
        folder.lay(place)
    started = [made_course.start(home, "learn", "--no-browser", before=MARK, cwd=place) for place in folders]
    places = [address(process) for process in started]
    assert len(set(places)) == 3
    for place, token in places:
        assert "index.ipynb" in ask(place + "api/contents", token)
    for process in started:
        stop(process, code=0)


@posix
def test_ctrl_c_while_the_server_starts(home, mine):
    for delay in (0.3, 0.8):
        process = made_course.start(home, "learn", "--no-browser", before=MARK, cwd=mine)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert "Traceback" not in err and process.returncode in (0, 130)
        wait(lambda group=process.pid: not family(group))


def test_a_taken_port_is_said(home, mine):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = made_course.start(
            home, "learn", "--no-browser", "--port", str(taken.getsockname()[1]), cwd=mine
        )
        said = finish(process, 1)
    assert "cannot be used" in said and "choose another, or leave --port out" in said


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own, for one who may mount: a folder and a way to change it."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True
        )

    if sys.platform != "linux" or os.geteuid() or mount("size=512k").returncode:
        pytest.skip("needs root on Linux and the right to mount a tmpfs")
    yield place, mount
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_full_disk_loses_nothing_and_goes_on_later(home, disk):
    place, _ = disk
    made_course.make(home, {"1_next/02_two.ipynb": ["# Two", "#" + "x" * 300_000]})
    (place / "ballast").write_bytes(b"0" * 300_000)
    said = finish(made_course.start(home, "learn", str(place / "mine"), "--no-start"), 1)
    assert "The disk is full" in said and "free some space and run the same command again" in said
    assert json.loads((place / "mine" / "index.ipynb").read_text())
    assert not (place / "mine" / "1_next/02_two.ipynb").exists() and not list(place.rglob("*.part"))
    (place / "ballast").unlink()
    lay_all(place / "mine")


def test_update_and_reset_on_a_full_disk_keep_the_old(home, disk):
    place, _ = disk
    lay_all(place / "mine")
    lesson = place / "mine/1_next/02_two.ipynb"
    before = lesson.read_bytes()
    made_course.make(home, {"1_next/02_two.ipynb": ["# Two", "#" + "x" * 600_000]})
    assert "The disk is full" in finish(made_course.start(home, "update", "--dir", str(place / "mine")), 1)
    assert lesson.read_bytes() == before
    made_course.make(home)
    lesson.write_text(lesson.read_text().replace("answer = ____", "answer = 42"))
    before = lesson.read_bytes()
    with open(place / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
        while True:
            ballast.write(b"0" * 512)
    assert "The disk is full" in finish(
        made_course.start(home, "reset", "two-1", "--dir", str(place / "mine")), 1
    )
    assert lesson.read_bytes() == before


def test_read_only_folder_is_said_and_status_still_works(home, disk, capsys):
    place, mount = disk
    lay_all(place / "mine")
    assert mount("remount,ro").returncode == 0
    made_course.make(home, {"1_next/03_three.ipynb": ["# Three", "1"]})
    there = ["--dir", str(place / "mine")]
    for command in (["learn", str(place / "mine")], ["learn", str(place / "other")], ["update", *there]):
        assert main(command) == 1
        said = capsys.readouterr().err
        assert f"No right to write {place}" in said and "choose a folder of your own" in said
    assert main(["status", *there]) == 0 and "Stage" in capsys.readouterr().out
    assert main(["check", "one", *there]) == 0 and "1 of 1 exercises passed" in capsys.readouterr().out
    assert (
        main(["reset", "one-1", *there]) == 1
        and "Progress is not saved: Read-only" in capsys.readouterr().err
    )


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="rights do not bind root")
def test_folder_without_the_right_to_write(home, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    said = finish(made_course.start(home, "learn", str(tmp_path / "locked"), "--no-start"), 1)
    assert "No right to write" in said
