from minidock.errors import InvalidSpec
def swap_only(limit, swap):
    if swap is None:
        return None
    if limit == -1 and swap == -1:
        return -1
    if swap == -1:
        return -1
    if limit is None or limit == -1 or swap < limit:
        raise InvalidSpec("no difference")
    return swap - limit
