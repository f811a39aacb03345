"""Reads drawn pages and pictures back into numbers, for tests."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from html.parser import HTMLParser

import numpy as np
from numpy.typing import NDArray

VOID = {"meta", "img", "br", "link"}


class Element:
    """An element of a page: tag, attributes, own and inner text, parent."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: Element | None) -> None:
        self.tag, self.attributes, self.parent, self.text = tag, attributes, parent, ""

    def inside(self, name: str, value: str) -> bool:
        """Whether this element or one around it has the attribute with that value."""
        return self.attributes.get(name) == value or (self.parent is not None and self.parent.inside(name, value))


class Page(HTMLParser):
    """All elements of a page; refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        assert not self._open, [element.tag for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs}, self._open[-1] if self._open else None)
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def bars(self, name: str, value: str) -> list[Element]:
        """Bars in the part of the page whose attribute ``name`` is ``value``."""
        return [e for e in self.elements if "bar" in e.attributes.get("class", "").split() and e.inside(name, value)]


def percent(element: Element) -> float:
    """Width of a bar."""
    found = re.search(r"width:([\d.]+)%", element.attributes["style"])
    assert found
    return float(found[1])


def picture(element: Element) -> NDArray[np.uint8]:
    """RGBA pixels of an embedded PNG."""
    return decode_png(base64.b64decode(element.attributes["src"].removeprefix("data:image/png;base64,")))


def decode_png(data: bytes) -> NDArray[np.uint8]:
    """RGBA pixels of a PNG without filters; every chunk's checksum is checked."""
    position, body, size = 8, b"", (0, 0)
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(kind + content)
        if kind == b"IHDR":
            size = struct.unpack_from(">II", content)
        elif kind == b"IDAT":
            body += content
        position += 12 + length
    lines = np.frombuffer(zlib.decompress(body), dtype=np.uint8).reshape(size[1], 1 + 4 * size[0])
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(size[1], size[0], 4)
