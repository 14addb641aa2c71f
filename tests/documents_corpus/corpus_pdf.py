"""PDFs: good ones by reportlab, bad ones by hand."""

import io
import random
import zlib
from collections.abc import Callable

from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from documents_corpus.corpus_case import Case
from domain.files.files import FileKind

CHINESE = "春眠不觉晓，处处闻啼鸟。"
pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))


def drawn(*pages: Callable[[Canvas], None], encrypt: StandardEncryption | None = None) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=encrypt)
    for page in pages:
        page(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def lines(*texts: str, font: str = "Helvetica") -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        canvas.setFont(font, 12)
        for number, text in enumerate(texts):
            canvas.drawString(72, 720 - 20 * number, text)

    return draw


def chapter(title: str, level: int, *texts: str) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        canvas.bookmarkPage(title)
        canvas.addOutlineEntry(title, title, level)
        lines(*texts)(canvas)

    return draw


def picture(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(Image.new("RGB", (200, 100), "red")), 72, 500)


def form(canvas: Canvas) -> None:
    canvas.drawString(72, 720, "Name:")
    canvas.acroForm.textfield(name="who", value="Mistress Quickly", x=120, y=710, width=200, height=20)


def english() -> bytes:
    return drawn(lines("The quick brown fox.", "It jumps."), lines("Second page."))


def encrypted(user: str) -> bytes:
    return drawn(lines("Only for us."), encrypt=StandardEncryption(user, ownerPassword="owner", strength=128))


def long(pages: int) -> bytes:
    words = ["agent", "dialog", "message", "chunk", "citation", "answer", "stream", "storage"]
    chance = random.Random(7)
    body = [[" ".join(chance.choices(words, k=12)) for _ in range(30)] for _ in range(pages)]
    return drawn(*(lines(f"Page number {number}", *texts) for number, texts in enumerate(body, 1)))


def objects(*bodies: bytes) -> bytes:
    """A PDF of these objects, the first of which is the catalog."""
    out = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, start)


def stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), more, data)


def with_script() -> bytes:
    return objects(
        b"<< /Type /Catalog /Pages 2 0 R "
        b"/OpenAction << /S /JavaScript /JS (app.alert\\('hello'\\); while \\(1\\) {}) >> >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R "
        b"/Resources << /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        stream(b"BT /F 12 Tf 20 200 Td (Text beside a script) Tj ET"),
    )


def doubling(depth: int) -> bytes:
    """A page that draws a form ten times, which draws another ten times, and so on: 10 to the power of `depth`."""
    forms = [
        stream(
            b"/X Do " * 10 if number < depth else b"0 0 1 1 re f",
            b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X %d 0 R >> >>" % (number + 5)
            if number < depth
            else b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]",
        )
        for number in range(depth + 1)
    ]
    return objects(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents %d 0 R "
        b"/Resources << /XObject << /X 4 0 R >> >> >>" % (depth + 5),
        *forms,
        stream(b"/X Do " * 10),
    )


def unpacking(size: int) -> bytes:
    """A page whose content was packed twice, a thousand times smaller each time."""
    packer = zlib.compressobj(9)
    spaces = b" " * (1 << 20)
    # Each piece starts anew, so that all but the first, which has the header, are the same bytes.
    first, other = (packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    checksum = 1
    for _ in range(size >> 20):
        checksum = zlib.adler32(spaces, checksum)
    packed = first + other * ((size >> 20) - 1) + b"\x03\x00" + checksum.to_bytes(4, "big")
    return objects(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] /Contents 4 0 R >>",
        stream(zlib.compress(packed, 9), b"/Filter [/FlateDecode /FlateDecode]"),
    )


def claims_many_pages() -> bytes:
    return objects(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 300] >>",
    )


def circle_of_pages() -> bytes:
    return objects(b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>")


CASES = (
    Case("English", FileKind.PDF, english, holds=("quick brown fox", "Second page."), pages=2, tables=0),
    Case("Chinese", FileKind.PDF, lambda: drawn(lines(CHINESE, font="STSong-Light")), holds=(CHINESE,), pages=1),
    Case("500 pages", FileKind.PDF, lambda: long(500), holds=("Page number 500\n",), pages=500),
    Case(
        "outline",
        FileKind.PDF,
        lambda: drawn(
            chapter("Introduction", 0, "Before it", "Introduction", "Text"),
            chapter("Not on the page", 1, "Something else"),
        ),
        headings=("1 Introduction", "2 Not on the page"),
        holds=("Before it\nIntroduction\nText",),
    ),
    Case("user password", FileKind.PDF, lambda: encrypted("secret"), codes=("file_encrypted",)),
    Case("owner password only", FileKind.PDF, lambda: encrypted(""), holds=("Only for us.",)),
    Case("cut in half", FileKind.PDF, lambda: long(20)[:9000], codes=("file_broken",)),
    Case("nothing but its mark", FileKind.PDF, lambda: b"%PDF-1.7\n", codes=("file_broken",)),
    Case("only pictures", FileKind.PDF, lambda: drawn(picture, picture), codes=("file_no_text",)),
    Case("form", FileKind.PDF, lambda: drawn(form), holds=("Name:", "Mistress Quickly")),
    Case("script", FileKind.PDF, with_script, holds=("Text beside a script",), lacks=("alert",)),
    Case("blank page", FileKind.PDF, lambda: drawn(lambda _canvas: None), codes=("file_empty",)),
    Case(
        "blank page amid others",
        FileKind.PDF,
        lambda: drawn(lines("one"), lambda _canvas: None, lines("three")),
        holds=("one\n\nthree",),
        labels=("page 1", "page 2", "page 3"),
    ),
    Case("two milliards of pages", FileKind.PDF, claims_many_pages, codes=("file_broken", "file_empty")),
    Case("circle of pages", FileKind.PDF, circle_of_pages, codes=("file_broken", "file_empty")),
    Case("a picture's bytes", FileKind.PDF, lambda: b"\x89PNG\r\n\x1a\n" + bytes(500), codes=("file_broken",)),
)
