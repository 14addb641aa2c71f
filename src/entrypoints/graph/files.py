"""The part of the object graph that keeps files: their storage, uploads, and what clears up after them."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from dishka import Provider, Scope, provide, provide_all

from adapters.local_files import LocalFiles
from adapters.security import HmacLinkSigner
from application.files import files
from application.files.file_upkeep import SweepFiles
from application.files.uploads import UploadFile, UploadPlaces
from application.ports.clock import Clock
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from application.ports.security import LinkSigner
from domain.errors import DomainError
from domain.files.files import UploadQuota
from entrypoints.settings.loading import Settings

log = logging.getLogger("agentchat.files")


class OpenStorage(FileStorage, Protocol):
    """One that the container closes."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StorageHealth:
    storage: FileStorage
    name: str = "storage"

    async def check(self) -> None:
        await self.storage.check()


class Files(Provider):
    """Needs a Transactions, a Clock and the secrets, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(files.ListFiles, files.RemoveFile, files.ServeFile, files.ShowFile)

    def __init__(self, secrets: Callable[[Settings], tuple[str, ...]]) -> None:
        super().__init__()
        self._secrets = secrets

    @provide
    def signer(self, settings: Settings) -> LinkSigner:
        return HmacLinkSigner(self._secrets(settings))

    @provide
    async def storage(self, settings: Settings, signer: LinkSigner) -> AsyncIterator[FileStorage]:
        opened = open_storage(settings, signer)
        yield opened
        await opened.aclose()

    @provide
    def link(self, storage: FileStorage, clock: Clock, settings: Settings) -> files.LinkFile:
        return files.LinkFile(storage, clock, timedelta(seconds=settings.url_lifetime_seconds))

    @provide
    def upload(
        self, transactions: Transactions, storage: FileStorage, clock: Clock, link: files.LinkFile, settings: Settings
    ) -> UploadFile:
        quota = UploadQuota(settings.quota.upload_bytes, settings.quota.uploads_per_hour)
        places = UploadPlaces(settings.max_concurrent_uploads)
        return UploadFile(transactions, storage, clock, link, places, settings.max_upload_bytes, quota)

    @provide
    def sweep(self, transactions: Transactions, storage: FileStorage, clock: Clock) -> SweepFiles:
        return SweepFiles(transactions, storage, clock, on_trouble=_not_swept)


def open_storage(settings: Settings, signer: LinkSigner) -> OpenStorage:
    return FILE_STORAGES[settings.storage.kind](settings, signer)


def _local(settings: Settings, signer: LinkSigner) -> OpenStorage:
    return LocalFiles(settings.data_dir / "files", signer)


def _minio(settings: Settings, _: LinkSigner) -> OpenStorage:
    # Imported where it is chosen: the SDK costs time and memory at the start.
    from adapters.minio import MinioFiles

    chosen = settings.storage
    if chosen.endpoint is None or chosen.access_key is None or chosen.secret_key is None:
        raise ValueError("storage: endpoint, access_key and secret_key must be set for minio")
    return MinioFiles(
        chosen.endpoint,
        chosen.access_key,
        chosen.secret_key.reveal(),
        chosen.bucket,
        secure=chosen.secure,
        region=chosen.region,
        public_endpoint=chosen.public_endpoint,
        create_bucket=chosen.create_bucket,
    )


FILE_STORAGES: Final[Mapping[str, Callable[[Settings, LinkSigner], OpenStorage]]] = {"local": _local, "minio": _minio}


def _not_swept(trouble: Exception) -> None:
    log.warning("files_not_swept", exc_info=None if isinstance(trouble, DomainError | TimeoutError) else trouble)
