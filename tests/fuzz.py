"""Requests that schemathesis generates from a service's own documentation: no 5xx, and no answer that is not documented.

python tests/fuzz.py URL EXAMPLES      (examples for each operation and kind; prints how many cases there were)
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path


def fuzz(url: str, examples: int, seed: int = 1) -> tuple[int, int, str]:
    """(exit code, cases, what schemathesis says)."""
    command = [Path(sys.executable).with_name("schemathesis"), "run", f"{url}/openapi.json", "--max-examples", str(examples),
               "--phases", "examples,coverage,fuzzing", "--no-color", "--seed", str(seed), "--generation-database", "none"]  # fmt: skip
    with tempfile.TemporaryDirectory() as elsewhere:  # it leaves files where it runs
        done = subprocess.run(command, capture_output=True, text=True, cwd=elsewhere)
    found = re.search(r"([\d,]+) generated", done.stdout)
    return done.returncode, int(found[1].replace(",", "")) if found else 0, done.stdout + done.stderr


if __name__ == "__main__":
    code, cases, said = fuzz(sys.argv[1], int(sys.argv[2]))
    print(said if code else "", cases)
    sys.exit(code)
