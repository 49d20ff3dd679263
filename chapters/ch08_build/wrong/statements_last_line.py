from minidock.build.lines import Statement
def statements(lines, escape):
    text = ""
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        bare = line.rstrip(" \t")
        if bare.endswith(escape):
            text += bare[:-1]
            continue
        yield Statement(number, (text + line).lstrip(), [])
        text = ""
