"""What any HTTP service needs and no lesson should repeat: limits, a key, documentation, metrics, a start and a clean stop."""

# It knows nothing of flights and imports nothing of the course. POST routes are answered here, straight from the body's
# bytes, as that costs a third of what FastAPI needs; FastAPI answers what is read, and writes the documentation of all.

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, create_model

BODY = 2_000_000  # bytes that a body may have
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 10)
JSON = {b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"}
CLOSE = [(b"connection", b"close")]
MORE = {408: CLOSE, 413: CLOSE, 503: [(b"retry-after", b"1")]}
WHY = {
    401: "The API key is missing or wrong.", 408: "The body did not arrive in time.", 409: "The model was not taken.",
    413: "The body is too large.", 415: "The body is not said to be JSON.", 422: "The body breaks the schema.",
    500: "A fault of the service: its output says where.",
    503: "The log cannot be written, the model fails, or too much waits. Nothing was kept: try again.",
}  # fmt: skip
ALONE = {  # the pages talk to nobody else, and nobody may put them in a frame
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
}


class Problem(Exception):
    """An answer that is not 200: the status, and what to tell the caller."""

    def __init__(self, status: int, detail: str):
        super().__init__(detail)
        self.status, self.detail = status, detail


def say(event: str, **facts: Any) -> None:
    """Write one line of JSON to standard output: a moment, what happened, and facts. Never who asked, or what for."""
    line = json.dumps({"at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", "event": event, **facts})
    with contextlib.suppress(OSError, ValueError):  # a closed pipe stops no answer
        print(line, flush=True)


def place(error: Exception) -> str:
    """The type of an error and the line that raised it, without its text: that may hold what was asked."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}"


def faults(error: ValidationError) -> list[dict] | str:
    """What pydantic found, place by place, without the input; above 100 faults their number alone."""
    if error.error_count() > 100:
        return f"{error.error_count()} faults: send the fields that /docs names, with their types"
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{"loc": list(f["loc"]), "msg": _plain(f), "type": f["type"]} for f in found]


def _plain(fault: dict) -> str:
    # A pattern is for machines; people are told what it wants.
    if fault["type"] == "string_pattern_mismatch" and fault["loc"][-1] == "scheduled":
        return "must be a departure to the minute with its zone, 1980 to 2099, such as 2013-07-01T18:45-04:00"
    return fault["msg"]


class Fault(BaseModel):
    """A place in the body, and what is wrong there."""

    loc: list[str | int]
    msg: str
    type: str


class Refused(BaseModel):
    """Why there is no answer."""

    detail: list[Fault] | str


def words(title: str, **fields: Any) -> type[BaseModel]:
    """A model of an answer, for the documentation: names with their types, or with an example."""
    kind = lambda f: Annotated[type(f), Field(examples=[f])] if isinstance(f, str | float) else f
    return create_model(title, **{name: (kind(f), ...) for name, f in fields.items()})


class Application:
    """ASGI application with limits, documentation and metrics. Add routes by `post`, `get` and `page`.

    `key`: what X-API-Key must be for every POST, None for no key. `patience`: seconds that a body may take to come in."""

    def __init__(self, title: str, about: str, key: str | None = None, patience: float = 10.0):
        from fastapi import FastAPI
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self.patience, self._key = patience, hashlib.sha256(key.encode()).digest() if key else None
        self.api = FastAPI(
            title=title, description=about, lifespan=self._lifespan, docs_url=None, redoc_url=None
        )
        self.prometheus, self._posts, self._counters = CollectorRegistry(), {}, {}
        ProcessCollector(registry=self.prometheus)
        self.requests = self.metric(Counter, "requests", "Answers by route and status", "route", "status")
        self.seconds = self.metric(
            Histogram, "request_seconds", "Seconds to answer", "route", buckets=SECONDS
        )

    def metric(self, kind: Callable, name: str, text: str, *labels: str, **more: Any) -> Any:
        """A metric of prometheus_client in this application's own registry."""
        return kind(f"mlcourse_{name}", text, labels, registry=self.prometheus, **more)

    def post(self, path: str, work: Callable[[bytes], Awaitable[bytes]], asked: type[BaseModel],
             answered: type[BaseModel], *why: int) -> None:  # fmt: skip
        """Answer POST `path` with the bytes that `work(body)` gives; its docstring, `asked`, `answered` and `why` document it."""
        from fastapi import Header

        def documented(asked, x_api_key=None): ...

        documented.__annotations__ = {"asked": asked, "x_api_key": Annotated[str | None, Header()]}
        refused = {
            code: {"model": Refused, "description": WHY[code]}
            for code in (401, 408, 413, 415, 422, 500, *why)
        }
        route = dict(
            response_model=answered, summary=work.__doc__, responses=refused, name=path[1:], methods=["POST"]
        )
        self.api.add_api_route(path, documented, **route)
        self._posts[path] = work

    def get(
        self,
        path: str,
        read: Callable,
        answered: type[BaseModel] | None,
        *why: int,
        **more: Any,
    ) -> None:
        """Answer GET `path` with what the coroutine `read()` gives, a Problem as it says; its docstring documents it."""
        from fastapi.responses import JSONResponse

        async def asked():
            try:
                return await read()
            except Problem as problem:
                return JSONResponse({"detail": problem.detail}, problem.status)

        refused = {code: {"model": Refused, "description": WHY[code]} for code in why}
        self.api.add_api_route(
            path,
            asked,
            response_model=answered,
            summary=read.__doc__,
            responses=refused,
            name=path[1:] or "home",
            **more,
        )

    def page(self, path: str, file: str, summary: str) -> None:
        """Answer GET `path` with a page of the package."""
        from fastapi.responses import HTMLResponse

        text = files("mlcourse").joinpath(file).read_text(encoding="utf-8")

        async def read():
            return HTMLResponse(text, headers=ALONE)

        read.__doc__ = summary
        self.get(path, read, None, response_class=HTMLResponse)

    def finish(self) -> None:
        """After the last route: add /metrics, and look up which methods each path has."""
        from fastapi.responses import PlainTextResponse
        from prometheus_client import generate_latest

        async def metrics():
            """For Prometheus."""
            return PlainTextResponse(generate_latest(self.prometheus), media_type="text/plain; version=0.0.4")

        self.get("/metrics", metrics, None, response_class=PlainTextResponse)
        paths = self.api.openapi()["paths"].items()
        self.methods = {path: ", ".join(sorted(verbs)).upper().encode() for path, verbs in paths}

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """Answer one request, as ASGI asks."""
        if scope["type"] == "http" and scope["method"] == "POST" and (work := self._posts.get(scope["path"])):
            await self._answer(work, scope, receive, send)
        else:
            await self._read(scope, receive, send)

    async def background(self) -> None:
        """What runs beside the answers, from the start to the stop; to be overridden."""

    def close(self) -> None:
        """What is to be done after the last answer; to be overridden."""

    @contextlib.asynccontextmanager
    async def _lifespan(self, api):
        beside = asyncio.create_task(self.background())
        yield
        beside.cancel()
        await asyncio.to_thread(self.close)

    def _count(self, route, status, seconds):
        if (found := self._counters.get((route, status))) is None:
            found = self.requests.labels(route, status), self.seconds.labels(route)
            self._counters[route, status] = found
        found[0].inc()
        found[1].observe(seconds)

    async def _body(self, scope, receive):  # if it may come in, and does so in time
        headers = dict(scope["headers"])
        if self._key and not _same(headers.get(b"x-api-key", b""), self._key):
            raise Problem(401, "X-API-Key is missing or wrong")
        if headers.get(b"content-type", b"").lower() not in JSON:
            raise Problem(415, "send JSON, with the header Content-Type: application/json")
        if int(headers.get(b"content-length", 0)) > BODY:
            raise Problem(413, f"a body has at most {BODY:,} bytes")
        body, more = b"", True
        try:
            async with asyncio.timeout(self.patience):
                while more:
                    if (message := await receive())["type"] != "http.request":
                        raise ConnectionError
                    body, more = body + message.get("body", b""), message.get("more_body", False)
                    if len(body) > BODY:
                        raise Problem(413, f"a body has at most {BODY:,} bytes")
        except TimeoutError:
            raise Problem(408, f"the body did not arrive within {self.patience:g} s") from None
        return body

    async def _answer(self, work, scope, receive, send):
        began, status = time.perf_counter(), 200
        try:
            answer = await work(await self._body(scope, receive))
        except ValidationError as error:
            status, answer = 422, json.dumps({"detail": faults(error)}).encode()
        except Problem as problem:
            status, answer = problem.status, json.dumps({"detail": problem.detail}).encode()
        except ConnectionError:  # the client has gone
            return
        except Exception as error:  # what nobody foresaw
            say("failed", route=scope["path"], error=place(error))
            status, answer = 500, b'{"detail": "a fault of the service: its output says where"}'
        seconds = time.perf_counter() - began
        self._count(scope["path"], status, seconds)
        if status != 200:
            say("refused", route=scope["path"], status=status, ms=round(1e3 * seconds, 1))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(answer)),
            *MORE.get(status, ()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _read(self, scope, receive, send):  # what FastAPI answers, counted
        if scope["type"] != "http":
            return await self.api(scope, receive, send)
        began, route = time.perf_counter(), scope["path"] if scope["path"] in self.methods else "other"

        async def counted(message):
            if message["type"] == "http.response.start":
                if message["status"] == 405:  # FastAPI tells the methods of one of its routes
                    others = [h for h in message["headers"] if h[0] != b"allow"]
                    message["headers"] = [*others, (b"allow", self.methods.get(scope["path"], b"GET"))]
                self._count(route, message["status"], time.perf_counter() - began)
            await send(message)

        await self.api(scope, receive, counted)


def _same(given: bytes, digest: bytes) -> bool:
    # As long for a nearly right key as for a wrong one.
    return hmac.compare_digest(hashlib.sha256(given).digest(), digest)


@cache
def _protocol(patience: float) -> type:
    # uvicorn's, but a connection that sends no whole head in time is closed, at its first request and at each later one
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as Protocol
    except ImportError:  # no httptools on this platform
        from uvicorn.protocols.http.h11_impl import H11Protocol as Protocol

    class Hasty(Protocol):
        watched = None  # the scope of the head that is watched

        def connection_made(self, transport):
            super().connection_made(transport)
            self._watch()

        def data_received(self, data):
            super().data_received(data)
            if self.scope is not self.watched and "path" not in self.scope:  # a head came in part
                self.watched = self.scope
                self._watch()

        def _watch(self):
            self.loop.call_later(patience, self._look, self.cycle)

        def _look(self, before):
            if self.cycle is before and (before is None or before.response_complete):
                self.transport.close()
            elif self.cycle is before:  # a request is in work: its answer comes first
                self._watch()

    return Hasty


def listen(
    app: Callable, host: str = "127.0.0.1", port: int = 8000, told: Callable = lambda address, server: None
) -> None:
    """Answer at `host` and `port` (0: a free one) until SIGTERM or Ctrl-C; what was accepted is answered first.

    `app`: any ASGI application. `told` hears the address and the server before it answers. Raises OSError for a port
    that is taken."""
    import uvicorn

    with socket.create_server(
        (host, port), backlog=2048
    ) as sock:  # bound before anything starts: the port is known
        address = f"http://{host}:{sock.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(
            app, http=_protocol(getattr(app, "patience", 10.0)), log_config=None, access_log=False, server_header=False,
            date_header=False, timeout_keep_alive=75, timeout_graceful_shutdown=30,
        ))  # fmt: skip
        with contextlib.suppress(ValueError):  # in a thread signals are somebody else's
            signal.signal(
                signal.SIGTERM, lambda *_: None
            )  # what uvicorn restores, and raises again, at its end
        told(address, server)
        say("listening", address=address)
        server.run([sock])
        say("stopped")


@contextlib.contextmanager
def running(app: Callable) -> Iterator[str]:
    """Address of an ASGI application on a free loopback port, answered by a thread until the block ends.

    Raises RuntimeError if it does not start."""
    found: list = []
    thread = threading.Thread(
        target=listen, args=[app, "127.0.0.1", 0, lambda *told: found.extend(told)], daemon=True
    )
    thread.start()
    try:
        while not (found and found[1].started):
            if not thread.is_alive():
                raise RuntimeError("the service did not start")
            time.sleep(0.005)
        yield found[0]
    finally:
        if found:
            found[1].should_exit = True
        thread.join()
