def code_of(wait_status):
    return wait_status >> 8 if wait_status & 0x7F == 0 else 128 + (wait_status & 0xFF)
