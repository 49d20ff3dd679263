"""Chapter 2: namespaces, one at a time."""
