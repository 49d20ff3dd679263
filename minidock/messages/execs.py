"""What the API says of programs run in a running container."""

from __future__ import annotations

from msgspec import field

from minidock.messages.document import Message


class ExecCreate(Message):
    """``POST /containers/ID/exec``."""

    user: str = ""
    privileged: bool = False
    tty: bool = False
    console_size: list[int] = []
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach: bool = False
    detach_keys: str = ""
    env: list[str] = []
    working_dir: str = ""
    cmd: list[str] = []


class ExecCreated(Message):
    """Its answer."""

    id: str


class ExecStart(Message):
    """``POST /exec/ID/start``."""

    detach: bool = False
    tty: bool = False
    console_size: list[int] = []


class ExecProcess(Message, rename="camel"):
    """The program of an exec, as inspect shows it."""

    arguments: list[str] = []
    entrypoint: str = ""
    privileged: bool = False
    tty: bool = False
    user: str = ""


class ExecInspect(Message):
    """``GET /exec/ID/json``."""

    id: str = field(name="ID")
    running: bool = False
    exit_code: int | None = None
    process_config: ExecProcess = field(default_factory=ExecProcess)
    open_stdin: bool = False
    open_stderr: bool = False
    open_stdout: bool = False
    can_remove: bool = False
    container_id: str = field(default="", name="ContainerID")
    detach_keys: str = ""
    pid: int = 0
