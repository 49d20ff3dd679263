"""Chapter 3: cgroups, and how much is enough."""
