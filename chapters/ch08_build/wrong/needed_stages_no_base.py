from minidock.build.stages import sources_of
def needed_stages(stages, names, wanted):
    needed = {wanted}
    for step in stages[wanted].steps:
        for name in sources_of(step):
            number = int(name) if name.isdecimal() else names.get(name.lower())
            if number is not None and number < wanted:
                needed |= needed_stages(stages, names, number)
    return needed
