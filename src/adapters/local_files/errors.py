"""What the disk's errors mean to a person. The messages name no path: clients see them."""

import errno
import logging

from domain.errors import Unavailable

log = logging.getLogger("agentchat.storage")

RETRY_SECONDS = 5.0

_FULL = "The file storage is full: make room on its disk."
_FORBIDDEN = "The server may not use the folder of its file storage: mend the folder's owner and mode."
_GONE = "The folder of the file storage is missing: mount or restore it."
_REASONS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
    errno.ENOENT: _GONE,
    errno.ENOTDIR: _GONE,
}


def unavailable(error: OSError) -> Unavailable:
    reason = _REASONS.get(error.errno or 0)
    log.error("storage_failed", exc_info=error)
    message = reason or "The file storage does not work: try again soon."
    return Unavailable("storage_unavailable", message, retry_after=RETRY_SECONDS)
