"""Spells figures for Prometheus.

Sources: Prometheus, "Exposition formats", text-based format 0.0.4.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure, or several that differ in their labels.

    Attributes:
        name: with its unit, without the prefix of this program.
        kind: counter, gauge or histogram.
        text: what it is.
        samples: suffix of the name, labels and value of each.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    text: str
    samples: Iterable[tuple[str, Labels, float]]


def gauge(name: str, text: str, value: float | None, **labels: str) -> Metric:
    """Return a figure that goes up and down; None: it is not known now, and has no value."""
    return Metric(name, "gauge", text, () if value is None else (("", labels, value),))


def counter(name: str, text: str, value: float, **labels: str) -> Metric:
    """Return a figure that only goes up."""
    return Metric(name, "counter", text, (("", labels, value),))


def by_label(
    name: str, kind: Literal["counter", "gauge"], text: str, label: str, values: Mapping[str, float | None]
) -> Metric:
    """Return a figure for each value of a label; those that are not known are left out."""
    samples = tuple(("", {label: key}, value) for key, value in values.items() if value is not None)
    return Metric(name, kind, text, samples)


def encode_metrics(metrics: Iterable[Metric]) -> bytes:
    """Return figures as text."""
    lines: list[str] = []
    for metric in metrics:
        name = f"hydrophone_{metric.name}"
        samples = [
            f"{name}{suffix}{_spelled_labels(labels)} {_spelled(value)}"
            for suffix, labels, value in metric.samples
        ]
        lines += [f"# HELP {name} {_escaped(metric.text)}", f"# TYPE {name} {metric.kind}", *samples]
    return "".join(f"{line}\n" for line in lines).encode()


def _spelled_labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")


def _spelled(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    if isfinite(value):
        return repr(value)
    return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124 -- that is what NaN is
