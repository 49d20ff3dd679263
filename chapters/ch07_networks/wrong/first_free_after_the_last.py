def first_free(first, last, taken):
    number = max([first - 1, *taken]) + 1
    return number if number <= last else None
