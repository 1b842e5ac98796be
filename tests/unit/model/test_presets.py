"""Every preset builds its denoiser, and each baseline and ablation takes out of it what its name says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hsmad_cli.config import Config, canonical_json, load_preset, preset_names, to_dict
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ConformerBlock, TransformerBlock
from hsmad_cli.model.skip_modulation import SkipModulation
from hsmad_cli.model.tca import TCA

D_IN = 3480
ON_META = torch.device("meta")
READS = {
    "event": ("down_1", "up_1", "up_1_entry"),
    "local": ("down_2", "up_2", "up_2_entry"),
    "global": ("bottleneck",),
}


def built(config: Config) -> Denoiser:
    """Without memory for the weights."""
    with ON_META:
        return Denoiser(config.denoiser, config.codec.latent_channels, config.style.width, D_IN)


def levels_read(denoiser: Denoiser) -> set[str]:
    """The levels of the score that some block of the U-Net attends to; a level is read by all its blocks or by none."""
    reads = {
        level: {any(isinstance(m, TCA) for m in denoiser.unet.get_submodule(block).modules()) for block in blocks}
        for level, blocks in READS.items()
    }
    assert all(len(answers) == 1 for answers in reads.values())
    return {level for level, answers in reads.items() if answers == {True}}


def count(denoiser: Denoiser, kind: type) -> int:
    return sum(isinstance(module, kind) for module in denoiser.modules())


def size(denoiser: Denoiser) -> int:
    return sum(parameter.numel() for parameter in denoiser.parameters())


BASE = load_preset("base")
FULL = built(BASE)
CLAIMS: dict[str, Callable[[Config, Denoiser], bool]] = {
    "flat_ldm": lambda _, model: levels_read(model) == {"event"} and set(model.absent_score.vectors) == {"event"},
    "global_ldm": lambda _, model: levels_read(model) == {"global"} and count(model, SkipModulation) == 0,
    "no_event": lambda _, model: levels_read(model) == {"local", "global"} and count(model, SkipModulation) == 1,
    "no_local": lambda _, model: levels_read(model) == {"event", "global"} and count(model, SkipModulation) == 1,
    "no_global": lambda _, model: levels_read(model) == {"event", "local"} and count(model, SkipModulation) == 2,
    "no_auxiliary": lambda _, model: len(model.heads) == 0 and len(FULL.heads) == 3,
    "standard_cfg": lambda config, _: config.denoiser.diffusion.dropout == "together",
    "small": lambda _, model: size(model) < size(FULL) / 4,
    "tiny": lambda _, model: size(model) < size(FULL) / 50,
    "base": lambda _, model: levels_read(model) == {"event", "local", "global"},
}


def no_skip(_: Config, model: Denoiser) -> bool:
    """Only the modulation of the skips is gone, the attention of the blocks is not."""
    attention = count(FULL, TCA) - count(FULL, SkipModulation)
    return count(model, SkipModulation) == 0 < count(FULL, SkipModulation) and count(model, TCA) == attention


def transformer(_: Config, model: Denoiser) -> bool:
    """No Conformer block is left, and the score encoder is of the same size within a tenth."""
    sizes = [sum(parameter.numel() for parameter in each.hse.parameters()) for each in (model, FULL)]
    blocks = count(model, TransformerBlock), count(FULL, ConformerBlock)
    return count(model, ConformerBlock) == 0 and blocks[0] == blocks[1] and 0.9 < sizes[0] / sizes[1] < 1.1


def scorer(config: Config, _: Denoiser) -> bool:
    """Its text tower is that of the style encoder, its ear is wider."""
    widths = zip(config.style.audio_channels, BASE.style.audio_channels, strict=True)
    same = replace(config.style, audio_channels=BASE.style.audio_channels) == BASE.style
    return same and all(ours > theirs for ours, theirs in widths)


CLAIMS |= {"no_skip": no_skip, "transformer": transformer, "scorer": scorer}


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_does_what_its_name_says(name: str) -> None:
    config = load_preset(name)
    assert config.name == name
    assert CLAIMS[name](config, built(config))


@pytest.mark.parametrize("name", sorted(set(preset_names()) - {"base", "tiny", "small", "scorer"}))
def test_a_baseline_keeps_codec_style_encoder_and_training(name: str) -> None:
    parts = ("codec", "style", "train_vae", "train_style", "train_denoiser")
    for part in parts:
        ours, theirs = (canonical_json(to_dict(getattr(config, part))) for config in (load_preset(name), BASE))
        assert ours == theirs, part
