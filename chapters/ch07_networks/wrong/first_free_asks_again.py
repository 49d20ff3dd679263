def first_free(first, last, taken):
    number = first
    while number in taken:
        number += 1
    return number if number <= last else None
