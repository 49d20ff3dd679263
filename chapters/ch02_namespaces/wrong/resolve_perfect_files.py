from minidock.containers.users import Identity
def resolve(who, passwd, group):
    user, _, wanted = who.partition(":")
    users = [line.split(":") for line in passwd.splitlines()]
    groups = [line.split(":") for line in group.splitlines()]
    found = next((row for row in users if int(row[2]) == int(user or "0")), None)
    return Identity(int(user), int(found[3]), tuple(int(row[2]) for row in groups if found[0] in row[3].split(",")), found[5])
