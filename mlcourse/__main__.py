"""The `mlcourse` command, also `python -m mlcourse`; Ctrl-C is answered in a sentence from its first moment."""

import signal
import sys


def main() -> int:
    """Exit code of the command given in sys.argv."""
    try:
        from mlcourse.cli import main as run  # takes 0.2 s, and may be interrupted as well

        return run()
    except KeyboardInterrupt:
        print("Stopped. Nothing is lost: run the same command again.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to stop


if __name__ == "__main__":
    sys.exit(main())
