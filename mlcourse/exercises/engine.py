"""What an exercise is, and how an answer to it is judged: by what it does on fresh inputs, never by how it looks."""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import secrets
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mlcourse.exercises.compare import Raised, changed, describe, difference, same
from mlcourse.exercises.guard import SEAL, Printed, TooLong, run

TO_DO, NOT_YET, FRAGILE, PASSED = "to do", "not yet", "fragile", "passed"


class Blank:
    """The `____` of a starter: any use of it says that the exercise is still to do."""

    def __repr__(self) -> str:
        return "____"

    def __deepcopy__(self, memo) -> Blank:
        return self

    def __getattr__(self, name: str):
        if name.startswith("_"):  # what Python and Jupyter look up to copy and show it
            raise AttributeError(name)
        raise ToDo

    def _use(self, *args, **kwargs):
        raise ToDo

    __call__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = (
        _use
    )
    __lt__ = __le__ = __gt__ = __ge__ = __getitem__ = __iter__ = __len__ = __bool__ = __float__ = __int__ = (
        _use
    )
    __and__ = __rand__ = __or__ = __ror__ = __invert__ = __neg__ = __matmul__ = __rmatmul__ = __array__ = _use


class ToDo(Exception):
    """The answer still holds a `____`."""


class Wrong(Exception):
    """The answer is wrong; the text is for the learner. `edge` names the case if the ordinary ones are right.

    `printed` is what the answer printed in that case; None: what it printed last."""

    def __init__(self, message: str, edge: str = "", printed: str | None = None):
        super().__init__(message)
        self.edge, self.printed = edge, printed


@dataclass(frozen=True)
class Case:
    """Arguments for one call of the answer; with `edge`, a rare case whose failure makes an answer fragile."""

    args: tuple
    edge: str = ""


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people really give, as code, and what to say to them."""

    name: str
    code: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """What a check says: `kind` is one of *to do*, *not yet*, *fragile*, *passed*.

    `printed` begins what the answer printed in the case that went wrong."""

    kind: str
    message: str
    seed: int
    mistake: str = field(default="", compare=False)
    printed: str = field(default="", compare=False)


class Exercise:
    """One question of a lesson. Subclass it; every attribute below is wanted, and `cases` or `check`."""

    id: str
    title: str
    starter: str
    hints: tuple[str, ...]
    solutions: tuple[str, str]
    mistakes: tuple[Mistake, ...]
    setup: str = "import numpy as np\nimport pandas as pd"
    seconds: float = 10.0
    index = False  # whether the task promises the index of its input

    def cases(self, rng) -> Iterator[Case]:
        """Fresh inputs, ordinary ones first; the first solution says what is right for them."""
        raise NotImplementedError(f"{type(self).__name__} needs cases() or its own check()")

    def same(self, got: Any, want: Any) -> bool:
        """Whether `got` is as right as `want`."""
        return same(got, want)

    def check(self, answer: Any, rng) -> None:
        """Raise Wrong if `answer` is not right. The default compares it with the first solution on all cases."""
        cases = list(self.cases(rng))
        want = [_try(self.reference, c.args) for c in cases]
        got = [_try(self._callable(answer), c.args) for c in cases]
        tried = zip(cases, got, want, strict=True)
        faults = [(f, g.printed) for case, g, w in tried if (f := self._fault(case, g, w))]
        if faults:
            # an ordinary case speaks before an edge
            fault, printed = min(faults, key=lambda f: bool(f[0].edge))
            known = self._behaves_like(got, cases, want)
            raise Wrong(f"{known.message}\n{fault}" if known else str(fault), fault.edge, printed)

    def ask(self, answer: Callable, *args: Any) -> Any:
        """Result of the answer on copies of `args`, for a `check` of your own.

        Raises Wrong if the answer raises or returns nothing usable; a changed input is remembered for the end.
        """
        tried = _try(self._callable(answer), args)
        self.changed |= tried.changed
        if fault := self._unusable(Case(args), tried.value):
            raise fault
        return tried.value

    def require(self, condition: Any, message: str, edge: str = "") -> None:
        """Raise Wrong with `message` unless `condition` holds."""
        if not bool(condition):
            raise Wrong(message, edge)

    def message(self, name: str) -> str:
        """The message of the mistake called `name`."""
        return next(m.message for m in self.mistakes if m.name == name)

    @cached_property
    def name(self) -> str:
        """The name under which the answer is written: the last one that the starter defines."""
        last = [
            n
            for n in ast.parse(self.starter).body
            if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Assign)
        ][-1]
        return last.targets[0].id if isinstance(last, ast.Assign) else last.name

    def answer(self, code: str) -> Any:
        """What `code` (a starter, a solution, a mistake) defines under the answer's name."""
        scope: dict[str, Any] = {"____": ____, "__name__": "answer"}
        exec(compile(f"{self.setup}\n", f"<{self.id} setup>", "exec"), scope)
        exec(compile(code, f"<{self.id}>", "exec"), scope)
        return scope[self.name]

    @cached_property
    def reference(self) -> Any:
        """The first solution."""
        return self.answer(self.solutions[0])

    changed = False  # whether the answer changed an input during this check

    def _callable(self, answer: Any) -> Callable:
        if not callable(answer):
            raise Wrong(f"`{self.name}` must be a function, but it is {describe(answer)}.")
        return answer

    def _call(self, case: Case) -> str:
        return f"{self.name}({', '.join(map(describe, case.args))})"

    def _unusable(self, case: Case, value: Any) -> Wrong | None:
        if isinstance(value, Raised):
            return Wrong(f"{self._call(case)} raised {value}.", case.edge)
        if isinstance(value, ONCE):
            kind = type(value).__name__
            return Wrong(f"{self._call(case)} returned a {kind}, which gives its values only once. "
                         "Return them all, for example with list(…).", case.edge)  # fmt: skip
        if value is None:
            return Wrong(f"{self._call(case)} returned None. Does every path end in `return`?", case.edge)
        return None

    def _fault(self, case: Case, got: Tried, want: Tried) -> Wrong | None:
        if self._equal(got.value, want.value):
            if self.index and not _same_index(got.value, want.value):
                return Wrong(f"{self._call(case)}: {LOST}", case.edge)
            return Wrong(CHANGED, case.edge or "the caller uses its data again") if got.changed else None
        if isinstance(want.value, Raised):
            did = f"raised {got.value}" if isinstance(got.value, Raised) else f"gave {describe(got.value)}"
            return Wrong(f"{self._call(case)} should raise {want.value.kind.__name__}, but {did}.", case.edge)
        if unusable := self._unusable(case, got.value):
            return unusable
        if self._shuffled(got.value, want.value):
            return Wrong(f"{self._call(case)}: {SHUFFLED}", case.edge)
        return Wrong(f"{self._call(case)} {difference(got.value, want.value)}", case.edge)

    def _equal(self, got: Any, want: Any) -> bool:
        if any(isinstance(x, (Raised, type(None), *ONCE)) for x in (got, want)):
            return type(got) is type(want) and (
                not isinstance(want, Raised) or issubclass(got.kind, want.kind)
            )
        try:
            return self.same(got, want)
        except Exception:  # a value of an unforeseen type is not the same
            return False

    def _shuffled(self, got: Any, want: Any) -> bool:
        # Whether two Series agree label by label, and only the rows lie in another order.
        if not (_is_series(got) and _is_series(want) and got.index.is_unique and want.index.is_unique):
            return False
        there = len(got) == len(want) and got.index.isin(want.index).all()
        return bool(there) and self._equal(got.loc[want.index], want)

    def _behaves_like(self, got: list[Tried], cases: list[Case], want: list[Tried]) -> Mistake | None:
        for mistake in self.mistakes:
            theirs = [_try(self.answer(mistake.code), c.args) for c in cases]
            wrong_too = any(
                t.changed or not self._equal(t.value, w.value) for t, w in zip(theirs, want, strict=True)
            )
            pairs = zip(got, theirs, strict=True)
            if wrong_too and all(g.changed == t.changed and self._equal(g.value, t.value) for g, t in pairs):
                return mistake
        return None


____ = Blank()


ONCE = (types.GeneratorType, map, filter, zip)  # iterators, spent after one use
CHANGED = "It changes its input. Work on a copy: the caller still needs the original."
LOST = "the values are right, but the index is lost. Give back a Series with the index you were given."
SHUFFLED = "each value is right for its label, but the rows are in another order. Keep that of the input."


def _is_series(value: Any) -> bool:
    return hasattr(value, "to_numpy") and hasattr(value, "index") and not hasattr(value, "columns")


def _same_index(got: Any, want: Any) -> bool:
    return not _is_series(want) or (_is_series(got) and (not len(want) or got.index.equals(want.index)))


class Tried(NamedTuple):
    """One call: its result (or Raised), whether it changed its arguments, and the head of what it printed."""

    value: Any
    changed: bool
    printed: str


def _try(function: Callable, args: tuple) -> Tried:
    given = copy.deepcopy(args)
    if heard := isinstance(sys.stdout, Printed):
        sys.stdout.begin()
    try:
        value = function(*given)
    except (ToDo, TooLong, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        value = Raised(type(error), str(error), _line(error))
    if isinstance(value, Blank):
        raise ToDo
    return Tried(value, changed(given, args), str(sys.stdout) if heard else "")


def _line(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return frames[0].line or "" if frames else ""


def judge(exercise: Exercise, answer: Any, seed: int | None = None) -> Outcome:
    """Outcome of `answer` for `exercise` on inputs made from `seed` (fresh if None). Never raises for an answer."""
    seed = secrets.randbelow(2**32) if seed is None else seed
    SEAL.look()
    broken = SEAL.restore()
    if not broken and untouched(exercise, answer):
        return Outcome(TO_DO, f"Write `{exercise.name}` in place of ____ and run the cell again.", seed)
    printed = Printed()
    kind, text = (NOT_YET, "") if broken else _judged(exercise, answer, seed, printed)
    if broken := broken or SEAL.restore():
        kind, text = (
            NOT_YET,
            f"Your code replaced {', '.join(broken)}; it is put back now. Use a name of your own.",
        )
    mistake = next((m.name for m in exercise.mistakes if m.message in text), "")
    return Outcome(kind, text, seed, mistake, str(printed) if kind in (NOT_YET, FRAGILE) else "")


def _judged(exercise: Exercise, answer: Any, seed: int, printed: Printed) -> tuple[str, str]:
    exercise.changed = False
    try:
        run(lambda: exercise.check(answer, np.random.default_rng(seed)), exercise.seconds, printed)
        if exercise.changed:
            raise Wrong(CHANGED, "the caller uses its data again")
    except Wrong as wrong:
        printed.head = printed.head if wrong.printed is None else wrong.printed
        return (
            (FRAGILE, f"Right on ordinary cases, but not here: {wrong.edge}. {wrong}")
            if wrong.edge
            else (NOT_YET, str(wrong))
        )
    except ToDo:
        return TO_DO, f"A ____ is left in `{exercise.name}`: put your code in its place."
    except TooLong as stuck:
        return NOT_YET, f"`{exercise.name}` was stopped after {stuck}"
    except (Exception, SystemExit, MemoryError) as error:
        return NOT_YET, (
            f"The check could not use what your answer gave, so it is not judged: {type(error).__name__}: {error}. "
            "Look at its type and shape. If they are as asked, restart the kernel and run `mlcourse doctor`."
        )
    flood = f" It printed {printed.count:,} characters: a function that is used a lot should be silent."
    return PASSED, "Right, on fresh inputs too." + (flood if printed.count > 10_000 else "")


def untouched(exercise: Exercise, answer: Any) -> bool:
    """Whether `answer` is still the starter (or a bare `____`)."""
    if isinstance(answer, Blank):
        return True
    ours, theirs = (getattr(f, "__code__", None) for f in (exercise.answer(exercise.starter), answer))
    return ours is not None and theirs is not None and (ours.co_code, ours.co_consts, ours.co_names) == (
        theirs.co_code, theirs.co_consts, theirs.co_names)  # fmt: skip


def exercises(lesson: str) -> tuple[Exercise, ...]:
    """The exercises of a lesson (`frame`), in its order; none for a lesson without."""
    name = f"mlcourse.exercises.{lesson}"
    if not lesson.isidentifier() or importlib.util.find_spec(name) is None:
        return ()
    here = (c for c in vars(importlib.import_module(name)).values() if isinstance(c, type))
    return tuple(c() for c in here if issubclass(c, Exercise) and c.__module__ == name and c is not Exercise)


def find(id: str) -> Exercise:
    """The exercise called `id`, such as `frame-1`; ValueError names the ids of its lesson."""
    lesson = str(id).rpartition("-")[0]
    known = {e.id: e for e in exercises(lesson)}
    if id not in known:
        there = (
            f"lesson {lesson!r} has {', '.join(known)}" if known else f"no lesson {lesson!r} has exercises"
        )
        raise ValueError(f"id must name an exercise such as 'frame-1', got {id!r}; {there}")
    return known[id]
