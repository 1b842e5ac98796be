"""The U-Net: blocks equal the whole, time moves with the score, each switch takes out what it says."""

from __future__ import annotations

import pytest
import torch
from tiny_denoiser import CHANNELS, STYLE, TINY, random, random_features, sliced, tiny_denoiser

from hsmad_cli.config import LEVELS
from hsmad_cli.model.denoiser import Denoiser
from hsmad_cli.model.hse import ScoreFeatures
from hsmad_cli.model.skip_modulation import SkipModulation
from hsmad_cli.model.tca import TCA

T = torch.tensor([0.3], dtype=torch.float64)
SMALL = {"tca_windows": (8, 4, 2)}


def answer(denoiser: Denoiser, z: torch.Tensor, features: ScoreFeatures, start: int = 0) -> torch.Tensor:
    with torch.no_grad():
        return denoiser(z, T.expand(len(z)), features, random(1, STYLE, seed=5).expand(len(z), -1), start)


@pytest.mark.parametrize("depths", [(1, 1, 1), (2, 1, 2)])
@pytest.mark.parametrize("windows", [(8, 4, 2), (16, 8, 8), (200, 4, 4)])
def test_a_block_with_its_halo_is_the_whole(windows: tuple[int, int, int], depths: tuple[int, int, int]) -> None:
    denoiser = tiny_denoiser(tca_windows=windows, depths=depths)
    halo, n_frames = denoiser.receptive_field, 768
    assert halo is not None
    assert halo % 16 == 0
    z, features = random(1, n_frames, CHANNELS), random_features(1, n_frames)
    whole, start, stop = answer(denoiser, z, features), 352, 416
    first, last = start - halo, stop + halo
    assert first > 0
    block = answer(denoiser, z[:, first:last], sliced(features, first, last), first)
    assert torch.allclose(block[:, halo:-halo], whole[:, start:stop], rtol=0, atol=1e-12)
    less = halo - 16
    block = answer(denoiser, z[:, first + 16 : last - 16], sliced(features, first + 16, last - 16), first + 16)
    difference = (block[:, less:-less] - whole[:, start:stop]).abs().amax(-1)[0]
    assert float(difference.max()) > 1e-9, "the halo is wider than it must be"


def test_full_attention_has_no_halo() -> None:
    assert tiny_denoiser(tca_windows=(0, 8, 8)).receptive_field is None
    assert tiny_denoiser(tca_windows=(0, 8, 8), inject=("local",)).receptive_field is not None


def test_delaying_latent_and_score_delays_the_answer() -> None:
    denoiser = tiny_denoiser(**SMALL)
    z, features = random(1, 512, CHANNELS), random_features(1, 512)
    now = answer(denoiser, z[:, 32:], sliced(features, 32, 512))
    later = answer(denoiser, z, features)
    halo = denoiser.receptive_field
    assert torch.allclose(now[:, halo:-halo], later[:, halo + 32 : -halo], rtol=0, atol=1e-10)


def test_an_item_alone_is_the_item_in_a_batch() -> None:
    denoiser, z, features = tiny_denoiser(), random(3, 64, CHANNELS), random_features(3, 64)
    alone = answer(denoiser, z[1:2], ScoreFeatures(*(x[1:2] for x in features)))
    assert torch.allclose(answer(denoiser, z, features)[1:2], alone, rtol=0, atol=1e-12)


def test_a_deaf_item_is_one_whose_first_layer_has_no_attention() -> None:
    """And its neighbour in the batch does not know, to the bit."""
    denoiser = tiny_denoiser(**SMALL, depths=(2, 1, 1))
    z, features, style = random(2, 64, CHANNELS), random_features(2, 64), random(2, STYLE, seed=5)
    usual = denoiser(z, T.expand(2), features, style)
    deaf = denoiser(z, T.expand(2), features, style, deaf=torch.tensor([False, True]))
    assert torch.equal(deaf[0], usual[0])
    assert not torch.allclose(deaf[1], usual[1], rtol=0, atol=1e-6)
    assert denoiser.can_be_deaf
    denoiser.unet.down_1[0].tca = None
    assert not denoiser.can_be_deaf
    assert torch.allclose(deaf[1], denoiser(z, T.expand(2), features, style)[1], rtol=0, atol=1e-12)


def with_global_film(silent: bool = False) -> Denoiser:
    denoiser = tiny_denoiser(**SMALL, global_film=True)
    if not silent:
        denoiser.unet.style_of_score.weight.data = random(*denoiser.unet.style_of_score.weight.shape, seed=9)
    return denoiser


def test_global_film_begins_as_the_network_without_it() -> None:
    z, features = random(1, 64, CHANNELS), random_features(1, 64)
    silent, plain = with_global_film(silent=True), tiny_denoiser(**SMALL)
    plain.load_state_dict({name: silent.state_dict()[name] for name in plain.state_dict()})
    assert torch.allclose(answer(silent, z, features), answer(plain, z, features), rtol=0, atol=1e-12)
    assert not torch.allclose(answer(with_global_film(), z, features), answer(silent, z, features), rtol=0, atol=1e-3)


def test_with_global_film_a_block_with_its_halo_is_the_whole() -> None:
    denoiser = with_global_film()
    z, features, halo = random(1, 768, CHANNELS), random_features(1, 768), denoiser.receptive_field
    first, last = 352 - halo, 416 + halo
    block = answer(denoiser, z[:, first:last], sliced(features, first, last), first)
    assert torch.allclose(block[:, halo:-halo], answer(denoiser, z, features)[:, 352:416], rtol=0, atol=1e-12)


def test_global_film_without_the_global_level_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the global level"):
        tiny_denoiser(global_film=True, inject=("event", "local"))


def test_gamma_zero_is_the_network_without_skip_modulation_to_the_bit() -> None:
    modulated, plain = tiny_denoiser(), tiny_denoiser(skip_modulation=False)
    extra = plain.load_state_dict(modulated.state_dict(), strict=False)
    assert not extra.missing_keys
    assert {".".join(key.split(".")[:3]) for key in extra.unexpected_keys} == {
        "unet.up_1_entry.modulation",
        "unet.up_2_entry.modulation",
    }
    z, features = random(1, 64, CHANNELS), random_features(1, 64)
    assert not torch.equal(answer(modulated, z, features), answer(plain, z, features))
    for module in modulated.modules():
        if isinstance(module, SkipModulation):
            module.gamma.data.zero_()
    assert torch.equal(answer(modulated, z, features), answer(plain, z, features))


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_that_is_left_out_is_not_heard(level: str) -> None:
    inject = tuple(name for name in LEVELS if name != level)
    denoiser, index = tiny_denoiser(inject=inject), LEVELS.index(level)
    z, features = random(1, 64, CHANNELS), random_features(1, 64)
    for n, name in enumerate(LEVELS):
        changed = ScoreFeatures(*(x + 1 if m == n else x for m, x in enumerate(features)))
        same = torch.equal(answer(denoiser, z, changed), answer(denoiser, z, features))
        assert same == (name == level)
    assert not any(isinstance(module, TCA) for block in _blocks(denoiser, index) for module in block.modules())


def _blocks(denoiser: Denoiser, index: int) -> list[torch.nn.Module]:
    unet = denoiser.unet
    return [(unet.down_1, unet.up_1_entry, unet.up_1), (unet.down_2, unet.up_2_entry, unet.up_2), (unet.bottleneck,)][
        index
    ]


def test_style_reaches_every_layer() -> None:
    denoiser = tiny_denoiser(depths=(2, 1, 2))
    films = [module for name, module in denoiser.unet.named_modules() if name.endswith("style")][1:]
    assert len(films) == 2 * (2 + 1) + 2


@pytest.mark.parametrize(("level", "frames"), [("event", 80), ("local", 20), ("global", 5)])
def test_time_axes_that_differ_are_named(level: str, frames: int) -> None:
    denoiser, features = tiny_denoiser(), random_features(1, 64)
    longer = dict(zip(LEVELS, random_features(1, 80), strict=True))[level]
    wrong = ScoreFeatures(*(longer if name == level else x for name, x in zip(LEVELS, features, strict=True)))
    with pytest.raises(ValueError, match=rf"{64 * frames // 80} frames, F_{level} has {frames} frames"):
        answer(denoiser, random(1, 64, CHANNELS), wrong)


def test_frames_off_the_coarse_grid_are_refused() -> None:
    denoiser = tiny_denoiser()
    with pytest.raises(ValueError, match=r"\[0, 72\) .* R1 R2 = 16"):
        answer(denoiser, random(1, 72, CHANNELS), random_features(1, 72))
    with pytest.raises(ValueError, match=r"\[8, 72\)"):
        answer(denoiser, random(1, 64, CHANNELS), random_features(1, 64), start=8)


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="inject names bar; levels are event, local, global"):
        tiny_denoiser(inject=("event", "bar"))
    assert TINY.unet.inject == LEVELS
