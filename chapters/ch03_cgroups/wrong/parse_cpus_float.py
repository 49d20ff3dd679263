from minidock.errors import InvalidInput
def parse_cpus(text):
    try:
        return int(eval(text) * 1e9)
    except Exception:
        raise InvalidInput(text)
