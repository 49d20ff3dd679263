"""``minidock-tiny``: the smallest root file system that one can work in, made of this machine's own shell.

A container's root is nothing but some files. Which ones does a shell need? If busybox is here and static: itself
alone, with a link for each command. Otherwise ``sh`` and some commands, and the libraries that they name
(:mod:`~minidock.images.elf`). So no lesson and no test needs the internet.

The archive holds no time, owner or name of this machine: the same programs give the same bytes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from minidock.errors import InvalidInput, InvalidSpec, MinidockError
from minidock.images.archive import DIRECTORY, FILE, SYMLINK, Entry
from minidock.images.archive_writer import Writer
from minidock.images.elf import libraries, read_elf

_USAGE = """usage: minidock-tiny [FILE]
writes a root file system as a tar archive: minidock-tiny | minidock import --change 'CMD ["sh"]' - tiny"""

#: With busybox all of its commands come; without it, these of the machine's own, as far as they are there.
_COMMANDS = (
    "sh", "cat", "chmod", "chown", "cp", "date", "dd", "df", "echo", "env", "expr", "false", "grep", "head", "hostname",
    "id", "kill", "ln", "ls", "mkdir", "mknod", "mount", "mv", "nice", "nproc", "printf", "ps", "pwd", "readlink", "rm",
    "rmdir", "sed", "seq", "sleep", "sort", "stat", "stty", "sync", "tail", "test", "touch", "tr", "true", "tty",
    "umount", "uname", "wc", "whoami", "yes",
)  # fmt: skip
_DIRECTORIES = {"dev": 0o755, "etc": 0o755, "proc": 0o555, "root": 0o700, "sys": 0o555, "tmp": 0o1777, "var": 0o755}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def write_tiny(writer: Writer, busybox: Path | None) -> None:
    """Write the root file system's archive; ``busybox`` is a static one, or None to take the machine's own programs.

    Raises InvalidInput when there is not even a shell.
    """
    tree: dict[str, Entry] = {}
    contents: dict[str, bytes] = {}
    for name, text in _FILES.items():
        tree[name], contents[name] = Entry(name, FILE, 0o644), text.encode()
    if busybox:
        _add_busybox(busybox, tree, contents)
    else:
        _add_programs(tree, contents)
    for name in list(tree):
        for parent in Path(name).parents:
            if parent.name:
                tree.setdefault(str(parent), Entry(f"{parent}/", DIRECTORY, 0o755))
    tree |= {name: Entry(f"{name}/", DIRECTORY, mode) for name, mode in _DIRECTORIES.items()}
    for name in sorted(tree):
        data = contents.get(name, b"")
        tree[name].size = len(data)
        writer.add(tree[name], [data])


def find_busybox() -> Path | None:
    """This machine's busybox, if it is static and so needs no library."""
    found = shutil.which("busybox")
    if not found:
        return None
    elf = read_elf(Path(found))
    return None if elf.interpreter or elf.needed else Path(found)


def _add_busybox(busybox: Path, tree: dict[str, Entry], contents: dict[str, bytes]) -> None:
    """One program that looks at the name by which it was called: ``ls``, ``sh``, …"""
    tree["bin/busybox"], contents["bin/busybox"] = Entry("bin/busybox", FILE, 0o755), busybox.read_bytes()
    listed = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    for command in listed:
        if command != "busybox":
            tree[f"bin/{command}"] = Entry(f"bin/{command}", SYMLINK, 0o777, link="busybox")


def _add_programs(tree: dict[str, Entry], contents: dict[str, bytes]) -> None:
    if not shutil.which("sh"):
        raise InvalidInput("this machine has no shell: install busybox-static")
    for command in _COMMANDS:
        found = shutil.which(command)
        if not found:
            continue
        program = Path(found).resolve()
        try:
            needed = libraries(program)
        except InvalidSpec:
            continue  # a script: it would need an interpreter of its own
        for name, path in {f"bin/{command}": program, **needed}.items():
            name = name.lstrip("/")
            tree[name], contents[name] = Entry(name, FILE, 0o755), path.read_bytes()


def main(arguments: Iterable[str] | None = None) -> int:
    """``minidock-tiny [FILE]``: write the archive to FILE, or to standard output."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if len(words) > 1 or (words and words[0].startswith("-")):
        print(_USAGE, file=sys.stderr)
        return 0 if words[0] in ("-h", "--help") else 2
    if not words and sys.stdout.isatty():
        print(
            "minidock-tiny: an archive is not for a terminal: minidock-tiny | minidock import - tiny", file=sys.stderr
        )
        return 2
    output = open(words[0], "wb") if words else sys.stdout.buffer  # noqa: PTH123, SIM115
    try:
        with output:
            writer = Writer(output.write)
            write_tiny(writer, find_busybox())
            writer.close()
    except MinidockError as error:
        print(f"minidock-tiny: {error}", file=sys.stderr)
        return 1
    return 0
