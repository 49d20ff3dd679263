from minidock.build.stages import sources_of
def needed_stages(stages, names, wanted):
    stage = stages[wanted]
    used = [int(name) if name.isdecimal() else names.get(name.lower()) for step in stage.steps for name in sources_of(step)]
    return {wanted, *(each for each in [stage.base, *used] if each is not None and each < wanted)}
