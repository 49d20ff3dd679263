"""A Dockerfile becomes an image."""
