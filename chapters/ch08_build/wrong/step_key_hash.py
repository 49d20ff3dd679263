def step_key(parent, *parts):
    return f"{hash((parent, *parts)):x}"
