"""Numbers for a monitoring system, in Prometheus' text form (``GET /metrics``)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Metrics:
    """Counted since the start. ``requests`` by method and status, ``received`` in bytes of blobs."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    received: int = 0
    sent: int = 0

    def text(self, uploads: int) -> str:
        """The document; ``uploads`` are under way now."""
        lines = [
            "# TYPE minidock_registry_requests_total counter",
            *(
                f'minidock_registry_requests_total{{method="{method}",status="{status}"}} {count}'
                for (method, status), count in sorted(self.requests.items())
            ),
            "# TYPE minidock_registry_received_bytes_total counter",
            f"minidock_registry_received_bytes_total {self.received}",
            "# TYPE minidock_registry_sent_bytes_total counter",
            f"minidock_registry_sent_bytes_total {self.sent}",
            "# TYPE minidock_registry_uploads gauge",
            f"minidock_registry_uploads {uploads}",
        ]
        return "\n".join(lines) + "\n"
