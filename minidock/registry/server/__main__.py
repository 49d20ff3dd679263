"""``python -m minidock.registry.server``: the same as ``minidock-registry``."""

from minidock.registry.server.command import main

if __name__ == "__main__":
    main()
