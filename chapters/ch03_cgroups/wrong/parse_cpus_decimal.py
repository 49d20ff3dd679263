from decimal import Decimal, InvalidOperation
from minidock.errors import InvalidInput
def parse_cpus(text):
    try:
        billionths = Decimal(text) * 10**9
    except InvalidOperation:
        raise InvalidInput(text)
    if billionths != int(billionths):
        raise InvalidInput(text)
    return int(billionths)
