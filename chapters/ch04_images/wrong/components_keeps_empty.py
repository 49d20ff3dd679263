def components(name):
    parts = name.strip("/").split("/")
    if ".." in parts:
        raise ValueError(name)
    return parts
