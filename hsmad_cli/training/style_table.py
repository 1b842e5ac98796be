"""F_style of every caption of a training set, computed once by the frozen style encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hsmad_cli.model.style_encoder import StyleEncoder

TEXTS_AT_ONCE = 512


@dataclass(frozen=True)
class StyleTable:
    """vectors: [n, K, D] of the captions of n clips; count: [n], how many of the K there are."""

    vectors: Tensor
    count: Tensor

    @classmethod
    def of(cls, encoder: StyleEncoder, captions: Sequence[Sequence[str]], device: torch.device) -> StyleTable:
        """Encode the captions of every clip; a clip without captions has the empty one."""
        forms = [tuple(texts) or ("",) for texts in captions]
        distinct = sorted({text for texts in forms for text in texts})
        row = {text: n for n, text in enumerate(distinct)}
        chunks = [distinct[i : i + TEXTS_AT_ONCE] for i in range(0, len(distinct), TEXTS_AT_ONCE)]
        encoded = torch.cat([encoder.encode(chunk) for chunk in chunks])
        most = max(map(len, forms))
        rows = torch.tensor([[row[texts[min(k, len(texts) - 1)]] for k in range(most)] for texts in forms])
        count = torch.tensor([len(texts) for texts in forms])
        return cls(encoded[rows.to(encoded.device)].to(device), count.to(device))

    @property
    def width(self) -> int:
        return self.vectors.shape[2]

    def draw(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        """A random caption of each clip [B], as its vector [B, D]."""
        chosen = torch.rand(len(clips), generator=generator, device=clips.device, dtype=torch.float64)
        return self.vectors[clips, (chosen * self.count[clips]).long()]

    def put(self, clip: int, vectors: Tensor) -> None:
        """Replace the captions of a clip in place by those of vectors [k, D], of which K stay at most."""
        n = min(len(vectors), self.vectors.shape[1])
        self.vectors[clip, :n] = vectors[:n]
        self.count[clip] = n
