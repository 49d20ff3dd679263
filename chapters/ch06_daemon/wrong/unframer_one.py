class Unframer:
    rest = b""
    def feed(self, data):
        self.rest += data
        n = int.from_bytes(self.rest[4:8], "big")
        if len(self.rest) < 8 or len(self.rest) < 8 + n:
            return []
        out = [(self.rest[0], self.rest[8:8+n])]
        self.rest = self.rest[8+n:]
        return out
