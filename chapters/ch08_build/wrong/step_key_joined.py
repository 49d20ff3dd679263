import hashlib
def step_key(parent, *parts):
    return hashlib.sha256("".join([parent, *parts]).encode()).hexdigest()
