from minidock.errors import NotFound
from minidock.oci.image import MANIFEST_TYPES, REFERENCE_TYPE
from minidock.oci.platform import fitness
def select(index, platform):
    images = [m for m in index.manifests if REFERENCE_TYPE not in m.annotations and m.media_type in MANIFEST_TYPES]
    fits = [fitness(m.platform, platform) for m in images]
    if not any(fits):
        raise NotFound(str(platform))
    return images[fits.index(max(fits))]
