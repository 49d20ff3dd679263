def with_variables(env, added):
    names = {entry.split("=")[0] for entry in added}
    return [entry for entry in env if entry.split("=")[0] not in names] + list(added)
