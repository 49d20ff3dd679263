import re
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
def parse_duration(text):
    total = 0
    for n, f, u in re.findall(r"(\d+)(?:\.(\d+))?(ns|us|ms|s|m|h)", text):
        total += int(n + f) * UNITS[u] // 10 ** len(f)
    return -total if text.startswith("-") else total
