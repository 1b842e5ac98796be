"""The pictures of a benchmark: one a clip and setting, named after them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.commands import benchmark_plots
from hsmad_cli.commands.benchmark_plots import pictures_in
from hsmad_cli.config import SampleConfig
from hsmad_cli.errors import OutputError
from hsmad_cli.evaluation.benchmark import Clip, Hearing
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.symbolic.notes import NoteTable, Score


@pytest.fixture
def hearing() -> Hearing:
    score = Score(NoteTable([0.2], [0.8], [60], [80], [0], [False], [0]))
    sounds = {role: np.zeros((2, 44100), np.float32) for role in ("reference", "codec", "generated")}
    notes = HeardNotes.from_rows([(0.2, 0.8, 60)], velocity=False)
    setting = SampleConfig(w_h=4, w_s=2, guidance="nested", steps=8, temperature=0.5, rescale=0.6)
    return Hearing(
        Clip("set/song no. 1", "piano", score, 1.0), "basic-pitch", setting, sounds, dict.fromkeys(sounds, notes)
    )


def test_a_hearing_becomes_a_picture_with_a_panel_for_each_role(tmp_path: Path, hearing: Hearing) -> None:
    pytest.importorskip("matplotlib")
    pictures_in(tmp_path / "plots")(hearing)
    (picture,) = (tmp_path / "plots").iterdir()
    assert re.fullmatch(
        r"piano-set_song_no\._1-basic-pitch-nested-wh4-ws2-8-t0\.5-r0\.6-wa1-[0-9a-f]{8}\.png", picture.name
    )
    assert int.from_bytes(picture.read_bytes()[20:24]) == 100 * (1 + 3 * 4)


def test_clips_of_similar_names_have_pictures_of_their_own(
    tmp_path: Path, hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[Path] = []
    monkeypatch.setattr(benchmark_plots, "_draw", lambda path, hearing: paths.append(path))
    draw = pictures_in(tmp_path)
    for name in ("a/b", "a_b", "a/b"):
        draw(replace(hearing, clip=replace(hearing.clip, name=name)))
    assert paths[0] == paths[2] != paths[1]


def test_without_a_folder_nothing_is_drawn(tmp_path: Path, hearing: Hearing) -> None:
    pictures_in(None)(hearing)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot make the folder"):
        pictures_in(tmp_path / "file" / "folder")
