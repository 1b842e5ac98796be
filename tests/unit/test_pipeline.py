"""Inference: noise, blocks, excerpts, and that blocks agree with the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.config import Instruments, SampleConfig
from hsmad_cli.diffusion.guidance import BOTH, MODES, NEITHER, SCORE, Branch, branch_weights
from hsmad_cli.errors import InputError, NonFiniteError, UsageError, WeightsError
from hsmad_cli.files.midi import read_midi
from hsmad_cli.files.score_npz import ScoreRoll
from hsmad_cli.pipeline import Codec, EncodedScore, Pipeline, choose_device
from hsmad_cli.pipeline.blocks import Block, blocks
from hsmad_cli.pipeline.noise import song_noise
from hsmad_cli.pipeline.sampling import guided_by, without_style

QUICK = SampleConfig(steps=2)
QUIET = 1e-4  # -80 dB below full scale


@pytest.fixture(scope="module")
def pipeline(tiny_weights: Path) -> Pipeline:
    """Tiny weights in float32, in which blocks can be compared with the whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSMAD_WEIGHTS", str(tiny_weights))
        patch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: False)
        return Pipeline.load(device="cpu")


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: False)


@pytest.fixture(scope="module")
def score(pipeline: Pipeline, song: Path) -> EncodedScore:
    """The short song, its last note held for nine seconds: 11 s."""
    read = read_midi(song)
    offsets = np.where(read.notes.pitch == 67, 9.0, read.notes.offset_s)
    held = replace(read, notes=read.notes.with_columns(offset_s=offsets))
    return pipeline.encode(held)


def test_blocks_cover_all_and_see_their_halo() -> None:
    assert list(blocks(10, 100, 40, 15)) == [Block(10, 50, 10, 65), Block(50, 90, 35, 100), Block(90, 100, 75, 100)]
    assert list(blocks(0, 100, 40, None)) == [Block(0, 100, 0, 100)]
    assert Block(50, 90, 35, 100).inner == slice(15, 55)


def test_noise_depends_on_seed_and_frame_alone() -> None:
    noise = song_noise(7, 0, 300, 8)
    assert noise.dtype == torch.float32
    assert torch.equal(song_noise(7, 50, 130, 8), noise[50:130])
    assert not torch.equal(song_noise(8, 0, 300, 8), noise)
    assert song_noise(2**63 - 1, 0, 1, 8).shape == (1, 8)
    many = song_noise(0, 0, 20_000, 4)
    assert abs(float(many.mean())) < 0.01  # 80,000 draws: the standard error is 0.0035
    assert abs(float(many.var()) - 1) < 0.02
    assert float(noise[0, 0]) == pytest.approx(-0.29333901, abs=1e-7)


@pytest.mark.parametrize(("w_h", "w_s", "in_details"), [(4, 8, 4), (4, 2, 2), (0, 3, 1)])
def test_words_outweigh_the_score_in_the_outline_only(w_h: float, w_s: float, in_details: float) -> None:
    """Of the branches only e(H,S) is not 0, so the answer is its coefficient: nested, w_S."""

    def predict(branches: tuple[Branch, ...], z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full_like(z, float(branch == BOTH)) for branch in branches])

    denoise = guided_by(SampleConfig(w_h, w_s, "nested", rescale=0.0, w_a=0.0), predict, styled=True)
    assert [float(denoise(torch.zeros(1, 1, 1), torch.tensor([t]))) for t in (0.9, 0.1)] == [w_s, in_details]


@pytest.mark.parametrize("mode", MODES)
def test_the_null_style_folds_branches(mode: str) -> None:
    folded = without_style(branch_weights(mode, 3.0, 2.0))
    assert folded == {NEITHER: -2.0, SCORE: 3.0}
    assert without_style(branch_weights("anchored", 1.0, 2.0)) == {SCORE: 1.0}


@pytest.mark.parametrize(("w_h", "listened"), [(2.0, True), (0.0, False)])
def test_a_score_of_no_weight_is_not_listened_to(w_h: float, listened: bool) -> None:
    heard: set[Branch] = set()

    def predict(branches: tuple[Branch, ...], z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        heard.update(branches)
        return z.expand(len(branches), *z.shape)

    guided_by(SampleConfig(w_h, 3.0), predict, styled=True)(torch.zeros(1, 1, 4), torch.tensor([0.9]))
    assert any(branch.deaf for branch in heard) == listened


@pytest.mark.parametrize("hears", [True, False])
def test_only_a_first_layer_that_hears_is_compared_with_a_deaf_one(
    pipeline: Pipeline, score: EncodedScore, monkeypatch: pytest.MonkeyPatch, hears: bool
) -> None:
    monkeypatch.setattr(type(pipeline.denoiser), "can_be_deaf", hears)
    deaf: list[torch.Tensor] = []
    hook = pipeline.denoiser.register_forward_pre_hook(lambda module, arguments: deaf.append(arguments[-1]))
    pipeline.sample(score, "jazz", SampleConfig(steps=1))
    hook.remove()
    assert bool(deaf[0].any()) == hears


def test_the_null_style_is_the_same_with_and_without_folding(
    pipeline: Pipeline, score: EncodedScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline_style = pipeline.denoiser.absent_style.detach()[None]
    folded = pipeline.sample(score, " ", QUICK, seconds=1)
    monkeypatch.setattr(pipeline.style, "encode", lambda texts: pipeline_style)
    unfolded = pipeline.sample(score, "null", QUICK, seconds=1)
    np.testing.assert_allclose(folded, unfolded, atol=QUIET)


@pytest.mark.parametrize(("who", "weight"), [("free", 3.0), ("midi", 4.0), (None, 4.0)])
def test_without_settings_the_score_weighs_as_in_the_verb(
    pipeline: Pipeline, score: EncodedScore, who: Instruments | None, weight: float
) -> None:
    score = replace(score, instruments=who)
    usual = pipeline.sample(score, "jazz", seconds=0.5)
    np.testing.assert_array_equal(usual, pipeline.sample(score, "jazz", SampleConfig(w_h=weight), seconds=0.5))


@pytest.mark.parametrize(("size", "name"), [(96, "sampling.DENOISE_BLOCK"), (32, "codec.CODEC_BLOCK")])
def test_blocks_agree_with_the_whole(
    pipeline: Pipeline, score: EncodedScore, monkeypatch: pytest.MonkeyPatch, size: int, name: str
) -> None:
    monkeypatch.setattr("hsmad_cli.pipeline.codec.CODEC_BLOCK", 10**6)
    whole = pipeline.sample(score, "jazz", QUICK)
    monkeypatch.setattr(f"hsmad_cli.pipeline.{name}", size)
    in_blocks = pipeline.sample(score, "jazz", QUICK)
    assert whole.shape == in_blocks.shape == (2, 11 * 44100)
    assert np.abs(whole).max() > 100 * QUIET
    assert np.abs(whole - in_blocks).max() < QUIET


def test_in_bfloat16_blocks_have_the_bits_of_the_whole(
    tiny_weights: Path, score: EncodedScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HSMAD_WEIGHTS", str(tiny_weights))
    monkeypatch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: True)
    half = Pipeline.load(device="cpu")
    assert half.denoiser.unet.input.weight.dtype == torch.bfloat16
    whole = half.sample(score, "jazz", QUICK)
    monkeypatch.setattr("hsmad_cli.pipeline.sampling.DENOISE_BLOCK", 112)
    np.testing.assert_array_equal(half.sample(score, "jazz", QUICK), whole)


def test_encoding_in_blocks_agrees_with_the_whole(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    audio = np.random.default_rng(0).normal(scale=0.1, size=(2, 100 * 882 + 5)).astype(np.float32)
    whole = pipeline.codec.encode(audio)
    monkeypatch.setattr("hsmad_cli.pipeline.codec.CODEC_BLOCK", 16)
    assert whole.shape == (101, 8)
    np.testing.assert_allclose(pipeline.codec.encode(audio), whole, atol=1e-4)


def test_an_excerpt_is_made_of_the_song_s_own_noise_and_score(pipeline: Pipeline, score: EncodedScore) -> None:
    """Where the excerpt is wide enough that its ends are out of reach, it is the song."""
    song = pipeline.sample(score, "jazz", SampleConfig(steps=1))
    wanted, heard = pipeline._excerpt(score, 4.0, 2.0)
    assert (wanted.start, wanted.stop) == (4 * 44100, 6 * 44100)
    assert (heard.start, heard.stop) == (96, 400)  # 2.0 and 8.0 s, outwards to multiples of 16 frames
    part = pipeline.sample(score, "jazz", SampleConfig(steps=1), start_s=4.0, seconds=2.0)
    assert part.shape == (2, 2 * 44100)
    assert np.abs(part - song[:, wanted]).max() < QUIET


def test_progress_is_told(pipeline: Pipeline, score: EncodedScore) -> None:
    seen: list[tuple[str, int, int]] = []
    pipeline.sample(score, "", QUICK, seconds=1, progress=lambda *told: seen.append(told))
    assert seen[:2] == [("denoise", 1, 2), ("denoise", 2, 2)]
    assert seen[-1][0] == "decode"
    assert seen[-1][1] == seen[-1][2]


def test_numbers_that_are_not_finite_raise(pipeline: Pipeline, score: EncodedScore) -> None:
    with pytest.raises(NonFiniteError, match="of the latents are not finite") as caught:
        pipeline.sample(score, "jazz", replace(QUICK, w_h=1e38), seconds=1)
    assert (caught.value.exit_code, caught.value.hint) == (7, "try smaller --wh and --ws")


def test_only_where_there_is_guidance_the_cure_is_less_of_it(
    pipeline: Pipeline, score: EncodedScore, monkeypatch: pytest.MonkeyPatch
) -> None:
    latent = np.full((4, 8), np.nan, np.float32)
    monkeypatch.setattr(pipeline, "_denoise", lambda *told: latent)
    for decode, hint in (
        (lambda: pipeline.sample(score, ""), "try smaller --wh and --ws"),
        (lambda: pipeline.codec.decode(latent), None),
    ):
        with pytest.raises(NonFiniteError, match="of the audio are not finite") as caught:
            decode()
        assert caught.value.hint == hint
    with pytest.raises(NonFiniteError, match="of the latents are not finite") as caught:
        pipeline.codec.encode(np.full((2, 4 * 882), np.nan, np.float32))
    assert caught.value.hint is None


def test_a_roll_or_an_excerpt_that_does_not_fit(pipeline: Pipeline, score: EncodedScore, song: Path) -> None:
    with pytest.raises(InputError, match=r"a roll of 75 frames a second, these weights need 50"):
        pipeline.encode(ScoreRoll.of(read_midi(song), (75, 1)))
    with pytest.raises(InputError, match=r"lasts 11\.0 s, it cannot start at 11 s"):
        pipeline.sample(score, "", QUICK, start_s=11.0)
    with pytest.raises(WeightsError, match="features of denoiser"):
        pipeline.restore(replace(pipeline.store(score), denoiser_sha256="0" * 64))


def test_free_hides_who_plays(pipeline: Pipeline, song: Path) -> None:
    read = read_midi(song)
    others = replace(read, notes=read.notes.with_columns(program=np.where(read.notes.is_drum, 0, 73)))
    shown = [pipeline.encode(score, "midi").features.event for score in (read, others)]
    hidden = [pipeline.encode(score, "free").features.event for score in (read, others)]
    assert not torch.equal(*shown)
    assert torch.equal(*hidden)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == choose_device(torch.device("cpu")) == torch.device("cpu")
    with pytest.raises(UsageError, match="no device 'cuda' here"):
        choose_device("cuda")


def test_the_codec_loads_alone(tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSMAD_WEIGHTS", str(tiny_weights))
    codec = Codec.load(device="cpu")
    assert (codec.name, codec.frame_rate, codec.latent_channels) == ("vae", (44100, 882), 8)
    with pytest.raises(WeightsError, match="a checkpoint of kind 'style', expected 'vae'"):
        Codec.load(tiny_weights / "style.safetensors", "cpu")
