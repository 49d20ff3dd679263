"""Steps that decide who the process is and what it may do. Rights are given up in the order in which they are needed.

Dropping from the bounding set needs CAP_SETPCAP, changing the user CAP_SETUID and CAP_SETGID, loading a filter without
no_new_privs CAP_SYS_ADMIN: each of them must still be there when its step comes, and all are gone after the last.
"""

from __future__ import annotations

from minidock.containers import users
from minidock.containers.steps.step import Context, Step
from minidock.errors import InvalidSpec
from minidock.kernel import capabilities, seccomp, syscalls
from minidock.oci import runtime as oci


class FindUser(Step, frozen=True):
    """Look the user up in the container's own files."""

    user: oci.User
    man = "passwd(5), group(5)"
    why = "names of users exist only in files; the kernel knows numbers, and the container's files give their names"

    @property
    def title(self) -> str:
        return f"Find the user {self.user.username or self.user.uid}"

    def apply(self, context: Context) -> None:
        passwd = users.read_bounded("/etc/passwd")
        if self.user.username:
            group = users.read_bounded("/etc/group")
            found = users.resolve(self.user.username, passwd, group)
            asked = [*self.user.additional_gids, *users.groups_of(self.user.additional_groups, group)]
            # The group itself too: a set-group-id program must not rid its user of it, where files shut a group out
            # (CVE-2022-36109).
            context.groups = tuple(dict.fromkeys([found.gid, *found.groups, *asked]))
            context.uid, context.gid = found.uid, found.gid
        else:
            found = users.resolve(str(self.user.uid), passwd, "")
        context.environment.setdefault("HOME", found.home or "/")


class SetNoNewPrivileges(Step, frozen=True):
    """Make set-user-id programs powerless."""

    man = "prctl(2), PR_SET_NO_NEW_PRIVS"
    why = "from now on no program, whatever its file says, can give more rights than there are"

    @property
    def title(self) -> str:
        return "Allow no new privileges"

    def apply(self, context: Context) -> None:
        syscalls.set_no_new_privs()


class DropBoundingSet(Step, frozen=True):
    """Limit what the process and all its children can ever have."""

    keep: tuple[str, ...]
    man = "capabilities(7)"
    why = "root is not one right but some forty; those that are gone here, no program can get back"

    @property
    def title(self) -> str:
        return f"Keep {len(self.keep)} capabilities of {len(syscalls.CAPABILITIES)} in the bounding set"

    def apply(self, context: Context) -> None:
        capabilities.drop_bounding(_mask(self.keep))


class SetUser(Step, frozen=True):
    """Become the user, with their groups."""

    man = "setgroups(2), setresgid(2), setresuid(2)"
    why = "groups first: once we are an ordinary user we may not choose them any more"

    @property
    def title(self) -> str:
        return "Become the user"

    def apply(self, context: Context) -> None:
        # Leaving user 0 would empty the permitted set, and the next step could keep nothing.
        syscalls.set_keep_capabilities(True)
        syscalls.setgroups(context.groups)
        syscalls.setresgid(context.gid, context.gid, context.gid)
        syscalls.setresuid(context.uid, context.uid, context.uid)
        syscalls.set_keep_capabilities(False)
        syscalls.set_dumpable(False)


class SetCapabilities(Step, frozen=True):
    """Set the process's own capabilities."""

    sets: oci.CapabilitySets
    man = "capabilities(7)"
    why = "an ordinary user's program gets none unless they are ambient; root's gets what the bounding set left"

    @property
    def title(self) -> str:
        return f"Keep {len(self.sets.effective)} capabilities, {len(self.sets.ambient)} ambient"

    def apply(self, context: Context) -> None:
        # What exec would take away from an ordinary user is taken at once: hooks, and an init of ours, come before it.
        limit = -1 if context.uid == 0 else _mask(self.sets.ambient)
        # What we do not have cannot be granted: no error, says the runtime-spec.
        capabilities.assume(
            capabilities.Sets(
                effective=_mask(self.sets.effective) & limit,
                permitted=_mask(self.sets.permitted) & limit,
                inheritable=_mask(self.sets.inheritable),
                ambient=_mask(self.sets.ambient),
            )
        )


class LoadSeccomp(Step, frozen=True):
    """Load a filter that judges every system call from here on."""

    program: bytes
    flags: int
    rules: int
    man = "seccomp(2)"
    why = "of some 350 system calls a program needs few; the others are only a way into the kernel"

    @property
    def title(self) -> str:
        return f"Load a seccomp filter of {self.rules} rules"

    def apply(self, context: Context) -> None:
        seccomp.load(self.program, self.flags)


def _mask(names: list[str] | tuple[str, ...]) -> int:
    try:
        return capabilities.mask(names)
    except KeyError as error:
        raise InvalidSpec(f"unknown capability {error.args[0]}") from None
