"""hsmad encode and decode: sound to latents and back, scores to features."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_weights import with_later_decoder, write_weights

from hsmad_cli.files.checkpoint import file_sha256
from hsmad_cli.files.npz import load_npz, save_npz

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "files.md"


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    time = np.arange(44100 + 100) / 44100
    audio = np.stack([0.3 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 554 * time)])
    soundfile.write(tmp_path / "sound.wav", audio.T, 44100)
    return tmp_path / "sound.wav"


def test_latents_of_a_sound_and_back(hsmad, sound: Path, tiny_weights: Path) -> None:
    assert hsmad("encode", sound, "-o", "sound.npz").code == 0
    arrays, meta = load_npz(Path("sound.npz"), "latent")
    assert arrays["latent"].shape == (51, 8)  # 44,200 samples are 50.1 frames of 882
    assert (meta["codec"], meta["frame_rate"], meta["n_samples"]) == ("vae", [44100, 882], 44200)
    section = DOCUMENT.read_text(encoding="utf-8").split("## `latent`")[1].split("\n## ")[0]
    documented = set(re.findall(r"^\| `([\w.]+)`", section, re.MULTILINE))
    assert documented == {"latent"} | {f"meta.{key}" for key in meta}
    done = hsmad("decode", "sound.npz", "-o", "again.wav", "--json")
    assert done.code == 0
    assert soundfile.info("again.wav").frames == 44200
    assert json.loads(done.out)["codec"] == meta["codec_sha256"]


def test_another_rate_is_resampled(hsmad, sound: Path) -> None:
    audio, _ = soundfile.read(sound)
    soundfile.write("slow.wav", audio, 22050)
    hsmad("encode", "slow.wav", "-o", "slow.npz")
    assert load_npz(Path("slow.npz"), "latent")[1]["n_samples"] == 88400


def test_many_sounds(hsmad, sound: Path) -> None:
    assert hsmad("encode", sound, "absent.wav", "--out-dir", "latents").code == 8
    assert [path.name for path in Path("latents").iterdir()] == ["sound.npz"]


def test_features_of_a_score(hsmad, song: Path) -> None:
    hsmad("render-srm", song, "-o", "roll.npz")
    for source, name in ((song, "midi"), ("roll.npz", "roll")):
        assert hsmad("encode", source, "-o", f"{name}.npz").code == 0
    arrays, meta = load_npz(Path("midi.npz"), "features")
    assert [arrays[level].shape for level in ("event", "local", "global")] == [(160, 16), (40, 16), (10, 16)]
    assert meta["duration_s"] == pytest.approx(3.1)
    assert Path("midi.npz").read_bytes() == Path("roll.npz").read_bytes() != b""
    hsmad("encode", song, "-o", "free.npz", "--instruments", "free")
    assert not np.array_equal(load_npz(Path("free.npz"), "features")[0]["event"], arrays["event"])


def test_a_wrong_kind_names_both(hsmad, song: Path, sound: Path) -> None:
    hsmad("encode", sound, "-o", "latent.npz")
    hsmad("render-srm", song, "-o", "roll.npz")
    wrong = hsmad("decode", "roll.npz", "-o", "a.wav")
    assert (wrong.code, "roll.npz: an npz of kind 'srm', expected 'latent'" in wrong.err) == (3, True)
    wrong = hsmad("sample", "latent.npz", "-o", "a.wav")
    assert (wrong.code, "latent.npz: an npz of kind 'latent', expected 'srm'" in wrong.err) == (3, True)
    assert not Path("a.wav").exists()


def test_latents_and_features_of_other_weights_are_refused(hsmad, song: Path, sound: Path) -> None:
    hsmad("encode", sound, "-o", "latent.npz")
    hsmad("encode", song, "-o", "features.npz")
    other = write_weights(Path("other"), seed=1)
    wrong = hsmad("sample", "features.npz", "--weights", other / "denoiser.safetensors", "-o", "a.wav")
    assert (wrong.code, "features of denoiser" in wrong.err) == (5, True)
    wrong = hsmad("decode", "latent.npz", "--weights", other / "vae.safetensors", "-o", "a.wav")
    assert wrong.code == 5
    assert wrong.err.startswith("hsmad decode: other/vae.safetensors: not the codec of the latents\n  hint: ")


@pytest.mark.parametrize("named_by", ["latents", "file"])
def test_a_codec_with_a_later_decoder_decodes_the_latents_of_the_first(
    hsmad, sound: Path, tiny_weights: Path, named_by: str
) -> None:
    hsmad("encode", sound, "-o", "latent.npz")
    if named_by == "file":  # as they were written before there was latent_sha256
        arrays, meta = load_npz(Path("latent.npz"), "latent")
        save_npz("latent.npz", arrays, {key: value for key, value in meta.items() if key != "latent_sha256"})
    later = with_later_decoder(tiny_weights / "vae.safetensors", Path("later.safetensors"))
    done = hsmad("decode", "latent.npz", "--weights", "./later.safetensors", "-o", "later.wav", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["codec"] == file_sha256(later)
    hsmad("decode", "latent.npz", "-o", "first.wav")
    assert Path("first.wav").read_bytes() != Path("later.wav").read_bytes()


def test_latents_outlive_the_codec_that_made_them(hsmad, sound: Path, tiny_weights: Path, monkeypatch) -> None:
    hsmad("encode", sound, "-o", "latent.npz")
    monkeypatch.setenv("HSMAD_WEIGHTS", "nowhere")
    Path("far/away").mkdir(parents=True)
    monkeypatch.chdir("far/away")
    gone = hsmad("decode", "../../latent.npz", "-o", "again.wav")
    assert (gone.code, gone.err.splitlines()[0]) == (5, "hsmad decode: no codec of the latents is here")
    with_later_decoder(tiny_weights / "vae.safetensors", Path("later.safetensors"))
    assert hsmad("decode", "../../latent.npz", "-o", "again.wav").code == 0


def test_latents_that_do_not_fit(hsmad, sound: Path) -> None:
    hsmad("encode", sound, "-o", "latent.npz")
    arrays, meta = load_npz(Path("latent.npz"), "latent")
    save_npz("narrow.npz", {"latent": arrays["latent"][:, :5]}, meta)
    done = hsmad("decode", "narrow.npz", "-o", "a.wav")
    assert (done.code, "latents with 5 channels, this codec has 8" in done.err) == (3, True)
    save_npz("nameless.npz", arrays, {"kind": "latent"})
    assert hsmad("decode", "nameless.npz", "-o", "a.wav").code == 3


def test_an_absent_codec_names_the_command_that_fetches_it(hsmad, sound: Path, monkeypatch) -> None:
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: None)
    done = hsmad("encode", sound, "--codec", "dac", "-o", "a.npz")
    assert done.code == 5
    assert done.err.splitlines()[1] == "  hint: hsmad weights pull dac"


def test_a_codec_of_others(hsmad, sound: Path, tmp_path: Path, monkeypatch) -> None:
    transformers = pytest.importorskip("transformers")
    tiny = transformers.DacConfig(
        encoder_hidden_size=8, downsampling_ratios=[2, 4, 4, 8], decoder_hidden_size=64, n_codebooks=2,
        codebook_size=16, codebook_dim=4, hidden_size=16, sampling_rate=44100,
    )  # fmt: skip
    transformers.DacModel(tiny).save_pretrained(tmp_path / "dac")
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: tmp_path / "dac")
    assert hsmad("encode", sound, "--codec", "dac", "-o", "dac.npz").code == 0
    arrays, meta = load_npz(Path("dac.npz"), "latent")
    assert meta["frame_rate"] == [44100, 256]
    assert arrays["latent"].shape == (173, 32)
    assert hsmad("decode", "dac.npz", "-o", "dac.wav").code == 0
    assert soundfile.info("dac.wav").frames == 44200
