from pathlib import Path
from minidock.images.elf import read_elf, find_library
def libraries(program):
    elf = read_elf(program)
    return {str(p): p for p in [find_library(n, elf.search) for n in elf.needed]}
