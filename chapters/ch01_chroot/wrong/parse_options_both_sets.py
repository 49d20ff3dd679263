from minidock.kernel.mounts import FLAG_OPTIONS, PROPAGATION_OPTIONS, RECURSIVE_OPTIONS, MountOptions


def parse_options(options):
    flags = cleared = recursive_set = recursive_clear = 0
    propagation, data, copy_up = [], [], False
    for option in options:
        if option in FLAG_OPTIONS:
            flag, on = FLAG_OPTIONS[option]
            if on:
                flags |= flag
            else:
                cleared |= flag
        elif option in PROPAGATION_OPTIONS:
            propagation.append(PROPAGATION_OPTIONS[option])
        elif option in RECURSIVE_OPTIONS:
            add, clear = RECURSIVE_OPTIONS[option]
            recursive_set = recursive_set & ~clear | add
            recursive_clear = recursive_clear & ~add | clear
        elif option == "tmpcopyup":
            copy_up = True
        elif option != "defaults":
            data.append(option)
    return MountOptions(flags, cleared, tuple(propagation), recursive_set, recursive_clear, ",".join(data), copy_up)
