from minidock.registry.server.access import Right


def rights(action, name, query):
    if action == "*":
        return [Right("catalog", "*", "registry")]
    if name is None:
        return []
    here = [Right(name, each) for each in (("pull", "push") if action == "push" else (action,))]
    return here + ([Right(query["from"], "pull")] if action == "push" and "from" in query else [])
