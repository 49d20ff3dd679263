from minidock.errors import InvalidSpec
from minidock.oci.image import INDEX_TYPES, MANIFEST_TYPES, Index, parse_manifest
from minidock.registry.server.documents import Document
from minidock.registry.server.refusals import Refusal

def understand(data, content_type):
    if content_type not in MANIFEST_TYPES + INDEX_TYPES:
        raise Refusal("MANIFEST_INVALID", "unknown type")
    try:
        read = parse_manifest(data, content_type)
    except InvalidSpec as error:
        raise Refusal("MANIFEST_INVALID", str(error))
    if isinstance(read, Index):
        return Document(read.media_type, (), tuple(read.manifests), read.subject, read.artifact_type, read.annotations)
    blobs = (read.config, *(layer for layer in read.layers if not layer.urls))
    kind = read.artifact_type or read.config.media_type
    return Document(read.media_type, blobs, (), read.subject, kind, read.annotations)
