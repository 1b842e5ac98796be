"""The denoiser: score encoder, MRCI U-Net, what stands for an absent condition, and the auxiliary heads."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hsmad_cli.config import DenoiserConfig
from hsmad_cli.model.hse import HSE, ConformerBlock, NullScore, ScoreFeatures, TransformerBlock
from hsmad_cli.model.mrci_unet import Layer, MRCIUNet, UpEntry

N_CHORDS = 25
N_KEYS = 24


class Denoiser(nn.Module):
    """All that learns in the denoiser stage. `style_width` is D of F_style, `d_in` the width of the score's roll."""

    # What a denoiser without them may become: they begin as zeros.
    silent_at_first = ("unet.style_of_score.weight",)

    def __init__(self, config: DenoiserConfig, latent_channels: int, style_width: int, d_in: int) -> None:
        super().__init__()
        width = config.hse.width
        self.config = config
        self.hse = HSE(config.hse, d_in, config.ratios)
        self.unet = MRCIUNet(config.unet, latent_channels, width, style_width, config.ratios)
        self.absent_score = NullScore(width, config.unet.inject)
        self.absent_style = nn.Parameter(torch.randn(style_width))
        outputs = {"chord": N_CHORDS, "tempo": 1, "key": N_KEYS}
        weights = {"chord": config.auxiliary.chord, "tempo": config.auxiliary.tempo, "key": config.auxiliary.key}
        self.heads = nn.ModuleDict({task: nn.Linear(width, n) for task, n in outputs.items() if weights[task] > 0})

    def encode_score(self, srm: Tensor | Iterable[Tensor]) -> ScoreFeatures:
        """S_sync [B, T_H, D_in], or its consecutive blocks (which need not exist at one time) -> features [2.2]."""
        blocks = (srm,) if isinstance(srm, Tensor) else srm
        return self.hse.encode(torch.cat([self.hse.project(block) for block in blocks], dim=1))

    def auxiliary(self, features: ScoreFeatures) -> dict[str, Tensor]:
        """Predictions of the auxiliary tasks [4.1.3] whose weight is not zero.

        chord: logits [B, T_M, 25] from F_local. tempo: log bpm [B, T_L] and key: logits [B, T_L, 24] from F_global.
        """
        sources = {"chord": features.local, "tempo": features.global_, "key": features.global_}
        answers = {task: head(sources[task]) for task, head in self.heads.items()}
        if "tempo" in answers:
            answers["tempo"] = answers["tempo"].squeeze(-1)
        return answers

    def null_score(self, features: ScoreFeatures, mask: Tensor) -> ScoreFeatures:
        """Features with the null score in place of the items where mask [B] is True; all three levels together."""
        return self.absent_score(features, mask)

    def null_style(self, style: Tensor, mask: Tensor) -> Tensor:
        """Style [B, D_style] with the null style in place of the items where mask [B] is True."""
        return torch.where(mask[:, None], self.absent_style.to(style.dtype), style)

    def forward(
        self,
        z: Tensor,
        t: Tensor,
        features: ScoreFeatures,
        style: Tensor,
        start: int = 0,
        deaf: Tensor | None = None,
    ) -> Tensor:
        """Prediction [B, T_H, C] of the objective's target (noise or v) for z [B, T_H, C] at diffusion time t [B].

        `start` is the absolute frame of z's first frame when z is a block of a song, a multiple of R1 R2. `deaf`: [B]
        bool, the items whose first layer does without its TCA.
        Time axes that do not match raise ValueError with the numbers.
        """
        return self.unet(z, t, features, style, start, deaf)

    def repeated_blocks(self) -> list[nn.Module]:
        """The blocks where the time goes; alike by kind and level, so compiling them one by one is quick."""
        kinds = ConformerBlock | TransformerBlock | Layer | UpEntry
        return [module for module in self.modules() if isinstance(module, kinds)]

    @property
    def can_be_deaf(self) -> bool:
        """Whether the first layer has a TCA to do without."""
        return self.unet.down_1[0].tca is not None

    @property
    def receptive_field(self) -> int | None:
        """Frames at T_H that a block needs on each side to agree with the whole; None if attention sees everything."""
        return self.unet.receptive_field
