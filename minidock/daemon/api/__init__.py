"""Docker's Engine API over HTTP: :mod:`routes <minidock.daemon.api.routes>` is the table of all that there is."""
