"""Run a learner's answer so that nothing it does can hurt the notebook: no endless loop, no flood of text."""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import io
import math
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class TooLong(BaseException):
    """Raised inside an answer that used up its time; not an Exception, so that `except Exception` lets it pass."""


class Printed(io.TextIOBase):
    """A stream that counts every character written to it; as text the first `keep` since `begin`, with … if cut."""

    def __init__(self, keep: int = 500):
        self.keep, self.count, self.head = keep, 0, ""

    def __str__(self) -> str:
        return self.head[: self.keep] + "…" * (len(self.head) > self.keep)

    def begin(self) -> None:
        """Forget the text so far: another call of the answer begins."""
        self.head = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.head += text[: self.keep + 1 - len(self.head)]
        self.count += len(text)
        return len(text)


PATIENCE = 5  # how many times as long as it may compute a work may take on a machine that is busy, or wait


def run(work: Callable[[], Any], seconds: float, printed: Printed | None = None) -> tuple[Any, Printed]:
    """Result of `work()` and what it printed, into `printed` if given; TooLong after `seconds` of computing, or PATIENCE times as many in all.

    Runs in a thread of its own, because lessons also run where signals do not reach (Windows, test runners).
    An exception of `work` comes back unchanged; Ctrl-C stops the work first.
    """
    result: dict[str, Any] = {}
    printed = printed or Printed()

    def target():
        try:
            result["value"] = work()
        except BaseException as error:
            result["error"] = error

    thread = threading.Thread(target=target, daemon=True, name="mlcourse-check")
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        began = time.monotonic()
        thread.start()
        try:
            _join(thread, seconds)
            late, took = thread.is_alive(), time.monotonic() - began
        finally:
            stopped = _stop(thread)
    if late:
        advice = "Try it on three rows first." if stopped else "It does not stop: restart the kernel."
        raise TooLong(f"{took:.0f} s. Does a loop ever end? {advice}")
    if "error" in result:
        raise result["error"]
    return result["value"], printed


def _join(thread: threading.Thread, seconds: float) -> None:
    # What this process computes counts: that others keep the machine busy is no fault of the answer.
    began, computed = time.monotonic(), time.process_time()
    thread.join(seconds)
    while thread.is_alive() and time.process_time() - computed < seconds:
        if time.monotonic() - began > PATIENCE * seconds:
            break
        thread.join(0.05)


def _stop(thread: threading.Thread, patience: float = 5.0) -> bool:
    # Asked again and again: a bare `except:` in a loop swallows the first request.
    until = time.monotonic() + patience
    while thread.is_alive() and time.monotonic() < until:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TooLong))
        thread.join(0.01)
    return not thread.is_alive()


def _sealed() -> dict[str, Any]:
    # Read lazily: pandas is sealed only where the notebook has imported it.
    owners: dict[str, Any] = {"builtins": builtins, "math": math, "random": random}
    for name in ("numpy", "numpy.random", "numpy.linalg", "pandas"):
        if name in sys.modules:
            owners[name] = sys.modules[name]
    if pandas := owners.get("pandas"):
        owners |= {"pandas.DataFrame": pandas.DataFrame, "pandas.Series": pandas.Series}
    return owners


class Seal:
    """Remembers what the functions of Python, numpy and pandas are, and puts back what an answer replaced."""

    def __init__(self):
        self.known: dict[str, dict[str, Any]] = {}
        self.look()

    def look(self) -> None:
        """Remember every library not yet known."""
        for name, owner in _sealed().items():
            if name not in self.known:
                self.known[name] = {
                    k: v  # a kernel swaps `input` for every cell
                    for k, v in vars(owner).items()
                    if callable(v) and not k.startswith("_") and k != "input"
                }

    def restore(self) -> list[str]:
        """Names such as `numpy.mean` that were replaced since; they are put back."""
        broken = []
        for name, owner in _sealed().items():
            for key, value in self.known.get(name, {}).items():
                if vars(owner).get(key) is not value:
                    broken.append(f"{name}.{key}")
                    setattr(owner, key, value)
        return broken


SEAL = Seal()
