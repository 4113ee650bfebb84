"""A strict little reader of the page: elements, attributes, texts, and what a download holds."""

from __future__ import annotations

import base64
import gzip
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pandas as pd

VOID = {"meta", "link", "input", "br", "img", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    children: list = field(default_factory=list)

    def find(self, tag: str, **attributes: str) -> list[Element]:
        found = []
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag and all(child.attributes.get(k.rstrip("_")) == v for k, v in attributes.items()):
                    found.append(child)
                found += child.find(tag, **attributes)
        return found

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("root", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs})
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.open[-1].children.append(Element(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(page: str) -> Element:
    """Read a page; every element must be closed by its own end."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert [e.tag for e in reader.open] == ["root"], [e.tag for e in reader.open]
    return reader.root


def downloads(page: Element) -> dict[str, pd.DataFrame]:
    """Unpack every TSV of a page."""
    found = {}
    for link in page.find("a", class_="tsv"):
        data = gzip.decompress(base64.b64decode(link.attributes["href"].split(",", 1)[1]))
        found[link.attributes["data-name"]] = pd.read_csv(io.BytesIO(data), sep="\t", dtype=str, keep_default_na=False)
    return found
