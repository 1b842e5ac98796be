from __future__ import annotations

from dataclasses import replace

import numpy as np

from hsmad_cli.symbolic.caption import caption, sounding, spoken_list
from hsmad_cli.symbolic.instruments import instruments
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.symbolic.words import words


def scale(program: int = 0, is_drum: bool = False, every_s: float = 0.5, velocity: float = 80) -> NoteTable:
    """C major up and down, twice."""
    pitch = np.tile([60, 62, 64, 65, 67, 69, 71, 72, 71, 69, 67, 65, 64, 62, 60, 60], 2)
    onset_s = np.arange(len(pitch)) * every_s
    same = np.ones(len(pitch))
    columns = (onset_s, onset_s + every_s, pitch, velocity * same, program * same, is_drum * same, 0 * same)
    return NoteTable(*columns)


def together(*tables: NoteTable) -> NoteTable:
    columns = zip(*(table.columns().values() for table in tables), strict=True)
    return NoteTable(*(np.concatenate(column) for column in columns)).sorted()


def test_a_caption_says_what_is_known() -> None:
    score = Score(together(scale(32), scale(0), scale(0, is_drum=True)), tempo_bpm=np.array([120.0]))
    assert caption(score, "jazz") == "jazz, grand piano, drums and acoustic bass"
    assert caption(score) == "grand piano, drums and acoustic bass"
    assert caption(Score(NoteTable.empty())) == ""


def test_pace_and_mood_are_said_only_where_they_are_sure() -> None:
    slow = Score(scale(every_s=1.0), tempo_bpm=np.array([60.0]))
    assert caption(slow) == "solo grand piano, slow"
    assert caption(replace(slow, notes=scale(every_s=1.0, velocity=40))) == "solo grand piano, slow, calm"
    fast = Score(scale(every_s=0.15), tempo_bpm=np.array([180.0]))
    assert caption(fast) == "solo grand piano, fast, happy"
    assert caption(replace(fast, tempo_bpm=np.array([60.0]))) == "solo grand piano"


def test_every_phrase_of_a_caption_is_one_that_training_may_use() -> None:
    rng = np.random.default_rng(0)
    known = {name for instrument in instruments() for name in instrument.names}
    for table in ("kits", "pace", "mood", "genres"):
        known |= {phrase for phrases in words()[table].values() for phrase in phrases}
    for _ in range(40):
        parts = [scale(int(program), every_s=0.15, velocity=100) for program in rng.integers(0, 128, 2)]
        text = caption(Score(together(*parts), tempo_bpm=np.array([140.0])), "metal")
        phrases = text.replace("solo ", "").replace(" and ", ", ").split(", ")
        assert set(" and ".join(phrases).split(" and ")) <= {part for name in known for part in name.split(" and ")}


def test_players_are_named_once_and_few_notes_do_not_count() -> None:
    assert caption(Score(together(scale(38), scale(39)))) == "synth bass"
    few = scale(40).select(np.arange(32) < 1)
    assert sounding(together(scale(0), few)) == [(0, False)]
    assert sounding(few) == [(40, False)]
    assert spoken_list(["flute", "harp", "flute", "cello"]) == "flute, harp and cello"
    assert spoken_list(["flute"]) == "flute"
    assert spoken_list([]) == ""
