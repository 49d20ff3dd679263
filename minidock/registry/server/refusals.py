"""How a registry says no: a status, and a document with a code that clients recognise.

Source: distribution-spec 1.1, "Error Codes"; the statuses are those of the reference implementation.
"""

from __future__ import annotations

import msgspec

from minidock.oci.distribution import ErrorDocument, ErrorEntry

_STATUS = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DENIED": 403,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "PAGINATION_NUMBER_INVALID": 400,
    "RANGE_INVALID": 416,
    "SIZE_INVALID": 413,
    "TAG_INVALID": 400,
    "UNAUTHORIZED": 401,
    "UNAVAILABLE": 503,
    "UNKNOWN": 500,
    "UNSUPPORTED": 405,
}


class Refusal(Exception):
    """The answer to a request that is not granted. ``headers`` go with it (a challenge, where to go on)."""

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = _STATUS[code]
        self.headers = headers or {}

    def body(self) -> bytes:
        """The JSON document."""
        return msgspec.json.encode(ErrorDocument(errors=[ErrorEntry(code=self.code, message=self.message)]))
