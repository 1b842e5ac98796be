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
    """vectors: [U, D] of the distinct captions; rows: [K], the captions of all clips; offsets: [n + 1] into rows."""

    vectors: Tensor
    rows: Tensor
    offsets: Tensor

    @classmethod
    def of(cls, encoder: StyleEncoder, captions: Sequence[Sequence[str]], device: torch.device) -> StyleTable:
        """Encode the captions of every clip; a clip without captions has the empty one."""
        forms = [tuple(texts) or ("",) for texts in captions]
        distinct = sorted({text for texts in forms for text in texts})
        row = {text: n for n, text in enumerate(distinct)}
        chunks = [distinct[i : i + TEXTS_AT_ONCE] for i in range(0, len(distinct), TEXTS_AT_ONCE)]
        vectors = torch.cat([encoder.encode(chunk) for chunk in chunks])
        rows = torch.tensor([row[text] for texts in forms for text in texts])
        offsets = torch.tensor([0, *(len(texts) for texts in forms)]).cumsum(0)
        return cls(vectors.to(device), rows.to(device), offsets.to(device))

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def draw(self, clips: Tensor, generator: torch.Generator) -> Tensor:
        """A random caption of each clip [B], as its vector [B, D]."""
        first, count = self.offsets[clips], self.offsets[clips + 1] - self.offsets[clips]
        chosen = torch.rand(len(clips), generator=generator, device=clips.device, dtype=torch.float64)
        return self.vectors[self.rows[first + (chosen * count).long()]]
