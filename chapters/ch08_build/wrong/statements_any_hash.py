from minidock.build.lines import Statement
def statements(lines, escape):
    rest = iter(enumerate((line.split("#")[0] for line in lines), 1))
    for number, line in rest:
        line = line.strip()
        if not line:
            continue
        text = ""
        while line.endswith(escape):
            text += line[:-1]
            line = next((later.rstrip() for _, later in rest if later.strip()), "")
        yield Statement(number, text + line, [])
