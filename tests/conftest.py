"""What the tests share: where the course lies, and its lessons in reading order."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "nbs").glob("[0-9]_*/[0-9][0-9]_*.ipynb"), key=lambda p: p.name)
