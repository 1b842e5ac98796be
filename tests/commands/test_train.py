from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.__main__ import main
from hsmad_cli.datasets.memory import ClipBank, Texts
from hsmad_cli.datasets.sheets import NOTE_DTYPES
from hsmad_cli.errors import Terminated
from hsmad_cli.files.checkpoint import (
    file_sha256,
    latent_sha256,
    load_checkpoint,
    read_header,
    save_checkpoint,
    style_space,
)
from hsmad_cli.pipeline import Pipeline

N_CLIPS, FRAMES = 5, 160


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips of noise with one note each."""
    rng = np.random.default_rng(0)
    notes = {"onset_s": 0.5, "offset_s": 1.0, "pitch": 60, "velocity": 90, "program": 0, "is_drum": False, "part": 0}
    columns = {f"note_{name}": np.full(N_CLIPS, notes[name], dtype) for name, dtype in NOTE_DTYPES.items()}
    columns["audio"] = rng.integers(-9000, 9000, (882 * FRAMES * N_CLIPS, 2)).astype(np.int16)
    columns |= {"pedal_s": np.zeros(0, np.float32), "pedal_value": np.zeros(0, np.float32)}
    columns |= {"chord": np.zeros(40 * N_CLIPS, np.int8), "key": np.zeros(10 * N_CLIPS, np.int8)}
    columns |= {"tempo": np.full(10 * N_CLIPS, 4.6, np.float32)}
    lengths = {"audio": 882 * FRAMES, "note": 1, "pedal": 0, "chord": 40, "key": 10, "tempo": 10}
    counts = {group: np.full(N_CLIPS, length) for group, length in lengths.items()}
    captions, tags = [["solo piano"]] * N_CLIPS, [["program:0"]] * N_CLIPS
    texts = Texts(captions, tags, list("abcde"), ["own"] * N_CLIPS, [""] * N_CLIPS)
    folder = tmp_path_factory.mktemp("bank")
    ClipBank({name: torch.from_numpy(column) for name, column in columns.items()}, counts, texts).save(folder)
    return folder


def arguments(stage: str, bank: Path, run: Path, *more: str) -> list[str]:
    options = f"--stage {stage} --preset tiny --device cpu --data".split()
    return ["train", *options, str(bank), "-o", str(run), *more]


def held_out_of(run: Path, scalar: str) -> dict[int, float]:
    """By step, a scalar of the run's tests."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[f"test/{scalar}"] for line in lines if f"test/{scalar}" in line}


def test_all_three_stages_in_order(bank: Path, tmp_path: Path) -> None:
    codec, style, denoiser = (tmp_path / name for name in ("codec", "style", "denoiser"))
    assert main(arguments("vae", bank, codec, "--steps", "2")) == 0
    assert main(arguments("style", bank, style, "--steps", "2")) == 0
    files = ["--codec", str(codec / "vae.safetensors"), "--style-encoder", str(style / "style.safetensors")]
    assert main(arguments("denoiser", bank, denoiser, "--steps", "2", *files)) == 0
    _, header = load_checkpoint(denoiser / "denoiser.safetensors", "denoiser")
    assert header["codec_sha256"] == file_sha256(codec / "vae.safetensors")
    assert header["style_sha256"] == file_sha256(style / "style.safetensors")
    assert header["step"] == 2
    record = json.loads((denoiser / "config.json").read_text())
    assert record["train"]["batch"] == 2
    assert record["preset"] == "tiny"


def test_phrasing_is_taught_to_a_style_encoder_and_its_denoisers_play_by_it(bank: Path, tmp_path: Path) -> None:
    codec, style, phrased, denoiser = (tmp_path / name for name in ("codec", "style", "phrased", "denoiser"))
    assert main(arguments("vae", bank, codec, "--steps", "1")) == 0
    assert main(arguments("style", bank, style, "--steps", "1")) == 0
    assert main(arguments("phrasing", bank, phrased, "--steps", "1")) == 2
    teacher, pupil = style / "style.safetensors", phrased / "style.safetensors"
    assert main(arguments("phrasing", bank, phrased, "--steps", "2", "--style-encoder", str(teacher))) == 0
    assert style_space(pupil) == file_sha256(teacher)
    again = arguments("phrasing", bank, style, "--force", "--style-encoder", str(teacher))
    assert main(again) == 2
    told = arguments("phrasing", bank, tmp_path / "told", "--style-encoder", str(teacher))
    assert main([*told, "--language-model", str(tmp_path / "absent")]) == 5
    begun = arguments("phrasing", bank, tmp_path / "begun", "--init", str(teacher), "--style-encoder", str(teacher))
    assert main(begun) == 2
    for taught_by, run in ((teacher, denoiser), (pupil, tmp_path / "later")):
        files = ["--codec", str(codec / "vae.safetensors"), "--style-encoder", str(taught_by)]
        assert main(arguments("denoiser", bank, run, "--steps", "1", *files)) == 0
        _, header = load_checkpoint(run / "denoiser.safetensors", "denoiser")
        assert header["style_sha256"] == file_sha256(teacher)
        for plays_by in (teacher, pupil):
            pipeline = Pipeline.load(
                run / "denoiser.safetensors", "cpu", codec=codec / "vae.safetensors", style_encoder=plays_by
            )
            assert list(pipeline.style.tokenizer.words) == load_checkpoint(plays_by, "style")[1]["words"]


def test_a_codec_with_a_frozen_encoder_keeps_its_latents_and_learns_with_a_discriminator(bank: Path, tmp_path) -> None:
    first, later = (tmp_path / name for name in ("first", "later"))
    assert main(arguments("vae", bank, first, "--steps", "2")) == 0
    options = ["--set", 'train_vae.frozen=["encoder"]', "--set", "train_vae.adversarial_from=1"]
    assert main(arguments("vae", bank, later, "--steps", "3", "--init", str(first / "vae.safetensors"), *options)) == 0
    again = ["--steps", "4", "--resume", "--init", "not needed any more"]
    assert main(arguments("vae", bank, later, *again, *options)) == 0
    files = [run / "vae.safetensors" for run in (first, later)]
    assert latent_sha256(files[0]) == latent_sha256(files[1])
    assert file_sha256(files[0]) != file_sha256(files[1])
    last = json.loads((later / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["discriminator/loss"] > 0


def test_held_out_clips_are_tested_with_the_averaged_weights(bank: Path, tmp_path: Path, capsys) -> None:
    tested_run, plain_run, denoiser = (tmp_path / name for name in ("tested", "plain", "denoiser"))
    options = ["--held-out", str(bank), "--set", "train_vae.test_every=2"]
    assert main(arguments("vae", bank, tested_run, "--steps", "5", *options)) == 0
    tested = held_out_of(tested_run, "complex")
    assert list(tested) == [2, 4, 5]
    assert len(set(tested.values())) == 3
    assert "test/complex" in capsys.readouterr().err

    assert main(arguments("vae", bank, plain_run, "--steps", "5")) == 0
    codec, plain = (load_checkpoint(run / "vae.safetensors", "vae")[0] for run in (tested_run, plain_run))
    assert all(torch.equal(plain[name], tensor) for name, tensor in codec.items())

    style = tmp_path / "style"
    assert main(arguments("style", bank, style, "--steps", "1")) == 0
    files = ["--codec", str(plain_run / "vae.safetensors"), "--style-encoder", str(style / "style.safetensors")]
    assert main(arguments("denoiser", bank, denoiser, "--steps", "1", "--held-out", str(bank), *files)) == 0
    assert held_out_of(denoiser, "diffusion")[1] > 0


def test_a_run_is_not_begun_twice_but_goes_on(bank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("style", bank, tmp_path, "--steps", "1")) == 0
    assert main(arguments("style", bank, tmp_path, "--steps", "2")) == 6
    assert "--resume" in capsys.readouterr().err
    assert main(arguments("style", bank, tmp_path, "--steps", "3", "--resume")) == 0
    assert load_checkpoint(tmp_path / "style.safetensors", "style")[1]["step"] == 3
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]


def test_options_change_the_preset(bank: Path, tmp_path: Path) -> None:
    options = ["--batch", "3", "--steps", "1", "--set", "train_style.learning_rate=0.5", "--set", "style.depth=2"]
    assert main(arguments("style", bank, tmp_path, *options)) == 0
    record = json.loads((tmp_path / "config.json").read_text())
    assert (record["train"]["batch"], record["train"]["learning_rate"], record["config"]["depth"]) == (3, 0.5, 2)


@pytest.mark.parametrize(
    ("more", "exit_code", "words"),
    [
        (["--stage", "style", "--language-model", "minilm"], 2, "the style stage learns from sounds"),
        (["--stage", "denoiser"], 2, "--codec"),
        (["--stage", "denoiser", "--codec", "nowhere.safetensors"], 5, "nowhere.safetensors"),
        (["--stage", "style", "--resume", "--force"], 2, "--resume"),
        (["--stage", "style", "--init", "nowhere"], 5, "nowhere"),
        (["--stage", "style", "--set", "train_style.lr=1"], 4, "'lr'"),
        (["--stage", "style", "--set", "1"], 4, "TOML"),
        (["--stage", "style", "--set", "train_style.batch=eight"], 4, "train_style.batch: expected int, got 'eight'"),
        (["--stage", "denoiser", "--set", "style.encoder=muse"], 4, "preset tiny.style.encoder: 'muse' is not one of"),
        (["--stage", "style", "--preset", "huge"], 4, "huge"),
        (["--stage", "vae", "--set", 'train_vae.frozen=["encoder"]'], 4, "--init"),
        (["--stage", "vae", "--set", 'train_vae.frozen=["head"]'], 4, "encoder, decoder"),
        (["--stage", "cake"], 2, "cake"),
        (["--stage", "style", "--held-out", "."], 2, "style-benchmark"),
        (["--stage", "vae", "--held-out", "song.mid"], 2, "a bank or shards"),
    ],
)
def test_mistakes_are_one_line_and_a_code(bank, tmp_path, capsys, more, exit_code, words) -> None:
    assert main(arguments("style", bank, tmp_path / "run", *more)) == exit_code
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def of_another_version(source: Path, target: Path, *lost: str, **changes: object) -> Path:
    """A checkpoint, verified, whose header says something else and lacks something."""
    tensors, header = load_checkpoint(source, read_header(source)["kind"])
    save_checkpoint(target, tensors, {key: header[key] for key in header.keys() - {"sha256", *lost}} | changes)
    return target


def test_files_of_another_version_are_weights_that_do_not_fit(bank: Path, tmp_path: Path, tiny_weights, capsys) -> None:
    codec, style = (tiny_weights / f"{kind}.safetensors" for kind in ("vae", "style"))
    winged = of_another_version(codec, tmp_path / "winged.safetensors", config={"wings": 2})
    mute = of_another_version(style, tmp_path / "mute.safetensors", "words")
    deep = read_header(style)["config"] | {"depth": 7}
    deep = of_another_version(style, tmp_path / "deep.safetensors", config=deep)
    for stage, vae, encoder, named in (
        ("denoiser", winged, style, "winged.safetensors: its configuration is not one of this version"),
        ("denoiser", codec, mute, "mute.safetensors: not a style encoder of this version: 'words'"),
        ("denoiser", codec, deep, "deep.safetensors: not a style encoder of this version: Error"),
        ("phrasing", codec, mute, "mute.safetensors: not a style encoder of this version: 'words'"),
    ):
        files = ("--codec", str(vae), "--style-encoder", str(encoder))
        assert main(arguments(stage, bank, tmp_path / "run", "--steps", "1", *files)) == 5
        told = capsys.readouterr().err
        assert (named in told, len(told.splitlines())) == (True, 1), told


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert main(arguments("style", tmp_path / "nowhere", tmp_path / "run")) == 3


@pytest.mark.parametrize("refresh", [(), ("--refresh", "1")])
def test_scores_of_another_tier_become_clips_first(tmp_path: Path, capsys, refresh: tuple[str, ...]) -> None:
    manifest = tmp_path / "list.jsonl"
    manifest.write_text(json.dumps({"id": "a", "midi": "a.mid", "tier": "B"}) + "\n")
    assert main([*arguments("vae", manifest, tmp_path / "run"), *refresh]) == 3
    message, hint = capsys.readouterr().err.splitlines()
    assert message == f"hsmad train: {manifest}: no item in splits train of tiers A"
    assert hint.strip() == (
        "hint: it holds: --split train --tier B; "
        f"train takes the clips that `hsmad dataset {manifest}` makes with these options"
    )


def test_the_processes_part_when_training_is_terminated(bank: Path, tmp_path: Path, monkeypatch) -> None:
    left = []

    def terminated(*_: object, **__: object) -> None:
        raise Terminated("terminated: saved step 3")

    monkeypatch.setattr("hsmad_cli.training.loop.train", terminated)
    monkeypatch.setattr("hsmad_cli.training.parallel.Workers.__exit__", lambda workers, *_: left.append(workers))
    assert main(arguments("style", bank, tmp_path)) == 143
    assert len(left) == 1


def test_the_processes_part_when_there_is_nothing_to_train_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = []
    monkeypatch.setattr("hsmad_cli.training.parallel.Workers.__exit__", lambda workers, *_: left.append(workers))
    assert main(arguments("style", tmp_path / "nowhere", tmp_path / "run")) == 3
    assert len(left) == 1
