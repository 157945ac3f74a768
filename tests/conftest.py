"""What the tests share: where the course lies, its lessons in reading order, and the notebooks that projects start from."""

import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait starve each other
ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "nbs").glob("[0-9]_*/[0-9][0-9]*_*.ipynb"), key=lambda p: p.name)
PROJECTS = sorted((ROOT / "projects").glob("*/start.ipynb"))
