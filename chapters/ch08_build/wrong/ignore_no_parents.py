import re
def _regex(pattern):
    parts = re.findall(r"\*\*/|\*\*|\*|\?|.", pattern)
    return "".join({"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(part, re.escape(part)) for part in parts)
class Ignore:
    def __init__(self, patterns):
        self.patterns = [(p.startswith("!"), _regex(p.removeprefix("!"))) for p in patterns]
    def excludes(self, path):
        excluded = False
        for exception, regex in self.patterns:
            if re.fullmatch(regex, path):
                excluded = not exception
        return excluded
    def excludes_all_below(self, directory):
        return self.excludes(directory) and not any(exception for exception, _ in self.patterns)
