"""No MIDI file hangs, swells or stops a build: each becomes a sound score, or one line that says what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_scores import NOTE, damaged, hand_made, song

from hsmad_cli.synth.soundfonts import packaged_soundfont

ROOT = Path(__file__).resolve().parents[2]
MOST_S, MOST_MB = 2.0, 300.0
DEFAULT_DAMAGED = 150
QUICK_NOTE = b"\0\x90\x40\x50\x60\x80\x40\0"


def costs(*arguments: object) -> list[dict[str, Any]]:
    """What a fresh process says of each file; a file that hangs it fails the test."""
    program = [sys.executable, ROOT / "tests" / "hostile_scores.py", *map(str, arguments)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=280, cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for cost in found:
        assert cost["seconds"] < MOST_S, cost
        assert cost["mb"] < MOST_MB, cost
        assert cost.get("valid", True), cost
        assert "\n" not in cost.get("error", ""), cost
    return found


def test_every_hand_made_file_ends_as_it_should() -> None:
    made = hand_made()
    assert len(made) >= 60
    for cost in costs("made"):
        _, expected = made[cost["name"]]
        if isinstance(expected, int):
            assert cost.get("notes") == expected, cost
        else:
            assert re.search(expected, cost.get("error", "")), cost


@pytest.mark.parametrize("count", [DEFAULT_DAMAGED, pytest.param(2000, marks=pytest.mark.slow)])
def test_damaged_files_are_scores_or_one_error(count: int) -> None:
    found = costs("damaged", count, *sorted((ROOT / "examples").glob("*.mid")))
    assert len(found) == count
    assert 0.05 < sum("notes" in cost for cost in found) / count < 0.95


def test_damage_is_drawn_by_number() -> None:
    whole = song(NOTE * 20)
    first, again = (dict(damaged([whole], count)) for count in (5, 9))
    assert first.items() <= again.items()
    assert whole not in again.values()


def test_hostile_files_do_not_stop_a_build(hsmad: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "music"
    folder.mkdir()
    made = {name: case for name, case in hand_made().items() if len(case[0]) < 20_000}
    for number, (data, _) in enumerate(made.values()):
        (folder / f"{number:03d}.mid").write_bytes(data)
    for number in range(60):
        (folder / f"good {number}.mid").write_bytes(song(QUICK_NOTE * (30 + number)))
    listed = hsmad("manifest", folder, "-o", "list.jsonl", "--json", "--workers", 1)
    assert listed.code == 8
    assert json.loads(listed.out)["problems"] == sum(isinstance(expected, str) for _, expected in made.values())
    options = f"--hours {8 / 3600} --clip-seconds 4 --soundfont {packaged_soundfont()} --workers 1".split()
    assert hsmad("dataset", "list.jsonl", *options).code == 0
