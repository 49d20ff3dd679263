"""Every error there is, as one tree. Each class knows its HTTP status and the command line's exit code.

::

    MinidockError
    ├── InvalidInput              400   what was asked cannot be meant
    │   ├── InvalidReference            "Foo:latest": an image name that is no name
    │   ├── InvalidDigest               "sha256:xyz"
    │   ├── InvalidFlag                 (client) --foo, or --memory=3x: exit code 125
    │   ├── InvalidArguments            (client) too few, too many, or no such command
    │   └── InvalidSpec                 a config.json, manifest or archive that breaks its specification
    ├── CannotRun                 400   the container's program did not start
    │   ├── ProgramNotFound             exit code 127
    │   └── ProgramNotExecutable        exit code 126
    ├── BuildStepFailed           500   a RUN of a Dockerfile ended with a code other than 0
    ├── Unauthorized              500   a registry wants to know who we are
    ├── Forbidden                 403   not allowed, whoever we are
    ├── NotFound                  404
    │   ├── NoSuchContainer
    │   ├── NoSuchImage
    │   ├── NoSuchNetwork
    │   ├── NoSuchVolume
    │   └── NoSuchExec
    ├── Conflict                  409   the name is taken, the container runs, the image is in use
    ├── NotModified               304   nothing to do: it is already so
    ├── Unavailable               503   this engine is not what is asked for: a manager of a swarm
    ├── SystemCallFailed          500   which call, on what, and what the kernel answered
    ├── KernelFeatureMissing      500   this machine's kernel (or its set-up) lacks something, and how to get it
    ├── ShimGone                  500   the process that looked after a container does not live any more
    ├── NoSpace                   500   the disk is full
    ├── CorruptContent            500   content that is not what its digest or size says
    ├── RegistryError             500   a registry answered something else than what was asked
    │   └── RegistryUnreachable   500
    ├── Unreachable               500   nobody answers at an address that the user gave
    ├── NotImplementedYet         501   a part of Docker that this engine does not have
    ├── ErrorFromDaemon           (client) the daemon refused; its words, its status
    │   └── ErrorInStream             (client) it began well, and then told of a failure
    └── DaemonUnreachable         (client) nobody answers on the socket

Messages are lower case, without a full stop, and say how to act where the user can.
"""

from __future__ import annotations

import errno as errno_names
import os


class MinidockError(Exception):
    """The root of the tree: an error with a message for the user."""

    http_status = 500
    exit_code = 125

    @property
    def message(self) -> str:
        """The text that the user reads."""
        return str(self)


class InvalidInput(MinidockError):
    """What was asked cannot be meant."""

    http_status = 400


class InvalidReference(InvalidInput):
    """An image name that is not a name."""


class InvalidDigest(InvalidInput):
    """A digest that is not ``algorithm:hex``."""


class InvalidFlag(InvalidInput):
    """A flag that the command does not have, or a value that the flag cannot take."""


class InvalidArguments(InvalidInput):
    """Too few arguments, too many, or a command that does not exist."""

    exit_code = 1


class InvalidSpec(InvalidInput):
    """A document (config.json, manifest, layer archive) that breaks its specification."""


class CannotRun(MinidockError):
    """The container's program did not start."""

    http_status = 400


class ProgramNotFound(CannotRun):
    """There is no such program in the container. Docker's client recognises the text."""

    exit_code = 127


class ProgramNotExecutable(CannotRun):
    """The program is there, but is a directory or may not be executed."""

    exit_code = 126


class BuildStepFailed(MinidockError):
    """A RUN of a Dockerfile ended with ``code``, which is not 0."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Unauthorized(MinidockError):
    """A registry wants to know who we are, or did not believe it.

    Not 401: that would tell Docker's client that *we* do not know it, and it would ask the user for a password.
    """


class Forbidden(MinidockError):
    """Not allowed, whoever we are."""

    http_status = 403


class NotFound(MinidockError):
    """What was named does not exist."""

    http_status = 404
    exit_code = 1


class NoSuchContainer(NotFound):
    """No container has this name or id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such container: {name}")


class NoSuchImage(NotFound):
    """No image has this name, id or digest."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such image: {name}")


class NoSuchNetwork(NotFound):
    """No network has this name or id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network {name} not found")


class NoSuchVolume(NotFound):
    """No volume has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"get {name}: no such volume")


class NoSuchExec(NotFound):
    """No exec instance has this id."""

    def __init__(self, name: str) -> None:
        super().__init__(f"No such exec instance: {name}")


class Conflict(MinidockError):
    """The name is taken, the container is running, the image is in use."""

    http_status = 409
    exit_code = 1


class NotModified(MinidockError):
    """Nothing to do: it is already so (a start of what runs, a stop of what stands)."""

    http_status = 304
    exit_code = 0


class Unavailable(MinidockError):
    """This engine is not what was asked for (a manager of a swarm)."""

    http_status = 503


class SystemCallFailed(MinidockError, OSError):
    """A system call failed: ``mount("overlay", "/…/rootfs"): No space left on device``.

    ``call`` is the system call's name, ``operand`` what it was asked to act on, in the kernel's own notation.
    """

    def __init__(self, call: str, operand: str, errno: int) -> None:
        OSError.__init__(self, errno, os.strerror(errno))
        self.call = call
        self.operand = operand

    def __str__(self) -> str:
        return f"{self.call}({self.operand}): {self.strerror}"

    @property
    def errno_name(self) -> str:
        """``EPERM``, ``ENOENT``, …"""
        return errno_names.errorcode.get(self.errno or 0, str(self.errno))


class KernelFeatureMissing(MinidockError):
    """This machine's kernel, or the way it is set up, lacks something that is needed."""


class ShimGone(MinidockError):
    """The process that looked after a container lives no more: somebody killed it, or the machine restarted."""


class NoSpace(MinidockError):
    """The disk is full."""


class CorruptContent(MinidockError):
    """Content that is not what its digest or its size says."""


class RegistryError(MinidockError):
    """A registry answered something else than what was asked for."""


class RegistryUnreachable(RegistryError):
    """Nobody answers at the registry's address."""


class Unreachable(MinidockError):
    """Nobody answers at an address that the user gave."""


class NotImplementedYet(MinidockError):
    """A part of Docker that this engine does not have."""

    http_status = 501


class ErrorFromDaemon(MinidockError):
    """The daemon answered with an error: ``status`` is HTTP's, ``text`` the daemon's own message."""

    exit_code = 1

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"Error response from daemon: {text}")
        self.status = status
        self.text = text


class ErrorInStream(ErrorFromDaemon):
    """A progress stream, or a wait, that began with status 200 and then told of a failure."""

    def __str__(self) -> str:
        return self.text


class DaemonUnreachable(MinidockError):
    """Nobody answers on the daemon's socket."""

    exit_code = 1
