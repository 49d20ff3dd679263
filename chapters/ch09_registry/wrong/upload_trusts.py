class Upload:
    def __init__(self, directory, name, repository):
        self.path, self.repository = directory / name, repository
        self.file = self.path.open("a+b", buffering=0)
        self.size = self.path.stat().st_size

    def write(self, piece):
        self.file.write(piece)
        self.size += len(piece)

    def finish(self, digest, store):
        store.take(self.repository, digest, self.path)

    def abort(self):
        self.close()
        self.path.unlink()

    def close(self):
        self.file.close()
