from minidock.registry.server.access import Right


def rights(action, name, query):
    if action == "*":
        return [Right("catalog", "*", "registry")]
    if name is None:
        return []
    source = [Right(query["from"], "pull")] if action == "push" and {"mount", "from"} <= set(query) else []
    return [Right(name, action), *source]
