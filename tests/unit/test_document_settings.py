"""What an operator sets for documents is what the parsers keep to."""

from dataclasses import asdict
from typing import Any

import msgspec
import pytest

from adapters.documents.limits import ParserLimits
from entrypoints.graph.documents import limits_of
from entrypoints.settings.schema import DocumentSettings

CHOSEN: dict[str, Any] = {
    "max_pages": 7,
    "max_chars": 77,
    "timeout_seconds": 7.5,
    "memory_bytes": 777_777_777,
    "workers": 3,
    "documents_per_child": 1,
}


def test_whoever_sets_nothing_gets_what_the_parsers_would_take_themselves() -> None:
    assert limits_of(DocumentSettings()) == ParserLimits()


def test_every_setting_reaches_the_parsers() -> None:
    assert {*CHOSEN, "ocr"} == set(asdict(ParserLimits())) == set(DocumentSettings.__struct_fields__)
    chosen = msgspec.convert({**CHOSEN, "ocr": "rapidocr"}, DocumentSettings)
    assert limits_of(chosen) == ParserLimits(**CHOSEN, ocr=True)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_a_child_reads_at_least_one_document(count: float) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"documents_per_child": count}, DocumentSettings)
