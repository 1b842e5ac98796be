"""hsmad style-benchmark: the tables of style, with tiny weights, with a tiny scorer and without."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.commands.style_sounds import StyleClips
from hsmad_cli.config import load_preset, to_dict
from hsmad_cli.datasets.style_choice import different_styles
from hsmad_cli.files.checkpoint import halved, save_checkpoint
from hsmad_cli.files.midi import write_midi
from hsmad_cli.model.style_encoder import AudioTextModel
from hsmad_cli.symbolic.notes import GM_FAMILIES, NoteTable, Score
from hsmad_cli.synth.soundfonts import packaged_soundfont

FONT = packaged_soundfont()
STYLES = "jazz_trio,string_quartet"

judged = pytest.mark.judge


def require_judges() -> None:
    for package in ("onnxruntime", "basic_pitch"):
        pytest.importorskip(package)


def band(drums: bool) -> Score:
    """Chords, a bass and perhaps drums, for four seconds."""
    rows = []
    for onset_s in np.arange(0.0, 4.0, 0.5).tolist():
        rows += [(onset_s, 0.4, pitch, 90, 0, False, 0) for pitch in (64, 67, 72)]
        rows.append((onset_s, 0.4, 40, 90, 33, False, 1))
        rows += [(onset_s, 0.1, 38, 90, 0, True, 2)] * drums
    onset_s, length, pitch, velocity, program, is_drum, part = (np.array(each) for each in zip(*rows, strict=True))
    return Score(NoteTable(onset_s, onset_s + length, pitch, velocity, program, is_drum, part).sorted())


@pytest.fixture
def manifest(hsmad) -> str:
    """A band and an ensemble of the test split, and two ensembles to learn by."""
    rows = []
    for name, drums, split in (("band", 1, "test"), ("duo", 0, "test"), ("one", 0, "train"), ("two", 0, "train")):
        write_midi(band(bool(drums)), Path(f"{name}.mid"))
        rows.append({"id": f"{name}/1", "midi": f"{name}.mid", "split": split})
    Path("list.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return "list.jsonl"


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config, words = load_preset("tiny"), ["jazz", "string", "trio"]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = AudioTextModel(config.style, words, 44100, 882)
    path = tmp_path_factory.mktemp("scorer") / "scorer.safetensors"
    about = {"kind": "style", "config": to_dict(config.style), "words": words, "sample_rate": 44100, "hop_length": 882}
    save_checkpoint(path, halved(model.state_dict()), about)
    return path


@judged
def test_every_style_and_setting_is_a_row(hsmad, manifest: str, scorer: Path) -> None:
    require_judges()
    done = hsmad(
        "style-benchmark", manifest, "--soundfont", FONT, "--scorer", scorer, "--styles", STYLES, "--scores", 1,
        "--seconds", 4, "--steps", 1, "--ws", "0,1", "--phrasing", "held-out", "-o", "t.json", "--markdown", "t.md",
    )  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(Path("t.json").read_text())
    assert [(row["set"], row["setting"]["w_s"]) for row in figures["table"]] == [
        (label, ws) for label in (*STYLES.split(","), "all") for ws in (0, 1)
    ]
    trio, quartet = (
        next(clip for clip in figures["clips"] if clip["set"] == style) for style in ("jazz_trio", "string_quartet")
    )
    assert trio["prompt"] == "three-piece jazz combo"
    assert quartet["prompt"] != trio["prompt"]
    assert set(trio["rank"].values()) <= {1, 2}
    assert "combo" in figures["table"][0]["unknown_words"]
    assert figures["table"][-1]["chance"] == 0.5
    lines = Path("t.md").read_text().splitlines()
    assert len(lines) == 2 + 6
    assert len({line.count("|") for line in lines}) == 1


@judged
def test_families_are_learnt_by_training_scores(hsmad, manifest: str, scorer: Path) -> None:
    require_judges()
    done = hsmad(
        "style-benchmark", manifest, "--soundfont", FONT, "--scorer", scorer, "--families", "--fit-scores", 2,
        "--scores", 1, "--seconds", 2, "--start", 0, "--codec-only", "--json", "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert [row["set"] for row in figures["table"]] == [*GM_FAMILIES, "all"]
    assert figures["table"][-1]["n_named"] == 16
    assert figures["table"][-1]["top1"]["reference"]["value"] > 2 / 16


@judged
def test_without_a_scorer_families_are_told_by_timbre(hsmad, manifest: str) -> None:
    require_judges()
    lower = band(drums=False).notes
    write_midi(Score(lower.with_columns(pitch=lower.pitch - 3)), Path("two.mid"))
    done = hsmad(
        "style-benchmark", manifest, "--soundfont", FONT, "--families", "--fit-scores", 2, "--scores", 1,
        "--seconds", 2, "--start", 0, "--codec-only", "--json", "-q",
    )  # fmt: skip
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert (figures["scorer"], figures["labels"]) == (None, "families")
    assert [row["set"] for row in figures["table"]] == [*GM_FAMILIES, "all"]
    assert figures["table"][-1]["n_named"] == 16
    assert figures["table"][-1]["top1"]["reference"]["value"] > 0.5
    assert all(1 <= clip["rank"]["reference"] <= 16 for clip in figures["clips"])


@judged
def test_one_score_is_too_few_to_learn_the_programs_by(hsmad, manifest: str) -> None:
    require_judges()
    listed = [line for line in Path(manifest).read_text().splitlines() if '"two/1"' not in line]
    Path(manifest).write_text("\n".join(listed) + "\n")
    done = hsmad("style-benchmark", manifest, "--soundfont", FONT, "--families", "--seconds", 2, "--codec-only", "-q")
    assert done.code == 3
    assert "1 ensembles of the split train to learn the families by, 2 are needed" in done.err


@judged
def test_without_a_scorer_the_table_of_styles_is_of_notes_only(hsmad, manifest: str) -> None:
    require_judges()
    done = hsmad(
        "style-benchmark", manifest, "--soundfont", FONT, "--styles", STYLES, "--scores", 1, "--seconds", 2,
        "--steps", 1, "--min-reference-f1", 0, "-o", "t.json", "--markdown", "t.md",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "styles are not named, since no --scorer is given" in done.err
    figures = json.loads(Path("t.json").read_text())
    assert figures["scorer"] is None
    assert [row["set"] for row in figures["table"]] == [*STYLES.split(","), "all"]
    assert figures["table"][-1]["onset_f1_ratio_of_labels"]["n"] == 2
    assert all("top1" not in row and "top5" not in row for row in figures["table"])
    assert all(clip["prompt"] and "rank" not in clip for clip in figures["clips"])
    heading = Path("t.md").read_text().splitlines()[0]
    assert "top" not in heading
    assert "mean of labels | worst label" in heading


def test_shuffled_prompts_are_those_of_other_styles_in_turn() -> None:
    recipes = different_styles(4)
    clips = StyleClips(recipes, {recipe.name: (recipe.name,) for recipe in recipes}, Path("any.sf2"), shuffled=True)
    names = [recipe.name for recipe in recipes]
    for turn in range(6):
        prompts = [clips.prompt(turn, index) for index in range(4)]
        assert sorted(prompts) == sorted(names)
        assert all(prompt != name for prompt, name in zip(prompts, names, strict=True))
    assert len({clips.prompt(turn, 0) for turn in range(3)}) == 3


@judged
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--styles", "1"), 2, "--styles: 1 is not between 2 and"),
        (("--styles", "polka"), 2, "--styles: 'polka' is none of"),
        (("--split", "seen"), 2, "--split: 'seen'"),
        (("--scorer", "no.safetensors"), 5, "no.safetensors: no such file"),
        (("--scorer", "nobody"), 5, "no weights called 'nobody'"),
    ],
)
def test_bad_usage_is_one_line(hsmad, manifest: str, arguments: tuple[str, ...], code: int, message: str) -> None:
    require_judges()
    done = hsmad("style-benchmark", manifest, "--soundfont", FONT, *arguments)
    assert (done.code, done.out) == (code, b"")
    assert message in done.err.splitlines()[0]


@judged
def test_nobody_is_judged_by_the_ears_that_he_plays_by(
    hsmad, manifest: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, scorer: Path
) -> None:
    require_judges()
    from tiny_weights import reheaded, write_weights

    from hsmad_cli.files.checkpoint import file_sha256

    folder = write_weights(tmp_path_factory.mktemp("shipped"))
    shipped = Path(shutil.copy(scorer, folder))
    sha256, size = file_sha256(shipped), shipped.stat().st_size
    row = {"name": "judge", "kind": "scorer", "file": shipped.name, "sha256": sha256, "bytes": size, "default": True}
    index = folder / "index.json"
    index.write_text(json.dumps([*json.loads(index.read_text()), row]))
    monkeypatch.setenv("HSMAD_WEIGHTS", str(folder))
    played = folder / "played.safetensors"
    reheaded(folder / "denoiser.safetensors", played, style_sha256=sha256)
    done = hsmad("style-benchmark", manifest, "--soundfont", FONT, "--scorer", "judge", "--weights", played)
    assert done.code == 5
    assert "scorer.safetensors: is the style encoder of these weights" in done.err
