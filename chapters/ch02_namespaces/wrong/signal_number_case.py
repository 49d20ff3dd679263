import signal
from minidock.errors import InvalidInput
def signal_number(text):
    name = text.removeprefix("SIG")
    if name.isdecimal() and 1 <= int(name) <= 64:
        return int(name)
    for sign in "+-":
        base, found, offset = name.partition(sign)
        if found and base in ("RTMIN", "RTMAX") and offset.isdecimal():
            number = int(signal.Signals["SIG" + base]) + int(sign + offset)
            if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
                return number
    try:
        return int(signal.Signals["SIG" + name])
    except KeyError:
        raise InvalidInput(text)
