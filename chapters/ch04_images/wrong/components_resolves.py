def components(name):
    parts = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                raise ValueError(name)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts
