from minidock.kernel.mounts import Mount, unescape as u
def parse_line(line):
    f = line.split(' ')
    i = f.index('-')
    a, b = f[2].split(':')
    t, s, o = f[i + 1:]
    return Mount(int(f[0]), int(f[1]), int(a), int(b), u(f[3]), u(f[4]), tuple(f[5].split(',')),
                 tuple(f[6:i]), u(t), u(s), o)
