import json
from minidock.oci.distribution import ErrorEntry
def read_errors(body):
    document = json.loads(body)
    return [ErrorEntry(e["code"], e.get("message", ""), e.get("detail")) for e in document.get("errors", [])]
