def cpu_max(quota, period):
    limit = str(quota) if quota and quota > 0 else "max"
    return f"{limit} {period or 100000}"
