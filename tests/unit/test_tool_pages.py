"""Lists of tools: long documents are written beside the loop."""

import threading
from datetime import UTC, datetime
from typing import ClassVar

import msgspec
import pytest

from application.paging import Page
from domain.ids import ToolId, UserId
from domain.tools.user_tools import ApiDocument, BuiltInTool, ToolDraft, UserTool
from entrypoints.http.envelope import page_of
from entrypoints.http.v1.tools import ToolView, _page

NOW = datetime(2026, 11, 3, tzinfo=UTC)


class Told(str):
    """A document that knows which thread wrote it."""

    written: ClassVar[list[threading.Thread]] = []

    def encode(self, *how: str) -> bytes:
        self.written.append(threading.current_thread())
        return super().encode(*how)


def tool(text: str) -> UserTool:
    draft = ToolDraft(en_name="t", document=ApiDocument(text, is_object=True))
    return UserTool.create(ToolId("t"), UserId("ann"), draft, NOW)


@pytest.mark.parametrize(("length", "beside"), [(10, False), (200_000, True)])
async def test_only_long_documents_are_written_beside_the_loop(length: int, beside: bool) -> None:
    Told.written = []
    text = Told('{"a":"' + "x" * length + '"}')
    found = Page([tool(text), BuiltInTool(ToolId("c"), "c", "c", ""), tool(text)], "more")
    written = msgspec.json.encode(await _page(found))
    assert [one is not threading.main_thread() for one in Told.written] == [beside, beside]
    assert written == msgspec.json.encode(page_of(found, ToolView.of))
