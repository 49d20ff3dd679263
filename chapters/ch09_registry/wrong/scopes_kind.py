def scopes(rights):
    actions = {}
    for right in rights:
        actions.setdefault(right.repository, []).append(right.action)
    return [f"repository:{name}:{','.join(words)}" for name, words in actions.items()]
