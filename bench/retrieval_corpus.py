"""The documents that retrieval is measured on: manuals in English and Chinese, fetched as packages of Debian.

Their texts are not kept in this repository, for they have licences of their own (GPL, GFDL, PSF). A document is called
by its package's short name and its own, such as "guide-ch06s03.html": so the questions name it.
"""

import gzip
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PINNED = {
    "debian-faq": "11.1",
    "debian-reference-zh-cn": "2.100",
    "installation-guide-amd64": "20230508+deb12u1",
    "maint-guide-zh-cn": "1.2.53",
    "manpages-zh": "1.6.4.0-1",
    "python3.11-doc": "3.11.2-6+deb12u9",
}
"""What the questions were written for. Other versions do as well, except for questions whose text they changed."""
_GUIDE = "installation-guide-amd64/usr/share/doc/installation-guide-amd64"
_PYTHON = "python3.11-doc/usr/share/doc/python3.11/html"
_MAN = "manpages-zh/usr/share/man/zh_CN"
_HOWTOS = "argparse functional logging regex sockets sorting unicode urllib2"
_PAGES = (
    "chmod.1 cp.1 date.1 dd.1 diff.1 du.1 file.1 find.1 grep.1 gzip.1 journalctl.1 ls.1 sed.1 ssh.1 tar.1 "
    "systemctl.1 hier.7 ip.7 regex.7 socket.7 tcp.7 unicode.7 fdisk.8 fsck.8 ping.8 netstat.8 route.8 at.1 xargs.1"
)


def documents(language: str, cache: Path) -> list[tuple[str, Path]]:
    """The name and place of each, in a fixed order."""
    found = dict(_english(cache) if language == "en" else _chinese(cache))
    return sorted(found.items())


def _english(cache: Path) -> Iterator[tuple[str, Path]]:
    yield from _all("guide", cache / _GUIDE / "en", "index.html apf.html")
    yield from _all("faq", cache / "debian-faq/usr/share/doc/debian/FAQ", "index.en.html", "*.en.html")
    yield from _all("tutorial", cache / _PYTHON / "tutorial", "index.html")
    yield from _all("pyfaq", cache / _PYTHON / "faq", "index.html")
    for name in _HOWTOS.split():
        yield f"howto-{name}.html", cache / _PYTHON / "howto" / f"{name}.html"


def _chinese(cache: Path) -> Iterator[tuple[str, Path]]:
    yield from _all("guide", cache / _GUIDE / "zh_CN", "index.html apf.html")
    yield from _all("maint", cache / "maint-guide-zh-cn/usr/share/doc/maint-guide-zh-cn/html", "index.zh-cn.html")
    reference = cache / "debian-reference-zh-cn/usr/share/debian-reference"
    yield from _all("reference", reference, "index.zh-cn.html pr01.zh-cn.html ch02.zh-cn.html ch09.zh-cn.html")
    for name in _PAGES.split():
        yield f"man-{name}.txt", cache / _MAN / f"man{name[-1]}" / f"{name}.gz"


def _all(short: str, folder: Path, but: str, pattern: str = "*.html") -> Iterator[tuple[str, Path]]:
    for path in folder.glob(pattern):
        if path.name not in but.split():
            yield f"{short}-{path.name}", path


def fetch(cache: Path) -> None:
    """Every package that is not there yet, downloaded and unpacked. Ends the program where that can't be done."""
    cache.mkdir(parents=True, exist_ok=True)
    for package in PINNED:
        if (cache / package).is_dir():
            continue
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            sys.exit("The documents are packages of Debian: this needs apt-get and dpkg-deb (Debian 12, or Ubuntu).")
        archive = next(iter(sorted(cache.glob(f"{package}_*.deb"))), None) or _download(package, cache)
        subprocess.run(["dpkg-deb", "-x", archive.name, f"{package}.new"], cwd=cache, check=True)
        (cache / f"{package}.new").rename(cache / package)


def _download(package: str, cache: Path) -> Path:
    # The pinned version if the mirror has it, else whatever there is: the questions that changed are left out, and said.
    for wanted in (f"{package}={PINNED[package]}", package):
        tried = subprocess.run(["apt-get", "download", wanted], cwd=cache, capture_output=True, text=True)
        if tried.returncode == 0:
            return next(cache.glob(f"{package}_*.deb"))
    sys.exit(f"apt-get can't download {package} (is it Debian 12? has `apt-get update` run?): {tried.stderr.strip()}")


def contents(language: str, cache: Path) -> list[tuple[str, bytes]]:
    """Names and bytes, as somebody would upload them."""
    return [
        (name, _rendered(path) if path.suffix == ".gz" else path.read_bytes())
        for name, path in documents(language, cache)
    ]


def _rendered(path: Path) -> bytes:
    """A manual page as text, each paragraph in one line: groff puts spaces where it breaks lines of Chinese."""
    source = gzip.decompress(path.read_bytes())
    plain = subprocess.run(["preconv", "-e", "utf8"], input=source, capture_output=True, check=True).stdout
    groff = ["groff", "-man", "-Tutf8", "-P-cbou", "-rLL=3000n"]
    text = subprocess.run(groff, input=plain, capture_output=True, check=True).stdout.decode()
    return "\n".join(line[:1000] if not line.strip() else " ".join(line.split()) for line in text.splitlines()).encode()
