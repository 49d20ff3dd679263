from minidock.build.lines import Statement
def statements(lines, escape):
    rest = iter(enumerate(lines, 1))
    for number, line in rest:
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        text = ""
        while line.endswith(escape):
            text += line[:-1]
            line = next((later for _, later in rest if later.strip() and not later.lstrip().startswith("#")), "")
        yield Statement(number, text + line, [])
