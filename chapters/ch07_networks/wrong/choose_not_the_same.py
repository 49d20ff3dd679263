from minidock.errors import NotFound
def choose(pools, in_use, version=4):
    for base, size in pools:
        if base.version == version:
            for one in base.subnets(new_prefix=size):
                if not any(one == other or one.version == other.version and one.subnet_of(other) for other in in_use):
                    return one
    raise NotFound("none")
