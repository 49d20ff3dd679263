def first_free(first, last, taken):
    return next((number for number in range(first, last) if number not in taken), None)
