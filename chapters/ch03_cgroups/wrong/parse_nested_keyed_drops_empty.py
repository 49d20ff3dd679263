def parse_nested_keyed(text):
    found = {}
    for line in text.splitlines():
        key, *pairs = line.split()
        for pair in pairs:
            name, value = pair.split("=")
            found.setdefault(key, {})[name] = int(value)
    return found
