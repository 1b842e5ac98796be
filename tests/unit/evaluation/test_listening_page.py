"""Pages to listen to need nothing from outside, whatever their titles and captions hold."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from hsmad_cli.evaluation.listening import blind_clips, page
from hsmad_cli.evaluation.listening_page import listening_page
from hsmad_cli.evaluation.listening_sheet import SheetItem, listening_sheet

HOSTILE = '</h1><script src="//else.where">{title} & "{}"'
VOID = {"meta", "img", "input"}


class Tags(HTMLParser):
    """The tags of a page with their attributes, its text, and the tags that are open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def sheet() -> str:
    return listening_sheet(HOSTILE, [SheetItem(f"clip {number}", [HOSTILE], b"jpeg", b"mp3") for number in range(3)])


@pytest.mark.parametrize("text", [sheet(), page(blind_clips({}, 0), HOSTILE), listening_page(HOSTILE, "", "")])
def test_pages_are_closed_fit_a_phone_and_ask_for_nothing_outside(text: str) -> None:
    tags = Tags(text)
    assert tags.open == []
    assert HOSTILE in tags.text
    viewport = [each for tag, each in tags.tags if tag == "meta" and each.get("name") == "viewport"]
    assert [each["content"] for each in viewport] == ["width=device-width, initial-scale=1"]
    assert "color-scheme: light dark" in tags.text
    sources = [each[key] for _, each in tags.tags for key in ("src", "href") if key in each]
    assert all(source is not None and source.startswith("data:") for source in sources)


def test_a_clip_has_a_picture_a_player_and_its_captions() -> None:
    tags = [tag for tag, _ in Tags(sheet()).tags]
    assert [tags.count(tag) for tag in ("section", "img", "audio", "li")] == [3, 3, 3, 3]
