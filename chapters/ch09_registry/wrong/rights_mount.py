from minidock.registry.server.access import Right


def rights(action, name, query):
    if action == "*":
        return [Right("catalog", "*", "registry")]
    if name is None:
        return []
    return [Right(name, each) for each in (("pull", "push") if action == "push" else (action,))]
