def way_out(endpoints):
    able = [e for e in endpoints if e.gateway4 or e.gateway6]
    return min(able, key=lambda e: (-e.priority, e.interface), default=None)
