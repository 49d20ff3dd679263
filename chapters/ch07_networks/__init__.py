"""Chapter 7: networks."""
