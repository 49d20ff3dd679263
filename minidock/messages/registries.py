"""What the API says of registries."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from minidock.messages.document import Message


class AuthConfig(Struct, kw_only=True):
    """``POST /auth``: who we are, and to whom."""

    username: str = ""
    password: str = ""
    serveraddress: str = ""
    identitytoken: str = ""


class AuthStatus(Message):
    """Its answer. With an ``identity_token`` the client forgets the password."""

    status: str
    identity_token: str = ""


class DistributionInspect(Message):
    """``GET /distribution/NAME/json``: a descriptor and platforms, in the OCI's own spelling."""

    descriptor: Any
    platforms: list[Any] = []
