"""``python -m chapters``: see :mod:`chapters.command`."""

import signal
import sys

if __name__ == "__main__":
    # While modules are loaded there is nothing to take away, and a traceback would tell nobody anything.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from chapters.command import main

    sys.exit(main())
