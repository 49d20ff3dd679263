class Unframer:
    def feed(self, data):
        out = []
        while len(data) >= 8:
            n = int.from_bytes(data[4:8], "big")
            if len(data) < 8 + n:
                break
            out.append((data[0], data[8:8+n]))
            data = data[8+n:]
        return out
