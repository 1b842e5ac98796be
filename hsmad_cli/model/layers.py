"""Layers shared by the score encoder and the U-Net: convolutions over time, windowed attention, conditioning.

All of them act on [B, T, D]. Nothing is normalised over time, so that a frame never depends on the length of a song.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROTARY_BASE = 1000.0
QUERY_BLOCK = 64
LONGEST_SUM = 1024


def require_equal_length(**lengths: int) -> None:
    """Raise ValueError naming all numbers unless the time axes have one length."""
    if len(set(lengths.values())) > 1:
        raise ValueError("time axes differ: " + ", ".join(f"{name} has {n} frames" for name, n in lengths.items()))


def neighbour_product(linear: nn.Linear, padded: Tensor, shifts: Sequence[int]) -> Tensor:
    """`linear` of each frame stacked with its neighbours: [B, T + max(shifts), D] -> [B, T, D_out].

    At inference on a CPU a frame has the same bits in a song and in a block of it. In bfloat16 oneDNN cuts sums of more
    than 1,024 products into parts that depend on the number of rows, so each neighbour has a product of its own. All
    items go as one run of rows: those that read across two items are not returned.
    """
    n_frames = padded.shape[1] - max(shifts)
    if torch.is_grad_enabled() or padded.device.type != "cpu":
        return linear(torch.cat([padded[:, shift : shift + n_frames] for shift in shifts], dim=-1))
    rows = padded.flatten(0, 1)
    parts = [part for shift in shifts for part in rows[shift:].split(LONGEST_SUM, dim=1)]
    neighbours = linear.weight.split(padded.shape[2], dim=1)
    weights = [weight for neighbour in neighbours for weight in neighbour.split(LONGEST_SUM, dim=1)]
    total = F.linear(parts[0], weights[0], linear.bias)
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        total[: len(part)].addmm_(part.to(total.dtype), weight.to(total.dtype).T)
    return total.unflatten(0, padded.shape[:2])[:, :n_frames]


class Convolution(nn.Module):
    """A convolution over time that keeps the length: one matrix product over each frame's stacked neighbours."""

    def __init__(self, d_in: int, d_out: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a centred kernel has odd length, got {kernel}")
        self.kernel, self.dilation = kernel, dilation
        self.linear = nn.Linear(kernel * d_in, d_out)

    def forward(self, x: Tensor) -> Tensor:
        reach = self.dilation * (self.kernel // 2)
        padded = F.pad(x, (0, 0, reach, reach))
        return neighbour_product(self.linear, padded, range(0, 2 * reach + 1, self.dilation))


class DepthwiseConvolution(nn.Module):
    """A convolution over time of every channel by itself, as a sum of shifted products (small kernels only)."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a centred kernel has odd length, got {kernel}")
        self.weight = nn.Parameter(torch.empty(kernel, width).uniform_(-1, 1) / math.sqrt(kernel))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        kernel, n_frames = len(self.weight), x.shape[1]
        padded = F.pad(x, (0, 0, kernel // 2, kernel // 2))
        return self.bias + sum(self.weight[n] * padded[:, n : n + n_frames] for n in range(kernel))


class Downsample(nn.Module):
    """Strided convolution, centred: output frame j stands for input frames [jR, (j+1)R) and sees half of either side.

    Equals `Conv1d(kernel 2R, stride R, padding R // 2)` for even R; T must be a multiple of R, else ValueError.
    """

    def __init__(self, d_in: int, d_out: int, ratio: int) -> None:
        super().__init__()
        self.ratio = ratio
        self.linear = nn.Linear(2 * ratio * d_in, d_out)

    def forward(self, x: Tensor) -> Tensor:
        n_items, n_frames, width = x.shape
        if n_frames % self.ratio:
            raise ValueError(f"{n_frames} frames are not a multiple of the ratio {self.ratio}")
        padded = F.pad(x, (0, 0, self.ratio // 2, self.ratio - self.ratio // 2))
        groups = padded.reshape(n_items, n_frames // self.ratio + 1, self.ratio * width)
        return neighbour_product(self.linear, groups, (0, 1))


class Upsample(nn.Module):
    """Transposed strided convolution, centred: the mirror of `Downsample`.

    Equals `ConvTranspose1d(kernel 2R, stride R, padding R // 2)` for even R.
    """

    def __init__(self, d_in: int, d_out: int, ratio: int) -> None:
        super().__init__()
        self.ratio, self.d_out = ratio, d_out
        self.linear = nn.Linear(d_in, 2 * ratio * d_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        n_items, n_frames, _ = x.shape
        first, second = self.linear(x).chunk(2, dim=-1)
        groups = F.pad(first, (0, 0, 0, 1)) + F.pad(second, (0, 0, 1, 0))
        frames = groups.reshape(n_items, (n_frames + 1) * self.ratio, self.d_out)
        start = self.ratio // 2
        return frames[:, start : start + n_frames * self.ratio]


class TimeCode(NamedTuple):
    """What attention at one level knows of time; made once per call and shared by all layers of the level.

    cos, sin: [T, 1, head_width], the rotary code of the absolute frames (sin of the first half negated). mask:
    [1, blocks, queries, keys], True where a query may look, or None for full attention. reach: frames that a query sees
    to each side. lead: frames of the first block before the first query, since blocks begin at multiples of their size
    in the whole song: so a query meets its keys in the same order wherever a song is cut.
    """

    cos: Tensor
    sin: Tensor
    mask: Tensor | None
    reach: int
    lead: int


def time_code(n_frames: int, head_width: int, window: int, like: Tensor, start: int = 0) -> TimeCode:
    """The code of frames [start, start + n_frames): query i sees key j where |i - j| <= window // 2; window 0 = all.

    Device and dtype are those of `like`; angles are exact for any song (float64, but on MPS, which has none).
    """
    exact = torch.float32 if like.device.type == "mps" else torch.float64
    frame = torch.arange(start, start + n_frames, device=like.device, dtype=exact)
    octave = torch.arange(0, head_width, 2, device=like.device, dtype=exact) / head_width
    angle = frame[:, None, None] * ROTARY_BASE**-octave
    cos, sin = angle.cos().to(like.dtype), angle.sin().to(like.dtype)
    reach = window // 2
    block = max(QUERY_BLOCK, reach)
    lead = start % block
    mask = None if window == 0 else _window_mask(n_frames, reach, block, lead, like.device)
    return TimeCode(torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1), mask, reach, lead)


def _window_mask(n_frames: int, reach: int, block: int, lead: int, device: torch.device) -> Tensor:
    """Queries outside the sequence, which fill the first and last block, see each other: no softmax is empty."""
    first = torch.arange(-lead, n_frames, block, device=device)[:, None, None]
    query = first + torch.arange(block, device=device)[:, None]
    key = first - reach + torch.arange(block + 2 * reach, device=device)
    inside = (key >= 0) & (key < n_frames)
    outside = (query < 0) | (query >= n_frames)
    return ((inside | outside) & ((query - key).abs() <= reach))[None]


def rotate(x: Tensor, code: TimeCode) -> Tensor:
    """Rotary position code [2.3.1]: channels c and c + d/2 of a head turn by their frame's angle. x: [B, T, H, d]."""
    first, second = x.chunk(2, dim=-1)
    return torch.addcmul(x * code.cos, torch.cat([second, first], dim=-1), code.sin)


def attend(query: Tensor, key: Tensor, value: Tensor, code: TimeCode) -> Tensor:
    """Softmax attention inside the window of `code`, with its rotary time code.

    query, key, value: [B, T, H, d]. Returns [B, T, H * d]. Cost grows with T x window: queries are cut into blocks,
    each with the keys within its reach. Blocks take the place of heads, so that one mask serves the whole batch.
    """
    n_frames = query.shape[1]
    query, key, value = (x.transpose(1, 2) for x in (rotate(query, code), rotate(key, code), value))
    if code.mask is None:
        out = F.scaled_dot_product_attention(query, key, value)
    else:
        _, n_blocks, block, n_keys = code.mask.shape
        tail = n_blocks * block - n_frames - code.lead
        queries = _blocks(query, block, block, code.lead, tail)
        keys, values = (_blocks(x, n_keys, block, code.reach + code.lead, code.reach + tail) for x in (key, value))
        answers = F.scaled_dot_product_attention(queries, keys, values, attn_mask=code.mask)
        out = answers.reshape(*query.shape[:2], n_blocks * block, -1)[:, :, code.lead : code.lead + n_frames]
    return out.transpose(1, 2).flatten(2)


def _blocks(x: Tensor, size: int, step: int, before: int, after: int) -> Tensor:
    """[B, H, T, d] -> [B H, blocks, size, d], a block every `step` frames, zeros around the sequence."""
    blocks = F.pad(x, (0, 0, before, after)).unfold(2, size, step).transpose(3, 4)
    return blocks.reshape(-1, *blocks.shape[2:])


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself, with QK-norm and the window and time code of its level."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width {width} does not divide into {heads} heads of even width")
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.query_norm = nn.LayerNorm(width // heads)
        self.key_norm = nn.LayerNorm(width // heads)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, code: TimeCode) -> Tensor:
        query, key, value = self.project(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        return self.out(attend(self.query_norm(query), self.key_norm(key), value, code))


class FeedForward(nn.Sequential):
    """Two linear maps with SiLU between them."""

    def __init__(self, width: int, expansion: int, dropout: float = 0.0) -> None:
        hidden = expansion * width
        super().__init__(nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, width))


class FiLM(nn.Module):
    """Scale and shift of every channel by a condition c [2.4]: x (1 + a) + b, (a, b) = W c, at first near x.

    x: [B, T, D]. condition: [B, D_condition], or [B, T', D_condition] where T' divides T: each holds for T / T' frames.
    """

    def __init__(self, width: int, condition_width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition_width, 2 * width)
        nn.init.normal_(self.linear.weight, std=0.02)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        conditions = condition if condition.ndim == 3 else condition[:, None]
        scale, shift = self.linear(conditions).to(x.dtype)[:, :, None].chunk(2, dim=-1)
        return torch.addcmul(shift, x.unflatten(1, (conditions.shape[1], -1)), 1 + scale).flatten(1, 2)


class TimestepEmbedding(nn.Module):
    """Diffusion time t [B] in 0..1 -> code [B, W], from sines of geometric frequencies through two linear maps."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        octave = torch.arange(0, self.width, 2, device=t.device) / self.width
        angle = 1000.0 * t.float()[:, None] * 10000.0**-octave
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1).to(self.inner.weight.dtype)
        return F.silu(self.outer(F.silu(self.inner(waves))))
