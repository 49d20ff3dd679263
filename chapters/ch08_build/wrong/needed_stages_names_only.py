from minidock.build.stages import sources_of
def needed_stages(stages, names, wanted):
    needed = {wanted}
    used = [stages[wanted].base]
    for step in stages[wanted].steps:
        used += [names.get(name) for name in sources_of(step)]
    for number in used:
        if number is not None and number < wanted:
            needed |= needed_stages(stages, names, number)
    return needed
