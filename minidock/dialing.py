"""Why no connection came about, in Docker's words, which are those of Go's network library: users search for them."""

from __future__ import annotations

import asyncio
import os
import ssl

import aiohttp


def reason(error: Exception) -> str:
    """Of an error that aiohttp raised: ``dial tcp 10.0.0.1:443: connect: connection refused``."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {error.host}: no such host"
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: {error.certificate_error}"
        case aiohttp.ClientConnectorError(os_error=ssl.SSLError() as tls):
            return f"tls: {tls.reason or tls}"
        case aiohttp.ClientConnectorError():
            # asyncio writes its own text over the kernel's.
            number = error.os_error.errno
            problem = os.strerror(number).lower() if number else str(error.os_error)
            return f"dial tcp {error.host}:{error.port}: connect: {problem}"
        case asyncio.TimeoutError():
            return "timed out waiting for an answer"
        case _:
            return str(error).splitlines()[0] if str(error) else type(error).__name__
