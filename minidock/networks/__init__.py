"""Bridges, addresses, NAT, and the files that give a container its names."""
