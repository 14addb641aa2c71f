"""Contents of files in a folder of this machine."""

from adapters.local_files.storage import LocalFiles

__all__ = ["LocalFiles"]
