"""MusicGen of transformers, the baseline that others trained: words, and perhaps a melody, in; music out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import WeightsError, extra
from hsmad_cli.files.audio import resample
from hsmad_cli.files.hub import REMOTES, pulled_folder
from hsmad_cli.pipeline.blocks import Progress, finite, silent
from hsmad_cli.pipeline.device import choose_device

MAX_S = 30.0
TEXT_MODEL, MELODY_MODEL = "musicgen-small", "musicgen-melody"
CLASSES = {"musicgen": "MusicgenForConditionalGeneration", "musicgen_melody": "MusicgenMelodyForConditionalGeneration"}


class MusicGen:
    """A MusicGen model from a local folder, in float32. Nothing is downloaded.

    Raises WeightsError if the folder holds none, or only a part of one, or if transformers is missing.
    """

    def __init__(self, folder: Path, device: str | torch.device = "auto") -> None:
        self.device = choose_device(device)
        self.processor, model = _load(folder)
        self.model = model.to(self.device).eval()

    @property
    def hears_melody(self) -> bool:
        """Whether it is one of the models that follow the chroma of a sound."""
        return bool(self.model.config.model_type == "musicgen_melody")

    @torch.inference_mode()
    def play(
        self,
        text: str,
        seconds: float,
        melody: np.ndarray | None = None,
        guidance: float = 3.0,
        top_k: int = 250,
        seed: int = 0,
        progress: Progress = silent,
    ) -> np.ndarray:
        """Music as float32 [2, round(seconds * 44100)], nominally in -1..1; the two channels of a mono model are equal.

        text: what it should sound like; empty: anything. seconds: at most MAX_S, the length of MusicGen's training.
        melody: sound [2, n] at 44.1 kHz whose first MAX_S seconds a melody model follows. guidance: how closely both
        are followed, above 1. top_k: of how many codes each is drawn.
        """
        if not 0 < seconds <= MAX_S:
            raise ValueError(f"MusicGen plays up to {MAX_S:g} s, not {seconds:g}")
        inputs = self._inputs(text, melody).to(self.device)
        new_tokens = self._count_tokens(seconds)

        def report(codes: Tensor, scores: Tensor, **_: object) -> Tensor:
            progress("play", codes.shape[1] - 1, new_tokens)
            return torch.zeros(len(codes), dtype=torch.bool, device=codes.device)

        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            audio = self.model.generate(
                **inputs,
                max_new_tokens=new_tokens,
                do_sample=True,
                top_k=top_k,
                guidance_scale=guidance,
                stopping_criteria=[report],
            )
        sound = resample(finite(audio[0].cpu().numpy(), "the audio"), self._sample_rate, SAMPLE_RATE)
        return np.repeat(sound, 2 // len(sound), axis=0)[:, : round(seconds * SAMPLE_RATE)]

    @property
    def _sample_rate(self) -> int:
        return int(self.model.config.audio_encoder.sampling_rate)

    def _inputs(self, text: str, melody: np.ndarray | None) -> Any:
        heard: dict[str, Any] = {}
        if melody is not None:
            if not self.hears_melody:
                raise ValueError("this MusicGen model follows no melody")
            rate = self.processor.feature_extractor.sampling_rate
            mono = melody[:, : round(MAX_S * SAMPLE_RATE)].mean(axis=0, keepdims=True)
            heard = {"audio": resample(mono, SAMPLE_RATE, rate)[0], "sampling_rate": rate}
        inputs = self.processor(text=[text], padding=True, return_tensors="pt", **heard)
        if not text:
            inputs["attention_mask"].zero_()
        return inputs

    def _count_tokens(self, seconds: float) -> int:
        """Steps that give so many seconds: each codebook of a channel lags one step behind the one before it."""
        decoder, codec = self.model.config.decoder, self.model.config.audio_encoder
        n_codebooks = decoder.num_codebooks // decoder.audio_channels
        return max(ceil(seconds * codec.sampling_rate / codec.hop_length), n_codebooks) + n_codebooks - 1


def musicgen_folder(model: str) -> Path:
    """Where a model lies: one that was pulled, by its name here or on the hub, or a folder. Raises WeightsError."""
    for name, remote in REMOTES.items():
        if model in (name, remote.repository):
            return pulled_folder(name)
    if not Path(model).is_dir():
        names = ", ".join(name for name in REMOTES if name.startswith("musicgen"))
        raise WeightsError(f"{model}: no such MusicGen model", f"there are: {names}; or name a folder")
    return Path(model)


def _load(folder: Path) -> tuple[Any, Any]:
    """Processor and model of a folder that `save_pretrained` wrote."""
    try:
        import transformers
    except ModuleNotFoundError:
        raise WeightsError("MusicGen needs transformers", extra("text")) from None
    hint = f"hsmad weights pull {TEXT_MODEL}"
    try:
        with _in_silence():
            kind = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).model_type
            if kind not in CLASSES:
                raise WeightsError(f"{folder}: not a MusicGen model but {kind}", hint)
            processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, loaded = getattr(transformers, CLASSES[kind]).from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
    except (ImportError, OSError, ValueError) as error:
        raise WeightsError(f"{folder}: not a MusicGen model: {str(error).strip().splitlines()[0]}", hint) from error
    missing = set(loaded["missing_keys"]) & {name for name, _ in model.named_parameters()}
    if missing:
        raise WeightsError(f"{folder}: {len(missing)} tensors are missing, such as {min(missing)}", hint)
    return processor, model


@contextmanager
def _in_silence() -> Iterator[None]:
    """Without the bars and notes of transformers, which are for programmers."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
