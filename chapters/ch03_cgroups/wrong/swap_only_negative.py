def swap_only(limit, swap):
    if swap is None:
        return -1 if limit == -1 else None
    if swap == -1:
        return -1
    return swap - (limit or 0)
