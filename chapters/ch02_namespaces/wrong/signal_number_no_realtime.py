import signal
from minidock.errors import InvalidInput
def signal_number(text):
    name = text.upper().removeprefix("SIG")
    if name.isdecimal() and 1 <= int(name) <= 64:
        return int(name)
    try:
        return int(signal.Signals["SIG" + name])
    except KeyError:
        raise InvalidInput(text)
