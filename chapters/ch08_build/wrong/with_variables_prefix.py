def with_variables(env, added):
    found = list(env)
    for entry in added:
        name = entry.partition("=")[0]
        old = next((at for at, each in enumerate(found) if each.startswith(name)), None)
        if old is None:
            found.append(entry)
        else:
            found[old] = entry
    return found
