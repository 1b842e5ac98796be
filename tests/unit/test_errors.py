"""Errors: their hints can be followed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import hsmad_cli
from hsmad_cli.errors import extra

PACKAGE = Path(hsmad_cli.__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def test_every_extra_that_a_hint_names_can_be_installed() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for text in SOURCES.values() for name in re.findall(r'\bextra\("(\w+)"\)', text)}
    assert named == {"judges", "text", "plot"} <= set(project["optional-dependencies"])
    assert extra("text") == "in the folder of hsmad: pip install '.[text]'"
    assert extra("judges") == "in the folder of hsmad: make judges"
    assert "\njudges:" in (PACKAGE.parent / "Makefile").read_text(encoding="utf-8")


def test_no_hint_looks_for_hsmad_on_pypi() -> None:
    assert [path for path, text in SOURCES.items() if "hsmad[" in text] == []
