def parse_nested_keyed(text):
    found = {}
    for line in text.splitlines():
        key, *pairs = line.split()
        found[key] = dict(pair.split("=") for pair in pairs)
    return found
