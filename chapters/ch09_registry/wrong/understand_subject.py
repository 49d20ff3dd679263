from minidock.errors import InvalidSpec
from minidock.oci.image import INDEX_TYPES, MANIFEST_TYPES, Index, parse_manifest
from minidock.registry.server.documents import Document
from minidock.registry.server.refusals import Refusal


def understand(data, content_type):
    if content_type not in MANIFEST_TYPES + INDEX_TYPES:
        raise Refusal("MANIFEST_INVALID", "not taken")
    try:
        parsed = parse_manifest(data, content_type)
    except InvalidSpec as error:
        raise Refusal("MANIFEST_INVALID", str(error)) from None
    blobs, manifests, kind = (), (), parsed.artifact_type
    if isinstance(parsed, Index):
        manifests = tuple(parsed.manifests)
    else:
        blobs = (parsed.config, *(layer for layer in parsed.layers if not layer.urls))
        kind = kind or parsed.config.media_type
    if parsed.subject:
        manifests += (parsed.subject,)
    return Document(content_type, blobs, manifests, parsed.subject, kind, parsed.annotations)
