"""Who may import whom: the table of the design, walked over the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import hsmad_cli

PACKAGE = Path(hsmad_cli.__file__).parent

MAY_IMPORT = {
    "errors": set(),
    "config": {"errors"},
    "processes": {"errors"},
    "symbolic": {"errors", "config"},
    "files": {"errors", "config", "symbolic"},
    "synth": {"errors", "config", "symbolic", "files"},
    "datasets": {"errors", "config", "processes", "symbolic", "files", "synth"},
    "model": {"config"},
    "diffusion": set(),
    "training": {"errors", "config", "symbolic", "files", "datasets", "model", "diffusion"},
    "evaluation": {"errors", "config", "processes", "symbolic", "files", "model", "pipeline"},
    "pipeline": {"errors", "config", "symbolic", "files", "model", "diffusion"},
}
ANYTHING = {"commands", "__main__", "__init__"}


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno} imports relatively"
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    ours = {part_of(module) for module in found if module.split(".")[0] == "hsmad_cli"}
    return ours - {"__init__", "__version__"}


def swallows_everything(node: ast.AST) -> bool:
    if not isinstance(node, ast.ExceptHandler):
        return False
    broad = node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException")
    return broad and not any(isinstance(child, ast.Raise) and child.exc is None for child in ast.walk(node))


def part_at(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


SOURCES = sorted(PACKAGE.rglob("*.py"))


def test_the_table_names_every_part_and_no_other() -> None:
    assert {part_at(path) for path in SOURCES} == set(MAY_IMPORT) | ANYTHING


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_table(path: Path) -> None:
    part = part_at(path)
    if part in ANYTHING:
        return
    forbidden = imports_of(path) - MAY_IMPORT[part] - {part}
    assert not forbidden, f"{part} may not import {forbidden}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nobody_swallows_every_exception(path: Path) -> None:
    catches_all = [handler for handler in ast.walk(ast.parse(path.read_text())) if swallows_everything(handler)]
    allowed = 1 if path.name in ("midi.py", "__main__.py") else 0
    assert len(catches_all) <= allowed
