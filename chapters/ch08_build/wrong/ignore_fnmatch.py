from fnmatch import fnmatchcase
class Ignore:
    def __init__(self, patterns):
        self.patterns = list(patterns)
    def excludes(self, path):
        parts = path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        excluded = False
        for pattern in self.patterns:
            if any(fnmatchcase(each, pattern.removeprefix("!")) for each in above):
                excluded = not pattern.startswith("!")
        return excluded
    def excludes_all_below(self, directory):
        return self.excludes(directory) and not any(pattern.startswith("!") for pattern in self.patterns)
