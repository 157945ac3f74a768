"""Exercises that check themselves: `check("frame-1", answer)` in a lesson, `hint` and `solution` beside it."""

from mlcourse.exercises.card import check, hint, solution
from mlcourse.exercises.engine import ____

__all__ = ["____", "check", "hint", "solution"]
