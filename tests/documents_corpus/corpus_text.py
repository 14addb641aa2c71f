"""Text of all kinds and encodings."""

import json
import random

from documents_corpus.corpus_case import Case
from domain.files.files import FileKind

FRENCH = "Déjà vu à l’été : « garçon », œuvre, 12 €. Où êtes-vous ?\n"
GERMAN = "Größe und Maß, müßig; überall Öl.\n"
CHINESE = "北京是中国的首都。\n欢迎大家来访！2025年。\n"
NOISE = random.Random(4).randbytes(5000)
PAGE = """<!doctype html><html><head><title>Never shown</title><style>p{}</style></head><body>
<nav>Menu</nav><h1>Caf&eacute; &amp; more</h1><p>One <b>two</b>
   three.<br>four</p><script>alert("no")</script><div style="display:none">hidden</div><p hidden>too</p>
<h2>List</h2><ul><li>first<li>second</ul><table><tr><th>A</th><th>B|C</th></tr><tr><td>1<td>2<table><tr><td>in
</table></table><pre>a
  b</pre><p>&lt;script&gt; &#x4f60;&#0; end<p>unclosed <b>tag"""
MARKDOWN = """# Title #

Text with `# no heading`.

| a | b |
|---|:-:|
| 1 | 2 |

```
# no heading either
| no | table |
```

Under
-----

### Third
"""


def deep_page(depth: int) -> bytes:
    return b"<div>" * depth + b"at the bottom" + b"</div>" * depth


READ = (
    ("UTF-8", FileKind.TEXT, (FRENCH + CHINESE).encode(), (FRENCH + CHINESE).strip()),
    ("UTF-8 with a mark", FileKind.TEXT, FRENCH.encode("utf-8-sig"), FRENCH.strip()),
    ("UTF-16 with a mark", FileKind.TEXT, CHINESE.encode("utf-16"), CHINESE.strip()),
    ("UTF-16 BE with a mark", FileKind.TEXT, b"\xfe\xff" + CHINESE.encode("utf-16-be"), CHINESE.strip()),
    ("UTF-16 LE without", FileKind.TEXT, FRENCH.encode("utf-16-le"), FRENCH.strip()),
    ("UTF-16 BE without", FileKind.TEXT, FRENCH.encode("utf-16-be"), FRENCH.strip()),
    ("Chinese UTF-16 LE without", FileKind.TEXT, CHINESE.encode("utf-16-le"), CHINESE.strip()),
    ("Chinese UTF-16 BE without", FileKind.TEXT, CHINESE.encode("utf-16-be"), CHINESE.strip()),
    ("GB18030", FileKind.TEXT, CHINESE.encode("gb18030"), CHINESE.strip()),
    ("Windows-1252", FileKind.TEXT, FRENCH.encode("cp1252"), FRENCH.strip()),
    ("Latin-1", FileKind.TEXT, GERMAN.encode("latin-1"), GERMAN.strip()),
    ("old line ends", FileKind.TEXT, b"a\r\nb\rc\r\n\r\n\r\n\r\nd\xc2\xade\n", "a\nb\nc\n\nde"),
    ("one letter", FileKind.TEXT, b"x", "x"),
    ("broken JSON", FileKind.JSON, b'{"a": 1,,}', '{"a": 1,,}'),
    ("laid out JSON", FileKind.JSON, b'{\n"b": 1.10, "b": 2}\n', '{\n"b": 1.10, "b": 2}'),
    (
        "JSON in one line",
        FileKind.JSON,
        rb'{"k":["\u4f60\ud83d\ude00\n",1e400]}',
        '{\n  "k": [\n    "你😀\\n",\n    1e400\n  ]\n}',
    ),
    ("CSV", FileKind.CSV, b'a,b\n"x, ""y""\nz",2\n', '| a | b |\n| --- | --- |\n| x, "y" z | 2 |'),
    ("CSV by semicolons", FileKind.CSV, b"a;b\n1,5;2|x\n", "| a | b |\n| --- | --- |\n| 1,5 | 2\\|x |"),
    ("CSV by tabs", FileKind.CSV, "a\tb\n你\t,\n".encode("utf-16"), "| a | b |\n| --- | --- |\n| 你 | , |"),
    ("ragged CSV", FileKind.CSV, b"a,b\n1\n\n1,2,3\n", "| a | b |  |\n| --- | --- | --- |\n| 1 |  |  |\n| 1 | 2 | 3 |"),
)

CASES = (
    *(Case(name, kind, lambda data=data: data, holds=(text,)) for name, kind, data, text in READ),
    Case("Markdown", FileKind.MARKDOWN, MARKDOWN.encode, headings=("1 Title", "2 Under", "3 Third"), tables=1),
    Case(
        "page",
        FileKind.HTML,
        PAGE.encode,
        holds=(
            "# Café & more\n\nOne two three.\nfour\n\n## List\n\n- first\n\n- second",
            "| 1 | 2 in |",
            "a\n  b",
            "你",
            "tag",
        ),
        lacks=("alert", "hidden", "too", "Menu", "Never", "p{}"),
        headings=("1 Café & more", "2 List"),
        tables=1,
    ),
    Case(
        "page that says its encoding",
        FileKind.HTML,
        lambda: '<meta charset="gb2312"><title>标题</title><p>é'.encode("gb18030"),
        holds=("# 标题",),
    ),
    Case(
        "page laid out by a table",
        FileKind.HTML,
        lambda: b"<table><tr><td>Menu<td><h1>Title</h1><p>Text<table><tr><td>a<td>b</table></table>",
        holds=("Menu\n\n# Title\n\nText\n\n| a | b |",),
        headings=("1 Title",),
        tables=1,
    ),
    Case("deep page", FileKind.HTML, lambda: deep_page(20_000), holds=("at the bottom",)),
    Case("JSON 100,000 deep", FileKind.JSON, lambda: b"[" * 100_000 + b"]" * 100_000, holds=("[[[", "]]]")),
    Case("long JSON", FileKind.JSON, lambda: json.dumps(list(range(100_000))).encode(), holds=("\n  99999\n]",)),
    Case("wide CSV", FileKind.CSV, lambda: b",".join([b"x"] * 20_000) + b"\n1\n", holds=("| x | x |", "\n| 1 |")),
    Case("one huge cell", FileKind.CSV, lambda: b'a,"' + b"x" * 300_000 + b'"\n', holds=("| a | xxx",)),
    Case("a page without text", FileKind.HTML, lambda: b"<script>x</script>", codes=("file_empty",)),
    *(Case("nothing", kind, bytes, codes=("file_empty",)) for kind in FileKind if not kind.is_image),
    *(Case("noise", kind, lambda: NOISE, codes=("file_broken",)) for kind in FileKind if not kind.is_image),
    *(
        Case("only spaces", kind, lambda: b" \n\t \r\n" * 50, codes=("file_empty",))
        for kind in (FileKind.TEXT, FileKind.MARKDOWN, FileKind.CSV, FileKind.JSON, FileKind.HTML)
    ),
)
