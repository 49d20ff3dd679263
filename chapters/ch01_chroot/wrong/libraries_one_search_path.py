from pathlib import Path

from minidock.images.elf import find_library, read_elf


def libraries(program):
    elf = read_elf(program)
    found = {elf.interpreter: Path(elf.interpreter)} if elf.interpreter else {}
    names = list(elf.needed)
    for name in names:
        path = find_library(name, elf.search)
        found[str(path)] = path
        names += [more for more in read_elf(path).needed if more not in names]
    return found
