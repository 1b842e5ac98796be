"""Temporal cross-attention [2.3.1]: the U-Net asks, the score features of the same level and the same frames answer."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from hsmad_cli.model.layers import TimeCode, attend, require_equal_length


class LevelScore(NamedTuple):
    """The score at one level of the U-Net: features F_l [B, T, D_score] and the time code of these frames."""

    features: Tensor
    code: TimeCode


class TCA(nn.Module):
    """Q from the U-Net feature Z, K and V from the score feature F_l, plus F_l's own frame by a direct path.

    TCA(Z, F)_t = W_o sum_s softmax_s(q_t . k_s / sqrt(d)) v_s + W_f F_t, with s inside the window around t. QK-norm,
    and a rotary code of the absolute frame on both sides. The direct path spares the network from having to discover
    that frame t of the sound belongs to frame t of the score.
    """

    def __init__(self, width: int, score_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads, self.sizes = heads, (inner, inner, width)
        self.query = nn.Linear(width, inner)
        self.score = nn.Linear(score_width, sum(self.sizes))
        self.query_norm = nn.LayerNorm(head_width)
        self.key_norm = nn.LayerNorm(head_width)
        self.out = nn.Linear(inner, width)

    def forward(self, z: Tensor, score: LevelScore) -> Tensor:
        """z: [B, T, D]. Returns [B, T, D]; unequal lengths raise ValueError."""
        require_equal_length(z=z.shape[1], score=score.features.shape[1])
        query = self.query(F.layer_norm(z, z.shape[-1:]))
        key, value, same_frame = self.score(score.features).split(self.sizes, dim=-1)
        query, key, value = (x.unflatten(-1, (self.heads, -1)) for x in (query, key, value))
        answer = attend(self.query_norm(query), self.key_norm(key), value, score.code)
        return self.out(answer) + same_frame
