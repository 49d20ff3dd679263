from minidock.oci.platform import normalise
def fitness(offered, wanted):
    return int(normalise(offered) == normalise(wanted))
