from minidock.errors import NotFound
from minidock.oci.image import MANIFEST_TYPES, REFERENCE_TYPE
from minidock.oci.platform import fitness
def select(index, platform):
    images = [m for m in index.manifests if REFERENCE_TYPE not in m.annotations and m.media_type in MANIFEST_TYPES]
    for m in images:
        if m.platform and fitness(m.platform, platform):
            return m
    for m in images:
        if not m.platform:
            return m
    raise NotFound(str(platform))
