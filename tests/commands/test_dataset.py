"""From a folder to a manifest, to shards, to a trained stage, through the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_weights import with_later_decoder, write_weights

from hsmad_cli.files.audio import write_audio
from hsmad_cli.files.midi import write_midi
from hsmad_cli.symbolic.notes import NoteTable, Score
from hsmad_cli.synth.soundfonts import packaged_soundfont

Hsmad = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two songs of eight seconds, one of them recorded, a damaged one, and a recording of nothing."""
    folder = tmp_path / "music" / "train"
    folder.mkdir(parents=True)
    for name, pitch in (("one", 60), ("two", 48)):
        onset_s = np.arange(0.0, 8.0, 0.25)
        zeros = np.zeros(len(onset_s))
        notes = NoteTable(onset_s, onset_s + 0.2, zeros + pitch, zeros + 80, zeros, zeros, zeros)
        write_midi(Score(notes), folder / f"{name}.mid")
    write_audio(folder / "two.flac", np.random.default_rng(0).uniform(-0.1, 0.1, (2, 9 * 44100)))
    (folder / "bad.mid").write_bytes(b"MThd")
    write_audio(folder / "stray.wav", np.zeros((2, 100)))
    return folder.parent


def test_a_folder_is_listed_and_what_is_bad_is_named(hsmad: Hsmad, folder: Path) -> None:
    outcome = hsmad("manifest", folder, "-o", "list.jsonl", "--json", "--workers", 1)
    assert outcome.code == 8
    assert "bad.mid" in outcome.err
    assert "stray.wav" in outcome.err
    assert "2 of 4 items left out, 2 listed" in outcome.err
    report = json.loads(outcome.out)
    assert (report["layout"], report["items"], report["recorded"]) == ("folder", 2, 1)
    assert report["splits"] == {"train": 2}
    lines = [json.loads(line) for line in Path("list.jsonl").read_text().splitlines()]
    assert [line["midi"] for line in lines] == ["music/train/one.mid", "music/train/two.mid"]
    assert hsmad("manifest", folder / "absent", "-o", "list.jsonl").code == 3


@pytest.fixture
def make(hsmad: Hsmad, folder: Path) -> Hsmad:
    """`hsmad dataset` on the folder's manifest: four clips of 4 s, two in a shard."""
    hsmad("manifest", folder, "-o", "list.jsonl", "--no-check")
    lines = Path("list.jsonl").read_text().splitlines()
    Path("list.jsonl").write_text("".join(line + "\n" for line in lines if "bad" not in line))
    options = f"--hours {16 / 3600} --clip-seconds 4 --soundfont {packaged_soundfont()} --json".split()

    def run(*more: object) -> Any:
        return hsmad("dataset", "list.jsonl", *options, "--clips-per-shard", 2, "--workers", 1, *more)

    return run


def test_parts_make_what_one_build_makes(hsmad: Hsmad, make: Hsmad) -> None:
    whole = json.loads(make("--shards", "whole").out)
    assert (whole["made"], whole["there"], whole["of"]) == (2, 2, 2)
    first = json.loads(make("--shards", "parts", "--shard", "1/2").out)
    assert (first["made"], first["there"], first["tree_sha256"]) == (1, 1, None)
    second = json.loads(make("--shards", "parts", "--shard", "0/2").out)
    assert second["tree_sha256"] == whole["tree_sha256"]
    again = json.loads(make("--shards", "parts").out)
    assert (again["made"], again["tree_sha256"]) == (0, whole["tree_sha256"])
    assert make("--shards", "parts", "--seed", 1).code == 6


def test_shards_train_a_stage(hsmad: Hsmad, make: Hsmad) -> None:
    make("--shards", "shards")
    arguments = "train --preset tiny --device cpu --steps 1 --stage vae --data shards -o run -q".split()
    assert hsmad(*arguments).code == 0
    assert Path("run/vae.safetensors").is_file()


def test_latents_train_the_denoiser_of_their_codec(hsmad: Hsmad, make: Hsmad, tiny_weights: Path) -> None:
    made = make("--shards", "latents", "--sound", "latents", "--codec", tiny_weights / "vae.safetensors")
    assert made.code == 0, made.err
    arguments = "train --preset tiny --device cpu --steps 1 --data latents -o run -q --stage".split()
    frozen = ["--style-encoder", tiny_weights / "style.safetensors", "--codec"]
    trained = hsmad(*arguments, "denoiser", *frozen, tiny_weights / "vae.safetensors")
    assert trained.code == 0, trained.err
    assert hsmad(*arguments, "vae", "--force").code == 4
    with_later_decoder(tiny_weights / "vae.safetensors", Path("later.safetensors"))
    assert hsmad(*arguments, "denoiser", "--force", *frozen, "later.safetensors").code == 0
    other = hsmad(*arguments, "denoiser", "--force", *frozen, write_weights(Path("other"), seed=1) / "vae.safetensors")
    assert (other.code, "other/vae.safetensors: not the codec of cache/bank-" in other.err) == (5, True)


class Here:
    """Makes fresh clips in this process, one whenever it is asked."""

    def __init__(self, start: Callable[[], Callable[[int], Any]], jobs: Iterator[int], workers: int) -> None:
        self.make, self.jobs = start(), jobs

    def take(self) -> Any:
        return self.make(next(self.jobs))

    def close(self) -> None:
        pass


@pytest.mark.parametrize("stage", ["vae", "denoiser"])
def test_training_goes_on_with_fresh_clips(
    hsmad: Hsmad, make: Hsmad, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr("hsmad_cli.training.refresh.Background", Here)
    frozen = ["--codec", tiny_weights / "vae.safetensors", "--style-encoder", tiny_weights / "style.safetensors"]
    arguments = "train --preset tiny --device cpu --steps 3 --data list.jsonl --hours 0.02 -o run --refresh 1 --stage"
    soundfont = ["--soundfont", packaged_soundfont()]
    outcome = hsmad(*arguments.split(), stage, *soundfont, *(frozen if stage == "denoiser" else []))
    assert outcome.code == 0, outcome.err
    replaced, left_out = map(int, re.findall(r"(\d+) clips replaced, (\d+) left out", outcome.err)[0])
    assert replaced > 0
    assert replaced + left_out == 3


def test_what_cannot_be_refreshed_is_a_usage_error(hsmad: Hsmad, make: Hsmad) -> None:
    make("--shards", "shards")
    arguments = "train --preset tiny --device cpu --hours 0.01 -o run --refresh 1".split()
    outcome = hsmad(*arguments, "--stage", "vae", "--data", "shards")
    assert outcome.code == 2
    assert "name a manifest" in outcome.err
    outcome = hsmad(*arguments, "--stage", "style", "--data", "list.jsonl", "--soundfont", packaged_soundfont())
    assert outcome.code == 2
    assert "--refresh" in outcome.err


def test_an_engine_that_is_not_there_is_one_line(make: Hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    outcome = make("--set", "engine='tinysoundfont'")
    assert outcome.code == 4
    assert "TinySoundFont cannot be loaded" in outcome.err
    assert "pip install --no-deps tinysoundfont" in outcome.err
    assert "Traceback" not in outcome.err
    assert make("--set", "engine='orchestra'").code == 4


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--shards", "x", "--shard", "2/2"], "counted from 0"),
        (["--shards", "x", "--shard", "half"], "--shard half"),
        (["--shard", "0/2"], "--shards"),
        (["--sound", "latents"], "--shards"),
        (["--shards", "x", "--codec", "vae"], "--sound latents"),
        (["--shards", "x", "--export", "y"], "--export"),
    ],
)
def test_options_that_make_no_sense_are_usage_errors(make: Hsmad, more: list[str], words: str) -> None:
    outcome = make(*more)
    assert outcome.code == 2
    assert words in outcome.err


def test_what_the_manifest_holds_instead_is_said(make: Hsmad) -> None:
    outcome = make("--shards", "x", "--split", "test")
    assert outcome.code == 3
    assert "--split train --tier A" in outcome.err


def test_stdout_is_the_bank_for_a_shell_to_take(hsmad: Hsmad, make: Hsmad) -> None:
    options = f"--hours {4 / 3600} --clip-seconds 4 --soundfont {packaged_soundfont()} --workers 1 -q".split()
    outcome = hsmad("dataset", "list.jsonl", *options)
    assert outcome.code == 0, outcome.err
    assert (Path(outcome.out.decode().removesuffix("\n")) / "bank.json").is_file()
    assert hsmad("dataset", "absent.jsonl", *options).out == b""
