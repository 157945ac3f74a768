"""The `mlcourse` command, also `python -m mlcourse`; Ctrl-C is answered in a sentence from its first moment."""

import _thread
import signal
import sys
import threading


def main() -> int:
    """Exit code of the command given in sys.argv."""
    sys.unraisablehook = _once_more
    try:
        from mlcourse.cli import main as run  # takes 0.2 s, and may be interrupted as well

        return run()
    except KeyboardInterrupt:
        print("Stopped. Nothing is lost: run the same command again.", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to stop


def _once_more(lost: "sys.UnraisableHookArgs") -> None:
    # Python drops a Ctrl-C that comes in a callback of its own, as every import has them: it is pressed again.
    if isinstance(lost.exc_value, KeyboardInterrupt):
        threading.Timer(0.01, _thread.interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    sys.exit(main())
