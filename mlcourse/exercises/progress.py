"""What a learner has done so far: one JSON file in their folder, safe with several notebooks open at once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from mlcourse.folder import write


def folder(start: str | os.PathLike | None = None) -> Path | None:
    """The learner's folder that holds `start` (the working folder if None): where `mlcourse learn` laid the lessons."""
    here = Path(start or Path.cwd()).resolve()
    return next((p for p in (here, *here.parents) if (p / ".mlcourse").is_dir()), None)


class Progress:
    """Tries, hints and outcomes of each exercise, in `root/.mlcourse/progress.json`; in memory alone if root is None.

    An entry is {"outcome": last outcome, "passed": ever, "tries": count, "hints": count}. A file that cannot be
    read is set aside as progress.damaged-….json, one that cannot be written is told in `trouble`; neither raises.
    """

    def __init__(self, root: str | os.PathLike | None = None):
        self.path = Path(root) / ".mlcourse" / "progress.json" if root else None
        self.unsaved: list[tuple[str, Callable[[dict], dict | None]]] = []  # changes, by id, in their order
        self.trouble = "" if root else "Not saved: this folder was not made by `mlcourse learn`."

    def read(self) -> dict[str, dict]:
        """Entry of each exercise tried so far, by id."""
        entries = self._stored()
        for id, change in self.unsaved:
            if (new := change(entries.get(id, dict(NEW)))) is None:
                entries.pop(id, None)
            else:
                entries[id] = new
        return entries

    def _stored(self) -> dict[str, dict]:
        if not self.path or not self.path.exists():
            return {}
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))["exercises"]
            return {str(id): dict(NEW, **entry) for id, entry in entries.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return self._set_aside()
        except OSError as error:
            self.trouble = f"Progress cannot be read: {error.strerror}: {self.path}."
            return {}

    def entry(self, id: str) -> dict:
        """Entry of one exercise; zeros for one not tried."""
        return self.read().get(id, dict(NEW))

    def record(self, id: str, outcome: str) -> dict:
        """Note an outcome of exercise `id`; a pass stays a pass. An untouched exercise is no try."""
        tried = outcome != "to do"
        return self._change(id, lambda e: e | {
            "outcome": outcome, "tries": e["tries"] + tried, "passed": e["passed"] or outcome == "passed"})  # fmt: skip

    def took_hint(self, id: str) -> dict:
        """Note that one more hint of exercise `id` was shown."""
        return self._change(id, lambda e: e | {"hints": e["hints"] + 1})

    def reset(self, id: str) -> None:
        """Forget everything about exercise `id`."""
        self._change(id, lambda e: None)

    def _change(self, id: str, change: Callable[[dict], dict | None]) -> dict:
        if self.path and self.unsaved:
            self.trouble = ""  # it said why those are not saved
        self.unsaved.append((id, change))
        if self.path:
            try:
                self._save()
            except Timeout:
                self.trouble = (
                    f"Progress is not saved: another program holds {self.path.with_suffix('.lock')}."
                )
            except OSError as error:
                why = error.strerror or error
                self.trouble = f"Progress is not saved: {why}: {self.path}. Free space or mend the rights."
        return self.entry(id)

    def _save(self) -> None:
        # Changes, not entries, wait until they can be saved: what another notebook noted meanwhile stays.
        with FileLock(self.path.with_suffix(".lock"), timeout=10):
            write(self.path, {"version": 1, "exercises": self.read()})
        self.unsaved.clear()

    def _set_aside(self) -> dict[str, dict]:
        aside = self.path.with_name(f"progress.damaged-{time.strftime('%Y%m%d-%H%M%S')}.json")
        try:
            os.replace(self.path, aside)
            self.trouble = f"The progress file was damaged. It is kept as {aside.name}; counting starts anew."
        except OSError as error:
            self.trouble = f"The progress file is damaged and cannot be moved: {error.strerror}: {self.path}."
        return {}


NEW = {"outcome": "to do", "passed": False, "tries": 0, "hints": 0}
