from pathlib import Path
from minidock.kernel.cgroups.layout import Layout
def parse_mountinfo(text):
    v1, v2 = {}, None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        point = Path(before.split(" ")[4])
        if kind == "cgroup2":
            v2 = point
        elif kind == "cgroup":
            for o in options.split(","):
                if o not in ("rw", "xattr"):
                    v1[o] = point
    return Layout("hybrid" if v1 and v2 else "v1" if v1 else "v2" if v2 else "none", v1, v2)
