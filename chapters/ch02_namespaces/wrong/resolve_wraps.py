from minidock.containers.users import Identity
from minidock.errors import InvalidInput
def resolve(who, passwd, group):
    user, _, grp = who.partition(":")
    entries = [l.split(":") for l in passwd.splitlines() if l.count(":") == 6 and not l.startswith("#")]
    groups = [l.split(":") for l in group.splitlines()]
    try:
        number = int(user or "0")
    except ValueError:
        number = None
    entry = next((e for e in entries if e[2].isdigit() and (int(e[2]) == number if number is not None else e[0] == user)), None)
    if number is None and entry is None:
        raise InvalidInput("who?")
    uid = number if number is not None else int(entry[2])
    home = entry[5] if entry else ""
    if grp:
        found = next((g for g in groups if grp in (g[0], g[2])), None)
        if found is None and not grp.isdigit():
            raise InvalidInput("which?")
        return Identity(uid, int(found[2]) if found else int(grp), (), home)
    return Identity(uid, int(entry[3]) if entry else 0, tuple(int(g[2]) for g in groups if entry and entry[0] in g[3].split(",")), home)
