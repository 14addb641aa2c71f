"""Pictures as models take them: upright, small, and with nothing in them but their pixels."""

import io
from typing import BinaryIO, Final

from PIL import Image as Pillow
from PIL import ImageOps

from adapters.documents.limits import LONGEST_EDGE, MAX_PICTURE_BYTES, MAX_PIXELS
from application.ports.document_parser import DocumentRefused
from domain.conversation.conversation import Image
from domain.files.files import FileKind

_FORMATS: Final = {FileKind.PNG: "PNG", FileKind.JPEG: "JPEG", FileKind.WEBP: "WEBP", FileKind.GIF: "GIF"}
_QUALITIES: Final = (90, 75, 50, 25)
_MEDIA_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_DEEP: Final = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def read_picture(kind: FileKind, content: BinaryIO) -> Image:
    """Raises DocumentRefused."""
    name = _FORMATS.get(kind)
    if name is None:
        raise DocumentRefused("file_broken", "is no image")
    Pillow.MAX_IMAGE_PIXELS = None  # Ours is checked below, and is an error at once.
    try:
        with Pillow.open(content, formats=(name,)) as opened:
            _refuse_bombs(opened)
            image = _upright(opened)
    except MemoryError:
        raise
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, OverflowError) as error:
        raise DocumentRefused("file_broken", f"is damaged, or it is no {name} image") from error
    return _encoded(image, name)


def _refuse_bombs(image: Pillow.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        reason = f"is {width:,} by {height:,} pixels: more than {MAX_PIXELS:,} in all are not opened"
        raise DocumentRefused("file_dangerous", reason)


def _upright(opened: Pillow.Image) -> Pillow.Image:
    # Before it is decoded: a JPEG is then decoded at a fraction of its size.
    opened.draft(None, (LONGEST_EDGE, LONGEST_EDGE))
    opened.load()
    image = _plain(opened)
    if max(image.size) > LONGEST_EDGE:
        image = image.convert("RGBA" if _is_clear(image) else "RGB") if image.mode in {"P", "1", "PA"} else image
        image.thumbnail((LONGEST_EDGE, LONGEST_EDGE), Pillow.Resampling.LANCZOS, reducing_gap=2.0)
    return ImageOps.exif_transpose(image)


def _plain(image: Pillow.Image) -> Pillow.Image:
    """In a mode that each format knows."""
    if image.mode in _DEEP:
        _low, high = image.convert("F").getextrema()
        scale = 255.0 / 65535.0 if 255 < float(high) <= 65535 else 255.0 / max(float(high), 255.0)  # type: ignore[arg-type]
        return _keeping_turn(image, image.convert("F").point(lambda value: value * scale).convert("L"))
    if image.mode in {"1", "L", "P", "RGB", "RGBA"}:
        return image
    return _keeping_turn(image, image.convert("RGBA" if _is_clear(image) else "RGB"))


def _keeping_turn(image: Pillow.Image, plain: Pillow.Image) -> Pillow.Image:
    plain.info = dict(image.info)
    return plain


def _is_clear(image: Pillow.Image) -> bool:
    return image.has_transparency_data


def _encoded(image: Pillow.Image, name: str) -> Image:
    if name != "JPEG":
        data = _saved(image, name)
        if len(data) <= MAX_PICTURE_BYTES:
            return Image(_MEDIA_TYPES[name], data)
    opaque = _opaque(image)
    for quality in _QUALITIES:
        data = _saved(opaque, "JPEG", quality)
        if len(data) <= MAX_PICTURE_BYTES:
            break
    return Image("image/jpeg", data)


def _opaque(image: Pillow.Image) -> Pillow.Image:
    """On white: without it what was clear would become black."""
    if not _is_clear(image):
        return image.convert("L" if image.mode in {"1", "L"} else "RGB")
    clear = image.convert("RGBA")
    paper = Pillow.new("RGBA", clear.size, "white")
    paper.alpha_composite(clear)
    return paper.convert("RGB")


def _saved(image: Pillow.Image, name: str, quality: int = 90) -> bytes:
    out = io.BytesIO()
    bare = image.copy()
    kept = {
        key: image.info[key] for key in ("transparency",) if key in image.info and image.mode in {"P", "L", "RGB", "1"}
    }
    bare.info = {}
    options = {"quality": quality} if name in {"JPEG", "WEBP"} else kept
    bare.save(out, name, **options)
    return out.getvalue()
