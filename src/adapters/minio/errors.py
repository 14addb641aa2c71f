"""What the errors of the storage mean to a person. A message names the setting to mend, never a key or vendor words."""

import errno
import logging
from collections.abc import Mapping
from http.client import HTTPException
from typing import Final
from xml.etree.ElementTree import ParseError

from minio.error import InvalidResponseError, MinioException, S3Error
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, SSLError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError

from domain.errors import Unavailable

log = logging.getLogger("agentchat.storage")

RETRY_SECONDS: Final = 5.0

FAILURES: Final = (MinioException, HTTPError, HTTPException, ParseError, OSError, ValueError)
"""All that a call to the storage raises. Answers that can't be read are among them."""

_SERVER_ERROR: Final = 500

_FAILS: Final = "The file storage does not work: try again soon."
_UNREACHABLE: Final = "The file storage can't be reached: check storage.endpoint, and that it runs."
_SILENT: Final = "The file storage does not answer in time: try again soon."
_STRANGE: Final = "What answers is no S3 storage: check storage.endpoint and storage.secure."
_REFUSED: Final = "The file storage refuses the server's keys: check storage.access_key and storage.secret_key."
_FORBIDDEN: Final = (
    "The file storage refuses the server: check storage.access_key and storage.secret_key, and what they may do "
    "with the bucket."
)
_NO_BUCKET: Final = "The file storage has no such bucket: make it, or check storage.bucket."
_CLOCK: Final = "The file storage refuses the server, for their clocks differ: set the time of both."
_REGION: Final = "The file storage is in another region: check storage.region and storage.endpoint."
_FULL: Final = "The file storage is full: make room in it."

_NO_ROOM: Final = "The server's disk for temporary files is full: make room on it, or name another by TMPDIR."
_NO_DISK: Final = "The server can't keep temporary files: check the folder that TMPDIR names, and its disk."
_FULL_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_CHANGED: Final = "The file was removed or replaced while it was read."

_REASONS: Final[Mapping[str, str]] = {
    "InvalidAccessKeyId": _REFUSED,
    "SignatureDoesNotMatch": _REFUSED,
    "AccessDenied": _FORBIDDEN,
    "NoSuchBucket": _NO_BUCKET,
    "NoSuchKey": _CHANGED,
    "PreconditionFailed": _CHANGED,
    "RequestTimeTooSkewed": _CLOCK,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "InsufficientStorage": _FULL,
    "QuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
}


class NotGathered(OSError):
    """The disk of this machine failed, not the storage."""


def unavailable(error: Exception) -> Unavailable:
    """Logs the cause, which nobody else does."""
    log.error("storage_failed", exc_info=error)
    return Unavailable("storage_unavailable", reason(error), retry_after=RETRY_SECONDS)


def no_bucket() -> Unavailable:
    return Unavailable("storage_unavailable", _NO_BUCKET, retry_after=RETRY_SECONDS)


def reason(error: BaseException | None) -> str:
    match error:
        case NotGathered(errno=number):
            return _NO_ROOM if number in _FULL_DISK else _NO_DISK
        case S3Error(code=code):
            return _REASONS.get(code or "", _FAILS)
        case MaxRetryError(reason=cause) if cause is not None:
            return reason(cause)
        case InvalidResponseError(_code=status) if status >= _SERVER_ERROR:
            return _FAILS
        case InvalidResponseError() | SSLError() | ParseError() | ValueError():
            return _STRANGE
        case NewConnectionError():
            return _UNREACHABLE
        case HTTPTimeoutError() | TimeoutError():
            return _SILENT
        case HTTPError() | OSError():
            return _UNREACHABLE
        case _:
            return _FAILS
