def scopes(rights):
    actions = {}
    for right in rights:
        actions.setdefault((right.kind, right.repository), []).append(right.action)
    return [f"{kind}:{name}:{','.join(words)}" for (kind, name), words in sorted(actions.items())]
