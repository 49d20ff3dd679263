import re
def _regex(pattern):
    parts = re.findall(r"\*\*/|\*\*|\*|\?|.", pattern)
    return "".join({"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part)) for part in parts)
class Ignore:
    def __init__(self, patterns):
        self.patterns = [(p.startswith("!"), _regex(p.removeprefix("!"))) for p in patterns]
    def excludes(self, path):
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        excluded = False
        for exception, regex in self.patterns:
            if any(re.fullmatch(regex, each) for each in above):
                excluded = not exception
        return excluded
    def excludes_all_below(self, directory):
        return self.excludes(directory)
