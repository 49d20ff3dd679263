"""Hooks: programs that the runtime runs at fixed moments of a container's life, with its state on standard input.

Loaded only when a container has hooks: subprocess takes a while to import. Source: runtime-spec, config.md,
"POSIX-platform Hooks"; runtime.md, "Lifecycle".
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from typing import ClassVar

from minidock.containers.steps.step import Context, Step, Where
from minidock.errors import MinidockError
from minidock.oci import runtime as oci


class HookFailed(MinidockError):
    """A hook said no, did not start, or took too long."""


def run(kind: str, hooks: Iterable[oci.Hook], state: oci.State) -> None:
    """Run hooks one after another. Raises :class:`HookFailed` at the first that fails; the rest does not run."""
    for hook in hooks:
        try:
            done = subprocess.run(
                hook.args or [hook.path],
                executable=hook.path,
                input=oci.encode(state),
                env=dict(entry.split("=", 1) for entry in hook.env if "=" in entry),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=hook.timeout,
            )
        except subprocess.TimeoutExpired:
            raise HookFailed(f"{kind} hook {hook.path}: no end after {hook.timeout} seconds") from None
        except OSError as error:
            raise HookFailed(f"{kind} hook {hook.path}: {error.strerror}") from None
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            raise HookFailed(
                f"{kind} hook {hook.path}: exit code {done.returncode}" + (f": {said[-1]}" if said else "")
            )


class _RunHooks(Step, frozen=True):
    """Hooks of one kind, as a step."""

    kind: str
    hooks: tuple[oci.Hook, ...]
    status: oci.Status
    man = "runtime-spec: config.md, POSIX-platform Hooks"
    why = "programs of somebody else's, who wants to have a say before the container runs"

    @property
    def title(self) -> str:
        return f"Run the {self.kind} hooks"

    def apply(self, context: Context) -> None:
        assert context.state is not None, "the runtime tells how to describe the container"
        run(self.kind, self.hooks, context.state(self.status))


class RunHooksOutside(_RunHooks, frozen=True):
    """prestart and createRuntime: in the runtime's namespaces."""

    where: ClassVar[Where] = "parent"


class RunHooksInside(_RunHooks, frozen=True):
    """createContainer and startContainer: in the container's namespaces."""
