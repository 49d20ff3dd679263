def parse_number(text):
    text = text.strip()
    return None if text == "max" else int(text)
