import os
from minidock.errors import ProgramNotFound, ProgramNotExecutable
def find_program(name, search):
    paths = [name] if '/' in name else [d + '/' + name for d in search.split(':')]
    for p in paths:
        if os.path.exists(p): return p
    raise ProgramNotFound(name)
