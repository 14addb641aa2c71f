"""The settings of a server that keeps its files in a real S3 storage."""

from servers.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS


def s3(server: SeaweedFS, **more: object) -> dict[str, object]:
    return {
        "STORAGE__KIND": "minio",
        "STORAGE__ENDPOINT": server.endpoint,
        "STORAGE__ACCESS_KEY": ACCESS_KEY,
        "STORAGE__SECRET_KEY": SECRET_KEY,
        "STORAGE__BUCKET": BUCKET,
        "STORAGE__SECURE": "false",
        "OFFLINE_DELAY_MS": 0,
        **more,
    }
