"""start.py, run for real on a tiny course: one small package to install, from a folder of wheels and no index."""

import ast
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

import start

POSIX = os.name != "nt"
BASE = sys._base_executable  # the Python that .venv was made from
SETTINGS = "[DEFAULT]\nversion = 0.1.0\n"
SETUP = """
from configparser import ConfigParser
from setuptools import setup
ini = ConfigParser()
ini.read("settings.ini")
setup(name="mlcourse", version=ini["DEFAULT"]["version"], py_modules=["tiny"], install_requires=["six>=1"],
      extras_require={"dev": ["six>=1"]}, entry_points={"console_scripts": ["mlcourse=tiny:main"]})
"""
TINY = "import sys, six\ndef main(): print('opened', *sys.argv[1:])\n"
STEPS = "Making .venv", "Fetching", "Installing", "Compiling"
posix = pytest.mark.skipif(not POSIX, reason="needs POSIX signals and mounts")


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """A folder with all the wheels that the tiny course needs."""
    folder = tmp_path_factory.mktemp("wheels")
    for python in (BASE, sys.executable):
        command = [python, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder)]
        run = subprocess.run(
            [*command, start.UV, "six==1.17.0", "setuptools"], capture_output=True, text=True
        )
        if run.returncode == 0:
            return folder
    pytest.skip(f"no wheels to install from: {run.stderr[-300:]}")


@pytest.fixture
def env(wheels, tmp_path):
    """Pip is told of the folder of wheels and of no index; caches are empty."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    told = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": str(wheels),
        "PIP_NO_INDEX": "1",
        "PIP_RETRIES": "0",
    }
    caches = {"PIP_CACHE_DIR": str(tmp_path / "pip"), "UV_CACHE_DIR": str(tmp_path / "uv")}
    return {**kept, **told, **caches, "PYTHONDONTWRITEBYTECODE": "1", "PIP_USER": "1"}


def lay(folder, space="0, 0"):
    """A tiny course; `space` replaces the GB that start.py asks for, without and with what the tests need."""
    folder.mkdir(parents=True, exist_ok=True)
    source = (ROOT / "start.py").read_text(encoding="utf-8")
    assert "SPACE = 1.4, 2.0" in source
    source = source.replace("SPACE = 1.4, 2.0", f"SPACE = {space}")
    (folder / "start.py").write_text(source, encoding="utf-8")
    (folder / "pyproject.toml").write_text('[build-system]\nrequires = ["setuptools"]\n')
    (folder / "constraints.txt").write_text("six==1.17.0\n")
    for name, text in {"settings.ini": SETTINGS, "setup.py": SETUP, "tiny.py": TINY}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def course(tmp_path):
    return lay(tmp_path / "a course")


def launch(course, env, *args, python=BASE):
    command = [python, str(course / "start.py"), *args]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=course, env=env, text=True, start_new_session=POSIX, **pipes)


def run(course, env, *args, python=BASE):
    """Exit code and all that was printed."""
    child = launch(course, env, *args, python=python)
    said = child.communicate(timeout=120)[0]
    assert "Traceback" not in said, said
    return child.returncode, said


def words(message, course, space="0, 0"):
    """The message as start.py in `course` prints it."""
    setup, test = space.split(", ")
    message = message.replace(str(ROOT), str(course))
    return message.replace("1.4 GB", f"{setup} GB").replace("2.0 GB", f"{test} GB")


def test_sets_up_opens_and_then_has_nothing_to_do(course, env):
    code, said = run(course, env, "--no-browser", "mine")
    assert (code, said.splitlines()[-1]) == (0, "opened learn --no-browser mine")
    assert all(title in said for title in STEPS)
    assert list(course.glob(".venv/**/six.*.pyc")), "no bytecode, though PYTHONDONTWRITEBYTECODE was set"
    stamp = (course / ".venv" / "course.stamp").stat().st_mtime_ns
    assert run(course, env) == (0, f"opened learn {course / 'my-course'}\n")
    assert (course / ".venv" / "course.stamp").stat().st_mtime_ns == stamp


def test_a_package_that_is_gone_is_mended(course, env):
    assert run(course, env, "setup")[0] == 0
    (six,) = course.glob(".venv/**/six.py")
    six.unlink()
    code, said = run(course, env, "x")
    assert (code, said.splitlines()[-1]) == (0, "opened learn x") and "Making" in said


def test_test_installs_what_tests_need_once_and_hands_arguments_to_pytest(course, env):
    (course / "pytest.py").write_text("import sys; print('tested', *sys.argv[1:]); sys.exit(3)")
    code, said = run(course, env, "test", "-k", "frame")
    assert (code, said.splitlines()[-1]) == (3, "tested -k frame")
    assert "what its tests need" in said
    assert run(course, env, "setup") == (0, ""), "what the tests need includes what the course needs"


def test_without_pip_in_this_python(course, env):
    """A Python without pip (here: that of an environment) unpacks one by ensurepip."""
    bare = course.parent / "bare"
    subprocess.run([BASE, "-m", "venv", "--without-pip", bare], check=True)
    code, said = run(course, env, "setup", python=str(bare / start.BIN.name / Path(start.PYTHON).name))
    assert code == 0 and "Unpacking pip" in said, said


def test_new_settings_are_installed_in_place(course, env):
    run(course, env, "setup")
    ours = course / ".venv" / "ours.txt"
    ours.write_text("kept")
    (course / "settings.ini").write_text(SETTINGS.replace("0.1.0", "0.2.0"))
    code, said = run(course, env, "setup")
    assert code == 0 and "Installing" in said and "Making" not in said and ours.exists()
    assert list(course.glob(".venv/**/mlcourse-0.2.0.dist-info"))
    if POSIX:  # a uv that fails leaves it to pip
        (course / ".venv" / "bin" / "uv").write_text("#!/bin/sh\necho it broke >&2\nexit 1\n")
        (course / "settings.ini").write_text(SETTINGS.replace("0.1.0", "0.3.0"))
        code, said = run(course, env, "setup")
        assert code == 0 and "installing with pip" in said, said
        assert list(course.glob(".venv/**/mlcourse-0.3.0.dist-info"))


def test_moved_folder_is_set_up_anew(course, env):
    run(course, env, "setup")
    moved = course.rename(course.parent / "a cours")
    code, said = run(moved, env, "x")
    assert (code, said.splitlines()[-1]) == (0, "opened learn x")
    assert "Making" in said


def interrupt(course, env, title, how):
    """Start it, stop it `how` when it reaches the step `title`: exit code and the rest of what it said."""
    child = launch(course, env, "setup")
    for line in child.stdout:
        if title in line:
            break
    else:
        pytest.fail(f"never came to {title}")
    how(child.pid)
    said = child.communicate(timeout=60)[0]
    return child.returncode, said


def for_all(pid):
    os.killpg(pid, signal.SIGINT)  # as the terminal does


def for_it_alone(pid):
    os.kill(pid, signal.SIGINT)


def kill(pid):
    os.kill(pid, signal.SIGKILL)


@posix
def test_goes_on_after_an_interruption(course, env):
    signals = [for_all, for_all, for_it_alone, kill, for_all, for_it_alone]
    for title, how in zip((*STEPS[:3], *STEPS[2:], STEPS[3]), signals, strict=True):
        code, said = interrupt(course, env, title, how)
        assert "Traceback" not in said, said
        if how is kill:
            assert code == -signal.SIGKILL
        else:
            assert code == 130
            assert said.strip().splitlines() == ["Stopped. Run the same command again: it goes on from here."]
    code, said = run(course, env, "x")
    assert (code, said.splitlines()[-1]) == (0, "opened learn x")
    (course / "settings.ini").write_text(SETTINGS.replace("0.1.0", "0.2.0"))
    assert interrupt(course, env, "Installing", for_all)[0] == 130
    assert "Making" in run(course, env, "setup")[1], "what was half installed is made anew"


def test_two_at_once(course, env):
    pair = [launch(course, env, "mine"), launch(course, env, "mine")]
    said = [child.communicate(timeout=120)[0] for child in pair]
    assert [child.returncode for child in pair] == [0, 0], said
    assert [text.splitlines()[-1] for text in said] == ["opened learn mine"] * 2
    assert sum("Installing" in text for text in said) == 1
    assert sum("Waiting for another" in text for text in said) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 30 MB; its `mount` changes options."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(options):
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)]
        return subprocess.run(command, capture_output=True, text=True)

    if not POSIX or not shutil.which("mount") or (failed := mount("size=30m")).returncode:
        pytest.skip("no small disk can be mounted here" + (f": {failed.stderr}" if POSIX else ""))
    disk_mount = type("Disk", (), {"path": disk, "mount": staticmethod(mount)})
    yield disk_mount
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("command, space", [("setup", "1.4, 2.0"), ("test", "0, 2.0")])
def test_too_small_a_disk_is_refused_at_once(small_disk, env, command, space):
    course = lay(small_disk.path / "course", space)
    code, said = run(course, env, command)
    assert code == 1 and said.strip() == words(start.FULL, course, space)


def test_disk_that_fills_up(small_disk, env):
    course = lay(small_disk.path / "course")
    code, said = run(course, env, "setup")
    assert code == 1 and said.endswith(words(start.FULL, course) + "\n"), said
    assert small_disk.mount("remount,size=500m").returncode == 0
    code, said = run(course, env, "x")
    assert (code, said.splitlines()[-1]) == (0, "opened learn x")


def test_read_only_folder(request, tmp_path, env):
    if POSIX and os.geteuid() == 0:  # whom permissions do not stop
        disk = request.getfixturevalue("small_disk")
        course = lay(disk.path / "course")
        assert disk.mount("remount,ro").returncode == 0
    elif POSIX:
        course = lay(tmp_path / "course")
        course.chmod(0o555)
    else:
        pytest.skip("Windows has no read-only folders")
    code, said = run(course, env, "setup")
    course.chmod(0o755) if os.geteuid() else None
    assert code == 1 and said.strip() == words(start.SHUT, course)


def test_unreachable_index(course, env):
    closed = {**env, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""}
    code, said = run(course, closed, "setup")
    assert code == 1 and said.endswith(start.AWAY + "\n"), said


def test_index_lost_after_uv_arrived(course, env, tmp_path, wheels):
    some = tmp_path / "some"
    some.mkdir()
    for wheel in wheels.glob("uv-*"):
        shutil.copy(wheel, some)
    lost = {
        **env,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_NO_INDEX": "0",
        "PIP_FIND_LINKS": str(some),
    }
    code, said = run(course, lost, "setup")
    assert code == 1 and said.endswith(start.AWAY + "\n"), said


def old_pythons():
    names = [shutil.which(f"python3.{minor}") for minor in range(6, 11)]
    kept = Path.home().glob(".pyenv/versions/3.*/bin/python3")
    found = [str(path) for path in kept if 6 <= int(path.parents[1].name.split(".")[1]) < 11]
    return [path for path in names if path and "shims" not in path] + sorted(found)


@pytest.mark.parametrize(
    "python", old_pythons() or [pytest.param("", marks=pytest.mark.skip(reason="no old Python here"))]
)
def test_old_python(course, env, python):
    code, said = run(course, env, python=python)
    assert code == 1 and said.startswith("Python is too old: this is 3."), said
    assert said.count("\n") == 1 and not (course / ".venv").exists()


def test_old_python_simulated(course, env):
    text = "import sys, runpy; sys.version_info = (3, 8, 0); sys.argv = ['start.py']\n"
    text += "runpy.run_path('start.py', run_name='__main__')"
    done = subprocess.run([BASE, "-c", text], cwd=course, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Python is too old: this is 3.8, the course needs 3.11. ")


def test_old_parsers_can_read_it():
    ast.parse((ROOT / "start.py").read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("args", [["--wrong"], ["one", "two"], ["setup", "x"], ["--help"]])
def test_wrong_arguments_install_nothing(course, env, args):
    code, said = run(course, env, *args)
    assert code == 1 and said.strip() == start.__doc__.strip() and not (course / ".venv").exists()


def test_indexes_are_handed_over_as_pip_ranks_them():
    listing = """global.extra-index-url='file:///one file:///two'
global.index-url='file:///ignored'
install.index-url='file:///main'
install.trusted-host='inner'
:env:.find-links='a b'
global.find-links='ignored'
:env:.no-index='1'
global.cert='/elsewhere'
"""
    assert start.indexes(listing) == [
        "--no-index",
        "--index-url=file:///main",
        "--extra-index-url=file:///one",
        "--extra-index-url=file:///two",
        "--find-links=a",
        "--find-links=b",
        "--allow-insecure-host=inner",
    ]
    assert start.indexes("") == []


@pytest.mark.parametrize(
    "output, advice",
    [
        ("OSError: [Errno 28] No space left on device", start.FULL),
        ("error: failed to write: There is not enough space on the disk. (os error 112)", start.FULL),
        ("PermissionError: [Errno 13] Permission denied: '/x'", start.SHUT),
        ("[WinError 5] Access is denied", start.SHUT),
        ("/usr/bin/python3: No module named ensurepip", start.BARE),
        ("error: Failed to fetch: `http://x/`\n  Caused by: dns error", start.AWAY),
        ("WARNING: Retrying: NewConnectionError: [Errno 111] Connection refused", start.AWAY),
        (
            "Resolved 3 packages\nerror: a wheel is broken",
            "This step failed:\nResolved 3 packages\nerror: a wheel is broken",
        ),
    ],
)
def test_advice(output, advice):
    assert start.advice(output) == advice
