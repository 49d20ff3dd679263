from minidock.build.lines import Statement
def statements(lines, escape):
    rest = iter(enumerate(lines, 1))
    for number, line in rest:
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        text = ""
        while line.rstrip(" \t").endswith(escape):
            text += line.rstrip(" \t")[:-1]
            line = next(rest, (0, ""))[1]
        yield Statement(number, text + line, [])
