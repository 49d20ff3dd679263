from minidock.errors import NotFound
from minidock.oci.image import MANIFEST_TYPES
from minidock.oci.platform import fitness
def select(index, platform):
    images = [m for m in index.manifests if m.media_type in MANIFEST_TYPES]
    fits = [fitness(m.platform, platform) * 2 if m.platform else 1 for m in images]
    if not any(fits):
        raise NotFound(str(platform))
    return images[fits.index(max(fits))]
