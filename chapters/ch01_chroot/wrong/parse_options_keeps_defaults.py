from minidock.kernel.mounts import *
from minidock.kernel.mounts import MountOptions
def parse_options(options):
    flags, cleared, prop, data = 0, 0, [], []
    for o in options:
        if o in FLAG_OPTIONS:
            flag, on = FLAG_OPTIONS[o]
            flags, cleared = (flags | flag, cleared & ~flag) if on else (flags & ~flag, cleared | flag)
        elif o in PROPAGATION_OPTIONS: prop.append(PROPAGATION_OPTIONS[o])
        elif o != 'tmpcopyup': data.append(o)
    return MountOptions(flags, cleared, tuple(prop), 0, 0, ','.join(data), 'tmpcopyup' in options)
