"""Every lesson runs from top to bottom in a fresh process, without a network, and writes nothing into the tree."""

import os
import re
import shutil
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT

NOTEBOOKS = sorted(
    path
    for top in ("nbs", "projects")
    for path in (ROOT / top).rglob("*.ipynb")
    if not any(part[0] in "._" for part in path.relative_to(ROOT).parts)
)
CELL_SECONDS, MEMORY = 120, 1.5e9  # a lesson's promise is 60 s; a busy machine gets more
BLOCKED = "the network is blocked while a notebook runs"

# Laid first on the path of every process a notebook starts. An audit hook cannot be taken back.
SITECUSTOMIZE = f'''
import sys

def block(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        host = args[1][0] if isinstance(args[1], tuple) else None  # None: a socket file, not a network
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host and not (host in ("localhost", "::1", "0.0.0.0") or host.startswith("127.")):
        raise OSError(f"{BLOCKED}: {{host}}")

sys.addaudithook(block)
'''

# Run in a network namespace of its own, where only the loopback exists: it has to be switched on.
LOOPBACK = """
import fcntl, os, socket, struct, sys
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8914, struct.pack("16sh22x", b"lo", 0x41))
os.execvp(sys.argv[1], sys.argv[1:])
"""

# A process counts its parent's memory as its own until it has begun: so a small one stands between, and reads the meter.
METER = """
import subprocess, sys
code = subprocess.call(sys.argv[2:])
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
except ImportError:
    peak = 0
open(sys.argv[1], "w").write(str(peak))
sys.exit(code)
"""


@cache
def namespace():
    """Command that starts another one without any network; empty where the system has or allows none."""
    for unshare in (["unshare", "-n"], ["unshare", "-rn"]):
        command = [*unshare, sys.executable, "-c", LOOPBACK]
        try:
            if subprocess.run([*command, "true"], capture_output=True, timeout=30).returncode == 0:
                return command
        except (OSError, subprocess.TimeoutExpired):
            pass
    return []


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A copy of what the notebooks need, so that the tree itself stays untouched."""
    copy = tmp_path_factory.mktemp("tree")
    for name in ("settings.ini", "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "_proc")
    for name in ("nbs", "projects", "mlcourse", "deploy"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    (copy / "no_network").mkdir()
    (copy / "no_network" / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return copy


def alone(command, tree):
    """Run a command without a network; its exit code, what it wrote, seconds, and bytes of memory at its peak."""
    env = {k: v for k, v in os.environ.items() if k != "IN_TEST"}
    env |= {
        "MPLBACKEND": "Agg",
        "MATPLOTLIBRC": str(tree / "nbs" / "matplotlibrc"),
        "IPYTHONDIR": str(tree / "ip"),
    }
    env |= {"PYTHONPATH": str(tree / "no_network"), "PYTHONIOENCODING": "utf-8"}
    start, log, peak = time.monotonic(), tree / "log.txt", tree / "peak.txt"
    with open(log, "wb") as out:
        meter = [sys.executable, "-c", METER, str(peak), *namespace(), *command]
        code = subprocess.run(meter, cwd=tree, env=env, stdout=out, stderr=out).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    return code, text, time.monotonic() - start, int(peak.read_text())


def run(path, tree):
    """Text that explains why a notebook fails, empty if it runs; then seconds and bytes."""
    tool = Path(sys.executable).with_name("nbdev-test")
    command = [str(tool), str(path), "--cell-timeout", str(CELL_SECONDS)]
    code, log, seconds, memory = alone(command, tree)
    return explain(path, log) if code else "", seconds, memory


def explain(path, log):
    """The failing cell's number and source, and the frames of the traceback that begin in the notebook."""
    name = path.parent.name + "/" + path.name
    found = re.search(r"While Executing Cell #(\d+)", log)
    if not found:
        return f"{name}\n{log[-3000:]}"
    number = int(found[1])
    source = nbformat.read(path, 4).cells[number - 1].source
    frames = re.split(r'(?=^ *File "<ipython-input)', log, maxsplit=1, flags=re.M)[-1]
    frames = frames.split("\nnbdev Tests Failed")[0].rstrip()
    return f"{name}, cell {number}:\n\n" + re.sub(r"(?m)^", "    ", source) + f"\n\n{frames[-4000:]}"


def test_there_are_notebooks():
    assert any(path.name == "index.ipynb" for path in NOTEBOOKS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[p.relative_to(ROOT).as_posix() for p in NOTEBOOKS])
def test_notebook(path, tree, record_property):
    failure, seconds, memory = run(tree / path.relative_to(ROOT), tree)
    record_property("seconds", round(seconds, 1))
    if failure:
        pytest.fail(failure, pytrace=False)
    assert memory <= MEMORY, f"{path.name} took {memory / 1e9:.2f} GB"


def test_tree_is_untouched(tree):
    """Running changed none of the copies: a lesson that writes beside itself would litter a learner's folder."""
    changed = [p for p in NOTEBOOKS if (tree / p.relative_to(ROOT)).read_bytes() != p.read_bytes()]
    assert not changed
    files = {p.relative_to(tree / "nbs").as_posix() for p in (tree / "nbs").rglob("*") if p.is_file()}
    ours = {p.relative_to(ROOT / "nbs").as_posix() for p in (ROOT / "nbs").rglob("*") if p.is_file()}
    assert not files - ours, "written while the notebooks ran"


def plant(tree, name, *sources):
    """A small notebook of code cells, beside the others of the copy."""
    path = tree / name
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources]), path)
    return path


def test_failure_names_cell_and_source(tree):
    path = plant(
        tree, "planted.ipynb", "x = 1", "def half(n):\n    return n / 0", "y = 2\nhalf(y)", "print('no')"
    )
    failure, *_ = run(path, tree)
    assert "planted.ipynb, cell 3:\n\n    y = 2\n    half(y)" in failure
    assert "ZeroDivisionError" in failure and "return n / 0" in failure
    assert "print('no')" not in failure and "execnb" not in failure and "nbdev" not in failure


def test_a_passing_notebook_passes(tree):
    assert run(plant(tree, "fine.ipynb", "x = 1", "assert x"), tree)[0] == ""


def test_memory_is_the_notebooks_own(tree):
    mine = bytearray(b"x") * 700_000_000
    *_, memory = run(plant(tree, "large.ipynb", "x = bytearray(b'x') * 300_000_000"), tree)
    assert len(mine) > 600_000_000 > memory > 300_000_000 or os.name == "nt"


def test_a_notebook_that_fetches_fails(tree):
    path = plant(
        tree,
        "fetch.ipynb",
        "import urllib.request",
        "urllib.request.urlopen('http://192.0.2.1/x', timeout=3)",
    )
    failure, *_ = run(path, tree)
    assert "fetch.ipynb, cell 2" in failure and BLOCKED in failure


LOCAL = """
import socket
server = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(server.getsockname(), timeout=5)
client.sendall(b"hello")
assert server.accept()[0].recv(5) == b"hello"
socket.getaddrinfo("localhost", 80)
print("local works")
"""


@pytest.mark.parametrize("address", ["('192.0.2.1', 80)", "('example.org', 443)", "('2001:db8::1', 80)"])
def test_the_hook_blocks(tree, address):
    code, log, *_ = alone(
        [sys.executable, "-c", f"import socket; socket.create_connection({address}, 3)"], tree
    )
    assert code and BLOCKED in log


def test_loopback_stays_open(tree):
    code, log, *_ = alone([sys.executable, "-c", LOCAL], tree)
    assert code == 0 and "local works" in log, log


@pytest.mark.skipif(not namespace(), reason="no network namespaces here; the audit hook blocks alone")
def test_the_namespace_blocks_what_the_hook_cannot_see(tree):
    """-I leaves the hook out, as a library in C would."""
    ask = "import socket; print(*(name for _, name in socket.if_nameindex()), flush=True); s = socket.socket(); s.settimeout(3); "
    code, log, *_ = alone([sys.executable, "-I", "-c", ask + "s.connect(('192.0.2.1', 80))"], tree)
    assert code and "unreachable" in log.lower() and BLOCKED not in log
    interfaces = log.splitlines()[0].split()
    assert "lo" in interfaces and not any(name.startswith(("eth", "en", "wl")) for name in interfaces)
