"""The server: records, the engine, the REST API."""
