"""Chapter 5: an image from a registry, and why one may trust it."""
