"""Convolutions equal PyTorch's, windowed attention equals masked full attention, rotary code is relative."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tiny_denoiser import random
from torch import nn

from hsmad_cli.model.layers import (
    Convolution,
    DepthwiseConvolution,
    Downsample,
    FiLM,
    SelfAttention,
    TimestepEmbedding,
    Upsample,
    attend,
    require_equal_length,
    rotate,
    time_code,
)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dilation", [1, 3])
def test_convolution_is_conv1d(dilation: int) -> None:
    ours = Convolution(5, 7, 3, dilation).double()
    theirs = nn.Conv1d(5, 7, 3, padding=dilation, dilation=dilation).double()
    theirs.weight.data = ours.linear.weight.data.view(7, 3, 5).transpose(1, 2)
    theirs.bias = ours.linear.bias
    x = random(2, 20, 5)
    assert close(ours(x), theirs(x.mT).mT)


def test_depthwise_convolution_is_grouped_conv1d() -> None:
    ours = DepthwiseConvolution(6, 5).double()
    x = random(2, 20, 6)
    theirs = F.conv1d(x.mT, ours.weight.T[:, None], ours.bias, padding=2, groups=6).mT
    assert close(ours(x), theirs)


@pytest.mark.parametrize("ratio", [2, 4])
def test_downsample_is_centred_strided_conv1d(ratio: int) -> None:
    ours = Downsample(5, 7, ratio).double()
    weight = ours.linear.weight.view(7, 2 * ratio, 5).transpose(1, 2)
    x = random(2, 6 * ratio, 5)
    assert close(ours(x), F.conv1d(x.mT, weight, ours.linear.bias, stride=ratio, padding=ratio // 2).mT)


@pytest.mark.parametrize("ratio", [2, 4])
def test_upsample_is_centred_conv_transpose1d(ratio: int) -> None:
    ours = Upsample(5, 7, ratio).double()
    weight = ours.linear.weight.view(2 * ratio, 7, 5).permute(2, 1, 0)
    x = random(2, 6, 5)
    assert close(ours(x), F.conv_transpose1d(x.mT, weight, stride=ratio, padding=ratio // 2).mT)


@pytest.mark.parametrize("ratio", [2, 3, 4])
def test_resampling_is_centred(ratio: int) -> None:
    """Down: frame j sees [jR - R//2, jR - R//2 + 2R). Up: frame i hears exactly those j that would see it."""
    frame = 3 * ratio + 1
    x = torch.zeros(1, 8 * ratio, 1)
    x[:, frame] = 1
    down = Downsample(1, 1, ratio)
    seen = (down(x) != down(0 * x)).flatten().nonzero().flatten().tolist()
    assert seen == [j for j in range(8) if j * ratio - ratio // 2 <= frame < j * ratio - ratio // 2 + 2 * ratio]
    y = torch.zeros(1, 8, 1)
    y[:, 3] = 1
    heard = Upsample(1, 1, ratio)(y).flatten().nonzero().flatten()
    assert (heard.min(), heard.max()) == (3 * ratio - ratio // 2, 5 * ratio - ratio // 2 - 1)


def test_downsample_refuses_a_remainder() -> None:
    with pytest.raises(ValueError, match=r"10 frames .* ratio 4"):
        Downsample(1, 1, 4)(torch.zeros(1, 10, 1))


def test_even_kernels_are_refused() -> None:
    for make in (lambda: Convolution(1, 1, 4), lambda: DepthwiseConvolution(1, 4)):
        with pytest.raises(ValueError, match="odd length, got 4"):
            make()


@pytest.mark.parametrize("n_frames", [1, 40, 64, 150])
@pytest.mark.parametrize("window", [2, 33, 200])
@pytest.mark.parametrize("start", [0, 48])
def test_window_attention_is_masked_full_attention(n_frames: int, window: int, start: int) -> None:
    query, key, value = (random(2, n_frames, 3, 8, seed=seed) for seed in range(3))
    code = time_code(n_frames, 8, window, query, start)
    frame = torch.arange(n_frames)
    mask = (frame[:, None] - frame).abs() <= window // 2
    rotated = (x.transpose(1, 2) for x in (rotate(query, code), rotate(key, code), value))
    expected = F.scaled_dot_product_attention(*rotated, attn_mask=mask).transpose(1, 2).flatten(2)
    assert close(attend(query, key, value, code), expected)


def test_window_zero_is_full_attention() -> None:
    query, key, value = (random(2, 50, 3, 8, seed=seed) for seed in range(3))
    full, wide = (time_code(50, 8, window, query) for window in (0, 100))
    assert full.mask is None
    assert close(attend(query, key, value, full), attend(query, key, value, wide))


def test_attention_gradient_is_finite_where_the_last_block_is_filled_up() -> None:
    query, key, value = (random(1, 70, 1, 4, seed=seed).requires_grad_() for seed in range(3))
    attend(query, key, value, time_code(70, 4, 6, query)).sum().backward()
    assert all(x.grad is not None and x.grad.isfinite().all() for x in (query, key, value))


def test_rotary_code_depends_on_the_distance_only() -> None:
    query, key = random(1, 1, 1, 16, seed=3), random(1, 1, 1, 16, seed=4)

    def score(i: int, j: int) -> float:
        turned = rotate(query, time_code(1, 16, 0, query, i)), rotate(key, time_code(1, 16, 0, key, j))
        return float((turned[0] * turned[1]).sum())

    assert score(7, 2) == pytest.approx(score(100_007, 100_002), abs=1e-9)
    assert score(7, 2) != pytest.approx(score(7, 3), abs=1e-3)
    assert float(rotate(query, time_code(1, 16, 0, query, 5)).norm()) == pytest.approx(float(query.norm()))


@pytest.mark.parametrize("dilation", [1, 2])
def test_products_at_inference_are_those_of_training(dilation: int) -> None:
    """One product a neighbour, long ones in parts (1,028 inputs here), against one product of all that is stacked."""
    x = random(2, 24, 257)
    for layer in (Convolution(257, 3, 3, dilation).double(), Downsample(257, 3, 4).double()):
        learning = layer(x)
        with torch.inference_mode():
            assert close(layer(x), learning.detach())


@pytest.mark.parametrize("layer", [Convolution(384, 384, 3), Convolution(320, 320, 3, 2), Downsample(384, 320, 4)])
@pytest.mark.parametrize(("first", "last"), [(192, 1536), (512, 704), (0, 48)])
def test_a_block_has_the_bits_of_the_song_in_bfloat16(layer: torch.nn.Module, first: int, last: int) -> None:
    """Sizes of the shipped model: sums of 1,152 and 3,072 products, which oneDNN cuts by the number of rows."""
    width = layer.linear.in_features // (8 if isinstance(layer, Downsample) else 3)
    x, margin = random(3, 1600, width).float(), 8
    scale = 4 if isinstance(layer, Downsample) else 1
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        song, block = layer(x), layer(x[:, first:last])
    inner = slice(margin // scale, (last - first - margin) // scale)
    assert torch.equal(block[:, inner], song[:, first // scale : last // scale][:, inner])


@pytest.mark.parametrize("start", [16, 80, 336])
@pytest.mark.parametrize("window", [32, 64])
def test_attention_in_a_block_has_the_bits_of_the_song_in_bfloat16(start: int, window: int) -> None:
    query, key, value = (random(3, 800, 3, 64, seed=seed).bfloat16() for seed in range(3))
    song = attend(query, key, value, time_code(800, 64, window, query))
    block = attend(*(x[:, start:720] for x in (query, key, value)), time_code(720 - start, 64, window, query, start))
    inner = slice(window, -window)
    assert torch.equal(block[:, inner], song[:, start:720][:, inner])


def test_an_item_alone_is_the_item_in_a_batch() -> None:
    attention = SelfAttention(16, 2).double()
    x = random(3, 70, 16)
    code = time_code(70, 8, 20, x)
    assert close(attention(x, code)[1:2], attention(x[1:2], code))


def test_film_starts_near_the_identity_and_moves_every_frame_alike() -> None:
    film, x, condition = FiLM(8, 4).double(), random(2, 5, 8), random(2, 4)
    scale, shift = film.linear(condition).chunk(2, dim=-1)
    assert close(film(x, condition), x * (1 + scale[:, None]) + shift[:, None])
    assert float((film(x, condition) - x).detach().abs().max()) < 0.5


def test_a_condition_of_fewer_frames_holds_for_several() -> None:
    film, x, condition = FiLM(8, 4).double(), random(2, 6, 8), random(2, 3, 4)
    scale, shift = film.linear(condition.repeat_interleave(2, dim=1)).chunk(2, dim=-1)
    assert close(film(x, condition), x * (1 + scale) + shift)


def test_timesteps_that_differ_by_a_thousandth_are_told_apart() -> None:
    embedding = TimestepEmbedding(32)
    code = embedding(torch.tensor([0.5, 0.501]))
    assert float((code[0] - code[1]).detach().abs().max()) > 1e-2


def test_unequal_lengths_are_named() -> None:
    require_equal_length(a=3, b=3)
    with pytest.raises(ValueError, match="z has 3 frames, F_local has 4 frames"):
        require_equal_length(z=3, F_local=4)
