"""Chapter 4: overlay images, or a root in layers."""
