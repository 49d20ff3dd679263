import signal

from minidock.errors import InvalidInput


def signal_number(text):
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 64:
        return int(text)
    name = text.upper().lstrip("SIG")
    for base, first in (("RTMIN+", signal.SIGRTMIN), ("RTMAX-", signal.SIGRTMAX)):
        offset = name.removeprefix(base)
        if offset != name and offset.isdigit() and int(offset) <= 30:
            return first + int(offset) if "+" in name else first - int(offset)
    try:
        return signal.Signals["SIG" + name]
    except KeyError:
        raise InvalidInput(text) from None
