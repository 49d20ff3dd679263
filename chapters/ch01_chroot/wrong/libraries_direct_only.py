from pathlib import Path
from minidock.images.elf import read_elf, _find
def libraries(program):
    elf = read_elf(program)
    found = {str(p): p for p in [_find(n, elf.search) for n in elf.needed]}
    if elf.interpreter:
        found[elf.interpreter] = Path(elf.interpreter)
    return found
