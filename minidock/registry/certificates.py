"""Certificates for one registry: who may have signed its own, and what we show it, in Docker's form of a directory.

::

    /etc/minidock/certs.d/registry.example:5000/
        ca.crt          *.crt: authorities that may vouch for this registry, besides those that the system trusts
        client.cert     *.cert with a *.key of the same name: who we are
        client.key

They are for this host and port, not for where it sends us: a token server elsewhere has a directory of its own.

Source: https://docs.docker.com/engine/security/certificates/
"""

from __future__ import annotations

import ssl
from pathlib import Path

from yarl import URL

from minidock.errors import InvalidInput
from minidock.oci import reference


def directory_of(url: URL, certificates: Path) -> Path | None:
    """The directory for ``url``'s host below ``certificates``, if the user made one."""
    name = url.with_user(None).raw_authority
    found = certificates / name
    return found if reference.is_domain(name) and found.is_dir() else None


def as_docker_checks(context: ssl.SSLContext) -> ssl.SSLContext:
    """Since 3.13 Python refuses authorities without key identifiers, as ``openssl req`` makes them.

    Docker, and whoever has set up a registry of their own with it, does not.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def context_of(directory: Path | None) -> ssl.SSLContext:
    """What to speak TLS with: with whom the system trusts, and ``directory`` may add to it.

    Raises InvalidInput that names the file which is wrong.
    """
    context = as_docker_checks(ssl.create_default_context())
    for file in sorted(directory.iterdir()) if directory else []:
        key, certificate = file.with_suffix(".key"), file.with_suffix(".cert")
        if file.suffix in (".cert", ".key") and not (key.exists() and certificate.exists()):
            raise InvalidInput(f"{file}: {certificate.name} and {key.name} go together (an authority's is .crt)")
        try:
            if file.suffix == ".crt":
                context.load_verify_locations(file)
            elif file.suffix == ".cert":
                context.load_cert_chain(file, key)
        except (ssl.SSLError, OSError) as error:
            raise InvalidInput(f"{file}: {getattr(error, 'reason', None) or error}") from error
    return context
