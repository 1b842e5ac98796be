"""What a codec does to music: the notes a judge still hears, dynamics, timing, the signal, and the latents."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.evaluation.benchmark import (
    AUDIBLE_F1,
    CODEC,
    REFERENCE,
    Clip,
    Row,
    clip_row,
    hear,
    judges_of,
    summarise_clips,
    truth_of,
)
from hsmad_cli.evaluation.lossy import decode_lossy, encode_lossy
from hsmad_cli.evaluation.note_scores import HeardNotes, Timing, paired_errors
from hsmad_cli.evaluation.signal_distances import signal_distances
from hsmad_cli.evaluation.workers import Workers, done_here
from hsmad_cli.files.audio import resample

DEAD_VARIANCE = 0.01


Heard = dict[str, HeardNotes]


@dataclass(frozen=True, eq=False)
class Recording:
    """A clip and its sound, [2, samples] at 44.1 kHz."""

    clip: Clip
    audio: np.ndarray


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
    recordings: Iterable[Recording], judge: str, device: str, workers: Workers
) -> Iterator[tuple[Recording, Heard]]:
    """The recordings and what their judges hear in them, by judge: done once for all codecs."""
    waiting = [
        (each, {name: submit_hearing(name, device, each.audio, workers) for name in judges_of(each.clip, [judge])})
        for each in recordings
    ]
    for recording, heard in waiting:
        yield recording, {name: notes.result() for name, notes in heard.items()}


def submit_hearing(judge: str, device: str, audio: np.ndarray, workers: Workers) -> Future[HeardNotes]:
    """What a judge hears, soon; a GPU's judge listens in this process."""
    submit = done_here if judge == "transkun" and device != "cpu" else workers.submit
    return submit(hear, judge, device, audio)


@dataclass
class _Passes:
    """What is gathered while the recordings go through a codec."""

    seconds: float = 0.0
    encoding_s: float = 0.0
    decoding_s: float = 0.0
    n_bytes: int = 0
    distances: list[dict[str, float]] = field(default_factory=list)
    latents: list[np.ndarray] = field(default_factory=list)

    def through(self, codec: CodecUnderTest, audio: np.ndarray) -> np.ndarray:
        """The audio [2, n] after the codec, as long as before."""
        n = audio.shape[1]
        start = time.perf_counter()
        encoded = codec.encode(audio)
        middle = time.perf_counter()
        decoded = codec.decode(encoded)[:, :n]
        self.decoding_s += time.perf_counter() - middle
        self.encoding_s += middle - start
        self.seconds += n / SAMPLE_RATE
        if isinstance(encoded, bytes):
            self.n_bytes += len(encoded)
        else:
            self.latents.append(encoded)
        decoded = np.pad(decoded, ((0, 0), (0, n - decoded.shape[1])))
        self.distances.append(signal_distances(audio, decoded))
        return decoded


def evaluate_codec(
    codec: CodecUnderTest,
    originals: Sequence[tuple[Recording, Heard]],
    device: str,
    workers: Workers,
    min_reference_f1: float = AUDIBLE_F1,
    done: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """A codec's column of the table: {codec, n, seconds, kbit_per_s, speeds, distances, latent, notes}.

    notes has a row for each set and judge: that of `summarise_clips`, with `onset_shift`, the onsets heard after the
    codec minus those heard before, of all notes heard in both. encode_speed and decode_speed are in multiples of real
    time; latent is None for byte codecs, kbit_per_s for latent ones.
    """
    passes = _Passes()
    coded = list(_hear_coded(codec, originals, passes, device, workers, done))
    return {
        "codec": codec.name,
        "n": len(originals),
        "seconds": passes.seconds,
        "kbit_per_s": passes.n_bytes * 8 / 1000 / passes.seconds if passes.n_bytes else None,
        "encode_speed": passes.seconds / passes.encoding_s,
        "decode_speed": passes.seconds / passes.decoding_s,
        **{key: float(np.mean([row[key] for row in passes.distances])) for key in passes.distances[0]},
        "latent": latent_statistics(passes.latents) if passes.latents else None,
        "notes": _note_rows(coded, min_reference_f1),
    }


def _hear_coded(
    codec: CodecUnderTest,
    originals: Sequence[tuple[Recording, Heard]],
    passes: _Passes,
    device: str,
    workers: Workers,
    done: Callable[[], object],
) -> Iterator[_Coded]:
    """What is heard in every recording before and after the codec, judged while later ones are coded."""
    waiting: deque[list[tuple[_Coded, Future[HeardNotes]]]] = deque()

    def finish() -> Iterator[_Coded]:
        for coded, after in waiting.popleft():
            yield replace(coded, heard=coded.heard | {CODEC: after.result()})
        done()

    for recording, heard in originals:
        decoded = passes.through(codec, recording.audio)
        sounds = {REFERENCE: recording.audio, CODEC: decoded}
        clipped = {role: int(np.count_nonzero(np.abs(audio) > 1)) for role, audio in sounds.items()}
        waiting.append(
            [
                (
                    _Coded(recording.clip, judge, {REFERENCE: before}, clipped),
                    submit_hearing(judge, device, decoded, workers),
                )
                for judge, before in heard.items()
            ]
        )
        if len(waiting) > workers.n:
            yield from finish()
    while waiting:
        yield from finish()


@dataclass(frozen=True, eq=False)
class _Coded:
    """What a judge heard in a clip, and samples beyond +-1, by role: reference and codec."""

    clip: Clip
    judge: str
    heard: Heard
    clipped: dict[str, int]

    def row(self) -> Row:
        return clip_row(self.clip, self.judge, None, self.heard, self.clipped, 0.0)

    def shift_s(self) -> np.ndarray:
        truth = truth_of(self.clip, self.judge, self.heard)
        return paired_errors(truth, self.heard[CODEC], self.heard[REFERENCE])[0]


def _note_rows(coded: Sequence[_Coded], min_reference_f1: float) -> list[Row]:
    clip_rows = [each.row() for each in coded]
    shifts: dict[tuple[str, str], list[np.ndarray]] = {}
    for each, row in zip(coded, clip_rows, strict=True):
        if row["onset_f1"][REFERENCE] >= min_reference_f1:
            shifts.setdefault((each.clip.kind, each.judge), []).append(each.shift_s())
    table = summarise_clips(clip_rows, min_reference_f1)
    return [row | {"onset_shift": _timing(shifts.get((row["set"], row["judge"]), []))} for row in table]


def _timing(errors_s: Sequence[np.ndarray]) -> dict[str, Any]:
    pooled = np.concatenate([np.zeros(0), *errors_s])
    return asdict(Timing.of(pooled, np.zeros(len(pooled))))


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
