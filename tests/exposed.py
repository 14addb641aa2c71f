"""What `/metrics` says, by the library's own parser."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Series = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Exposed:
    series: Series
    kinds: Mapping[str, str]
    """Of a family, by its name."""

    @classmethod
    def parse(cls, text: str) -> "Exposed":
        series: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        kinds: dict[str, str] = {}
        for family in text_string_to_metric_families(text):
            assert family.name not in kinds, f"{family.name} stands twice"
            assert family.documentation
            kinds[family.name] = family.type
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in series, f"{key} stands twice"
                series[key] = sample.value
        return cls(series, kinds)

    def value(self, name: str, **labels: str) -> float:
        """The sum of all series of this name that have these labels."""
        wanted = set(labels.items())
        return sum(value for (found, has), value in self.series.items() if found == name and wanted <= has)

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(has)[label] for found, has in self.series if found == name and label in dict(has)}

    def added(self, earlier: "Exposed") -> Callable[..., float]:
        """By how much `value` of the same name and labels was less."""
        return lambda name, **labels: self.value(name, **labels) - earlier.value(name, **labels)

    def grew_from(self, earlier: "Exposed") -> bool:
        """Whether nothing that only counts up went down, or away."""
        return all(
            self.series.get(key, -1) >= value
            for key, value in earlier.series.items()
            if key[0].endswith(("_total", "_bucket", "_count", "_sum"))
        )


def exposed(response: Any) -> Exposed:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return Exposed.parse(response.text)
