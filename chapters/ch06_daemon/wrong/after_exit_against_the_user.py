def after_exit(policy, state):
    if policy.name == "on-failure":
        limit = policy.maximum_retry_count
        return state.exit_code != 0 and (limit == 0 or state.restart_count < limit)
    return policy.name in ("always", "unless-stopped")
