import os
def code_of(wait_status):
    return os.waitstatus_to_exitcode(wait_status)
