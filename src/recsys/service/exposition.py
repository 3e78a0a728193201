"""The numbers of all workers as Prometheus text: counters and histograms summed, gauges one per living worker."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from recsys.service.metric_slots import Kind, Reading

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Definition(NamedTuple):
    """One metric: its name without the suffixes that Prometheus adds, what it says, its labels and buckets."""

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


def expose(definitions: Mapping[str, Definition], readings: Iterable[Reading]) -> bytes:
    """Render readings in the text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Readings(definitions, list(readings)))
    return generate_latest(registry)


class _Readings(Collector):
    def __init__(self, definitions: Mapping[str, Definition], readings: list[Reading]) -> None:
        self._definitions = definitions
        self._readings = readings

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, list[Reading]] = defaultdict(list)
        for reading in self._readings:
            by_name[reading.series.name].append(reading)
        for name, definition in self._definitions.items():
            if definition.kind == "gauge":
                yield _gauge(definition, by_name[name])
            elif definition.kind == "counter":
                yield _counter(definition, by_name[name])
            else:
                yield _histogram(definition, by_name[name])


def _gauge(definition: Definition, readings: list[Reading]) -> Metric:
    family = GaugeMetricFamily(definition.name, definition.help, labels=[*definition.labels, "worker"])
    for each in readings:
        if each.alive and not math.isnan(each.values[0]):
            family.add_metric([*each.series.labels, each.worker], each.values[0])
    return family


def _counter(definition: Definition, readings: list[Reading]) -> Metric:
    family = CounterMetricFamily(definition.name, definition.help, labels=definition.labels)
    for labels, values in _sums(readings).items():
        family.add_metric(labels, values[0])
    return family


def _histogram(definition: Definition, readings: list[Reading]) -> Metric:
    family = HistogramMetricFamily(definition.name, definition.help, labels=definition.labels)
    bounds = [*(repr(bound) for bound in definition.buckets), "+Inf"]
    for labels, values in _sums(readings).items():
        *counts, total = values
        family.add_metric(labels, list(zip(bounds, accumulate(counts), strict=True)), total)
    return family


def _sums(readings: list[Reading]) -> dict[tuple[str, ...], list[float]]:
    sums: dict[tuple[str, ...], list[float]] = {}
    for each in readings:
        found = sums.setdefault(each.series.labels, [0.0] * each.series.width)
        for index, value in enumerate(each.values):
            found[index] += value
    return sums
