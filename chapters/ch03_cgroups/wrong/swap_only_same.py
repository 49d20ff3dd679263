from minidock.errors import InvalidSpec
def swap_only(limit, swap):
    if swap is None:
        return -1 if limit == -1 else None
    return swap
