from minidock.kernel.namespaces import IdMapping
def parse_id_map(text):
    return [IdMapping(*map(int, line.split(" "))) for line in text.splitlines()]
