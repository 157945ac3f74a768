"""What a learner sees of a check: a card in JupyterLab, the same as text everywhere else."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

from mlcourse.exercises.engine import PASSED, Exercise, Outcome, exercises, find, judge
from mlcourse.exercises.progress import Progress, folder
from mlcourse.folder import Lesson, files

MIME = "application/vnd.mlcourse.outcome+json"  # the outcome in a saved notebook, for `mlcourse check`
MARKS = {"to do": "○", "not yet": "✗", "fragile": "△", "passed": "✓"}


def check(id: str, answer: Any) -> None:
    """Judge `answer` for exercise `id` on fresh inputs and show the outcome: a card in JupyterLab, else text.

    Never raises for a learner's error. The outcome is *to do*, *not yet*, *fragile* or *passed*.
    """
    try:
        exercise = find(id)
    except ValueError as error:
        print(error)
        return
    outcome = judge(exercise, answer)
    desk = Desk(exercise, _progress(folder()), outcome)
    desk.progress.record(id, outcome.kind)
    if _in_notebook():
        from IPython.display import display

        display(_card_class()(desk))
    else:
        print(desk.text())


def hint(id: str) -> None:
    """Print the hints of exercise `id` that were taken so far, and one more."""
    _say(id, Desk.take_hint)


def solution(id: str) -> None:
    """Print the two right answers of exercise `id`: after a pass, or after two tries and all hints."""
    _say(id, Desk.show_solution)


def _say(id: str, act) -> None:
    try:
        desk = Desk(find(id), _progress(folder()))
    except ValueError as error:
        print(error)
        return
    print(act(desk))


@cache
def _progress(root: Path | None) -> Progress:
    return Progress(root)


def _in_notebook() -> bool:
    # Only a kernel can talk to a widget; asking must not start IPython in a plain script.
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return getattr(shell, "kernel", None) is not None


class Desk:
    """One exercise as a learner sees it now: outcome, hints taken, what is allowed, what comes next."""

    def __init__(self, exercise: Exercise, progress: Progress, outcome: Outcome | None = None):
        self.exercise, self.progress, self.outcome = exercise, progress, outcome

    @property
    def entry(self) -> dict:
        """What progress holds for this exercise."""
        return self.progress.entry(self.exercise.id)

    @property
    def lesson(self) -> str:
        """Name of the lesson, such as `frame`."""
        return self.exercise.id.rpartition("-")[0]

    @property
    def hints(self) -> tuple[str, ...]:
        """The hints taken so far."""
        return self.exercise.hints[: self.entry["hints"]]

    @property
    def hints_left(self) -> int:
        """How many hints are still to be taken."""
        return len(self.exercise.hints) - len(self.hints)

    @property
    def missing(self) -> str:
        """What is wanted before the solution may be seen; empty when it may."""
        if self.entry["passed"]:
            return ""
        tries = max(0, 2 - self.entry["tries"])
        parts = [f"{tries} more {'try' if tries == 1 else 'tries'}"] * bool(tries)
        parts += [f"{self.hints_left} more {'hint' if self.hints_left == 1 else 'hints'}"] * bool(
            self.hints_left
        )
        return " and ".join(parts)

    def take_hint(self) -> str:
        """The hints so far and one more, as text."""
        if self.hints_left:
            self.progress.took_hint(self.exercise.id)
        lines = [f"Hint {n} of {len(self.exercise.hints)}: {h}" for n, h in enumerate(self.hints, 1)]
        return "\n".join(lines)

    def show_solution(self) -> str:
        """The two right answers and the last hint, as text; what is still wanted if it is too early."""
        if self.missing:
            return f"The solution opens after {self.missing}, or after a pass."
        first, second = (code.strip() for code in self.exercise.solutions)
        return f"# One right answer\n{first}\n\n# Another\n{second}\n\n# The idea: {self.exercise.hints[-1]}"

    def counts(self) -> tuple[int, int]:
        """Exercises passed in this lesson, and how many it has."""
        entries, all_ = self.progress.read(), exercises(self.lesson)
        return sum(entries.get(e.id, {}).get("passed", False) for e in all_), len(all_)

    def next(self) -> dict[str, str]:
        """The first exercise of the lesson not yet passed, else the lesson that follows; empty at the end."""
        entries = self.progress.read()
        here = exercises(self.lesson)
        start = next(i for i, e in enumerate(here) if e.id == self.exercise.id)
        for e in (*here[start + 1 :], *here[:start]):
            if not entries.get(e.id, {}).get("passed"):
                return {"id": e.id, "label": f"Next: {e.title}", "path": ""}
        return self._next_lesson()

    def _next_lesson(self) -> dict[str, str]:
        lessons = [p for p in files() if p.suffix == ".ipynb"]
        names = [Lesson(p, "").name for p in lessons]
        for path, name in list(zip(lessons, names, strict=True))[names.index(self.lesson) + 1 :]:
            return {"id": "", "label": f"Next lesson: {name}", "path": path.as_posix()}
        return {}

    def state(self) -> dict[str, Any]:
        """Everything the card shows."""
        done, total = self.counts()
        return {
            "id": self.exercise.id,
            "title": self.exercise.title,
            "kind": self.outcome.kind,
            "mark": MARKS[self.outcome.kind],
            "message": self.outcome.message,
            "printed": self.outcome.printed,
            "hints": list(self.hints),
            "hints_left": self.hints_left,
            "missing": self.missing,
            "lesson": self.lesson,
            "done": done,
            "total": total,
            "next": self.next() if self.outcome.kind == PASSED else {},
            "trouble": self.progress.trouble,
        }

    def text(self) -> str:
        """The card as text."""
        s = self.state()
        lines = [f"{s['mark']} {s['kind'].capitalize()} · {s['id']} · {s['title']}", s["message"]]
        if s["printed"]:
            lines.append(f"Your code printed:\n{s['printed'].rstrip()}")
        if s["kind"] != PASSED and s["hints_left"]:
            lines.append(f'Stuck? hint("{s["id"]}") gives one of {s["hints_left"]} hints.')
        if not s["missing"]:
            lines.append(f'solution("{s["id"]}") shows two right answers.')
        lines.append(
            f"{s['done']} of {s['total']} exercises of this lesson passed."
            + f" {s['trouble']}" * bool(s["trouble"])
        )
        if s["next"]:
            lines.append(s["next"]["label"] + f" ({s['next']['id'] or s['next']['path']})")
        return "\n".join(lines)

    def bundle(self) -> dict[str, Any]:
        """The outcome as plain data, and as text."""
        outcome = {"id": self.exercise.id, "outcome": self.outcome.kind, "message": self.outcome.message}
        return {"text/plain": self.text(), MIME: outcome}


@cache
def _card_class() -> type:
    import anywidget
    import traitlets

    class Card(anywidget.AnyWidget):
        """The card of one check. Its state lives in the learner's progress; the browser only draws it."""

        _esm = Path(__file__).with_name("card.js")
        _css = Path(__file__).with_name("card.css")
        state = traitlets.Dict().tag(sync=True)
        solution = traitlets.Unicode().tag(sync=True)

        def __init__(self, desk: Desk):
            super().__init__(state=desk.state())
            self.desk = desk
            self.on_msg(self._asked)

        def _asked(self, _, content, buffers):
            if content == "hint":
                self.desk.take_hint()
            elif content == "solution" and not self.desk.missing:
                self.solution = self.desk.show_solution()
            self.state = self.desk.state()

        def _repr_mimebundle_(self, **kwargs):
            data, *meta = super()._repr_mimebundle_(**kwargs), {}
            if isinstance(data, tuple):
                data, *meta = data
            return {**data, **self.desk.bundle()}, *meta[:1]

    return Card
