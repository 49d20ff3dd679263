"""minidock: Docker, small enough to read in a week."""
