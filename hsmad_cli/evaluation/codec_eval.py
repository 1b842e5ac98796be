"""What a codec does to music: the notes a judge still hears, dynamics, timing, the signal, and the latents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from hsmad_cli.evaluation.evaluate import Evaluation, Piece, evaluate_many
from hsmad_cli.evaluation.lossy import decode_lossy, encode_lossy
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.evaluation.signal_distances import SAMPLE_RATE, signal_distances
from hsmad_cli.evaluation.transcriber import choose_judge, load_judge
from hsmad_cli.files.audio import resample
from hsmad_cli.symbolic.notes import NoteTable

DEAD_VARIANCE = 0.01


@dataclass(frozen=True)
class Recording:
    """Audio [2, samples] at 44.1 kHz and the notes in it."""

    name: str
    audio: np.ndarray
    notes: NoteTable


class LatentCodec(Protocol):
    """Audio [2, samples] at `sample_rate` <-> latents [frames, channels], as `hsmad_cli.pipeline.Codec`."""

    sample_rate: int

    def encode(self, audio: np.ndarray) -> np.ndarray: ...
    def decode(self, latent: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class CodecUnderTest:
    """A codec by two calls; what is in between is bytes, or latents [frames, channels]."""

    name: str
    encode: Callable[[np.ndarray], Any]
    decode: Callable[[Any], np.ndarray]


def latent_codec(name: str, codec: LatentCodec) -> CodecUnderTest:
    """A codec with latents; audio is brought to its sampling rate and back."""
    rate = codec.sample_rate
    return CodecUnderTest(
        name,
        lambda audio: codec.encode(resample(audio, SAMPLE_RATE, rate)),
        lambda latent: resample(codec.decode(latent), rate, SAMPLE_RATE),
    )


def lossy_codec(name: str) -> CodecUnderTest:
    """mp3-K or opus-K, K the kbit/s."""
    return CodecUnderTest(name, lambda audio: encode_lossy(audio, name), decode_lossy)


def with_noise(codec: CodecUnderTest, share: float, seed: int = 0) -> CodecUnderTest:
    """The same codec with Gaussian noise on its latents, `share` of each channel's standard deviation."""
    generator = np.random.default_rng(seed)

    def encode(audio: np.ndarray) -> np.ndarray:
        latent = codec.encode(audio)
        noise = generator.standard_normal(latent.shape, np.float32)
        return latent + share * latent.std(axis=0, keepdims=True) * noise

    return CodecUnderTest(f"{codec.name} + {share:.0%} noise", encode, codec.decode)


def hear_originals(
    recordings: Sequence[Recording], judge: str = "auto", device: str = "cpu", workers: int = 1
) -> dict[str, HeardNotes]:
    """What the judge hears in the recordings themselves, by name: done once for all codecs."""
    from concurrent.futures import ThreadPoolExecutor

    def hear(recording: Recording) -> HeardNotes:
        name = choose_judge(recording.notes) if judge == "auto" else judge
        return load_judge(name, device).transcribe(recording.audio)

    with ThreadPoolExecutor(workers) as pool:
        return {recording.name: heard for recording, heard in zip(recordings, pool.map(hear, recordings), strict=True)}


@dataclass
class _Passes:
    """What is gathered while the recordings go through a codec."""

    seconds: float = 0.0
    encoding_s: float = 0.0
    decoding_s: float = 0.0
    n_bytes: int = 0
    distances: list[dict[str, float]] = field(default_factory=list)
    latents: list[np.ndarray] = field(default_factory=list)


def evaluate_codec(
    codec: CodecUnderTest,
    recordings: Sequence[Recording],
    originals: dict[str, HeardNotes],
    judge: str = "auto",
    device: str = "cpu",
    workers: int = 1,
    min_reference_f1: float = 0.4,
    done: Callable[[Evaluation], object] = lambda evaluation: None,
) -> dict[str, Any]:
    """One row of the codec table: {codec, n, seconds, kbit_per_s, speeds, distances, latent, notes}.

    notes is the summary of `evaluate_many`, its `versus.reference` being codec / original; encode_speed and
    decode_speed are in multiples of real time; latent is None for byte codecs, kbit_per_s for latent ones.
    """
    passes = _Passes()
    pieces = _round_trips(codec, recordings, originals, passes)
    _, notes = evaluate_many(pieces, judge, device, workers, min_reference_f1, done)
    return {
        "codec": codec.name,
        "n": len(recordings),
        "seconds": passes.seconds,
        "kbit_per_s": passes.n_bytes * 8 / 1000 / passes.seconds if passes.n_bytes else None,
        "encode_speed": passes.seconds / passes.encoding_s,
        "decode_speed": passes.seconds / passes.decoding_s,
        **{key: float(np.mean([row[key] for row in passes.distances])) for key in passes.distances[0]},
        "latent": latent_statistics(passes.latents) if passes.latents else None,
        "notes": notes,
    }


def _round_trips(
    codec: CodecUnderTest, recordings: Sequence[Recording], originals: dict[str, HeardNotes], passes: _Passes
) -> Iterator[Piece]:
    for recording in recordings:
        n = recording.audio.shape[1]
        start = time.perf_counter()
        encoded = codec.encode(recording.audio)
        middle = time.perf_counter()
        decoded = codec.decode(encoded)[:, :n]
        passes.decoding_s += time.perf_counter() - middle
        passes.encoding_s += middle - start
        passes.seconds += n / SAMPLE_RATE
        if isinstance(encoded, bytes):
            passes.n_bytes += len(encoded)
        else:
            passes.latents.append(encoded)
        decoded = np.pad(decoded, ((0, 0), (0, n - decoded.shape[1])))
        passes.distances.append(signal_distances(recording.audio, decoded))
        yield Piece(recording.name, decoded, recording.notes, reference=originals[recording.name])


def latent_statistics(latents: Sequence[np.ndarray]) -> dict[str, Any]:
    """What a diffusion model has to learn: moments of each channel over all frames of latents [frames, channels].

    A channel is dead below 1 % of the mean variance. Skewness and excess kurtosis are 0 for a Gaussian.
    mean_absolute_correlation is over pairs of different channels.
    """
    frames = np.concatenate(latents).astype(np.float64)
    mean, variance = frames.mean(axis=0), frames.var(axis=0)
    alive = variance > DEAD_VARIANCE * variance.mean()
    standard = (frames - mean)[:, alive] / np.sqrt(variance[alive])
    correlation = np.abs(standard.T @ standard / len(standard))[~np.eye(standard.shape[1], dtype=bool)]
    kurtosis, skewness = (standard**4).mean(axis=0) - 3, (standard**3).mean(axis=0)
    return {
        "channels": frames.shape[1],
        "dead": int((~alive).sum()),
        "largest_mean": float(np.abs(mean).max()),
        "smallest_variance": float(variance.min()),
        "largest_variance": float(variance.max()),
        "median_skewness": float(np.median(skewness)),
        "median_excess_kurtosis": float(np.median(kurtosis)),
        "largest_excess_kurtosis": float(kurtosis.max()),
        "mean_absolute_correlation": float(correlation.mean()) if len(correlation) else 0.0,
    }
