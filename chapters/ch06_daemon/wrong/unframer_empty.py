class Unframer:
    def __init__(self):
        self.rest = b""
    def feed(self, data):
        self.rest += data
        found = []
        while len(self.rest) > 8:
            end = 8 + int.from_bytes(self.rest[4:8], "big")
            if len(self.rest) < end:
                break
            found.append((self.rest[0], self.rest[8:end]))
            self.rest = self.rest[end:]
        return found
