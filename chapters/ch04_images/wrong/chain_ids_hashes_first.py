from minidock.oci.digest import of
def chain_ids(diff_ids):
    chain = []
    for d in diff_ids:
        chain.append(of(" ".join(chain[-1:] + [d]).encode()))
    return chain
