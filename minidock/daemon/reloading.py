"""SIGHUP: the configuration is read again, and what can change while the daemon runs, changes.

That is what nothing was built upon at the start: how much is logged, and how registries are spoken to. An error in the
file is logged, and everything stays as it was.
"""

from __future__ import annotations

import logging
import socket

from minidock.daemon import config, supervisor
from minidock.daemon.engine import Engine
from minidock.errors import MinidockError

log = logging.getLogger(__name__)

RELOADABLE = ("log_level", "insecure_registries", "registry_mirrors", "trusted_realms", "live_restore")


def set_log_level(level: str) -> None:
    """Others' libraries (pyroute2, asyncio) tell at debug what only their authors want to know: this is for ours."""
    logging.getLogger("minidock").setLevel("WARNING" if level == "warn" else level.upper())


def reload(engine: Engine) -> None:
    """Read the command line and the file again, and take over what may change."""
    supervisor.tell_reloading()
    try:
        new = config.load()
    except MinidockError as error:
        log.error("the configuration stays as it was: %s", error)
    else:
        for name in RELOADABLE:
            setattr(engine.config, name, getattr(new, name))
        set_log_level(new.log_level)
        log.info("configuration reloaded")
        engine.events.publish("daemon", "reload", "", name=socket.gethostname())
    supervisor.tell("READY=1")
