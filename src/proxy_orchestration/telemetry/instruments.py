"""
The metrics, each with its name, unit and meaning.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, Observation

T = TypeVar("T")

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAGS: Final = (60.0, 300.0, 900.0, 3600.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0)
_SIZES: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)

STATE: Final = "proxy_orchestration.state"
REASON: Final = "proxy_orchestration.reason"
TIER: Final = "proxy_orchestration.tier"
OUTCOME: Final = "proxy_orchestration.outcome"
CODE: Final = "proxy_orchestration.code"


class Instruments:
    """
    One set of instruments; attributes are states, tiers, reasons and codes, and never an id.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._parts: dict[str, list[weakref.ref[Any]]] = {}
        counter, histogram = meter.create_counter, meter.create_histogram
        self.items: Counter = counter(
            "proxy_orchestration.items",
            "{item}",
            "Items that a driver settled, or that were never sent, by state",
        )
        self.commit_size: Histogram = histogram(
            "proxy_orchestration.commit.items",
            "{item}",
            "Items whose outcomes one commit stored",
            explicit_bucket_boundaries_advisory=_SIZES,
        )
        self.commit_time: Histogram = histogram(
            "proxy_orchestration.commit.duration",
            "s",
            "How long a commit took",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self.leases_lost: Counter = counter(
            "proxy_orchestration.leases.lost", "{lease}", "Leases that another driver took over"
        )
        self.retries: Counter = counter(
            "proxy_orchestration.retries", "{call}", "Calls to the service that were repeated, by reason"
        )
        self.notices: Counter = counter(
            "proxy_orchestration.notices", "{notice}", "Certificates that runs processed, by tier and outcome"
        )
        self.pushes: Counter = counter(
            "proxy_orchestration.pushes", "{push}", "Attempts to send a push, by the state that each led to"
        )
        self.digest_lag: Histogram = histogram(
            "proxy_orchestration.digest.lag",
            "s",
            "From the first notice of a digest until it was sent",
            explicit_bucket_boundaries_advisory=_LAGS,
        )

    def watch(  # noqa: PLR0913 - a metric's
        self,
        part: T,
        read: Callable[[T], float | None],
        *,
        name: str,
        unit: str,
        meaning: str,
        together: Callable[[Sequence[float]], float] = sum,
    ) -> None:
        """
        Have a part's figure read whenever metrics are collected, as long as somebody holds the part.

        Args:
            part: of several with one name the figures are told as one, since a series has one figure.
            read: returns it; `None` says nothing.
            name: of the metric.
            unit: its unit.
            meaning: what it is.
            together: makes one figure of several.
        """
        parts = self._parts.get(name)
        if parts is None:
            parts = self._parts[name] = []
            observe = partial(_observe, parts, read, together)
            self._meter.create_observable_gauge(name, [observe], unit, meaning)
        parts.append(weakref.ref(part, parts.remove))


def _observe(
    parts: Sequence[weakref.ref[T]],
    read: Callable[[T], float | None],
    together: Callable[[Sequence[float]], float],
    _options: CallbackOptions,
) -> Iterable[Observation]:
    held = [part for each in tuple(parts) if (part := each()) is not None]
    figures = [figure for part in held if (figure := read(part)) is not None]
    return [Observation(together(figures))] if figures else []
