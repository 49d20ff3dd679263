from minidock.containers.users import Identity
from minidock.errors import InvalidInput
def resolve(who, passwd, group):
    user, _, grp = who.partition(":")
    entries = [l.split(":") for l in passwd.splitlines() if l.count(":") == 6 and not l.startswith("#")]
    groups = [l.split(":") for l in group.splitlines()]
    key = 2 if user.isdigit() or not user else 0
    entry = next((e for e in entries if e[key] == (user or "0")), None)
    if entry is None:
        raise InvalidInput("who?")
    if grp:
        found = next((g for g in groups if grp in (g[0], g[2])), None)
        if found is None:
            raise InvalidInput("which?")
        return Identity(int(entry[2]), int(found[2]), (), entry[5])
    return Identity(int(entry[2]), int(entry[3]), tuple(int(g[2]) for g in groups if entry[0] in g[3].split(",")), entry[5])
