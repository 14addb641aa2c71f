"""Numbers on their way: between the processes of one server, and to Prometheus."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
from msgspec import Struct
from prometheus_client import exposition
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class SentSample(Struct, array_like=True):
    name: str
    labels: dict[str, str]
    value: float


class SentFamily(Struct, array_like=True):
    name: str
    meaning: str
    kind: str
    samples: list[SentSample]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[SentFamily])


def packed(families: Iterable[Metric]) -> bytes:
    return _encoder.encode(
        [
            SentFamily(
                one.name,
                one.documentation,
                one.type,
                [SentSample(sample.name, dict(sample.labels), sample.value) for sample in one.samples],
            )
            for one in families
        ]
    )


def unpacked(sent: bytes) -> list[Metric]:
    """Raises ValueError for what no process of this version sends."""
    try:
        families = _decoder.decode(sent)
    except msgspec.DecodeError as error:
        raise ValueError("these are no numbers of ours") from error
    found = []
    for one in families:
        family = Metric(one.name, one.meaning, one.kind)
        for sample in one.samples:
            family.add_sample(sample.name, sample.labels, sample.value)
        found.append(family)
    return found


def text_of(families: Iterable[Metric]) -> bytes:
    return exposition.generate_latest(_Given(tuple(families)))


def merged(families: Iterable[Metric]) -> list[Metric]:
    """Each name once, as the format wants it, with the samples of all that are called so."""
    by_name: dict[str, Metric] = {}
    for one in families:
        first = by_name.setdefault(one.name, one)
        if first is not one:
            first.samples.extend(one.samples)
    return list(by_name.values())


@dataclass(frozen=True, slots=True)
class _Given(Collector):
    families: tuple[Metric, ...]

    def collect(self) -> Iterator[Metric]:
        return iter(self.families)
