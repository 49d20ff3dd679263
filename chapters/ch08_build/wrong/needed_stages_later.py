from minidock.build.stages import sources_of
def needed_stages(stages, names, wanted, seen=()):
    needed = {wanted}
    used = [stages[wanted].base]
    for step in stages[wanted].steps:
        used += [int(name) if name.isdecimal() else names.get(name.lower()) for name in sources_of(step)]
    for number in used:
        if number is not None and number not in seen:
            needed |= needed_stages(stages, names, number, (*seen, wanted))
    return needed
