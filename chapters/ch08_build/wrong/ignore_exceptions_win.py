import re
def _regex(pattern):
    parts = re.findall(r"\*\*/|\*\*|\*|\?|.", pattern)
    return "".join({"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part)) for part in parts)
class Ignore:
    def __init__(self, patterns):
        self.ignored = [_regex(pattern) for pattern in patterns if not pattern.startswith("!")]
        self.kept = [_regex(pattern[1:]) for pattern in patterns if pattern.startswith("!")]
    def excludes(self, path):
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        def fits(patterns):
            return any(re.fullmatch(pattern, each) for pattern in patterns for each in above)
        return fits(self.ignored) and not fits(self.kept)
    def excludes_all_below(self, directory):
        return self.excludes(directory) and not self.kept
