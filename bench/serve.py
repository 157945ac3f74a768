"""What the course's service answers in a second, beside LitServe, BentoML and MLflow with the same model, and two limits.

python bench/serve.py [--seconds S] [--rounds N] [--only NAMES] [--env DIR] [--json FILE]        (needs wrk and uv)
python bench/serve.py --soak SECONDS | --kills N | --swap SECONDS | --fuzz EXAMPLES              (one long test each)

The limits: FastAPI that echoes the same request model, and a bare ASGI route that returns a constant. One worker each; the
peers score with the registry's own Model (its ONNX), so what is compared is the way there. LitServe and BentoML batch.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]
PEERS = ["litserve>=0.2.10", "bentoml>=1.4", "mlflow>=3.17,<3.18", "scikit-learn>=1.9", "skops>=0.16", "onnxruntime>=1.30",
         "pandas>=3.1", "pyarrow>=25", "pydantic>=2.12", "filelock", "setuptools"]  # fmt: skip
LOAD = """
import sys; sys.path.insert(0, {root!r})
from mlcourse.registry import Registry
model = Registry({registry!r}).load("bench")
score = lambda flights: model.score(model.encode(flights)).tolist()
"""
CODE = {
    "bare": """
import uvicorn
async def app(scope, receive, send):
    await receive()
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}})
    await send({{"type": "http.response.body", "body": b"ok"}})
uvicorn.run(app, port={port}, log_level="error", access_log=False, lifespan="off")
""",
    "echo": """
import sys; sys.path.insert(0, {root!r})
import uvicorn
from fastapi import FastAPI
from mlcourse.serve import _asked
app, Asked = FastAPI(), _asked()
@app.post("/predict")
async def predict(asked: Asked) -> Asked:
    return asked
uvicorn.run(app, port={port}, log_level="error", access_log=False)
""",
    "LitServe": LOAD
    + """
import litserve
class Api(litserve.LitAPI):
    def setup(self, device): pass
    def decode_request(self, request): return request["flight"]
    def batch(self, flights): return list(flights)
    def predict(self, flights): return score(flights)
    def unbatch(self, said): return said
    def encode_response(self, p): return {{"probability": p}}
if __name__ == "__main__":
    api = Api(max_batch_size=64, batch_timeout=0.002)
    litserve.LitServer(api, workers_per_device=1).run(port={port}, num_api_servers=1, generate_client_file=False, log_level="error")
""",
    "BentoML": LOAD
    + """
import bentoml
@bentoml.service(workers=1, traffic={{"timeout": 30}})
class Peer:
    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, flight: list[dict]) -> list[float]:
        return score(flight)
""",
    "MLflow": LOAD
    + """
import mlflow
class Peer(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return model.predict(model_input)
mlflow.models.set_model(Peer())
""",
}


def free() -> int:
    """A port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prepare(room: Path) -> dict:
    """A registry with two versions of the course's boosting, and consecutive flights as requests."""
    import pandas as pd

    from mlcourse.data import load
    from mlcourse.features import FlightFeatures
    from mlcourse.frame import label, scheduled
    from mlcourse.models import make_model
    from mlcourse.registry import Registry

    flights = load("flights").iloc[:27000]
    X, y = FlightFeatures().fit(flights).transform(flights), label(flights)
    store = Registry(room / "registry")
    for alias, trees in (("champion", 150), ("challenger", 140)):
        model = make_model("boosting", max_iter=trees).fit(X, y)
        store.promote("bench", store.save(model, "bench", example=X[:500]), alias, force="a benchmark")
    when = scheduled(flights).dt.tz_convert("America/New_York")
    rows = []
    for at in when.sort_values().index[-300:-200]:
        known = {k: v if isinstance(v, str) else float(v) for k, v in X.loc[at].items() if pd.notna(v)}
        rows.append(dict.fromkeys(X) | known)
    ours = []
    for row, at in zip(rows, when.sort_values().index[-300:-200], strict=True):
        flight = {k: v for k, v in row.items() if k not in ("hour", "minute", "weekday")}
        ours.append(
            flight
            | {
                "flight": int(flights.flight[at]),
                "scheduled": when[at].isoformat(),
                "arrival_hour": int(row["arrival_hour"]),
            }
        )
    return {"rows": rows, "ours": ours}


def prepared(room: Path) -> dict:
    """What `prepare` made, made once in each folder."""
    room.mkdir(exist_ok=True)
    for log in room.glob("*.db*"):
        log.unlink()
    if not (room / "data.json").exists():
        (room / "data.json").write_text(json.dumps(prepare(room)))
    return json.loads((room / "data.json").read_text())


def command(name: str, room: Path, env: Path | None, port: int) -> list:
    """What starts a service on a port."""
    if name.startswith("ours"):
        more = ["--power-safe"] if name == "ours, power-safe" else []
        log = room / f"{name}.db"
        return [
            sys.executable,
            "-m",
            "mlcourse",
            "serve",
            "--registry",
            room / "registry",
            "--name",
            "bench",
            "--log",
            log,
            "--port",
            str(port),
            *more,
        ]
    file = room / f"{name.lower()}_peer.py"
    file.write_text(CODE[name].format(root=str(ROOT), registry=str(room / "registry"), port=port))
    python = env / "bin" / "python" if env and name not in ("bare", "echo") else sys.executable
    if name == "BentoML":
        return [
            python,
            "-m",
            "bentoml",
            "serve",
            f"{file.stem}:Peer",
            "--port",
            str(port),
            "--working-dir",
            room,
        ]
    if name == "MLflow":
        save = f"import mlflow; mlflow.pyfunc.save_model({str(room / 'mlflow')!r}, python_model={str(file)!r}, pip_requirements=[])"
        shutil.rmtree(room / "mlflow", ignore_errors=True)
        subprocess.run([python, "-c", save], check=True, capture_output=True, cwd=room)
        return [
            python,
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            room / "mlflow",
            "-p",
            str(port),
            "--env-manager",
            "local",
            "-w",
            "1",
        ]
    return [python, file]


def body(name: str, data: dict, many: int = 1) -> tuple[str, dict]:
    """Path and JSON of a request to a service."""
    if name == "LitServe":
        return "/predict", {"flight": data["rows"][0]}
    if name == "BentoML":
        return "/predict", {"flight": data["rows"][:1]}
    if name == "MLflow":
        return "/invocations", {"dataframe_records": data["rows"][:1]}
    return "/predict", {"flights": data["ours"][:many]}


@contextmanager
def served(name: str, room: Path, env: Path | None, data: dict):
    """Port of a service that answers, ended with all its children afterwards."""
    port = free()
    with open(room / f"{name}.out", "wb") as out:
        what = dict(stdout=out, stderr=out, cwd=room, start_new_session=True)
        variables = os.environ | {
            "OMP_WAIT_POLICY": "passive",
            "PYTHONPATH": str(ROOT),
            "BENTOML_DO_NOT_TRACK": "True",
        }
        if env and name in ("LitServe", "BentoML", "MLflow"):
            variables["PATH"] = (
                f"{env / 'bin'}{os.pathsep}{variables['PATH']}"  # MLflow calls uvicorn by its name
            )
        child = subprocess.Popen(list(map(str, command(name, room, env, port))), env=variables, **what)
        try:
            ready(name, child, port, data)
            yield port, child
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                child.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def ready(name: str, child: subprocess.Popen, port: int, data: dict, seconds: float = 90) -> None:
    """Wait until a request is answered with 200."""
    path, thing = body(name, data)
    until, last = time.monotonic() + seconds, "no answer"
    while time.monotonic() < until and child.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("POST", path, json.dumps(thing), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            last = f"{answer.status}: {answer.read()[:200]!r}"
            if answer.status == 200:
                return
        except OSError as error:
            last = repr(error)
        time.sleep(0.05)
    raise RuntimeError(f"{name} does not answer ({last})")


def wrk(room: Path, port: int, path: str, thing: dict, connections: int, seconds: float) -> dict:
    """Requests a second, answers that are not 2xx, and milliseconds at 50 and 99 %."""
    (room / "body.json").write_text(json.dumps(thing))
    script = room / "post.lua"
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = io.open("{room}/body.json"):read("*a")\n'
    )
    run = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds:g}s",
        "--latency",
        "-s",
        script,
        f"http://127.0.0.1:{port}{path}",
    ]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    unit = {"us": 1e-3, "ms": 1, "s": 1e3}
    at = {p: float(v) * unit[u] for p, v, u in re.findall(r"(50|99)%\s+([\d.]+)(us|ms|s)\b", said)}
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]),
        "bad": int(bad[1]) if bad else 0,
        "p50": at["50"],
        "p99": at["99"],
    }


async def paced(
    port: int, path: str, thing: dict, rate: float, seconds: float, connections: int = 16
) -> dict:
    """Ask at a steady rate: how long answers took (ms), counted from when they were due, and how many failed."""
    content = json.dumps(thing).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    message, took, failed, began = head.encode() + content, [], 0, time.perf_counter()

    async def ask(first):
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        n = first
        while (due := began + n / rate) < began + seconds:
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            writer.write(message)
            top = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", top)[1]))
            failed += not top.startswith(b"HTTP/1.1 200")
            took.append(1e3 * (time.perf_counter() - due))
            n += connections
        writer.close()

    await asyncio.gather(*map(ask, range(connections)))
    took.sort()
    return {
        "answers": len(took),
        "failed": failed,
        "rate": len(took) / seconds,
        "p50": took[len(took) // 2],
        "p99": took[int(0.99 * len(took))],
        "max": took[-1],
    }


def measure(names: list[str], room: Path, env: Path | None, data: dict, seconds: float, rounds: int) -> dict:
    """By service and connections: the measurements; a peer that cannot start is named with its reason."""
    found: dict = {}
    for n in range(rounds):
        for name in names[:: 1 - 2 * (n % 2)]:
            print(f"round {n + 1}: {name}", file=sys.stderr, flush=True)
            try:
                with served(name, room, env, data) as (port, _):
                    path, thing = body(name, data)
                    wrk(room, port, path, thing, 16, 1)  # warm
                    for connections in (1, 16):
                        found.setdefault(f"{name} / {connections}", []).append(
                            wrk(room, port, path, thing, connections, seconds)
                        )
                    if name == "ours":
                        top = found["ours / 16"][-1]["rate"]
                        half = asyncio.run(paced(port, *body(name, data), top / 2, seconds))
                        found.setdefault("ours at half", []).append(half)
                        path, thing = body(name, data, 100)
                        for connections in (1, 16):
                            found.setdefault(f"batch of 100 / {connections}", []).append(
                                wrk(room, port, path, thing, connections, seconds)
                            )
            except (RuntimeError, subprocess.CalledProcessError) as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
    return found


def report(found: dict) -> None:
    """The table and the ratios that matter."""
    middle = {key: {k: statistics.median(m[k] for m in runs) for k in runs[0]} for key, runs in found.items()}
    print(
        "| service | connections | requests/s | of bare | p50 ms | p99 ms | not 2xx |\n|---|---|---|---|---|---|---|"
    )
    for key, m in middle.items():
        if " / " in key:
            name, connections = key.split(" / ")
            share = (
                m["rate"] / middle[f"bare / {connections}"]["rate"]
                if f"bare / {connections}" in middle
                else float("nan")
            )
            print(
                f"| {name} | {connections} | {m['rate']:.0f} | {share:.3f} | {m['p50']:.2f} | {m['p99']:.2f} | {m['bad']:.0f} |"
            )
    for connections in (16, 1):
        ours = middle[f"ours / {connections}"]["rate"]
        peers = {
            n: middle[f"{n} / {connections}"]["rate"]
            for n in ("LitServe", "BentoML", "MLflow")
            if f"{n} / {connections}" in middle
        }
        if peers:
            best = max(peers, key=peers.get)
            print(f"{connections} connections: ours is {ours / peers[best]:.1f} times the best peer, {best}")
        if f"echo / {connections}" in middle:
            print(
                f"{connections} connections: ours is {ours / middle[f'echo / {connections}']['rate']:.2f} of the echo route"
            )
        batch = 100 * middle[f"batch of 100 / {connections}"]["rate"]
        print(
            f"{connections} connections: a batch of 100 gives {batch:.0f} flights/s, {batch / ours:.1f} times singles"
        )
    half = middle["ours at half"]
    print(
        f"at half of saturation, {half['rate']:.0f}/s: p50 {half['p50']:.2f} ms, p99 {half['p99']:.2f} ms, {half['p99'] / half['p50']:.1f} times; failed {half['failed']:.0f}"
    )


def soak(room: Path, data: dict, seconds: float) -> None:
    """Half of saturation for a long time: failures, p99, and the slope of the memory."""
    import psutil

    with served("ours", room, None, data) as (port, child):
        top = wrk(room, port, *body("ours", data), 16, 5)["rate"]
        memory, began = [], time.monotonic()
        while (left := began + seconds - time.monotonic()) > 0:
            part = asyncio.run(paced(port, *body("ours", data), top / 2, min(30, left)))
            memory.append((time.monotonic() - began, psutil.Process(child.pid).memory_info().rss / 1e6))
            print(
                f"{memory[-1][0]:5.0f} s: {part['rate']:.0f}/s, failed {part['failed']}, p50 {part['p50']:.2f}, p99 {part['p99']:.2f} ms, {memory[-1][1]:.1f} MB",
                flush=True,
            )
    if len(memory) > 2:
        slope = statistics.linear_regression(*zip(*memory[1:], strict=True)).slope * 60
        print(
            f"memory slope {slope:+.3f} MB a minute after the first half minute; log {(room / 'ours.db').stat().st_size / 1e6:.0f} MB"
        )


def kills(room: Path, data: dict, times: int) -> None:
    """kill -9 under load, again and again: answered predictions that are not in the log, and seconds until ready."""
    sys.path[:0] = [str(ROOT / "tests")]
    from test_serve_faults import Load

    from mlcourse.serve import read_log

    answered, waits = {}, []
    for n in range(times):
        began = time.monotonic()
        with served("ours", room, None, data) as (port, child):
            waits.append(time.monotonic() - began)
            with Load(f"http://127.0.0.1:{port}", threads=8) as load:
                load.until(300 + 37 * n)
                child.send_signal(signal.SIGKILL)
                child.wait()
            answered |= load.answered
    missing = answered.keys() - set(read_log(room / "ours.db")[0].id)
    print(
        f"{times} times kill -9: {len(answered)} answered predictions, {len(missing)} missing; start to ready {statistics.median(waits):.2f} s, at most {max(waits):.2f} s"
    )


def swap(room: Path, data: dict, seconds: float) -> None:
    """Swap the champion under load, again and again: requests that failed, and whether the log knows who answered."""
    sys.path[:0] = [str(ROOT / "tests")]
    from served import Client
    from test_serve_faults import Load

    from mlcourse.serve import read_log

    with served("ours", room, None, data) as (port, _), Load(f"http://127.0.0.1:{port}", threads=8) as load:
        until, count = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            alias = ("challenger", "champion")[count % 2]
            assert Client(f"http://127.0.0.1:{port}").ask("POST", "/model", {"alias": alias})[0] == 200
            count += 1
            load.until(500)
        load.stop.set()
    log = read_log(room / "ours.db")[0].set_index("id").version.to_dict()
    wrong = sum(log.get(id) != version for id, version in load.answered.items())
    print(
        f"{count} swaps under load: {len(load.answered)} predictions, {len(load.failed)} failed requests, {wrong} with another version in the log"
    )


def fuzz(room: Path, data: dict, examples: int) -> None:
    """schemathesis over the OpenAPI."""
    with served("ours", room, None, data) as (port, _):
        script = ROOT / "tests" / "fuzz.py"
        done = subprocess.run(
            [sys.executable, script, f"http://127.0.0.1:{port}", str(examples)],
            capture_output=True,
            text=True,
        )
    print(
        f"{done.stdout.split()[-1]} cases, exit code {done.returncode}",
        done.stdout[-3000:] if done.returncode else "",
    )


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument(
        "--only", default="bare,echo,ours,ours, power-safe,LitServe,BentoML,MLflow".replace("ours, ", "ours+")
    )
    options.add_argument(
        "--env", type=Path, help="the peers' environment, made there if it is not; else a temporary one"
    )
    options.add_argument(
        "--room", type=Path, help="a folder for the registry and the logs, kept; else a temporary one"
    )
    options.add_argument("--json", type=Path, metavar="FILE")
    for long in ("soak", "kills", "swap", "fuzz"):
        options.add_argument(f"--{long}", type=int, metavar="N")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        room = given.room or Path(folder)
        data = prepared(room)
        for long in (soak, kills, swap, fuzz):
            if (much := getattr(given, long.__name__)) is not None:
                return long(room, data, much)
        names = [n.replace("ours+", "ours, ") for n in given.only.split(",")]
        env = given.env or room / "peers"
        if not env.exists() and {"LitServe", "BentoML", "MLflow"} & set(names):
            uv = shutil.which("uv") or Path(sys.executable).with_name("uv")
            subprocess.run([uv, "venv", "-q", "--python", sys.executable, env], check=True)
            install = [uv, "pip", "install", "-q", "--python", env / "bin" / "python", *PEERS]
            subprocess.run(install, check=True, env=os.environ | {"UV_COMPILE_BYTECODE": "1"})
        found = measure(names, room, env, data, given.seconds, given.rounds)
        report(found)
        if given.json:
            given.json.write_text(json.dumps({"measured": found, "load": os.getloadavg()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
