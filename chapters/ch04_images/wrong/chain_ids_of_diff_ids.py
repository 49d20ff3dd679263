from minidock.oci.digest import of
def chain_ids(diff_ids):
    return list(diff_ids[:1]) + [of(f"{a} {b}".encode()) for a, b in zip(diff_ids, diff_ids[1:])]
