def fitness(offered, wanted):
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return 0
    default = {"arm": "v7", "arm64": "v8", "amd64": "v1"}.get(offered.architecture, "v0")
    have, need = (int((p.variant or default)[1:]) for p in (wanted, offered))
    return need + 1 if need <= have else 0
