def after_exit(policy, state):
    if state.manually_stopped:
        return False
    if policy.name == "on-failure":
        return state.exit_code != 0 and state.restart_count < policy.maximum_retry_count
    return policy.name in ("always", "unless-stopped")
