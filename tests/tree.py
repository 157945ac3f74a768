"""Copies of the tree, as a fresh clone would have it: without what git ignores."""

import shutil
from pathlib import Path

from conftest import ROOT


def copy_tree(to: Path) -> Path:
    """The project's files in the folder `to`."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    names = shutil.ignore_patterns(".git", *(line.rstrip("/").rpartition("/")[2] for line in ignored))
    return Path(shutil.copytree(ROOT, to, ignore=names))
