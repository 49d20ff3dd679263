from minidock.oci.platform import normalise
def fitness(offered, wanted):
    offered, wanted = normalise(offered), normalise(wanted)
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return 0
    default = {"arm64": "v8", "amd64": "v1"}.get(offered.architecture, "v0")
    have, need = (int((p.variant or default)[1:]) for p in (wanted, offered))
    return int(need <= have)
