"""``python -m minidock.registry.server``: the same as ``minidock-registry``."""

from minidock.registry.server.command import main

main()
