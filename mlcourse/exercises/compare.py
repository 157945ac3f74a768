"""When two results are the same, whatever container they come in, and how a value is shown in a message."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np

RTOL = 1e-6


@dataclass(frozen=True)
class Raised:
    """An exception that a function raised instead of returning; equal in kind is equal."""

    kind: type
    text: str = ""
    line: str = ""

    def __str__(self) -> str:
        where = f" at `{self.line}`" if self.line else ""
        return f"{self.kind.__name__}: {self.text}{where}"


def same(got: Any, want: Any) -> bool:
    """Whether `got` equals `want`: floats to 1e-6, NaN equals NaN, list = array = Series, frames by column."""
    got, want = (x[()] if isinstance(x, np.ndarray) and x.ndim == 0 else x for x in (got, want))
    if isinstance(want, Raised) or isinstance(got, Raised):
        return isinstance(want, Raised) and isinstance(got, Raised) and issubclass(got.kind, want.kind)
    if hasattr(want, "columns"):
        return _same_frame(got, want)
    if isinstance(want, dict):
        return (
            isinstance(got, dict) and got.keys() == want.keys() and all(same(got[k], want[k]) for k in want)
        )
    if isinstance(want, set | frozenset):
        return isinstance(got, set | frozenset) and got == want
    if isinstance(want, str | bytes | type(None)):
        return type(got) is type(want) and got == want
    if isinstance(want, tuple) and not all(np.isscalar(w) for w in want):
        return isinstance(got, tuple | list) and len(got) == len(want) and all(map(same, got, want))
    if isinstance(want, np.ndarray | list | tuple) or (hasattr(want, "index") and hasattr(want, "to_numpy")):
        return _same_values(got, want)
    return _same_scalar(got, want)


def _same_frame(got: Any, want: Any) -> bool:
    if not hasattr(got, "columns") or set(got.columns) != set(want.columns) or len(got) != len(want):
        return False
    return all(_same_values(got[c], want[c]) for c in want.columns)


def _same_values(got: Any, want: Any) -> bool:
    if isinstance(got, str | bytes | dict | set) or np.isscalar(got) or got is None:
        return False
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return False
    if want.dtype.kind == "b" and got.dtype.kind in "iuf" and want.size:  # 1 is not True here either
        return False
    if got.dtype.kind in "biuf" and want.dtype.kind in "biuf":
        return bool(np.allclose(got.astype(float), want.astype(float), rtol=RTOL, atol=1e-9, equal_nan=True))
    return all(map(_same_scalar, got.ravel().tolist(), want.ravel().tolist()))


def _same_scalar(got: Any, want: Any) -> bool:
    if isinstance(want, bool | np.bool_):  # 0.0 is not False: a truth value is asked for
        return isinstance(got, bool | np.bool_) and bool(got) == bool(want)
    if is_nan(want) or is_nan(got):
        return is_nan(want) and is_nan(got)
    if isinstance(want, int | float | np.number):
        number = isinstance(got, int | float | np.number) and not isinstance(got, bool | np.bool_)
        return number and math.isclose(got, want, rel_tol=RTOL, abs_tol=1e-9)
    try:
        return bool(got == want)
    except Exception:
        return False


def changed(given: Any, original: Any) -> bool:
    """Whether a call changed its arguments: values, order, columns or index. Opaque objects are not looked into."""
    if isinstance(original, tuple | list):
        return len(given) != len(original) or any(map(changed, given, original))
    if type(original).__eq__ is object.__eq__:
        return False
    if (
        hasattr(original, "index")
        and hasattr(original, "to_numpy")
        and not original.index.equals(given.index)
    ):
        return True
    return not same(given, original)


def difference(got: Any, want: Any) -> str:
    """How `got` is not `want`, in words: both if they are short, else the first place where they differ."""
    if hasattr(want, "columns") and hasattr(got, "columns"):
        return _frames_differ(got, want)
    if (
        isinstance(want, tuple)
        and isinstance(got, tuple)
        and len(got) == len(want)
        and not all(map(np.isscalar, want))
    ):
        at = next((i for i, (g, w) in enumerate(zip(got, want, strict=True)) if not same(g, w)), 0)
        return f"is wrong in part {at + 1} of {len(want)}: {difference(got[at], want[at])}"
    pair = [_row(x) for x in (got, want)]
    if any(x is None or x.ndim != 1 or len(x) < 7 for x in pair):
        nan = (
            " Where does the NaN come from: a missing value, 0/0, or your own return?"
            if is_nan(got) and not is_nan(want)
            else ""
        )
        return f"gave {describe(got)}, expected {describe(want)}.{nan}"
    if len(pair[0]) != len(pair[1]):
        return f"gave {len(pair[0])} values, expected {len(pair[1])}: {describe(want)}."
    at = next((i for i, (g, w) in enumerate(zip(*pair, strict=True)) if not _same_scalar(g, w)), 0)
    return f"gave {describe(pair[0][at])} at position {at}, expected {describe(pair[1][at])}."


def _row(value: Any) -> np.ndarray | None:
    if not (isinstance(value, list | tuple | np.ndarray) or hasattr(value, "to_numpy")):
        return None
    try:
        return np.asarray(value)
    except ValueError:  # lists of several lengths
        return None


def _frames_differ(got: Any, want: Any) -> str:
    if set(got.columns) != set(want.columns):
        return f"gave the columns {describe(list(got.columns))}, expected {describe(list(want.columns))}."
    if len(got) != len(want):
        return f"gave {len(got)} rows, expected {len(want)}."
    column = next((c for c in want.columns if not _same_values(got[c], want[c])), want.columns[0])
    return f"is wrong in column `{column}`: {difference(list(got[column]), list(want[column]))}"


def is_nan(value: Any) -> bool:
    """Whether `value` is one missing value: NaN, NaT or pandas' NA."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


_SHORT = reprlib.Repr()
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 6
_SHORT.maxstring = _SHORT.maxother = 60


def describe(value: Any) -> str:
    """A short text for `value`, at most about 200 characters: what a message can carry."""
    if hasattr(value, "columns"):
        return f"<table of {len(value)} rows: {', '.join(map(str, value.columns[:6]))}>"
    if hasattr(value, "to_numpy") and hasattr(value, "index"):
        return f"<Series {describe(value.tolist()[:7])}>"
    if isinstance(value, tuple) and 0 < len(value) <= 6:
        shown = f"({', '.join(map(describe, value))}{',' * (len(value) == 1)})"
        return shown if len(shown) <= 200 else f"{shown[:199]}…"
    if isinstance(value, np.ndarray) and value.ndim == 0:
        return describe(value[()])
    if isinstance(value, np.ndarray):
        shown = describe(value.ravel()[:7].tolist())
        return shown if value.ndim == 1 else f"<array {value.shape}: {shown}>"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    if isinstance(value, list) and value and all(isinstance(v, float) for v in value[:6]):
        return f"[{', '.join(f'{v:.4g}' for v in value[:6])}{', …' * (len(value) > 6)}]"
    if isinstance(value, np.generic):
        return repr(value.item())
    return getattr(value, "__name__", None) or _SHORT.repr(value)
