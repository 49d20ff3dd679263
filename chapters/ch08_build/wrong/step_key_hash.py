import hashlib

def step_key(parent, *parts):
    return hashlib.sha256(str(hash((parent, *parts))).encode()).hexdigest()
