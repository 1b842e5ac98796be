"""A page to listen through a data set: a picture, a player and the captions of each clip, all in one file."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hsmad_cli.evaluation.listening_page import listening_page


@dataclass(frozen=True)
class SheetItem:
    """A clip on the page. picture: JPEG; sound: MP3, which every browser plays."""

    title: str
    captions: Sequence[str]
    picture: bytes
    sound: bytes


def listening_sheet(title: str, items: Iterable[SheetItem]) -> str:
    """An HTML page that needs no other file."""
    return listening_page(title, STYLE, "\n".join(map(_section, items)))


def _section(item: SheetItem) -> str:
    captions = "".join(f"<li>{html.escape(caption)}</li>" for caption in item.captions)
    return (
        f"<section><h2>{html.escape(item.title)}</h2>"
        f'<img alt="spectrogram and notes" src="{_embedded(item.picture, "image/jpeg")}">'
        f'<audio controls preload="none" src="{_embedded(item.sound, "audio/mpeg")}"></audio>'
        f"<ul>{captions}</ul></section>"
    )


def _embedded(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


STYLE = """body { max-width: 72rem }
h2 { font-size: 1.1rem }
img { display: block; width: 100%; border-radius: .25rem }
ul { padding-left: 1.2rem; line-height: 1.4 }
section { margin: 2.5rem 0 }"""
