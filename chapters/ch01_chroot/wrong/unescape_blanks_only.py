def unescape(text):
    return text.replace('\\040', ' ')
