"""The published formats (image-spec, runtime-spec, distribution-spec, references, digests) as types."""
