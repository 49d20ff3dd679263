def scopes(rights):
    return [f"{right.kind}:{right.repository}:{right.action}" for right in rights]
