"""What the webhook counts. Labels come from fixed lists, never from a request."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class DoorMetrics:
    """The webhook's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._answers = Histogram(
            "prosa_webhook_seconds",
            "From a webhook's whole request to its answer, by endpoint and result.",
            ("endpoint", "result"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._appends = Histogram(
            "prosa_webhook_append_seconds", "Until the log had made an event durable.", buckets=_SECONDS, registry=registry
        )
        self._refused = Counter(
            "prosa_webhook_refused", "Requests refused before they were looked at, by limit.", ("limit",), registry=registry
        )

    def answered(self, endpoint: str, result: str, seconds: float) -> None:
        """A webhook was answered."""
        self._answers.labels(endpoint, result).observe(seconds)

    def appended(self, seconds: float) -> None:
        """An event is durable."""
        self._appends.observe(seconds)

    def refused(self, limit: str) -> None:
        """A request was over a limit: `too_large` or `too_slow`."""
        self._refused.labels(limit).inc()
