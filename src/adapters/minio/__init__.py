"""Contents of files in a bucket of an S3-compatible storage, over the `minio` SDK."""

from adapters.minio.storage import MinioFiles

__all__ = ["MinioFiles"]
