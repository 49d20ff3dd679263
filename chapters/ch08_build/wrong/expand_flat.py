import re
from minidock.errors import InvalidInput
def expand(text, variables, escape="\\"):
    out, i = "", 0
    quote = ""
    while i < len(text):
        c = text[i]
        if quote == "'" and c != "'":
            out += c
        elif c == escape and (not quote or text[i + 1 : i + 2] in ("$", escape, quote)):
            i += 1
            out += text[i : i + 1]
        elif c in "'\"" and quote in ("", c):
            quote = "" if quote else c
        elif match := re.compile(r"\$(\w+)|\$\{(\w+)(?:(:?)([-+?])([^}]*))?\}").match(text, i):
            name = match[1] or match[2]
            value = variables.get(name)
            missing = not value if match[3] else value is None
            word = match[5] or ""
            kind = match[4] or ""
            if kind == "?" and missing:
                raise InvalidInput(word)
            out += word if kind == ("-" if missing else "+") else "" if kind == "+" else value or ""
            i = match.end() - 1
        elif text[i : i + 2] == "${":
            raise InvalidInput("bad form")
        else:
            out += c
        i += 1
    if quote:
        raise InvalidInput("quote")
    return out
