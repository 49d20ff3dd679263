def components(name):
    if ".." in name:
        raise ValueError(name)
    return [part for part in name.split("/") if part not in ("", ".")]
