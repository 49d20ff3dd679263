def code_of(wait_status):
    return wait_status
