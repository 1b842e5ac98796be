"""MusicGen through tiny random models that were saved and loaded, as real ones are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_musicgen import HOP, RATE, save_tiny_musicgen

pytest.importorskip("transformers")

from hsmad_cli.errors import WeightsError
from hsmad_cli.files.audio import resample
from hsmad_cli.pipeline.musicgen import MAX_S, SAMPLE_RATE, MusicGen, musicgen_folder


@pytest.fixture(scope="module", params=["text", "melody", "stereo"])
def player(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MusicGen:
    folder = tmp_path_factory.mktemp(request.param)
    save_tiny_musicgen(folder, melody=request.param == "melody", channels=2 if request.param == "stereo" else 1)
    return MusicGen(folder, "cpu")


@pytest.fixture(scope="module")
def follower(tmp_path_factory: pytest.TempPathFactory) -> MusicGen:
    folder = tmp_path_factory.mktemp("follower")
    save_tiny_musicgen(folder, melody=True)
    return MusicGen(folder, "cpu")


def tone(hertz: float, seconds: float) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    return np.stack([wave, wave]).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 0.777])
def test_it_plays_stereo_of_exactly_the_length_asked_for(player: MusicGen, seconds: float) -> None:
    audio = player.play("jazz piano", seconds)
    assert audio.shape == (2, round(seconds * SAMPLE_RATE))
    assert audio.dtype == np.float32


def test_only_a_stereo_model_has_two_different_channels(player: MusicGen) -> None:
    left, right = player.play("jazz", 0.5)
    assert np.array_equal(left, right) == (player.model.config.decoder.audio_channels == 1)


def test_the_seed_and_the_words_decide(player: MusicGen) -> None:
    state = torch.random.get_rng_state()
    first = player.play("jazz", 0.3, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(player.play("jazz", 0.3, seed=1), first)
    assert not np.array_equal(player.play("jazz", 0.3, seed=2), first)
    assert not np.array_equal(player.play("warm strings", 0.3, seed=1, guidance=9.0), first)


def test_guidance_without_words_is_none(player: MusicGen) -> None:
    """The words' part of the logits is zero then, whatever its weight."""
    assert np.allclose(player.play("", 0.3, guidance=8.0), player.play("", 0.3, guidance=1.0), atol=1e-5)


def test_one_code_of_one_leaves_nothing_to_chance(player: MusicGen) -> None:
    assert np.array_equal(player.play("jazz", 0.3, top_k=1, seed=1), player.play("jazz", 0.3, top_k=1, seed=2))


def test_progress_ends_with_the_last_step(player: MusicGen) -> None:
    told: list[tuple[int, int]] = []
    player.play("jazz", 0.5, progress=lambda part, done, total: told.append((done, total)))
    frames = round(0.5 * RATE / HOP)
    assert told == [(step, frames + 1) for step in range(1, frames + 2)]


def test_what_is_loaded_plays_as_what_was_saved(tmp_path: Path) -> None:
    saved = save_tiny_musicgen(tmp_path)
    player = MusicGen(tmp_path, "cpu")
    inputs = player.processor(text=["jazz piano"], return_tensors="pt")
    expected = saved.generate(**inputs, max_new_tokens=4, do_sample=False, guidance_scale=3.0)
    expected = resample(expected[0].numpy(), RATE, SAMPLE_RATE)
    assert np.allclose(player.play("jazz piano", 0.3, top_k=1)[:1], expected, atol=1e-5)


def test_a_melody_is_followed_by_its_chroma_and_only_for_thirty_seconds(follower: MusicGen) -> None:
    low, high = tone(220.0, MAX_S + 1), tone(311.1, MAX_S + 1)
    as_low = follower.play("jazz", 0.5, low, guidance=9.0)
    assert not np.array_equal(as_low, follower.play("jazz", 0.5, high, guidance=9.0))
    assert not np.array_equal(as_low, follower.play("jazz", 0.5, guidance=9.0))
    head = round(MAX_S * SAMPLE_RATE)
    changed_late = np.concatenate([low[:, :head], high[:, head:]], axis=1)
    assert np.array_equal(as_low, follower.play("jazz", 0.5, changed_late, guidance=9.0))


def test_the_caller_is_told_what_cannot_be(player: MusicGen) -> None:
    with pytest.raises(ValueError, match="up to 30 s, not 31"):
        player.play("jazz", 31)
    if not player.hears_melody:
        with pytest.raises(ValueError, match="follows no melody"):
            player.play("jazz", 0.5, tone(220.0, 1))


def test_models_by_name_repository_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: tmp_path / name)
    assert musicgen_folder("musicgen-small") == tmp_path / "musicgen-small"
    assert musicgen_folder("facebook/musicgen-melody") == tmp_path / "musicgen-melody"
    assert musicgen_folder(str(tmp_path)) == tmp_path
    with pytest.raises(WeightsError, match="musicgen-huge: no such MusicGen model") as caught:
        musicgen_folder("musicgen-huge")
    assert "musicgen-small, musicgen-melody" in str(caught.value.hint)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    from transformers import T5Config

    for folder, message in ((tmp_path / "nothing", "not a MusicGen model"), (tmp_path / "t5", "not a .* but t5")):
        folder.mkdir()
        if folder.name == "t5":
            T5Config().save_pretrained(folder)
        with pytest.raises(WeightsError, match=message) as caught:
            MusicGen(folder, "cpu")
        assert caught.value.hint == "hsmad weights pull musicgen-small"


def test_a_model_with_a_tensor_missing_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_tiny_musicgen(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["decoder.lm_heads.0.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 tensors are missing, such as decoder\.lm_heads\.0\.weight"):
        MusicGen(tmp_path, "cpu")
