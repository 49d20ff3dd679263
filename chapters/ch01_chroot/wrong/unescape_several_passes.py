def unescape(text):
    for code, char in (('134', '\\'), ('040', ' '), ('011', '\t'), ('012', '\n')):
        text = text.replace('\\' + code, char)
    return text
