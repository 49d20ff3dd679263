import hashlib
def step_key(parent, *parts):
    return hashlib.sha256(repr([parent, *sorted(parts)]).encode()).hexdigest()
