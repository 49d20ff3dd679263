"""minidock: Docker, written to be read."""
