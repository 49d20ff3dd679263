import json
def read_errors(body):
    try:
        errors = json.loads(body)["errors"]
        return errors if isinstance(errors, list) else []
    except Exception:
        return []
