import re
def expand(text, variables, escape="\\"):
    def value(match):
        name = match[1] or match[2]
        return variables.get(name, "")
    return re.sub(r"\$(\w+)|\$\{(\w+)\}", value, re.sub("['\"]", "", text))
