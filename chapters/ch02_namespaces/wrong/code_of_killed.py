import os


def code_of(wait_status):
    return os.WEXITSTATUS(wait_status)
