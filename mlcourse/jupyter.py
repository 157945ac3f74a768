"""JupyterLab and kernels as the course runs them: this Python, one look for all plots, and a clean end on Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.request import ProxyHandler, Request, build_opener

from mlcourse.folder import Stop, read, write

# Apart from the terminal's Ctrl-C, which the server would answer with a question
APART = {"creationflags": 0x200} if os.name == "nt" else {"process_group": 0}

TAKEN = "no available port could be found"  # Jupyter's words when its free port was taken before it listened
QUIET = "config/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"


def serve(root: Path, browser: bool, port: int | None, ready: Callable[[str], None]) -> None:
    """Run JupyterLab on `root` until Ctrl-C or its own File > Shut Down; `ready` gets its address with the token.

    It has settings of its own under `.mlcourse/jupyter`, so neither it nor the learner's other Jupyter
    disturbs the other. Raises Stop if it does not start or breaks down.
    """
    _see_that_it_is_free(port)
    private = root / ".mlcourse" / "jupyter"
    private.mkdir(parents=True, exist_ok=True)
    if not (private / QUIET).exists():
        write(private / QUIET, {"fetchNews": "false", "checkForUpdates": False})
    log = private / "server.log"
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    _mind_the_window()
    with tempfile.TemporaryDirectory(prefix="runtime-", dir=private, ignore_cleanup_errors=True) as runtime:
        env = _private(root, Path(runtime), token)
        with suppress(KeyboardInterrupt):
            while words := _served(_command(root, browser, port), root, env, log, token, ready):
                if port or TAKEN not in words:
                    raise Stop(
                        f"JupyterLab stopped: {words} ({log} holds all). `mlcourse doctor` looks for the cause."
                    )


def _served(command: list[str], root: Path, env: dict, log: Path, token: str, ready: Callable) -> str:
    # Runs one server to its end; its last words if it broke down.
    with log.open("wb") as sink, _server(command, root, env, sink) as server:
        if address := _address(server, Path(env["JUPYTER_RUNTIME_DIR"]), token):
            ready(f"{address}lab/tree/index.ipynb?token={token}")
        if not (code := server.wait()):
            return ""
    last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
    return last or f"it ended with exit code {code} and said nothing"


def _see_that_it_is_free(port: int | None) -> None:
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port or 0))
        except OSError as error:
            raise Stop(
                f"Port {port} cannot be used ({error.strerror}): choose another, or leave --port out."
            ) from None


def _mind_the_window() -> None:
    # Closing the terminal's window ends the server as Ctrl-C does.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) == signal.SIG_DFL:
            signal.signal(getattr(signal, name), signal.default_int_handler)


@contextmanager
def _server(
    command: list[str], root: Path, env: dict[str, str], sink: BinaryIO
) -> Iterator[subprocess.Popen]:
    server = None
    try:
        with _undisturbed():  # or a server might live that nobody knows
            server = subprocess.Popen(command, env=env, cwd=root,
                                      stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, **APART)  # fmt: skip
        yield server
    finally:
        with _undisturbed():
            _end(server)


def around(root: Path) -> dict[str, str]:
    """The environment of every kernel: the course's matplotlibrc, and this Python before any other."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ours = {"MATPLOTLIBRC": str(root / "matplotlibrc"), "PATH": path, "JUPYTER_PREFER_ENV_PATH": "1"}
    return (
        {"OMP_WAIT_POLICY": "passive"} | os.environ | ours
    )  # threads that spin while they wait take a core each


def _private(root: Path, runtime: Path, token: str) -> dict[str, str]:
    homes = {"CONFIG": runtime.with_name("config"), "DATA": runtime.with_name("data"), "RUNTIME": runtime}
    return around(root) | {f"JUPYTER_{k}_DIR": str(v) for k, v in homes.items()} | {"JUPYTER_TOKEN": token}


def _command(root: Path, browser: bool, port: int | None) -> list[str]:
    options = {
        "ServerApp.root_dir": root,
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.open_browser": browser,
        "ServerApp.allow_root": True,  # in a container there is nobody else
        "LabApp.default_url": "/lab/tree/index.ipynb",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp.extension_manager": "readonly",
        "LabApp.expose_app_in_browser": True,  # an exercise's card leads to the next one
    }
    if os.name != "nt":  # Jupyter's own is a login shell, whose /etc/profile may set another PATH
        options["ServerApp.terminado_settings"] = {"shell_command": [os.environ.get("SHELL") or "sh"]}
    if port:
        options |= {"ServerApp.port": port, "ServerApp.port_retries": 0}
    return [sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in options.items())]


def _address(server: subprocess.Popen, runtime: Path, token: str) -> str:
    # Jupyter writes its address down before it listens there, and another server may be quicker: so we ask who it
    # is, with our token. Empty if ours ended before it answered.
    ask = build_opener(ProxyHandler({})).open
    while server.poll() is None:
        with suppress(ValueError, OSError):  # no file yet, or half of it, or no answer
            newest = max(runtime.glob("jpserver-*.json"), key=os.path.getmtime)
            address = json.loads(newest.read_text(encoding="utf-8"))["url"]
            ask(
                Request(f"{address}api/status", headers={"Authorization": f"token {token}"}), timeout=5
            ).close()
            return address
        time.sleep(0.05)
    return ""


def _end(server: subprocess.Popen | None) -> None:
    if server and server.poll() is None:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


@contextmanager
def _undisturbed() -> Iterator[None]:
    # Ctrl-C waits until the block is done.
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def code(path: Path) -> list[str]:
    """Sources of a notebook's code cells; one marked `#| eval: false`, such as a download, is left out as in a test."""
    sources = [cell["source"] for cell in read(path)["cells"] if cell["cell_type"] == "code"]
    return [x for x in sources if x.strip() and not re.search(r"^#\|\s*eval:\s*false", x, re.M)]


def execute(
    sources: list[str], root: Path, cwd: Path, seconds: int, tick: Callable[[], object] = lambda: None
) -> tuple[list, str]:
    """The cells run in a fresh kernel in `cwd`, and what stopped the run early (empty if nothing did).

    A cell that raises does not stop it. `seconds` is for each cell; `tick` is called after each. What cells print
    is dropped, because it may be endless; other outputs are kept.
    """
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    class Client(NotebookClient):
        def process_message(self, msg, cell, cell_index):
            return None if msg["msg_type"] == "stream" else super().process_message(msg, cell, cell_index)

    cells = [new_code_cell(x) for x in sources]
    client = Client(new_notebook(cells=cells), timeout=seconds, allow_errors=True, kernel_name="python3",
                    store_widget_state=False, shutdown_kernel="immediate")  # fmt: skip
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return cells, runner.run(_run(client, tick, cwd=str(cwd), env=around(root)))


async def _run(client, tick: Callable[[], object], **kernel) -> str:
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    client.create_kernel_manager()
    number = 0
    try:
        await client.async_start_new_kernel(**kernel, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await client.async_start_new_kernel_client()
        for number, cell in enumerate(client.nb.cells, 1):
            await client.async_execute_cell(cell, number - 1)
            tick()
    except CellTimeoutError:
        return f"Cell [{number}] ran longer than {client.timeout} s and was stopped; the cells after it were not run."
    except DeadKernelError:
        if asyncio.current_task().cancelling():  # nbclient takes Ctrl-C for the kernel's death
            raise asyncio.CancelledError from None
        return f"Cell [{number}] ended the kernel (is memory short?); the cells after it were not run."
    except RuntimeError as error:
        raise Stop(
            f"Python's kernel does not start ({error}): `mlcourse doctor` looks for the cause.", 2
        ) from None
    finally:
        with _undisturbed():
            await client._async_cleanup_kernel()
    return ""


def fault(cell, error) -> str:
    """Where and how an executed cell raised: its number, the line that the traceback names last, the error."""
    trace = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback))
    lines = re.findall(rf"Cell In\[{cell.execution_count}\], line (\d+)", trace)
    number = int(lines[-1]) if lines else 1
    line = cell.source.splitlines()[number - 1].strip()
    return f"Cell [{cell.execution_count}], line {number}: {line}\n    {error.ename}: {error.evalue}"
