"""Does it sound as it was asked to? The verdict of an audio-text model that nobody plays by.

A scorer is a checkpoint of the style stage, trained with another seed than the style encoder that guides the denoiser:
its text tower names styles, its audio tower hears them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.evaluation.clap_score import unit, windows
from hsmad_cli.evaluation.linear_classifier import LinearClassifier
from hsmad_cli.files.audio import resample
from hsmad_cli.files.checkpoint import load_checkpoint, of_this_version
from hsmad_cli.model.style_encoder import AudioTextModel

WINDOW_S = 10.0


class StyleScorer:
    """Sounds and sentences as unit vectors of one space."""

    def __init__(self, model: AudioTextModel, sample_rate: int, device: str = "cpu") -> None:
        self.model, self.sample_rate, self.device = model.to(device), sample_rate, device

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> StyleScorer:
        """Both towers of a checkpoint of the style stage. Raises WeightsError."""
        tensors, header = load_checkpoint(path, "style")
        with of_this_version(path, "style scorer"):
            return cls(AudioTextModel.from_checkpoint(tensors, header), int(header["sample_rate"]), device)

    @torch.inference_mode()
    def embed_audio(self, audio: np.ndarray) -> np.ndarray:
        """The direction [D] of audio [2, samples] at 44.1 kHz: the mean of those of its windows of ten seconds."""
        heard = windows(resample(audio, SAMPLE_RATE, self.sample_rate), round(WINDOW_S * self.sample_rate))
        batch = torch.from_numpy(np.stack(heard)).to(self.device)
        return unit(unit(self.model.audio(batch).cpu().numpy()).mean(axis=0))

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [len(texts), D]."""
        return unit(self.model.text.encode(texts).cpu().numpy())

    def classifier(self, phrases: Mapping[str, Sequence[str]]) -> LinearClassifier:
        """Tells apart what is called so: each label by the mean of its phrases."""
        means = np.stack([self.embed_text(texts).mean(axis=0) for texts in phrases.values()])
        return LinearClassifier(tuple(phrases), unit(means), np.zeros(len(phrases)))
