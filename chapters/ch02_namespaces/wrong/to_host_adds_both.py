def to_host(mappings, number):
    for m in mappings:
        if m.container <= number < m.container + m.size:
            return m.host + number
    return None
