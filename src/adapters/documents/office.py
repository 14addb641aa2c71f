"""How the office formats are opened, and what their libraries raise."""

from collections.abc import Callable
from typing import BinaryIO, TypeVar

from lxml import etree  # type: ignore[import-untyped]

from adapters.documents.archive import check_package
from application.ports.document_parser import DocumentRefused

_T = TypeVar("_T")


def opened(content: BinaryIO, how: Callable[[BinaryIO], _T], *, kind: str) -> _T:
    """Raises DocumentRefused."""
    check_package(content)
    try:
        return how(content)
    except etree.XMLSyntaxError as error:
        raise refusal_of(error) from error
    except (KeyError, ValueError, AttributeError, TypeError, IndexError) as error:
        raise DocumentRefused("file_broken", f"is damaged, or it is no {kind} document") from error


def refusal_of(error: etree.XMLSyntaxError) -> DocumentRefused:
    """libxml2 counts nesting itself. Raises MemoryError for what was none of the document's faults."""
    if error.code == etree.ErrorTypes.ERR_NO_MEMORY:
        raise MemoryError from error
    if "depth" in str(error).lower():
        return DocumentRefused("file_dangerous", "has parts that are nested too deep: it is not opened")
    return DocumentRefused("file_broken", "is damaged: a part of it is no XML")
