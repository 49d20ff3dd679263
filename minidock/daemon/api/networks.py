"""``/networks``: what there is. (Making others is not here yet.)"""

from __future__ import annotations

from aiohttp import web

from minidock.daemon import networking
from minidock.daemon.api import answers, parameters
from minidock.daemon.engine import Engine


async def listing(engine: Engine, request: web.Request) -> web.Response:
    """All networks, or those that the filters leave."""
    wanted = parameters.filters(request, ("name", "id", "driver", "scope", "type", "label", "dangling"))
    found = [networking.describe(engine, name) for name in networking.BUILT_IN]
    if "name" in wanted:
        found = [network for network in found if any(name in network.name for name in wanted["name"])]
    if "id" in wanted:
        found = [network for network in found if any(network.id.startswith(key) for key in wanted["id"])]
    if "driver" in wanted:
        found = [network for network in found if network.driver in wanted["driver"]]
    return answers.document(found)


async def inspect(engine: Engine, request: web.Request) -> web.Response:
    """One network."""
    return answers.document(networking.describe(engine, networking.find(engine, request.match_info["name"])))
