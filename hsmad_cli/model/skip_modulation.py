"""Skip modulation [2.3.3]: what the encoder half of the U-Net hands over is corrected by the score."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hsmad_cli.model.tca import TCA, LevelScore


class SkipModulation(nn.Module):
    """Z' = Z + gamma TCA(Z, F_l), with one learned scalar gamma and attention weights of its own."""

    def __init__(self, tca: TCA, gate: float) -> None:
        super().__init__()
        self.tca = tca
        self.gamma = nn.Parameter(torch.tensor(gate))

    def forward(self, skip: Tensor, score: LevelScore) -> Tensor:
        return skip + self.gamma * self.tca(skip, score)
