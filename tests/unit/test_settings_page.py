"""The documentation's page of settings names every setting, and its default."""

import json
import re
from pathlib import Path

import pytest
from msgspec import structs

from entrypoints.settings.loading import ModelSettings, Settings
from entrypoints.settings.models import BUILT_IN
from entrypoints.settings.show import leaves

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()
ROWS = {
    name: default
    for names, default in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", PAGE, re.MULTILINE)
    for name in re.findall(r"`([\w.]+)`", names)
}
DERIVED = {"database_url", "secret_keys", "default_model", "public_url", "vector.kind", "ingestion.in_server"}


@pytest.mark.parametrize(("path", "default"), list(leaves(Settings(), ())))
def test_every_setting_is_on_the_page_with_its_default(path: tuple[str, ...], default: object) -> None:
    name = ".".join(path)
    assert name in ROWS
    if name not in DERIVED:
        written = f"`{json.dumps(default) if isinstance(default, bool | tuple) else default}`"
        assert ROWS[name] == ("none" if default in (None, ()) else written)


def test_every_setting_of_a_model_is_on_the_page() -> None:
    assert {field.name for field in structs.fields(ModelSettings)} <= ROWS.keys()


def test_every_built_in_model_is_on_the_page() -> None:
    sentence = re.search(r"Built in: ([^\n]+)", PAGE)
    assert sentence is not None
    assert re.findall(r"`([^`]+)`", sentence[1]) == list(BUILT_IN)
