import json
from minidock.oci.distribution import ErrorEntry
def read_errors(body):
    try:
        errors = json.loads(body)["errors"]
        assert isinstance(errors, list)
    except Exception:
        return []
    return [ErrorEntry(e["code"], e["message"], e["detail"]) for e in errors]
