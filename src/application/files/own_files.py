"""The caller's own files by the addresses that uploads gave. An address is never fetched."""

from collections.abc import Sequence
from typing import Final

from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.errors import InvalidValue
from domain.files.files import StoredFile
from domain.ids import FileId, UserId

NOT_YOURS: Final = "is not the address of one of your files: upload it, and send the address that comes back"


def file_of(storage: FileStorage, address: str) -> FileId:
    """Signature and age don't matter. Raises InvalidValue `file_url_refused`."""
    file_id = storage.file_of(address)
    if file_id is None:
        raise InvalidValue("file_url", NOT_YOURS, code="file_url_refused")
    return file_id


async def own_files(transactions: Transactions, actor: UserId, wanted: Sequence[FileId]) -> Sequence[StoredFile]:
    """All of them, in order. Raises InvalidValue `file_url_refused` when one is missing, or somebody else's."""
    async with transactions.autocommit() as tx:
        found = {file.file_id: file for file in await tx.files.these(wanted, owner=actor)}
    if any(file_id not in found for file_id in wanted):
        raise InvalidValue("file_url", NOT_YOURS, code="file_url_refused")
    return [found[file_id] for file_id in wanted]
