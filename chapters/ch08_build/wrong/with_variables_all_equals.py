def with_variables(env, added):
    values = {entry.split("=")[0]: entry.split("=")[1] for entry in [*env, *added]}
    return [f"{name}={value}" for name, value in values.items()]
