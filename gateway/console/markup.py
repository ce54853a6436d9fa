"""Owns making HTML: elements whose text cannot become markup, because it is escaped where it is
written out. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element, tostring

Piece = str | Element

_CODE = re.compile(r"`([^`]+)`")


def element(tag: str, *inside: Piece | Iterable[Piece], **attributes: str) -> Element:
    """An element. attributes: `class_` is `class`."""
    made = Element(tag, {name.rstrip("_"): value for name, value in attributes.items()})
    last: Element | None = None
    for piece in _flat(inside):
        if not isinstance(piece, str):
            made.append(piece)
            last = piece
        elif last is None:
            made.text = (made.text or "") + piece
        else:
            last.tail = (last.tail or "") + piece
    return made


def words(text: str) -> list[Piece]:
    """A text with its `code`, which is all of Markdown that descriptions have."""
    return [
        element("code", part) if number % 2 else part
        for number, part in enumerate(_CODE.split(text))
    ]


def paragraphs(text: str) -> list[Piece]:
    """A text whose paragraphs have an empty line between them."""
    return [element("p", words(part)) for part in text.split("\n\n") if part.strip()]


def written(page: Element) -> bytes:
    """The page as it is served."""
    text = "<!doctype html>\n" + tostring(page, encoding="unicode", method="html")
    return text.encode("utf-8", "replace")


def _flat(inside: Iterable[Piece | Iterable[Piece]]) -> Iterator[Piece]:
    for one in inside:
        if isinstance(one, str | Element):
            yield one
        else:
            yield from one
