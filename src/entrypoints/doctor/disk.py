"""Disks: how much is free, and whether they are of this machine."""

import shutil
from pathlib import Path
from typing import Final

from entrypoints.doctor.findings import Finding, ok, warn

LITTLE_BYTES: Final = 500 * 1024 * 1024
MOUNTS: Final = Path("/proc/self/mounts")
NETWORK: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.glusterfs"}
)


def room(name: str, folder: Path) -> Finding:
    return room_verdict(name, folder, shutil.disk_usage(folder).free)


def room_verdict(name: str, folder: Path, free: int) -> Finding:
    message = f"{free // (1024 * 1024):,} MB free in {folder}"
    if free < LITTLE_BYTES:
        return warn(
            name, message, f"free some, or move data_dir to a larger disk: below {LITTLE_BYTES >> 20} MB it fills"
        )
    return ok(name, message)


def network_file_system(path: Path) -> str | None:
    """Its kind; None for a disk of this machine, and where that can't be found out."""
    try:
        return kind_in(MOUNTS.read_text(errors="replace"), path.resolve())
    except OSError:
        return None


def kind_in(mounts: str, path: Path) -> str | None:
    """Of the innermost mount that holds the path."""
    rows = [line.split() for line in mounts.splitlines()]
    found = [(unescaped(row[1]), row[2]) for row in rows if len(row) > 2]
    holding = [(len(Path(place).parts), kind) for place, kind in found if path.is_relative_to(place)]
    kind = max(reversed(holding), key=lambda one: one[0], default=(0, ""))[1]
    return kind if kind in NETWORK else None


def unescaped(place: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\134", "\\")):
        place = place.replace(code, char)
    return place
