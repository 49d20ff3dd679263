"""Content store, layers, overlay snapshots, names, archives."""
