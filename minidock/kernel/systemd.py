"""Asking systemd, process 1 of most machines, over D-Bus: its state, and a cgroup from its hands.

On such a machine systemd believes itself to be the only one who makes cgroups. A *scope* is its word for a cgroup with
processes that somebody else has started: we name a process, systemd makes the group, puts the process in, and keeps
out of what is below (``Delegate``). It removes the scope with its last process. Source: org.freedesktop.systemd1(5),
"The New Control Group Interfaces" (systemd.io/CONTROL_GROUP_INTERFACE).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidock.errors import KernelFeatureMissing, MinidockError

if TYPE_CHECKING:  # imported where it is needed: most shims never ask
    from jeepney.io.blocking import DBusConnection

BUS_NAME, PATH, MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
TIMEOUT = 30.0


def booted() -> bool:
    """Whether systemd is this machine's first process, as sd_booted(3) knows it."""
    return Path("/run/systemd/system").is_dir()


def state() -> str:
    """``running``, ``degraded``, ``starting``, ``stopping``, … Raises KernelFeatureMissing without systemd."""
    with _bus() as bus:
        answer = _ask(bus, "Get", "ss", (MANAGER, "SystemState"), interface="org.freedesktop.DBus.Properties")
        return str(answer[0][1])


def start_scope(name: str, slice_name: str, pid: int, description: str) -> None:
    """Make the scope ``name`` in a slice, with ``pid`` in it; returns when it is there.

    Raises KernelFeatureMissing where there is no systemd, MinidockError with systemd's own words.
    """
    properties = [
        ("Description", ("s", description)),
        ("Slice", ("s", slice_name)),
        ("PIDs", ("au", [pid])),
        ("Delegate", ("b", True)),
        ("DefaultDependencies", ("b", False)),
        ("CollectMode", ("s", "inactive-or-failed")),  # a scope whose program was killed leaves nothing behind
    ]
    with _bus() as bus:
        arguments: tuple[object, ...] = (name, "fail", properties, [])
        _ask(bus, "StartTransientUnit", "ssa(sv)a(sa(sv))", arguments, done=name)


@contextmanager
def _bus() -> Iterator[DBusConnection]:
    from jeepney.io.blocking import open_dbus_connection

    try:
        connection = open_dbus_connection("SYSTEM", auth_timeout=TIMEOUT)
    except OSError as error:
        raise KernelFeatureMissing(
            f"systemd does not answer on the system's D-Bus: {error.strerror or error}"
        ) from None
    try:
        yield connection
    except TimeoutError:
        raise MinidockError(f"systemd did not answer within {TIMEOUT:.0f} s") from None
    finally:
        connection.close()


def _ask(
    bus: DBusConnection,
    method: str,
    signature: str,
    arguments: tuple[object, ...],
    interface: str = MANAGER,
    done: str = "",
) -> tuple[Any, ...]:
    """Call a method of the manager's; what it answers. With ``done``, a unit, also wait for the job's end.

    Who listens only after the answer may miss the job's end, so the listening comes first. Raises MinidockError.
    """
    from jeepney import DBusAddress, MatchRule, MessageType, message_bus, new_method_call
    from jeepney.io.blocking import Proxy

    # Two rules: the bus knows who has systemd's name, but a signal comes with its sender's number, ":1.4" or so.
    signal = {"type": "signal", "interface": MANAGER, "member": "JobRemoved", "path": PATH}
    with bus.filter(MatchRule(**signal), bufsize=1000) as ended:
        if done:
            Proxy(message_bus, bus, timeout=TIMEOUT).AddMatch(MatchRule(**signal, sender=BUS_NAME))
        message = new_method_call(DBusAddress(PATH, BUS_NAME, interface), method, signature, arguments)
        reply = bus.send_and_get_reply(message, timeout=TIMEOUT)
        if reply.header.message_type is MessageType.error:
            raise MinidockError(f"systemd: {method}: {reply.body[0] if reply.body else 'failed'}")
        while done:
            _, job, unit, result = bus.recv_until_filtered(ended, timeout=TIMEOUT).body
            if job == reply.body[0]:
                if result != "done":
                    raise MinidockError(f"systemd: starting {unit}: {result}")
                break
    return tuple(reply.body)
