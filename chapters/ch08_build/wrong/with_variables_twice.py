def with_variables(env, added):
    return [*env, *added]
