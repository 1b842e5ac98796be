"""hsmad benchmark: the tables of quality, with tiny weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsmad_cli.commands.benchmark import guidance_grid
from hsmad_cli.commands.benchmark_report import Report, write_report
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.lists import counts_of, names_of, numbers_of
from hsmad_cli.config import GUIDANCES, SampleConfig, default_ws
from hsmad_cli.errors import InputError, OutputError, UsageError
from hsmad_cli.evaluation import transcriber
from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.synth.soundfonts import packaged_soundfont

FONT = packaged_soundfont()


def test_lists() -> None:
    assert numbers_of("--wh", "0, 1,2.5,1") == [0, 1, 2.5]
    assert counts_of("--steps", "8,16", 16) == [8, 16]
    assert names_of("--sets", "drums, piano", ("piano", "drums")) == ["drums", "piano"]


@pytest.mark.parametrize(
    ("read", "text"),
    [(numbers_of, "1,x"), (numbers_of, ""), (numbers_of, "1,nan"),
     *((lambda option, text: counts_of(option, text, 16), text) for text in ("2.5", "0", "17", "inf", "nan")),
     (lambda option, text: names_of(option, text, ("a",)), "a,b")],
)  # fmt: skip
def test_a_bad_list_names_its_option(read: Callable[[str, str], Any], text: str) -> None:
    with pytest.raises(UsageError, match=r"^--some: "):
        read("--some", text)


def test_numbers_that_json_lacks_are_null(tmp_path: Path) -> None:
    figures = {"table": [{"f1": float("nan"), "n": 3}], "interval": (0.5, float("inf"))}
    write_report(Console("benchmark", quiet=True), figures, "", [str(tmp_path / "t.json")], None)
    kept = json.loads((tmp_path / "t.json").read_text())
    assert kept == {"table": [{"f1": None, "n": 3}], "interval": [0.5, None]}


def test_an_error_while_figures_are_kept_does_not_hide_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        raise OutputError("no space left")

    def fail() -> None:
        raise InputError("the first")

    report = Report(Console("benchmark"), 1, [{}])
    with pytest.raises(InputError, match="the first"), report.kept_by(write):
        fail()
    assert capsys.readouterr().err == "hsmad benchmark: the figures so far are lost: no space left\n"
    with pytest.raises(OutputError, match="no space"), report.kept_by(write):
        pass
    with Report(Console("benchmark"), 1).kept_by(write):
        pass


def test_every_combination_is_a_setting_and_joint_has_one_weight() -> None:
    grid = guidance_grid("midi", "0,4", "1,2", "additive,joint", "8", "1", "0.7", "1")
    additive = [(each.w_h, each.w_s) for each in grid if each.guidance == "additive"]
    assert additive == [(0, 1), (4, 1), (0, 2), (4, 2)]
    assert [each.w_h for each in grid if each.guidance == "joint"] == [0, 4]
    warm = guidance_grid("midi", "4", "2", "additive", "8", "1,0.5", "0.7", "1")
    assert [each.temperature for each in warm] == [1, 0.5]
    assert [each.rescale for each in guidance_grid("midi", "4", "2", "additive", "8", "1", "0,1", "1")] == [0, 1]
    assert [each.w_a for each in guidance_grid("midi", "4", "2", "additive", "8", "1", "0.7", "0,1")] == [0, 1]


def test_without_ws_every_guidance_has_its_default_as_in_sample() -> None:
    grid = guidance_grid("midi", "4", None, ",".join(GUIDANCES), "8", "1", "0.7", "1")
    assert {each.guidance: each.w_s for each in grid} == {mode: default_ws(mode) for mode in GUIDANCES}
    assert [default_ws(mode) for mode in ("nested", "additive", "anchored")] == [8, 2, 2]


def test_without_wh_the_score_weighs_less_where_words_decide_who_plays() -> None:
    weights = [guidance_grid(who, None, None, "nested", "8", "1", "0.7", "1")[0].w_h for who in ("midi", "free")]
    assert weights == [SampleConfig.w_h, 3]


def band(program: int = 25, drums: bool = True) -> Score:
    """Ten plucked notes and ten strikes in five seconds."""
    onset_s = np.repeat(np.arange(0.0, 5.0, 0.5), 2)
    is_drum = np.tile([False, True], 10)
    pitch = np.where(is_drum, 38, np.repeat([60, 64, 67, 72, 71, 67, 62, 60, 64, 67], 2))
    notes = NoteTable(onset_s, onset_s + 0.4, pitch, np.full(20, 90), np.where(is_drum, 0, program), is_drum, is_drum)
    return Score(notes if drums else notes.select(~is_drum))


@pytest.fixture
def manifest(hsmad) -> str:
    """A band of the test split, and a guitar of the same."""
    write_midi(band(), Path("band.mid"))
    write_midi(band(drums=False), Path("guitar.mid"))
    rows = [{"id": f"{name}/1", "midi": f"{name}.mid", "split": "test"} for name in ("band", "guitar")]
    Path("list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "list.jsonl"


judged = pytest.mark.judge


def require_judges() -> None:
    for package in ("onnxruntime", "basic_pitch", "librosa"):
        pytest.importorskip(package)


@judged
def test_every_set_and_setting_is_a_row(hsmad, manifest: str, tiny_weights: Path) -> None:
    require_judges()
    done = hsmad(
        "benchmark", manifest, "--soundfont", FONT, "--sets", "ensembles,bands,drums", "--seconds", 5, "--steps", 1,
        "--wh", "1,4", "-o", "table.json", "--markdown", "table.md",
        "--codec", tiny_weights / "vae.safetensors", "--style-encoder", tiny_weights / "style.safetensors",
    )  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(Path("table.json").read_text())
    assert [(row["set"], row["judge"], row["setting"]["w_h"]) for row in figures["table"]] == [
        (kind, judge, wh)
        for kind, judge in (("ensembles", "basic-pitch"), ("bands", "basic-pitch"), ("drums", "librosa-onset"))
        for wh in (1, 4)
    ]
    assert {row["n"] + row["n_left_out"] for row in figures["table"]} == {1}
    guitar = figures["clips"][0]
    assert guitar["onset_f1"]["reference"] > 0.6 > guitar["onset_f1"]["generated"]
    assert (guitar["seconds"], guitar["n_written"]) == (5, 9)
    lines = Path("table.md").read_text().splitlines()
    assert len(lines) == 2 + 6
    assert len({line.count("|") for line in lines}) == 1
    assert done.err.splitlines()[:3] == ["1 of 300", "2 of 300", "3 of 300"]
    assert lines[2] in done.err


@judged
def test_shifts_are_rows_and_the_codec_can_be_alone(hsmad, manifest: str) -> None:
    require_judges()
    done = hsmad(
        "benchmark", manifest, "--soundfont", FONT, "--sets", "ensembles", "--whole", "--codec-only",
        "--shift-semitones", 3, "--delay-ms", 170, "--workers", 2, "--json", "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert done.err == ""
    assert figures["weights"] is None
    assert [row["shift"] for row in figures["table"]] == ["none", "+3 semitones", "+170 ms"]
    for row in figures["table"]:
        assert row["onset_f1"]["reference"]["value"] > 0.6
        old = row["old_onset_f1"]["reference"]["value"]
        assert (old == row["onset_f1"]["reference"]["value"]) == (row["shift"] == "none")
        assert old < 0.2 or row["shift"] == "none"


@judged
def test_a_damaged_score_is_named_and_the_rest_is_done(hsmad, manifest: str) -> None:
    require_judges()
    Path("guitar.mid").write_bytes(b"MThd")
    Path("other.mid").write_bytes(Path("band.mid").read_bytes())
    done = hsmad(
        "benchmark", manifest, "--soundfont", FONT, "--sets", "bands", "--codec-only", "--seconds", 3, "--json"
    )
    assert done.code == 8
    assert "guitar/1" in done.err
    assert done.err.splitlines()[-1] == "hsmad benchmark: 1 failed, 1 done"
    figures = json.loads(done.out)
    assert [each["clip"] for each in figures["failed"]] == ["guitar/1"]
    assert figures["table"][0]["n"] == 1


@judged
@pytest.mark.parametrize(("sets", "code"), [("ensembles,drums", 0), ("drums", 2)])
def test_without_librosa_there_are_no_drums(
    hsmad, manifest: str, monkeypatch: pytest.MonkeyPatch, sets: str, code: int
) -> None:
    require_judges()
    transcriber._load_judge.cache_clear()
    monkeypatch.setitem(sys.modules, "librosa", None)
    done = hsmad("benchmark", manifest, "--soundfont", FONT, "--sets", sets, "--seconds", 5, "--codec-only", "--json")
    assert done.code == code
    assert sum("a judge is missing" in line for line in done.err.splitlines()) == 1
    if code == 0:
        assert [row["set"] for row in json.loads(done.out)["table"]] == ["ensembles"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--sets", "opera"), 2, "--sets: 'opera' is none of piano, ensembles, bands, drums"),
        (("--wh", "much"), 2, "--wh: 'much' is no list of numbers"),
        (("--wh", "4,-3"), 2, "the guidance of the score is -3"),
        (("--split", "seen"), 2, "--split: 'seen'"),
        (("--judge", "jury"), 2, "--judge: 'jury'"),
        (("-o", "no/table.json", "--sets", "drums"), 6, "no/table.json: no such folder"),
        (("-o", ".", "--sets", "drums"), 6, ".: is a folder"),
        (("--markdown", "/", "--sets", "drums"), 6, "/: is a folder"),
    ],
)
def test_bad_usage_is_one_line(hsmad, manifest: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = hsmad("benchmark", manifest, "--soundfont", FONT, *arguments)
    assert (done.code, done.out) == (code, b"")
    assert message in done.err.splitlines()[0]


@judged
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere.jsonl",), 3, "nowhere.jsonl"),
        (("list.jsonl", "--soundfont", "list.jsonl"), 3, "list.jsonl: "),
        (("list.jsonl", "--split", "train"), 3, "no clip of ensembles could be judged"),
        (("list.jsonl", "--codec", "no.safetensors"), 5, "no.safetensors: no such file"),
    ],
)
def test_what_is_not_there(hsmad, manifest: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    require_judges()
    done = hsmad("benchmark", "--soundfont", FONT, "--sets", "ensembles", *arguments)
    assert (done.code, done.out) == (code, b"")
    assert message in done.err.splitlines()[0]
