"""How the service is doing: what was asked, how long it took, how good the answers were.

No customer in any label: routes stand as templates (``/v1/customers/{customer_id}``), never as paths.
BentoML's own metrics label raw paths, so that customer ids leak into the monitoring (faults.md).
"""

from collections import Counter as Tally
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import MutexValue, ValueClass

# seconds: a score takes 1 to 100 ms, the deadline is 10 s (design.md, 2026-11-21)
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Meters:
    """Counters in a registry of their own; of all workers together where there are several."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "okaeri_requests", "Requests answered or refused", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "okaeri_request_seconds",
            "Seconds from first byte to answer",
            ["route"],
            registry=self._registry,
            buckets=BUCKETS,
        )
        self._results = Counter(
            "okaeri_results",
            "Customers answered, by status of the result",
            ["status"],
            registry=self._registry,
        )

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_results(self, reply: Mapping[str, object]) -> None:
        """Count the customers of one reply by how far their answers can be trusted."""
        results = reply.get("results")
        if isinstance(results, list):
            for status, n in Tally(str(result.get("status")) for result in results).items():
                self._results.labels(status).inc(n)

    def page(self) -> bytes:
        """The numbers as Prometheus reads them."""
        if ValueClass is MutexValue:  # as decided when prometheus_client was imported: Feast sets the variable later
            return generate_latest(self._registry)
        every_worker = CollectorRegistry()
        MultiProcessCollector(every_worker)  # type: ignore[no-untyped-call]
        return generate_latest(every_worker)
