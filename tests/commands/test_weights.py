"""hsmad weights, doctor and styles: what is here, and is it whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from hsmad_cli.errors import WeightsError
from hsmad_cli.files.checkpoint import load_checkpoint, read_header, save_checkpoint


@pytest.fixture
def nothing_pulled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: None)


@pytest.fixture
def damaged(tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that copies the weights, flips one bit of a file, and installs the copy."""

    def damage(name: str, offset: int = -100) -> Path:
        folder = tmp_path / "damaged"
        shutil.copytree(tiny_weights, folder)
        data = bytearray((folder / name).read_bytes())
        data[offset] ^= 1
        (folder / name).write_bytes(data)
        monkeypatch.setenv("HSMAD_WEIGHTS", str(folder))
        return folder

    return damage


@pytest.mark.usefixtures("nothing_pulled")
def test_list(hsmad, tiny_weights: Path) -> None:
    done = hsmad("weights", "list")
    assert done.code == 0
    lines = done.out.decode().splitlines()
    assert [line.split()[:2] for line in lines[:3]] == [["tiny", "vae"], ["tiny", "style"], ["tiny", "denoiser"]]
    assert "hsmad weights pull clap" in done.out.decode()
    report = json.loads(hsmad("weights", "list", "--json").out)
    assert report["folder"] == str(tiny_weights)
    assert report["remote"]["t5"] is None


def test_verify(hsmad, damaged) -> None:
    assert hsmad("weights", "verify").code == 0
    damaged("style.safetensors")
    done = hsmad("weights", "verify", "--json")
    assert done.code == 5
    assert "style.safetensors: its sha256 is not that of the index" in done.err
    assert json.loads(done.out) == {"verified": 2, "bad": ["style.safetensors"]}


def test_pull(hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = []

    def pull(name: str) -> Path:
        wanted.append(name)
        return Path("/cache") / name

    monkeypatch.setattr("hsmad_cli.files.hub.pull", pull)
    assert hsmad("weights", "pull", "clap", "t5").err == "clap: /cache/clap\nt5: /cache/t5\n"
    assert wanted == ["clap", "t5"]


@pytest.mark.parametrize("name", ["denoiser", "vae", "style"])
@pytest.mark.parametrize("offset", [-100, 200])
def test_one_flipped_bit_is_found_before_anything_is_written(hsmad, song: Path, damaged, name: str, offset) -> None:
    folder = damaged(f"{name}.safetensors", offset)
    by_name = hsmad("sample", song, "-o", "song.wav")
    assert by_name.code == 5
    assert len(by_name.err.splitlines()) == 2
    by_file = hsmad("sample", song, "--weights", folder / "denoiser.safetensors", "-o", "song.wav")
    assert by_file.code == 5
    assert not Path("song.wav").exists()


def test_a_damaged_checkpoint_outside_the_index(hsmad, song: Path, damaged) -> None:
    folder = damaged("denoiser.safetensors")
    (folder / "index.json").unlink()
    done = hsmad("sample", song, "--weights", folder / "denoiser.safetensors", "-o", "song.wav")
    assert done.code == 5
    assert "damaged checkpoint" in done.err


def test_weights_that_are_not_there(hsmad, song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no weights called 'nine'" in hsmad("sample", song, "--weights", "nine", "-o", "a.wav").err
    assert "nine.safetensors: no such file" in hsmad("sample", song, "--weights", "nine.safetensors", "-o", "a.wav").err
    monkeypatch.setenv("HSMAD_WEIGHTS", str(tmp_path))
    done = hsmad("sample", song, "-o", "a.wav")
    assert (done.code, "no default denoiser weights" in done.err) == (5, True)
    assert hsmad("weights", "verify").code == 5


def test_a_codec_that_is_not_the_denoisers(hsmad, song: Path, tiny_weights: Path, tmp_path: Path, monkeypatch) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(tiny_weights / "denoiser.safetensors", run)
    monkeypatch.setenv("HSMAD_WEIGHTS", str(tmp_path))
    done = hsmad("sample", song, "--weights", run / "denoiser.safetensors", "-o", "a.wav")
    assert done.code == 5
    assert "made with vae weights of sha256" in done.err
    for kind in ("vae", "style"):
        (tmp_path / kind).mkdir()
        shutil.copy(tiny_weights / f"{kind}.safetensors", tmp_path / kind)
    done = hsmad("sample", song, "--weights", run / "denoiser.safetensors", "-o", "a.wav", "--steps", 1)
    assert done.code == 0, done.err


@pytest.mark.usefixtures("nothing_pulled")
def test_doctor(hsmad, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = json.loads(hsmad("doctor", "--json").out)
    assert {"torch", "torchaudio", "device", "weights"} <= set(report["found"])
    monkeypatch.setenv("HSMAD_WEIGHTS", str(tmp_path))
    done = hsmad("doctor")
    assert done.code == 4
    assert "missing  weights" in done.out.decode()


def test_styles(hsmad) -> None:
    assert "jazz" in hsmad("styles").out.decode()
    assert "genres" in json.loads(hsmad("styles", "--json").out)
    nearest, known = hsmad("styles", "warm piano jazz").out.decode().splitlines()
    assert nearest.startswith("nearest: ")
    assert known == "all words are known"
    assert hsmad("styles", "warm zydeco gitar").out.endswith(b"never seen: zydeco, gitar (did you mean guitar?)\n")
    assert next(iter(json.loads(hsmad("styles", "bebop", "--json").out)["nearest"].items())) == ("bebop", 1.0)


def test_every_style_is_a_line_with_its_other_names(hsmad) -> None:
    lines = hsmad("styles").out.decode().splitlines()
    assert lines[:5] == ["styles", "  jazz", "  solo piano: piano, piano solo", "  strings", ""]
    assert [line for line in lines if line and not line.startswith("  ")] == list(
        json.loads(hsmad("styles", "--json").out)
    )


def test_styles_lists_only_what_the_style_encoder_has_seen(hsmad) -> None:
    listed = json.loads(hsmad("styles", "--json").out)
    everything = " ".join(phrase for phrases in listed.values() for phrase in phrases)
    assert hsmad("styles", everything).out.endswith(b"all words are known\n")
    assert "renaissance" not in listed["genres"]


def test_a_style_encoder_of_others_that_was_not_pulled(hsmad, song: Path, tmp_path: Path, tiny_weights: Path) -> None:
    from tiny_weights import reheaded

    reheaded(tiny_weights / "denoiser.safetensors", tmp_path / "clap.safetensors", style_encoder="clap")
    reheaded(tiny_weights / "denoiser.safetensors", tmp_path / "muse.safetensors", style_encoder="muse")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsmad_cli.files.hub.pulled", lambda name: None)
        done = hsmad("sample", song, "--weights", "./clap.safetensors", "-o", "a.wav")
    assert done.code == WeightsError.exit_code
    assert done.err.splitlines()[1] == "  hint: hsmad weights pull clap"
    done = hsmad("sample", song, "--weights", "./muse.safetensors", "-o", "a.wav")
    assert done.code == 5
    assert "unknown style encoder 'muse'" in done.err


def test_average(hsmad, tiny_weights: Path, tmp_path: Path) -> None:
    denoiser, other, mean = tiny_weights / "denoiser.safetensors", tmp_path / "other", tmp_path / "mean"
    tensors, header = load_checkpoint(denoiser, "denoiser")
    about = {key: value for key, value in header.items() if key != "sha256"}
    save_checkpoint(other, {name: 3 * tensor for name, tensor in tensors.items()}, about)
    done = hsmad("weights", "average", denoiser, other, "-o", mean)
    assert done.code == 0, done.err
    between, header = load_checkpoint(mean, "denoiser")
    torch.testing.assert_close(between, {name: 2 * tensor for name, tensor in tensors.items()}, rtol=2e-3, atol=1e-6)
    assert header["averaged"] == [read_header(path)["sha256"] for path in (denoiser, other)]
    assert hsmad("weights", "average", denoiser, other, "-o", mean).code == 6
    assert hsmad("weights", "average", denoiser, other, "-o", mean, "--force").code == 0


def test_average_of_what_has_none(hsmad, tiny_weights: Path, tmp_path: Path) -> None:
    denoiser, mean = tiny_weights / "denoiser.safetensors", tmp_path / "mean.safetensors"
    assert hsmad("weights", "average", denoiser, "-o", mean).code == 2
    assert hsmad("weights", "average", denoiser, denoiser, "-o", "-").code == 2
    done = hsmad("weights", "average", tiny_weights / "vae.safetensors", denoiser, "-o", mean)
    assert done.code == 5
    assert "expected 'denoiser'" in done.err
    assert not mean.exists()
