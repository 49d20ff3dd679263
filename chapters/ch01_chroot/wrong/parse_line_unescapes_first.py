from minidock.kernel.mounts import Mount, unescape


def parse_line(line):
    f = unescape(line).split(" ")
    i = f.index("-", 6)
    a, b = f[2].split(":")
    t, s, o = f[i + 1 :]
    return Mount(
        int(f[0]), int(f[1]), int(a), int(b), f[3], f[4], tuple(f[5].split(",")), tuple(f[6:i]), t, s, o
    )
