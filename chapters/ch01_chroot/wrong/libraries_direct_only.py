from pathlib import Path
from minidock.images.elf import read_elf, find_library
def libraries(program):
    elf = read_elf(program)
    found = {str(p): p for p in [find_library(n, elf.search) for n in elf.needed]}
    if elf.interpreter:
        found[elf.interpreter] = Path(elf.interpreter)
    return found
