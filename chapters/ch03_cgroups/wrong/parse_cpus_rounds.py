from fractions import Fraction
from minidock.errors import InvalidInput
def parse_cpus(text):
    try:
        return int(Fraction(text) * 10**9)
    except ValueError:
        raise InvalidInput(text)
