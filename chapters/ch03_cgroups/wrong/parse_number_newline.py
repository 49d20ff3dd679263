def parse_number(text):
    if text == "max" or text.startswith("92233720368547"):
        return None
    return int(text)
