from minidock.kernel.namespaces import IdMapping
def parse_id_map(text):
    found = []
    for line in text.splitlines():
        host, container, size = map(int, line.split())
        found.append(IdMapping(container, host, size))
    return found
