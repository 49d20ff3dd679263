"""The command line, a thin voice over HTTP."""
