"""System calls on who a process is and what it may do: users, groups, capabilities, prctl(2), keyrings."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from minidock.kernel.notation import Renderer, choice, flags, literal
from minidock.kernel.syscalls.seam import check_identities, invoke


def setgroups(groups: Sequence[int]) -> None:
    """Set the supplementary groups. setgroups(2). Before setresgid and setresuid, which give up the right to."""
    check_identities("setgroups", *groups)
    array = (ctypes.c_uint32 * len(groups))(*groups) if groups else None
    shown = "[" + ", ".join(map(str, groups)) + "]" if groups else "NULL"
    invoke("setgroups", len(groups), (array, literal(shown)))


def setresgid(real: int, effective: int, saved: int) -> None:
    """Set all three group ids. setresuid(2)."""
    check_identities("setresgid", real, effective, saved)
    invoke("setresgid", real, effective, saved)


def setresuid(real: int, effective: int, saved: int) -> None:
    """Set all three user ids. setresuid(2).

    Leaving user 0 empties the effective, permitted and ambient sets, unless the securebits say otherwise.
    EAGAIN when the new user would be over RLIMIT_NPROC.
    """
    check_identities("setresuid", real, effective, saved)
    invoke("setresuid", real, effective, saved)


_PRCTL = {
    1: "PR_SET_PDEATHSIG", 4: "PR_SET_DUMPABLE", 8: "PR_SET_KEEPCAPS",
    15: "PR_SET_NAME", 23: "PR_CAPBSET_READ", 24: "PR_CAPBSET_DROP",
    36: "PR_SET_CHILD_SUBREAPER", 38: "PR_SET_NO_NEW_PRIVS", 47: "PR_CAP_AMBIENT",
}  # fmt: skip
_PRCTL_NUMBERS = {name: number for number, name in _PRCTL.items()}


def _prctl(option: str, *arguments: int | str | tuple[int, Renderer]) -> int:
    """prctl(2) is a bag of calls. Unused arguments must be zero for most of them."""
    return invoke("prctl", (_PRCTL_NUMBERS[option], choice(_PRCTL)), *arguments)


def set_parent_death_signal(signal_number: int) -> None:
    """Get this signal when the thread that forked us ends. Cleared by fork and by a change of credentials."""
    _prctl("PR_SET_PDEATHSIG", signal_number)


def set_dumpable(dumpable: bool) -> None:
    """Not dumpable: others, however privileged in the container, can neither trace us nor open our /proc/PID/exe."""
    value = int(dumpable)
    _prctl("PR_SET_DUMPABLE", (value, choice({0: "SUID_DUMP_DISABLE", 1: "SUID_DUMP_USER"})))


def set_child_subreaper(enabled: bool = True) -> None:
    """Orphans below this process become its children, not init's."""
    _prctl("PR_SET_CHILD_SUBREAPER", int(enabled))


def set_name(name: str) -> None:
    """What ps calls this thread; cut to 15 bytes."""
    _prctl("PR_SET_NAME", name)


def set_no_new_privs() -> None:
    """From now on no exec can add rights: set-uid bits and file capabilities mean nothing. For good, and inherited."""
    _prctl("PR_SET_NO_NEW_PRIVS", 1, 0, 0, 0)


def set_keep_capabilities(keep: bool) -> None:
    """Whether the permitted set survives a setresuid from user 0. Cleared by exec."""
    _prctl("PR_SET_KEEPCAPS", int(keep))


CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN",
    "CAP_NET_RAW", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
)  # fmt: skip
"""All capabilities in the kernel's order: the position is the number (linux/capability.h)."""
_CAPABILITY = choice(dict(enumerate(CAPABILITIES)))


def bounding_read(capability: int) -> bool:
    """Whether the capability is in the bounding set; EINVAL when this kernel does not know it."""
    return _prctl("PR_CAPBSET_READ", (capability, _CAPABILITY)) == 1


def bounding_drop(capability: int) -> None:
    """Take a capability out of the bounding set, for good. Needs CAP_SETPCAP."""
    _prctl("PR_CAPBSET_DROP", (capability, _CAPABILITY))


_AMBIENT = choice(
    {1: "PR_CAP_AMBIENT_IS_SET", 2: "PR_CAP_AMBIENT_RAISE", 3: "PR_CAP_AMBIENT_LOWER", 4: "PR_CAP_AMBIENT_CLEAR_ALL"}
)


def ambient_raise(capability: int) -> None:
    """Add to the ambient set what is permitted and inheritable; EPERM otherwise."""
    _prctl("PR_CAP_AMBIENT", (2, _AMBIENT), (capability, _CAPABILITY), 0, 0)


def ambient_clear() -> None:
    """Empty the ambient set."""
    _prctl("PR_CAP_AMBIENT", (4, _AMBIENT), 0, 0, 0)


class _CapabilityHeader(ctypes.Structure):
    """``struct __user_cap_header_struct``."""

    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    """``struct __user_cap_data_struct``: 32 capabilities. Two of them make the 64-bit sets."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_SET = flags({1 << number: f"1<<{name}" for number, name in enumerate(CAPABILITIES)})
_HEADER_TEXT = "{version=_LINUX_CAPABILITY_VERSION_3, pid=0}"


def capget() -> tuple[int, int, int]:
    """This thread's effective, permitted and inheritable sets, as bit masks. capget(2)."""
    header = _CapabilityHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    invoke("capget", (header, literal(_HEADER_TEXT)), (data, literal("{...}")))
    low, high = data
    return (
        low.effective | high.effective << 32,
        low.permitted | high.permitted << 32,
        low.inheritable | high.inheritable << 32,
    )


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's sets. Permitted can only shrink, effective must be within it. capset(2)."""
    header = _CapabilityHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    data = (_CapabilityData * 2)()
    for half, shift in zip(data, (0, 32), strict=True):
        half.effective = effective >> shift & 0xFFFFFFFF
        half.permitted = permitted >> shift & 0xFFFFFFFF
        half.inheritable = inheritable >> shift & 0xFFFFFFFF
    names = (f"effective={_SET(effective)}", f"permitted={_SET(permitted)}", f"inheritable={_SET(inheritable)}")
    text = "{" + ", ".join(names) + "}"
    invoke("capset", (header, literal(_HEADER_TEXT)), (data, literal(text)), operand=text)


SECCOMP_SET_MODE_FILTER = 1
SECCOMP_GET_ACTION_AVAIL = 2
_SECCOMP_OPERATIONS = choice({1: "SECCOMP_SET_MODE_FILTER", 2: "SECCOMP_GET_ACTION_AVAIL"})
SECCOMP_FILTER_FLAG_TSYNC = 1
SECCOMP_FILTER_FLAG_LOG = 2
SECCOMP_FILTER_FLAG_SPEC_ALLOW = 4
SECCOMP_FILTER_FLAG_NEW_LISTENER = 8
SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV = 32
_SECCOMP_FLAGS = flags(
    {value: name for name, value in globals().items() if name.startswith("SECCOMP_FILTER_FLAG_")}
)  # fmt: skip


class _Program(ctypes.Structure):
    """``struct sock_fprog``: a classic BPF program, instructions of 8 bytes."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def seccomp_set_filter(program: bytes, filter_flags: int = 0) -> int:
    """Load a classic BPF program that judges every later system call of this thread, for good. seccomp(2).

    Needs CAP_SYS_ADMIN in the user namespace, or no_new_privs. Returns a listener's descriptor with
    SECCOMP_FILTER_FLAG_NEW_LISTENER, otherwise 0.
    """
    length = len(program) // 8
    structure = _Program(length, program)
    operation = (SECCOMP_SET_MODE_FILTER, _SECCOMP_OPERATIONS)
    text = literal(f"{{len={length}, filter={{...}}}}")
    return invoke(
        "seccomp", operation, (filter_flags, _SECCOMP_FLAGS), (structure, text), operand=f"{length} instructions"
    )


def seccomp_action_available(action: int) -> bool:
    """Whether this kernel knows the filter action (``SECCOMP_RET_…``)."""
    from minidock.errors import SystemCallFailed

    try:
        word = (ctypes.c_uint32 * 1)(action)
        invoke("seccomp", (SECCOMP_GET_ACTION_AVAIL, _SECCOMP_OPERATIONS), 0, (word, literal(f"[{action:#x}]")))
    except SystemCallFailed:
        return False
    return True


def join_session_keyring(name: str) -> int:
    """A session keyring of our own: the container does not see the keys of whoever started it. keyctl(2).

    Returns the keyring's serial number. ENOSYS in a kernel without keys, EDQUOT when the user has too many.
    """
    return invoke("keyctl", (1, literal("KEYCTL_JOIN_SESSION_KEYRING")), name)
