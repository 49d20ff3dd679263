class Unframer:
    def __init__(self):
        self.rest = b""
    def feed(self, data):
        self.rest += data
        out = []
        while len(self.rest) >= 8:
            n = int.from_bytes(self.rest[4:8], "big")
            if len(self.rest) < n:
                break
            out.append((self.rest[0], self.rest[8:8+n]))
            self.rest = self.rest[8+n:]
        return out
