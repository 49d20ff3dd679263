from minidock.oci import digest as digests
from minidock.registry.server.refusals import Refusal


class Upload:
    def __init__(self, directory, name, repository):
        self.path, self.repository = directory / name, repository
        self.file = self.path.open("w+b", buffering=0)
        self.size = self.path.stat().st_size

    def write(self, piece):
        self.file.write(piece)
        self.size += len(piece)

    def finish(self, digest, store):
        hash_ = digests.hasher(digest)
        hash_.update(self.path.read_bytes())
        if digest != f"{hash_.name}:{hash_.hexdigest()}":
            raise Refusal("DIGEST_INVALID", "another digest")
        store.take(self.repository, digest, self.path)

    def abort(self):
        self.close()
        self.path.unlink()

    def close(self):
        self.file.close()
