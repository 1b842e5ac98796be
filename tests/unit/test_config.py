"""Configuration: defaults, presets, diffs, and errors that name the key."""

from __future__ import annotations

import json
import re
from typing import get_args, get_type_hints

import pytest

from hsmad_cli.config import (
    GUIDANCES,
    SAMPLERS,
    CodecConfig,
    Config,
    DenoiserConfig,
    SampleConfig,
    StyleConfig,
    canonical_json,
    from_dict,
    load_preset,
    preset_names,
    to_dict,
)
from hsmad_cli.diffusion import guidance, sampler
from hsmad_cli.errors import ConfigError
from hsmad_cli.model.style_encoder import PRETRAINED_STYLES


def test_hop_is_twenty_milliseconds() -> None:
    codec = CodecConfig()
    assert codec.hop_length == 6 * 3 * 7 * 7 == 882
    assert codec.frame_rate == (44100, 882)


def test_levels_are_scaled_by_the_ratios_one_after_the_other() -> None:
    config = DenoiserConfig(ratios=(2, 5))
    assert (config.scales, config.multiple) == ((1, 2, 10), 10)


def test_a_setting_names_a_guidance_and_a_sampler_that_there_are() -> None:
    assert (tuple(guidance.MODES), tuple(sampler.SAMPLERS)) == (GUIDANCES, SAMPLERS)
    with pytest.raises(ValueError, match="the guidance is 'none', not one of additive, nested, anchored, joint"):
        SampleConfig(guidance="none")
    with pytest.raises(ValueError, match="the sampler is 'dpm', not one of dpm_solver_2m, ddim"):
        SampleConfig(sampler="dpm")


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_survives_json(name: str) -> None:
    config = load_preset(name)
    assert from_dict(Config, json.loads(canonical_json(to_dict(config)))) == config


def test_a_diff_changes_only_what_it_names(tmp_path) -> None:
    diff = tmp_path / "diff.toml"
    diff.write_text('base = "tiny"\n[denoiser.unet]\nskip_modulation = false\n')
    tiny, changed = to_dict(load_preset("tiny")), to_dict(load_preset(str(diff)))
    assert changed["denoiser"]["unet"].pop("skip_modulation") is False
    assert tiny["denoiser"]["unet"].pop("skip_modulation") is True
    assert changed == tiny


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[denoiser.unet]\nwidht = 3\n", "unknown key 'widht'"),
        ("[train_vae]\nsteps = 'many'\n", "train_vae.steps: expected int"),
        ("[train_vae]\nsteps = true\n", "train_vae.steps: expected int"),
        ("[denoiser]\nratios = [4]\n", "expected 2 values, got 1"),
        ("[denoiser.diffusion]\nobjective = 'flow'\n", "diffusion.objective: 'flow' is not one of epsilon, v"),
        ("[denoiser.unet]\ninject = ['evnt']\n", r"inject\[0\]: 'evnt' is not one of event, local, global"),
        ("codec = 3\n", "expected a table"),
        ("steps = = 3\n", "Invalid"),
        ('base = "absent"\n', "no preset 'absent'"),
    ],
)
def test_a_bad_preset_names_the_fault(tmp_path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_preset(str(path))


@pytest.mark.parametrize(
    "change", ["train_vae.precision=fp32", "train_vae.precision = 'fp32'", "train_vae.precision= fp32 "]
)
def test_a_word_needs_no_quotes(change: str) -> None:
    assert load_preset("base").train_vae.precision == "bf16"
    assert load_preset("base", [change]).train_vae.precision == "fp32"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train_vae.batch=eight", "preset tiny.train_vae.batch: expected int, got 'eight'"),
        ("train_vae.precision=fp16", "preset tiny.train_vae.precision: 'fp16' is not one of bf16, fp32"),
        ("train_vae.precision=true", "preset tiny.train_vae.precision: True is not one of"),
        ("train_vae.frozen=[encoder]", "is no line of TOML"),
        ("train_vae.precision=", "is no line of TOML"),
        ("train_vae..precision=fp32", "is no line of TOML"),
        ("fp32", "is no line of TOML"),
    ],
)
def test_a_bad_change_names_the_fault(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_preset("tiny", [change])


def test_an_unknown_style_encoder_names_the_file_and_what_there_is(tmp_path) -> None:
    path = tmp_path / "muse.toml"
    path.write_text('base = "tiny"\n[style]\nencoder = "muse"\n')
    with pytest.raises(ConfigError, match=r"muse\.toml\.style\.encoder: 'muse' is not one of builtin, clap, t5"):
        load_preset(str(path))
    assert get_args(get_type_hints(StyleConfig)["encoder"]) == ("builtin", *PRETRAINED_STYLES)


def test_a_preset_cannot_be_its_own_base(tmp_path) -> None:
    path = tmp_path / "loop.toml"
    path.write_text(f'base = "{path}"\n')
    with pytest.raises(ConfigError, match="its own base"):
        load_preset(str(path))


def test_canonical_json_ignores_the_order_of_keys() -> None:
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1}) == '{"a":2,"b":1}'
