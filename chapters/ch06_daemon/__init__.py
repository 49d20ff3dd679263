"""Chapter 6: client and server."""
