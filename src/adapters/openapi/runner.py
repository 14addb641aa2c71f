"""Calls one operation."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from adapters.openapi.answers import SMALL, answer_text, error_text
from adapters.openapi.functions import Function
from adapters.openapi.requests import request_of
from application.ports.guarded_web import GuardedWeb, WebFailed, WebRefused
from application.ports.tool_runner import ToolFailed, ToolOutput
from domain.tools.credentials import Credentials
from domain.tools.masking import Mask
from domain.tools.tools import JsonValue, ToolSpec

_LEAST_FAILURE = 300


@dataclass(frozen=True, slots=True)
class OperationRunner:
    function: Function
    web: GuardedWeb
    credentials: Credentials = field(repr=False)
    mask: Mask = field(repr=False)

    @property
    def spec(self) -> ToolSpec:
        return self.function.spec

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        request = request_of(self.function, arguments, self.credentials)
        try:
            answer = await self.web.send(request)
        except (WebRefused, WebFailed) as problem:
            raise ToolFailed(self.mask(str(problem))) from None
        operation = self.function.operation
        source = f"{operation.method} {operation.path}"
        written = error_text if answer.status >= _LEAST_FAILURE else answer_text
        if len(answer.body) > SMALL:
            text = await asyncio.to_thread(written, answer, source, self.mask)
        else:
            text = written(answer, source, self.mask)
        if answer.status >= _LEAST_FAILURE:
            raise ToolFailed(text)
        return ToolOutput(text)
