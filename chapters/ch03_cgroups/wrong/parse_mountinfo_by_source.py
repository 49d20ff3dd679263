from pathlib import Path
from minidock.kernel.cgroups.layout import Layout
def parse_mountinfo(text):
    v1, v2 = {}, None
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        _, source, options = after.split(" ", 2)
        point = Path(before.split(" ")[4])
        if source == "cgroup2":
            v2 = v2 or point
        elif source == "cgroup":
            for o in options.split(","):
                if o not in ("rw", "xattr"):
                    v1.setdefault(o, point)
            v1.setdefault(str(point), point)
    return Layout("hybrid" if v1 and v2 else "v1" if v1 else "v2" if v2 else "none", v1, v2)
