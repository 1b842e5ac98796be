"""Does the audio sound like the words? Cosine of CLAP's embeddings of both, by transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import WeightsError, extra
from hsmad_cli.files.audio import resample


class Clap:
    """A CLAP model (`transformers.ClapModel`) from a local folder: audio and text as unit vectors.

    Raises WeightsError if the folder holds none or transformers is missing. Nothing is downloaded.
    """

    name = "CLAP"

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        try:
            import transformers
        except ModuleNotFoundError:
            raise WeightsError("CLAP needs transformers", extra("text")) from None
        try:
            self.extractor = transformers.AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
            self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            model: Any = transformers.ClapModel.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise WeightsError(f"{folder}: not a CLAP model: {reason}", "hsmad weights pull clap") from error
        self.device = device
        self.model = model.to(device).eval()

    def embed_audio(self, audio: np.ndarray) -> np.ndarray:
        """Unit vectors [windows, D] of audio [2, samples] at 44.1 kHz, in windows as long as the model was trained on.

        The last window is as long as the others and ends with the audio.
        """
        rate = self.extractor.sampling_rate
        mono = resample(audio.mean(axis=0, keepdims=True), SAMPLE_RATE, rate)[0]
        return np.concatenate([self._embed(window) for window in windows(mono, self.extractor.nb_max_samples)])

    def _embed(self, mono: np.ndarray) -> np.ndarray:
        import torch

        inputs = self.extractor(mono, sampling_rate=self.extractor.sampling_rate, return_tensors="pt")
        with torch.inference_mode():
            return unit(self.model.get_audio_features(**inputs.to(self.device)).pooler_output.cpu().numpy())

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors [len(texts), D]."""
        import torch

        inputs = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
        with torch.inference_mode():
            return unit(self.model.get_text_features(**inputs.to(self.device)).pooler_output.cpu().numpy())


def clap_scores(model: Clap, audio: np.ndarray, texts: Sequence[str]) -> list[float]:
    """The mean cosine over windows of audio [2, samples] with each text, -1 to 1."""
    return (model.embed_audio(audio) @ model.embed_text(texts).T).mean(axis=0).tolist()


def windows(audio: np.ndarray, size: int) -> list[np.ndarray]:
    """Pieces of audio [..., samples] of `size` samples; the last ends with the audio, which may be shorter than one."""
    n_samples = audio.shape[-1]
    if n_samples <= size:
        return [audio]
    starts = [*range(0, n_samples - size, size), n_samples - size]
    return [audio[..., start : start + size] for start in starts]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [..., D] at length one."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(min=1e-12)
