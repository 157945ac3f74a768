"""What can be wrong with the installation or a learner's folder, and the mend of each."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from mlcourse.folder import Stop, lessons, plain, read, write
from mlcourse.jupyter import execute

MEND = (
    "In a clone delete .venv and run `python start.py`, else install the wheel again, with --force-reinstall."
)


def examine(root: Path | None) -> Iterator[tuple[str, str, str]]:
    """Everything looked at, as (what, found, mend); the mend is empty where nothing is wrong.

    `root` is the learner's folder; without one only the installation is examined.
    """
    for look in (_python, _packages, _data, _kernel, _disk, _folder, _lessons, _progress)[
        : None if root else 5
    ]:
        try:
            found, mend = look(root)
        except Exception as error:  # an examination that breaks down has found something
            found, mend = f"{type(error).__name__}: {error}", MEND
        yield look.__name__.strip("_"), found, mend


def _python(root: Path | None) -> tuple[str, str]:
    from packaging.specifiers import SpecifierSet

    here, wanted = sys.version.split()[0], metadata("mlcourse")["Requires-Python"] or ""
    fits = SpecifierSet(wanted).contains(here, prereleases=True)
    return here, "" if fits else f"The course needs Python {wanted}: install it and start the course with it."


def _packages(root: Path | None) -> tuple[str, str]:
    from packaging.requirements import Requirement

    wanted = [Requirement(line) for line in requires("mlcourse") or ()]
    wanted = [r for r in wanted if not r.marker or r.marker.evaluate({"extra": ""})]
    bad = []
    for requirement in wanted:
        try:
            here = version(requirement.name)
        except PackageNotFoundError:
            here = "missing"
        if here == "missing" or not requirement.specifier.contains(here, prereleases=True):
            bad.append(f"{requirement.name} is {here}, wanted {requirement.specifier}")
    return ("; ".join(bad), MEND) if bad else (f"all {len(wanted)} in a wanted version", "")


def _data(root: Path | None) -> tuple[str, str]:
    try:
        from mlcourse.data import load

        rows = {table: len(load(table)) for table in ("flights", "weather", "planes", "airports", "airlines")}
    except Exception as error:
        return f"cannot be read: {type(error).__name__}: {error}", MEND
    return ", ".join(f"{n:,} {table}" for table, n in rows.items()), ""


def _kernel(root: Path | None) -> tuple[str, str]:
    here = root or Path.cwd()
    cells, stop = execute(["__import__('sys').prefix"], here, here, 60)
    found = stop or cells[0].outputs[0].get("data", {}).get("text/plain", "").strip("'").replace("\\\\", "\\")
    return f"runs {found}", "" if found == sys.prefix else f"It should run {sys.prefix}. {MEND}"


def _disk(root: Path | None) -> tuple[str, str]:
    free = shutil.disk_usage(root or Path.cwd()).free / 1e9
    return f"{free:.1f} GB free", "" if free > 1 else "The lessons want 1 GB: free some space."


def _folder(root: Path) -> tuple[str, str]:
    probe = root / ".mlcourse" / "probe"
    try:
        write(probe, b"")
        probe.unlink()
    except OSError as error:
        return f"{root} cannot be written", plain(error)
    return f"{root} can be written", ""


def _lessons(root: Path) -> tuple[str, str]:
    bad = []
    for lesson in lessons():
        try:
            read(root / lesson.path)
        except Stop as stop:
            bad.append(str(stop))
    return (f"{len(bad)} cannot be read", "\n".join(bad)) if bad else ("every notebook can be read", "")


def _progress(root: Path) -> tuple[str, str]:
    from mlcourse.exercises.progress import Progress

    progress = Progress(root)
    passed = sum(entry["passed"] for entry in progress.read().values())
    return f"{passed} exercises passed so far", progress.trouble
