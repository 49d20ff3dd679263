"""Talking to a registry: authentication, manifests, blobs."""
