"""The learner's folder: the course's lessons are laid in it whole, and never over the learner's work."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import mlcourse

LEDGER = Path(".mlcourse", "lessons.json")  # sha256 of each lesson as last laid or offered
PROJECTS = "projects"  # the capstones: beside the lessons in the course, below them in a learner's folder
PROJECT_FILES = (".ipynb", ".py", ".md", ".html")
# What JupyterLab would ask for, or write into a lesson and so mark it changed as soon as it is opened
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
        "version": platform.python_version(),
    },
}


class Stop(Exception):
    """A foreseen end: one sentence for the learner on what happened and what to do next, and the exit code."""

    def __init__(self, message: str, code: int = 1):
        super().__init__(message)
        self.code = code


def plain(error: OSError) -> str:
    """A file error as a sentence for the learner: what is not written and what to do."""
    where = error.filename or "the course folder"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return f"The disk is full, so {where} is not written: free some space and run the same command again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"No right to write {where}: choose a folder of your own, or change its rights."
    return f"{error.strerror or error}: {where}. `mlcourse doctor` looks for the cause."


@dataclass(frozen=True)
class Lesson:
    """One notebook of the course; all that is known of it comes from its place, file name and first heading."""

    path: (
        Path  # in a learner's folder, such as 1_frame/06_frame.ipynb or projects/fraud_detection/start.ipynb
    )
    title: str

    @property
    def number(self) -> str:
        """`06`; empty for the home page."""
        return self.path.stem.partition("_")[0] if self.path.stem[0].isdigit() else ""

    @property
    def name(self) -> str:
        """`frame`; of a project's notebooks `fraud` (where it starts) and `fraud_reference`."""
        if self.path.parts[0] == PROJECTS:
            project = self.path.parent.name.partition("_")[0]
            return project if self.path.stem == "start" else f"{project}_{self.path.stem}"
        return self.path.stem.removeprefix(f"{self.number}_")

    @property
    def stage(self) -> str:
        """`1 frame`, `fraud detection`; empty for the home page."""
        return self.path.parent.name.replace("_", " ")


def course() -> Path:
    """Folder of the course's own lessons: in the installed package, or beside the package in a clone."""
    inside = Path(mlcourse.__file__).resolve().parent / "nbs"
    here = next((p for p in (inside, inside.parents[1] / "nbs") if p.is_dir()), None)
    if here is None:
        raise Stop("The lessons are missing from this installation: install mlcourse again.")
    return here


def origin(path: Path) -> Path:
    """The course's own file for a path in a learner's folder."""
    return course().parent / path if path.parts[0] == PROJECTS else course() / path


def files() -> list[Path]:
    """Every file a learner gets, as it lies in their folder, in reading order: home page, lessons, projects."""
    found = [p.relative_to(course()) for p in [*course().rglob("*.ipynb"), *course().glob("matplotlibrc")]]
    projects = course().parent / PROJECTS
    found += [p.relative_to(projects.parent) for p in projects.glob("*/*") if p.suffix in PROJECT_FILES]
    shown = (p for p in found if not any(part.startswith((".", "_")) for part in p.parts))
    number = lambda p: p.stem if p.stem[0].isdigit() else ""
    return sorted(shown, key=lambda p: (p.parts[0] == PROJECTS, number(p), p.parent, p.stem != "start", p))


def lessons() -> list[Lesson]:
    """Every lesson and project notebook of the course, in reading order."""
    return [Lesson(p, _heading(read(origin(p)))) for p in files() if p.suffix == ".ipynb"]


def find(name: str) -> Lesson:
    """The lesson called `name`: its number, file or name (`6`, `06`, `06_frame`, `frame`, `1_frame/06_frame.ipynb`)."""
    known = lessons()
    wanted = Path(name).name.partition(".")[0].lower()
    for lesson in known:
        if Path(name) == lesson.path or wanted in _names(lesson):
            return lesson
    names = ", ".join(f"{x.number} {x.name}".strip() for x in known)
    raise Stop(f"No lesson is called {name!r}. Name one by number or name: {names}.", 2)


def _names(lesson: Lesson) -> set[str]:
    stem = lesson.path.parent.name if lesson.path.parts[0] == PROJECTS and lesson.path.stem == "start" else ""
    return {lesson.number, lesson.number.lstrip("0"), stem or lesson.path.stem, lesson.name} - {""}


def _heading(notebook: dict) -> str:
    text = next((c["source"] for c in notebook["cells"] if c["cell_type"] == "markdown"), "")
    return re.sub(r"^#+\s*", "", text.strip().partition("\n")[0])


def source(cell: dict) -> str:
    """Text of a cell, which a notebook's file may hold split into lines."""
    return "".join(cell["source"])


def read(path: Path) -> dict:
    """The notebook in a file, each cell's source as one string; Stop (exit code 2) if there is none or it is damaged."""
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [
            cell | {"source": source(cell), "cell_type": str(cell["cell_type"])} for cell in notebook["cells"]
        ]
        return notebook | {"cells": cells}
    except FileNotFoundError:
        raise Stop(f"There is no {path}: `mlcourse learn` lays every lesson that is missing.", 2) from None
    except (ValueError, KeyError, TypeError) as error:
        what = f"{path} is damaged or not a notebook ({error})"
        raise Stop(f"{what}: rename it, and `mlcourse learn` lays a fresh one.", 2) from None


def digest(path: Path) -> str | None:
    """sha256 of a notebook's cell sources, which running it does not change, or of another file; None if missing."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if path.suffix == ".ipynb":
        with suppress(ValueError, KeyError, TypeError):
            data = json.dumps([source(c) for c in json.loads(data)["cells"]]).encode()
    return hashlib.sha256(data).hexdigest()


def write(path: Path, content: bytes | dict) -> None:
    """Write bytes, or a dict as JSON, at once: a reader, or a crash, sees the old file or the new one, never half."""
    if isinstance(content, dict):
        content = (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, path.stat().st_mode if path.exists() else 0o644)
        os.replace(part, path)
    except BaseException as error:
        Path(part).unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename2 = str(path)
        raise


def lay(root: Path, update: bool = False) -> dict[str, list[Path]]:
    """Lay the course's missing files in `root`; with `update`, newer ones too. Stopped half-way, run it again.

    Returns paths below `root` by what was done: `added`; `replaced`, untouched by the learner; `beside`, where
    the learner's own stays and the new one gets another name. Without `update` the last two are left `waiting`.
    """
    done = {"added": [], "replaced": [], "beside": [], "waiting": []}
    before = _ledger(root)
    known = dict(before)
    try:
        for path in files():
            key, new = path.as_posix(), digest(origin(path))
            what, to = _plan(root / path, known.get(key), new)
            if what in ("replaced", "beside") and not update:
                done["waiting"].append(path)
                continue
            if what:
                write(to, _copy(origin(path)))
                done[what].append(to.relative_to(root))
            known[key] = new
    finally:
        if known != before:
            write(root / LEDGER, {"version": mlcourse.__version__, "lessons": known})
    return done


def _plan(path: Path, old: str | None, new: str) -> tuple[str, Path]:
    # What to do for a lesson whose learner's copy is `path`, laid or offered as `old`, and is `new` in the course.
    now = digest(path)
    if now is None:
        return "added", path
    if new in (now, old):  # up to date, or the learner's own version of what is still the newest
        return "", path
    if now == old:
        return "replaced", path
    names = (path.with_name(f"{path.stem}.new{n if n > 1 else ''}{path.suffix}") for n in count(1))
    return "beside", next(p for p in names if digest(p) in (None, old, new))


def _ledger(root: Path) -> dict[str, str]:
    # A lost or damaged ledger costs nothing: a lesson equal to the course's is known again, any other is the learner's.
    with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        return dict(json.loads((root / LEDGER).read_text(encoding="utf-8"))["lessons"])
    return {}


def _copy(path: Path) -> bytes | dict:
    return read(path) | {"metadata": METADATA} if path.suffix == ".ipynb" else path.read_bytes()


def restore(root: Path, id: str) -> Path | None:
    """Put the starter of exercise `id` back into the learner's notebook; where the old answer is kept, None if same."""
    lesson = find(id.rpartition("-")[0] or id)
    if (starter := _cell(read(origin(lesson.path)), id)) is None:
        called = f"{lesson.number} {lesson.name}".strip()
        raise Stop(
            f"Lesson {called} has no exercise {id!r}: `mlcourse check {lesson.name}` lists them.",
            2,
        )
    notebook = read(root / lesson.path)
    if (cell := _cell(notebook, id)) is None:
        lost = f'{lesson.path} has no cell with check("{id}", …) any more'
        raise Stop(f"{lost}: rename the file, and `mlcourse learn` lays a fresh one.", 2)
    if cell["source"] == starter["source"]:
        return None
    kept = (root / ".mlcourse" / "answers" / f"{id}-{n}.py" for n in count(1))
    answer = next(p for p in kept if not p.exists())
    write(answer, cell["source"].encode())
    cell.update(source=starter["source"], outputs=[], execution_count=None)
    write(root / lesson.path, notebook)
    return answer


def _cell(notebook: dict, id: str) -> dict | None:
    wanted = re.compile(rf"^\s*check\(\s*[\"']{re.escape(id)}[\"']", re.M)
    cells = (c for c in notebook["cells"] if c["cell_type"] == "code")
    return next((c for c in cells if wanted.search(c["source"])), None)
