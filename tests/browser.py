"""A page in headless Chromium: its document after its scripts ran, and its pixels.

The rule of this file: no network and no profile outlive a call; without Chromium a test is skipped
with a line that says so. Pictures are read by the decoder here: 8 bits a channel, no interlacing.
"""

import shutil
import struct
import subprocess
import zlib
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from attrs import define, field, frozen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE_S = 60
Pixel = tuple[int, int, int]


@frozen
class Shot:
    """A picture: rows of red, green, blue."""

    width: int
    height: int
    rows: tuple[bytes, ...]

    def colours(self, box: tuple[int, int, int, int] | None = None) -> Counter[Pixel]:
        """Count the pixels of each colour, all of them or those of a box (x, y, width, height)."""
        x, y, width, height = box or (0, 0, self.width, self.height)
        seen: Counter[Pixel] = Counter()
        for row in self.rows[y : y + height]:
            part = row[3 * x : 3 * (x + width)]
            seen.update(zip(part[::3], part[1::3], part[2::3], strict=True))
        return seen

    def rows_with(self, colour: Pixel, box: tuple[int, int, int, int]) -> list[int]:
        """Return the rows of a box that hold a colour."""
        x, y, width, height = box
        return [at for at in range(y, y + height) if self.colours((x, at, width, 1))[colour]]


@define
class Element:
    """An element of a document: its name, attributes, and all text in it."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@define
class Document(HTMLParser):
    """A document's elements in order."""

    elements: list[Element] = field(factory=list[Element])
    _open: list[Element] = field(factory=list[Element])

    def __attrs_pre_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, text: str) -> "Document":
        """Read a document."""
        made = cls()
        made.feed(text)
        made.close()
        return made

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element begins."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in ("meta", "br", "input", "img", "link"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """An element ends, and with it those that were left open in it."""
        while self._open and self._open.pop().name != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Text belongs to all elements around it."""
        for element in self._open:
            element.text += data

    def all(self, name: str, **attributes: str) -> Iterator[Element]:
        """Yield the elements of a name with these attributes; `class_` for class."""
        wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
        for element in self.elements:
            if element.name == name and wanted.items() <= element.attributes.items():
                yield element

    def one(self, name: str, **attributes: str) -> Element:
        """Return the only element of a name with these attributes."""
        (found,) = self.all(name, **attributes)
        return found


def after_scripts(page: Path, place: Path, fragment: str = "") -> Document:
    """Return a page's document after its scripts ran. Fails on what they wrote to the console."""
    done = _run(page, place, fragment, ["--dump-dom", "--window-size=1400,1100"])
    return Document.of(done)


def screenshot(page: Path, place: Path, fragment: str = "", size: str = "1200,1000") -> Shot:
    """Return what a person sees of a page."""
    picture = place / "shot.png"
    _run(page, place, fragment, [f"--screenshot={picture}", f"--window-size={size}"])
    return decode(picture.read_bytes())


def _run(page: Path, place: Path, fragment: str, wish: list[str]) -> str:
    if CHROMIUM is None:
        pytest.skip("there is no chromium here: what pages look like was not tested")
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--force-device-scale-factor=1", "--force-color-profile=srgb",
         f"--user-data-dir={place / 'profile'}", "--virtual-time-budget=4000",
         "--enable-logging=stderr", *wish, f"file://{page}#{fragment}"],
        capture_output=True, timeout=PATIENCE_S, check=True, text=True, encoding="utf-8",
    )  # fmt: skip
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not complaints, "\n".join(complaints)
    return done.stdout


def decode(png: bytes) -> Shot:
    """Read a PNG file of 8 bits a channel, with or without alpha."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed, header = 8, b"", b""
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        data = png[at + 8 : at + 8 + size]
        header, packed = (data, packed) if kind == b"IHDR" else (header, packed)
        packed += data if kind == b"IDAT" else b""
        at += 12 + size
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    assert (depth, interlaced) == (8, 0)
    step = {2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(packed), width * step + 1
    rows: list[bytes] = []
    before = bytes(width * step)
    for n in range(height):
        line = raw[n * stride + 1 : (n + 1) * stride]
        before = _unfiltered(raw[n * stride], bytearray(line), before, step)
        rows.append(before)
    if step == 4:
        rows = [_opaque(row) for row in rows]
    return Shot(width, height, tuple(rows))


def _opaque(row: bytes) -> bytes:
    kept = bytearray(len(row) // 4 * 3)
    kept[0::3], kept[1::3], kept[2::3] = row[0::4], row[1::4], row[2::4]
    return bytes(kept)


def _unfiltered(kind: int, row: bytearray, above: bytes, step: int) -> bytes:
    """Undo one of PNG's five filters."""
    match kind:
        case 0:
            return bytes(row)
        case 1:
            for n in range(step, len(row)):
                row[n] = (row[n] + row[n - step]) & 255
        case 2:
            return bytes((a + b) & 255 for a, b in zip(row, above, strict=True))
        case 3:
            for n in range(len(row)):
                left = row[n - step] if n >= step else 0
                row[n] = (row[n] + (left + above[n]) // 2) & 255
        case _:
            for n in range(len(row)):
                left, corner = (row[n - step], above[n - step]) if n >= step else (0, 0)
                row[n] = (row[n] + _nearest(left, above[n], corner)) & 255
    return bytes(row)


def _nearest(left: int, above: int, corner: int) -> int:
    guess = left + above - corner
    by_left, by_above, by_corner = abs(guess - left), abs(guess - above), abs(guess - corner)
    if by_left <= by_above and by_left <= by_corner:
        return left
    return above if by_above <= by_corner else corner
