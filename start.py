"""Set the course up, then open it. Needs Python 3.11 or newer, and nothing else.

python start.py [--no-browser] [DIR]   open the course in JupyterLab; your work is kept in DIR (my-course)
python start.py test [ARGUMENTS]       run all tests; the arguments go to pytest
python start.py setup                  only set up
"""

import signal
import sys


def stop(*_):
    """Leave at Ctrl-C with one line, wherever we are."""
    sys.stderr.write("\nStopped. Run the same command again: it goes on from here.\n")
    sys.exit(130)


if __name__ == "__main__":  # before the imports below, which take long enough for a Ctrl-C
    signal.signal(signal.SIGINT, stop)

import ast
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

OLDEST = (3, 11)
UV = "uv==0.13.9"
SPACE = 1.4, 2.0  # GB: .venv, and .venv with what the tests need; some to spare
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = str(BIN / ("python.exe" if os.name == "nt" else "python"))
STAMP = VENV / "course.stamp"  # folder, digest, extras and packages installed; empty while that goes on
WANTED = "settings.ini", "constraints.txt", "setup.py", "pyproject.toml"  # what an installation depends on
BEGAN = time.monotonic()

FULL = f"""The disk is full. The course needs {SPACE[0]} GB in {ROOT}
With what its tests need it is {SPACE[1]} GB.
Make room, then run the same command again."""
SHUT = f"""Nothing can be written to {ROOT}
Move the course to a folder of your own, or get the right to write there; then run the same command again."""
BARE = """This Python comes without pip and ensurepip, so it can install nothing.
On Debian or Ubuntu run: sudo apt install python3-venv
Elsewhere install Python anew, with pip. Then run the same command again."""
AWAY = """The package index cannot be reached.
Look at the network and its proxy, then run the same command again: what has arrived is kept.
Behind a company's mirror name it first: python -m pip config set global.index-url ADDRESS"""
SIGNS = {  # what an installer writes -> what a learner reads
    r"no space left|(os error|errno) (28|112)\b|quota|not enough space": FULL,
    r"read-only file|permission denied|access is denied": SHUT,
    r"no module named '?(ensurepip|venv)|ensurepip is (not available|disabled)": BARE,
    r"failed to fetch|error sending|connect|could not resolve|name resolution|dns error|timed out|versions: none": AWAY,
}

# Bytecode at install, or first imports take three times as long; that of the packages' own tests nobody needs.
COMPILE = """
import os, pathlib, subprocess, sys, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
files = [str(f) for f in site.rglob("*.py") if not {"test", "tests"} & set(f.relative_to(site).parts)]
def compiler(part):
    command = [sys.executable, "-m", "compileall", "-q", "-i", "-"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False)
    child.stdin.write("\\n".join(part).encode())
    child.stdin.close()
    return child
jobs = os.cpu_count() or 1
for child in [compiler(files[job::jobs]) for job in range(jobs)]:
    child.wait()
"""


class Trouble(Exception):
    """What is wrong and what to do, in words for the learner."""


def too_old():
    """What to do about a Python that is too old."""
    call, mute = subprocess.call, subprocess.DEVNULL
    names = [name for name in ("python3.13", "python3.12", "python3.11") if shutil.which(name)]
    newer = [name for name in names if call([name, "-c", ""], stdout=mute, stderr=mute) == 0]
    todo = (
        "There is a newer one here: %s start.py" % newer[0] if newer else "Install a newer one, and use that."
    )
    return "Python is too old: this is %d.%d, the course needs %d.%d. %s" % (
        *sys.version_info[:2],
        *OLDEST,
        todo,
    )


def advice(output):
    """Plain words for a failed step, from what it wrote."""
    if shutil.disk_usage(str(ROOT)).free < 20e6:
        return FULL
    known = [words for sign, words in SIGNS.items() if re.search(sign, output, re.IGNORECASE)]
    return known[0] if known else "This step failed:\n" + "\n".join(output.splitlines()[-15:])


def show(text, end="\n"):
    back = "\r" if sys.stdout.isatty() else ""
    print(back + "[%3d s] %s" % (time.monotonic() - BEGAN, text), end=end, flush=True)


def step(title, *command, **env):
    """Run `command` under its title and the clock; a failure becomes a Trouble."""
    live = sys.stdout.isatty()
    show(title, end="" if live else "\n")
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        env, out = {**os.environ, **env}, {"stdout": log, "stderr": log}
        pressed = []  # Ctrl-C is noted and waits: raised inside poll(), it may leave Popen locked for ever
        before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
        try:
            # close_fds=False: the child holds the lock too, so a killed start.py's child is waited for
            child = subprocess.Popen(command, cwd=str(ROOT), env=env, close_fds=False, **out)
            try:
                while child.poll() is None and not pressed:
                    time.sleep(0.05)
                    if live:
                        show(title, end="")
            finally:
                if child.poll() is None:
                    child.terminate()
                child.wait()
        finally:
            signal.signal(signal.SIGINT, before)
        if pressed:
            stop()
        if live:
            print()
        if child.returncode:
            log.seek(0)
            raise Trouble(advice(log.read()))


def lock():
    """The open lock file: one start.py at a time sets up, others wait for it."""
    file = (VENV / "course.lock").open("a")
    os.set_inheritable(file.fileno(), True)
    told = False
    while True:
        try:
            if os.name == "nt":
                importlib.import_module("msvcrt").locking(file.fileno(), 2, 1)  # 2: LK_NBLCK
            else:
                importlib.import_module("fcntl").flock(file, 6)  # 6: LOCK_EX | LOCK_NB
            return file
        except (BlockingIOError, PermissionError):
            told = told or show("Waiting for another start.py to finish") or True
            time.sleep(0.2)


def runs():
    """Whether .venv has a Python that runs and is new enough."""
    try:
        return not subprocess.call([PYTHON, "-c", f"import sys; sys.exit(sys.version_info < {OLDEST})"])
    except OSError:
        return False


def names():
    """The packages that lie in .venv, whatever their versions."""
    found = [file for place in ("lib/*", "Lib") for file in VENV.glob(place + "/site-packages/*")]
    return {file.name for file in found if file.suffix not in (".dist-info", ".pth")} - {"__pycache__"}


def pip():
    """The pip that installs into .venv: this Python's own, or else one unpacked there."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--python", PYTHON]
    step("Unpacking pip", PYTHON, "-m", "ensurepip")
    return [PYTHON, "-m", "pip"]


def indexes(listing):
    """uv's options for the indexes in `pip config list`, which uv does not read."""
    found = {}
    for level in "global", "install", ":env:":
        for name, value in re.findall(rf"^{level}\.([\w-]+)=(.*\S)", listing, re.MULTILINE):
            found[name] = ast.literal_eval(value).split()
    words = {name: name for name in ("index-url", "extra-index-url", "find-links")}
    words["trusted-host"] = "allow-insecure-host"
    alone = ["--no-index"] * (found.get("no-index", ["no"])[0].lower() in ("1", "true", "yes", "on"))
    return alone + [f"--{word}={value}" for name, word in words.items() for value in found.get(name, [])]


def install(dev):
    """Put the course and the tested versions of what it needs into .venv: by uv, or else by pip."""
    what = ["-c", "constraints.txt", "-e", ".[dev]" if dev else "."]
    tool, uv = pip(), BIN / Path(PYTHON).name.replace("python", "uv")
    try:
        if not uv.exists():
            step("Fetching the installer, uv", *tool, "install", UV)
        listing = subprocess.run(
            [*tool[:3], "config", "list"], stdout=subprocess.PIPE, text=True, check=False
        )
        # pip takes the best version on all indexes, uv by default one from the first that has any
        options = ["--python", PYTHON, "--index-strategy=unsafe-best-match", *indexes(listing.stdout)]
        title = "Installing the course" + (" and what its tests need" if dev else "")
        step(title, str(uv), "pip", "install", *options, *what)
        step("Compiling it, so that it starts quickly", PYTHON, "-c", COMPILE, PYTHONUTF8="1")
    except (Trouble, OSError) as trouble:
        if str(trouble) == FULL or (str(trouble) == AWAY and not uv.exists()):
            raise
        step("uv could not do it: installing with pip, which takes minutes", *tool, "install", *what)


def setup(dev):
    """Make .venv, or bring it up to date; quick when there is nothing to do."""
    VENV.mkdir(exist_ok=True)
    with lock():
        told = b"\0".join((ROOT / name).read_bytes() for name in WANTED)
        done = [str(ROOT), hashlib.sha256(told).hexdigest()]
        have = STAMP.read_text(encoding="utf-8").split("\n") if STAMP.exists() else [str(ROOT)]
        had = have[2:3] == ["dev"]
        whole = have[0] == str(ROOT) and runs() and names().issuperset(have[3:])
        if whole and have[:2] == done and (had or not dev):
            return
        dev = dev or had
        if not whole:
            for old in VENV.iterdir():
                if old.name != "course.lock":
                    shutil.rmtree(str(old)) if old.is_dir() and not old.is_symlink() else old.unlink()
            if shutil.disk_usage(str(ROOT)).free < SPACE[dev] * 1e9:
                raise Trouble(FULL)
        STAMP.write_text("")
        if not whole:
            step("Making .venv", sys.executable, "-m", "venv", "--without-pip", str(VENV))
        install(dev)
        told = "\n".join([*done, "dev" if dev else "", *sorted(names())])
        STAMP.with_suffix(".new").write_text(told, encoding="utf-8")
        STAMP.with_suffix(".new").replace(STAMP)
        show("Ready")


def become(*command):
    """Run `command` in our place, and leave with its exit code."""
    if os.name != "nt":
        os.execv(command[0], command)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command
    sys.exit(subprocess.call(command))


def main(args):
    if sys.version_info < OLDEST:
        sys.exit(too_old())
    command = args.pop(0) if args[:1] in (["test"], ["setup"]) else "learn"
    flags = [arg for arg in args if arg.startswith("-")]
    if command != "test" and (set(flags) - {"--no-browser"} or len(args) > len(flags) + (command == "learn")):
        sys.exit(__doc__)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PIP_USER"] = "0"  # some machines set it to 1, which no environment takes
    try:
        setup(dev=command == "test")
    except Trouble as trouble:
        sys.exit(f"\n{trouble}")
    except OSError as error:
        sys.exit(f"\n{advice(str(error))}")
    if command == "test":
        os.chdir(str(ROOT))
        become(PYTHON, "-m", "pytest", *args)
    elif command == "learn":
        default = [] if len(args) > len(flags) else [str(ROOT / "my-course")]
        become(str(BIN / "mlcourse"), "learn", *args, *default)


if __name__ == "__main__":
    main(sys.argv[1:])
