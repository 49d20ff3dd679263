"""Chapter 9: a registry of your own, in which nothing half is ever to be seen."""
