def unescape(text):
    return text.encode().decode("unicode_escape")
