"""Bytes under their digests, on a disk: what the image store and the registry both stand on."""
