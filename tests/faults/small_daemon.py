"""A daemon that the fault tests kill. It has one container, and says each stage that it has reached."""

from __future__ import annotations

import asyncio
import sys

import msgspec

from minidock.containers.control import Launcher, LaunchRequest, Streams
from minidock.oci.runtime import Process


async def main(request: LaunchRequest) -> None:
    """Launch, start, attach, execute; then wait to be killed."""

    def reached(stage: str) -> None:
        print(stage, flush=True)

    launcher = await Launcher.spawn()
    reached(f"spawned {launcher.pid}")
    shim = await launcher.launch(request)
    reached("created")
    await shim.start()
    reached("started")
    stream = await shim.attach(True, True, True)
    reached("attached")
    await shim.execute("e", Process("/", ["sleep", "1000"], env=["PATH=/bin"]), Streams(True, True, True))
    reached("executed")
    await asyncio.gather(shim.wait(), asyncio.Event().wait())
    del stream


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=LaunchRequest)))
