"""A model of wider latents that begins with weights of narrower ones: on the old channels it does what they did."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hsmad_cli.config import CodecConfig, load_preset
from hsmad_cli.errors import ConfigError, WeightsError
from hsmad_cli.files.checkpoint import fill, save_checkpoint
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.mrci_unet import MRCIUNet
from hsmad_cli.model.vae import VAE
from hsmad_cli.training.growth import grown, latent_channels, with_silent_parts
from hsmad_cli.training.loop import Run
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.stages.vae import VAEStage

TINY = load_preset("tiny")
NARROW = TINY.codec.latent_channels
WIDE = NARROW + 5


def codec(channels: int) -> VAE:
    torch.manual_seed(channels)
    return VAE(replace(TINY.codec, latent_channels=channels)).eval()


def filled(model: nn.Module, old: nn.Module) -> None:
    fill(model, grown(old.state_dict(), model, NARROW, WIDE), "old")


def test_a_wider_codec_has_the_old_latents_and_ignores_the_new_ones() -> None:
    old, new = codec(NARROW), codec(WIDE)
    filled(new, old)
    audio = 0.3 * torch.randn(2, 2, 4 * old.hop_length)
    with torch.no_grad():
        latents = new.encode(audio)
        torch.testing.assert_close(latents[..., :NARROW], old.encode(audio))
        assert (latents[..., NARROW:].std((0, 1)) > 0).all(), "a new channel is silent for good"
        torch.testing.assert_close(new.decode(latents), old.decode(latents[..., :NARROW]))


def test_the_new_channels_of_a_codec_are_learnt() -> None:
    old, new = codec(NARROW), codec(WIDE)
    filled(new, old)
    audio = 0.3 * torch.randn(2, 2, 4 * old.hop_length)
    for _ in range(2):
        estimate, _, _ = new.reconstruct(audio, torch.zeros(2, 4, WIDE))
        new.zero_grad()
        (estimate - audio).square().mean().backward()
        with torch.no_grad():
            for parameter in new.parameters():
                parameter -= parameter.grad
    assert new.encoder.layers[-1].direction.grad[NARROW:].abs().max() > 0


def test_a_wider_unet_answers_the_old_channels_as_before() -> None:
    unets = [MRCIUNet(TINY.denoiser.unet, c, 8, 8, TINY.denoiser.ratios) for c in (NARROW, WIDE)]
    filled(unets[1], unets[0])
    z = torch.randn(3, WIDE)
    torch.testing.assert_close(unets[1].input(z), unets[0].input(z[:, :NARROW]))
    hidden = torch.randn(3, TINY.denoiser.unet.widths[0])
    torch.testing.assert_close(unets[1].output(hidden)[:, :NARROW], unets[0].output(hidden))


def test_a_denoiser_without_a_part_that_begins_silent_may_become_one_with_it_and_no_other() -> None:
    plain, larger = (
        Denoiser(replace(TINY.denoiser, unet=replace(TINY.denoiser.unet, global_film=film)), NARROW, 8, 16)
        for film in (False, True)
    )
    fill(larger, with_silent_parts(plain.state_dict(), larger), "plain")
    assert not larger.unet.style_of_score.weight.any()
    assert torch.equal(larger.unet.input.weight, plain.unet.input.weight)
    weights = plain.state_dict()
    del weights["unet.input.bias"]
    with pytest.raises(WeightsError, match=r"1 tensors missing, first 'unet\.input\.bias'"):
        fill(larger, with_silent_parts(weights, larger), "plain")


def test_channels_by_their_headers() -> None:
    assert latent_channels({"config": {"latent_channels": 7}}) == 7
    assert latent_channels({"latent_channels": 9, "config": {}}) == 9
    assert latent_channels({"config": {}}) == 0


def stage(channels: int) -> VAEStage:
    config = replace(TINY, codec=replace(TINY.codec, latent_channels=channels))
    return VAEStage(config, clips=None, device=torch.device("cpu"))


def run(channels: int) -> Run:
    return Run(stage(channels), TINY.train_vae, Workers(torch.device("cpu")), 0)


def test_a_run_begins_with_fewer_channels_but_not_with_more(tmp_path: Path) -> None:
    for channels in (NARROW, WIDE):
        made = stage(channels)
        save_checkpoint(tmp_path / f"{channels}.safetensors", made.vae.state_dict(), {"kind": "vae", **made.header()})
    begun = run(WIDE)
    begun.start_from(tmp_path / f"{NARROW}.safetensors")
    old = stage(NARROW).vae
    assert torch.equal(begun.model.encoder.layers[-1].direction[:NARROW], old.encoder.layers[-1].direction)
    with pytest.raises(WeightsError, match="the model needs"):
        run(NARROW).start_from(tmp_path / f"{WIDE}.safetensors")


@pytest.mark.parametrize("width", [8, 48])
def test_another_width_is_no_reason_to_grow(width: int) -> None:
    other = VAE(CodecConfig(**{**vars(TINY.codec), "decoder_channels": (width,) * len(TINY.codec.strides)}))
    with pytest.raises(WeightsError, match="the model needs"):
        filled(codec(WIDE), other)


def test_frozen_parts_do_not_grow(tmp_path: Path) -> None:
    made = stage(NARROW)
    save_checkpoint(tmp_path / "vae.safetensors", made.vae.state_dict(), {"kind": "vae", **made.header()})
    frozen = Run(stage(WIDE), replace(TINY.train_vae, frozen=("encoder",)), Workers(torch.device("cpu")), 0)
    with pytest.raises(ConfigError, match="cannot learn"):
        frozen.start_from(tmp_path / "vae.safetensors")


def test_the_statistics_of_new_channels_are_gathered_anew() -> None:
    old, new = codec(NARROW), codec(WIDE)
    old.latent_updates.fill_(500)
    filled(new, old)
    assert new.latent_updates == 0
