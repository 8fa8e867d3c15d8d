"""What the server counts about itself, as Prometheus reads it."""

from __future__ import annotations

import bisect
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    """Counts of answers by route and status, how long they took, and what others report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._buckets: Counter[tuple[str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        with self._lock:
            self._answers[route, status] += 1
            self._buckets[route, bisect.bisect_left(BUCKETS, seconds)] += 1
            self._seconds[route] += seconds

    def gauge(self, name: str, words: str, value: Callable[[], float]) -> None:
        """A number that is looked up whenever somebody asks."""
        self._gauges[name] = words, value

    def text(self) -> str:
        """Everything in the text format of Prometheus."""
        with self._lock:
            return "\n".join([*self._counts(), *self._times(), *self._looked_up(), ""])

    def _counts(self) -> Iterator[str]:
        yield "# HELP featx_answers_total Answers by route and status."
        yield "# TYPE featx_answers_total counter"
        for (route, status), n in sorted(self._answers.items()):
            yield f'featx_answers_total{{route="{route}",status="{status}"}} {n}'

    def _times(self) -> Iterator[str]:
        yield "# HELP featx_answer_seconds How long answers took."
        yield "# TYPE featx_answer_seconds histogram"
        for route in sorted(self._seconds):
            total = 0
            for i, limit in enumerate([*map(str, BUCKETS), "+Inf"]):
                total += self._buckets[route, i]
                yield f'featx_answer_seconds_bucket{{route="{route}",le="{limit}"}} {total}'
            yield f'featx_answer_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}'
            yield f'featx_answer_seconds_count{{route="{route}"}} {total}'

    def _looked_up(self) -> Iterator[str]:
        for name, (words, value) in self._gauges.items():
            yield f"# HELP featx_{name} {words}"
            yield f"# TYPE featx_{name} gauge"
            yield f"featx_{name} {value():g}"
