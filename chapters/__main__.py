"""``python -m chapters``: see :mod:`chapters.command`."""

import signal
import sys

if __name__ == "__main__":
    # While modules are loaded there is nothing to take away, and a traceback would tell nobody anything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from chapters.command import main
    except ModuleNotFoundError as error:
        # A new terminal, most likely, in which nobody has said which Python is meant.
        sys.exit(
            f"chapters: {sys.executable} has no {error.name}: `. .venv/bin/activate` first (`make demo` makes .venv)"
        )

    sys.exit(main())
