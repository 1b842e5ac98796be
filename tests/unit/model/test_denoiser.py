"""The whole denoiser: size, gradients, compilation, absent conditions, auxiliary heads, the presets of the paper."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_denoiser import CHANNELS, D_IN, STYLE, TINY, random, sliced, tiny_denoiser
from torch import Tensor

from hsmad_cli.config import load_preset, to_dict
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ScoreFeatures

ABLATIONS = {
    "flat_ldm": {"unet": {"inject": ["event"]}},
    "global_ldm": {"unet": {"inject": ["global"]}},
    "no_event": {"unet": {"inject": ["local", "global"]}},
    "no_local": {"unet": {"inject": ["event", "global"]}},
    "no_global": {"unet": {"inject": ["event", "local"]}},
    "no_skip": {"unet": {"skip_modulation": False}},
    "transformer": {"hse": {"block": "transformer", "expansion": 5}},
    "no_auxiliary": {"auxiliary": {"chord": 0.0, "tempo": 0.0, "key": 0.0}},
    "standard_cfg": {"diffusion": {"dropout": "together"}},
}


def parameter_count(preset: str) -> int:
    with torch.device("meta"):
        denoiser = Denoiser(load_preset(preset).denoiser, 96, 256, 3480)
    return sum(p.numel() for p in denoiser.parameters())


def training_answer(denoiser: Denoiser, srm: Tensor, z: Tensor, t: Tensor, style: Tensor, drop: Tensor) -> Tensor:
    """All outputs of one training step, summed: score around the crop, both conditions dropped for some items."""
    features = denoiser.encode_score(srm)
    heads = denoiser.auxiliary(features)
    crop = denoiser.null_score(sliced(features, 16, 16 + z.shape[1]), drop[0])
    answer = denoiser(z, t, crop, denoiser.null_style(style, drop[1]))
    return answer.square().mean() + sum(x.square().mean() for x in heads.values())


def training_inputs(dtype: torch.dtype) -> tuple[Tensor, ...]:
    srm, z, style = random(2, 96, D_IN), random(2, 64, CHANNELS), random(2, STYLE)
    drop = torch.tensor([[True, False], [False, True]])
    return srm.to(dtype), z.to(dtype), torch.tensor([0.2, 0.9], dtype=dtype), style.to(dtype), drop


def test_the_shipped_model_fits_its_budget() -> None:
    assert 28_000_000 < parameter_count("base") < 31_500_000, "64 MB in half precision, some of it for the header"


@pytest.mark.parametrize("preset", ABLATIONS)
def test_a_preset_of_the_paper_departs_from_base_in_one_thing(preset: str) -> None:
    base, departed = to_dict(load_preset("base")), to_dict(load_preset(preset))
    for table, fields in ABLATIONS[preset].items():
        for key, value in fields.items():
            assert list_or_value(departed["denoiser"][table][key]) == value
            departed["denoiser"][table][key] = base["denoiser"][table][key]
    assert departed.pop("name") == preset
    base.pop("name")
    assert departed == base
    assert parameter_count(preset) < 32_000_000


def list_or_value(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_transformer_stages_are_as_large_as_conformer_stages() -> None:
    assert parameter_count("transformer") == pytest.approx(parameter_count("base"), rel=0.02)


@pytest.mark.parametrize("preset", ["tiny", *ABLATIONS])
def test_the_gradient_reaches_every_parameter_that_is_used(preset: str) -> None:
    torch.manual_seed(0)
    config = load_preset(preset).denoiser
    config = replace(
        config,
        unet=replace(TINY.unet, inject=config.unet.inject, skip_modulation=config.unet.skip_modulation),
        hse=replace(TINY.hse, block=config.hse.block),
    )
    denoiser = Denoiser(config, CHANNELS, STYLE, D_IN).double()
    training_answer(denoiser, *training_inputs(torch.float64)).backward()
    untouched = {name for name, p in denoiser.named_parameters() if p.grad is None or not p.grad.any()}
    assert not untouched


def test_it_compiles_without_graph_breaks() -> None:
    denoiser, inputs = tiny_denoiser().float(), training_inputs(torch.float32)
    compiled = torch.compile(training_answer, fullgraph=True, dynamic=False, backend="aot_eager")
    with torch.no_grad():
        assert float(compiled(denoiser, *inputs)) == pytest.approx(float(training_answer(denoiser, *inputs)), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_half_precision_is_close_to_single(dtype: torch.dtype) -> None:
    """Features of either precision may meet autocast."""
    denoiser, (srm, z, t, style, _) = tiny_denoiser().float(), training_inputs(torch.float32)
    with torch.no_grad():
        features = denoiser.encode_score(srm[:, :64])
        single = denoiser(z, t, features, style)
        with torch.autocast("cpu", torch.bfloat16):
            half = denoiser(z, t, ScoreFeatures(*(x.to(dtype) for x in features)), style)
    assert float((half - single).std() / single.std()) < 0.03


def test_score_and_style_are_dropped_independently() -> None:
    denoiser, (srm, _, _, style, drop) = tiny_denoiser(), training_inputs(torch.float64)
    features = denoiser.encode_score(srm)
    for level, (before, after) in enumerate(zip(features, denoiser.null_score(features, drop[0]), strict=True)):
        assert torch.equal(after[1], before[1]), level
        assert torch.equal(after[0, 0], after[0, -1])
    nulled = denoiser.null_style(style, drop[1])
    assert torch.equal(nulled[0], style[0])
    assert torch.equal(nulled[1], denoiser.absent_style)


def test_an_empty_score_is_not_an_absent_score() -> None:
    denoiser = tiny_denoiser()
    empty = denoiser.encode_score(torch.zeros(1, 64, D_IN, dtype=torch.float64))
    absent = denoiser.null_score(empty, torch.tensor([True]))
    assert all(float((a - b).detach().abs().max()) > 0.1 for a, b in zip(empty, absent, strict=True))


def test_a_score_may_come_in_blocks() -> None:
    denoiser, srm = tiny_denoiser(), random(1, 64, D_IN)
    whole, blocks = denoiser.encode_score(srm), denoiser.encode_score(iter(srm.split(20, dim=1)))
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(whole, blocks, strict=True))


def test_auxiliary_heads_answer_at_their_rates() -> None:
    denoiser = tiny_denoiser()
    answers = denoiser.auxiliary(denoiser.encode_score(random(2, 64, D_IN)))
    assert {task: tuple(x.shape) for task, x in answers.items()} == {
        "chord": (2, 16, 25),
        "tempo": (2, 4),
        "key": (2, 4, 24),
    }


def test_a_task_of_weight_zero_has_no_head() -> None:
    config = replace(TINY, auxiliary=replace(TINY.auxiliary, tempo=0.0))
    denoiser = Denoiser(config, CHANNELS, STYLE, D_IN)
    assert set(denoiser.auxiliary(denoiser.encode_score(torch.zeros(1, 16, D_IN)))) == {"chord", "key"}
