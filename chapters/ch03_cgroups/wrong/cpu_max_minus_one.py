def cpu_max(quota, period):
    limit = "max" if quota is None else str(quota)
    return limit if period is None else f"{limit} {period}"
