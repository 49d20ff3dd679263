def way_out(endpoints):
    able = [e for e in endpoints if e.gateway4 or e.gateway6]
    return max(able, key=lambda e: (e.priority, -int(e.interface[3:])))
