def first_free(first, last, taken):
    number = first + len(set(taken))
    return number if number <= last else None
