"""Pictures: good, odd and hostile."""

import io
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from domain.files.files import FileKind

FORMATS = {FileKind.PNG: "PNG", FileKind.JPEG: "JPEG", FileKind.WEBP: "WEBP", FileKind.GIF: "GIF"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What must become of a picture: a media type and a size, or a refusal."""

    name: str
    kind: FileKind
    make: Callable[[], bytes]
    media_type: str = ""
    size: tuple[int, int] = (0, 0)
    code: str = ""

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.name}"


def saved(image: Image.Image, kind: FileKind, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, FORMATS[kind], **options)
    return out.getvalue()


def drawn(size: tuple[int, int] = (40, 30), mode: str = "RGB") -> Image.Image:
    """Left red, right blue: which side is which can be told after any turn."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, size[0], size[1]))
    return image.convert(mode)


def noisy(size: tuple[int, int]) -> Image.Image:
    return Image.frombytes("RGB", size, random.Random(3).randbytes(3 * size[0] * size[1]))


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "secret place"
    return saved(drawn(), FileKind.JPEG, exif=exif, quality=95)


def animated(kind: FileKind) -> bytes:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "green", "blue")]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def png_of(width: int, height: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def clear() -> bytes:
    return saved(Image.new("RGBA", (3000, 20), (255, 0, 0, 0)), FileKind.PNG)


PNG, JPEG, WEBP, GIF = "image/png", "image/jpeg", "image/webp", "image/gif"
CASES = (
    *(Shown("small", kind, lambda kind=kind: saved(drawn(), kind), kind.media_type, (40, 30)) for kind in FORMATS),
    *(
        Shown("one dot", kind, lambda kind=kind: saved(drawn((1, 1)), kind), kind.media_type, (1, 1))
        for kind in FORMATS
    ),
    Shown("grey", FileKind.PNG, lambda: saved(drawn(mode="L"), FileKind.PNG), PNG, (40, 30)),
    Shown("black and white", FileKind.PNG, lambda: saved(drawn(mode="1"), FileKind.PNG), PNG, (40, 30)),
    Shown("palette", FileKind.PNG, lambda: saved(drawn(mode="P"), FileKind.PNG), PNG, (40, 30)),
    Shown("16 bits", FileKind.PNG, lambda: saved(Image.new("I;16", (9, 9), 60_000), FileKind.PNG), PNG, (9, 9)),
    Shown("clear", FileKind.PNG, clear, PNG, (1568, 10)),
    Shown("CMYK", FileKind.JPEG, lambda: saved(drawn(mode="CMYK"), FileKind.JPEG), JPEG, (40, 30)),
    Shown("turned", FileKind.JPEG, lambda: turned(6), JPEG, (30, 40)),
    Shown("animated GIF", FileKind.GIF, lambda: animated(FileKind.GIF), GIF, (20, 10)),
    Shown("animated WEBP", FileKind.WEBP, lambda: animated(FileKind.WEBP), WEBP, (20, 10)),
    Shown("wide", FileKind.PNG, lambda: saved(drawn((6000, 100)), FileKind.PNG), PNG, (1568, 26)),
    Shown("photo", FileKind.JPEG, lambda: saved(noisy((4000, 3000)), FileKind.JPEG), JPEG, (1568, 1176)),
    Shown(
        "noise too large for PNG", FileKind.PNG, lambda: saved(noisy((1568, 1568)), FileKind.PNG), JPEG, (1568, 1568)
    ),
    Shown("a line", FileKind.PNG, lambda: saved(Image.new("L", (20_000, 1)), FileKind.PNG), PNG, (1568, 1)),
    Shown("bomb", FileKind.PNG, lambda: png_of(30_000, 30_000, bytes(10_000_000)), code="file_dangerous"),
    Shown("claims too much", FileKind.PNG, lambda: png_of(2**31 - 1, 2**31 - 1, b""), code="file_dangerous"),
    Shown("cut JPEG", FileKind.JPEG, lambda: saved(noisy((300, 300)), FileKind.JPEG)[:5000], code="file_broken"),
    Shown("cut PNG", FileKind.PNG, lambda: saved(noisy((300, 300)), FileKind.PNG)[:5000], code="file_broken"),
    Shown("too few rows", FileKind.PNG, lambda: png_of(100, 100, bytes(301)), PNG, (100, 100)),
    *(Shown("nothing", kind, bytes, code="file_empty") for kind in FORMATS),
    *(Shown("noise", kind, lambda: random.Random(5).randbytes(3000), code="file_broken") for kind in FORMATS),
    *(Shown("text", kind, lambda: b"<svg onload='alert(1)'/>", code="file_broken") for kind in FORMATS),
    Shown("PNG as JPEG", FileKind.JPEG, lambda: saved(drawn(), FileKind.PNG), code="file_broken"),
    Shown("a PDF", FileKind.PDF, lambda: b"%PDF-1.7", code="file_broken"),
)
