"""The judges: programs that listen to audio and write down the notes they hear.

`transkun` knows the piano, with velocities; `basic-pitch` any pitched instrument, without. Both bring their weights in
their wheels and run offline. Drums are judged by onset detection, on drum parts alone.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import tempfile
import warnings
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import UsageError, extra
from hsmad_cli.evaluation.note_scores import HeardNotes, drum_strikes, pitched_notes
from hsmad_cli.symbolic.notes import LOWEST_PITCH, N_PITCHES, NoteTable

DRUM_JUDGE = "librosa-onset"
JUDGES = ("auto", "transkun", "basic-pitch", DRUM_JUDGE, "piano-transcription", "mt3")
LAST_PIANO_PROGRAM = 7
_LOADING = Lock()


class Judge(Protocol):
    """Something that hears notes."""

    name: str

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        """The notes heard in audio [2, samples], float32 at 44.1 kHz."""
        ...


def choose_judge(notes: NoteTable) -> str:
    """`--judge auto`: Transkun if every pitched part is a piano (programs 0 to 7), Basic Pitch if one is not.

    Drums alone are judged by their onsets.
    """
    programs = notes.program[~notes.is_drum]
    if len(programs) == 0 and len(notes):
        return DRUM_JUDGE
    return "transkun" if len(programs) and programs.max() <= LAST_PIANO_PROGRAM else "basic-pitch"


def written_notes(notes: NoteTable, judge: str, start_s: float = 0.0, end_s: float = np.inf) -> HeardNotes:
    """What that judge would hear of a score, were it perfect: pitched notes, or strikes of drums."""
    return (drum_strikes if judge == DRUM_JUDGE else pitched_notes)(notes, start_s, end_s)


def load_judge(name: str, device: str = "cpu") -> Judge:
    """A judge by name, loaded once per process. Raises UsageError with the cure when its package is missing."""
    with _LOADING:
        return _load_judge(name, device)


@lru_cache(maxsize=4)
def _load_judge(name: str, device: str) -> Judge:
    if name == Transkun.name:
        return Transkun(device)
    if name == BasicPitch.name:
        return BasicPitch()
    if name == DrumOnsets.name:
        return DrumOnsets()
    if name == PianoTranscription.name:
        return PianoTranscription(device)
    if name == MT3.name:
        return MT3()
    raise UsageError(f"no judge {name!r}", f"judges: {', '.join(JUDGES)}")


def _import_judge(module: str, cure: str) -> ModuleType:
    """The module, imported in silence: pyfluidsynth, which pretty_midi imports, prints where CI is set."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return import_module(module)
    except (ImportError, OSError) as error:
        raise UsageError(f"a judge is missing: {error}", cure) from error


class Transkun:
    """Transkun 2.0 (Yan and Duan), a piano transcriber with velocities, in its own 16 s segments every 8 s."""

    name = "transkun"

    def __init__(self, device: str = "cpu") -> None:
        module = _import_judge("transkun.ModelTransformer", extra("judges"))
        import moduleconf
        import torch

        class PatientTransKun(module.TransKun):  # type: ignore[misc, name-defined]
            """TransKun that does not search digital silence, of which its padding adds a segment to every file."""

            def transcribeFrames(self, frames: Any, *arguments: Any, **options: Any) -> Any:
                if not frames.any():
                    return [[] for _ in frames], [0] * (len(frames) * len(self.targetMIDIPitch))
                return super().transcribeFrames(frames, *arguments, **options)

        folder = Path(str(module.__file__)).parent / "pretrained"
        model = PatientTransKun(conf=moduleconf.parseFromFile(str(folder / "2.0.conf"))["Model"].config)
        checkpoint = torch.load(folder / "2.0.pt", map_location="cpu", weights_only=True)
        model.load_state_dict(checkpoint.get("best_state_dict", checkpoint.get("state_dict")), strict=False)
        self.device = device
        self.model = model.to(device).eval()
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.(utils\.checkpoint|_dynamo)")

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        import torch

        samples = torch.from_numpy(np.ascontiguousarray(audio.T)).to(self.device)
        with torch.no_grad():
            notes = self.model.transcribe(samples)
        rows = [(note.start, note.end, note.pitch, note.velocity) for note in notes if note.pitch > 0]
        return HeardNotes.from_rows(rows)


class BasicPitch:
    """Basic Pitch (Bittner et al. 2022): the ONNX model of its wheel, with its note decoding.

    Thresholds are those found best for rendered scores. Frame times are exact here, where the original spreads the hop
    between windows over frames: up to 10 ms better, and no audio is lost at the end.
    """

    name = "basic-pitch"
    rate = 22050
    hop = 256
    window = 2 * rate - hop
    overlap_frames = 30
    onset_threshold = 0.6
    frame_threshold = 0.3
    min_note_s = 0.058

    def __init__(self) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        runtime = _import_judge("onnxruntime", extra("judges"))
        package = importlib.util.find_spec("basic_pitch")
        if package is None or package.origin is None:
            raise UsageError("a judge is missing: no package basic-pitch", extra("judges"))
        model = Path(package.origin).parent / "saved_models" / "icassp_2022" / "nmp.onnx"
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        frames, onsets, time_s = self.posteriors(_resample(audio.mean(axis=0), self.rate))
        spans = decode_notes(frames, onsets, self.onset_threshold, self.frame_threshold, self.min_frames)
        rows = [(time_s[start], time_s[end], pitch + LOWEST_PITCH) for start, end, pitch in spans]
        return HeardNotes.from_rows(rows, velocity=False)

    @property
    def min_frames(self) -> int:
        return round(self.min_note_s * self.rate / self.hop)

    def posteriors(self, mono: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Note and onset posteriors [frames, 88] of mono audio at 22.05 kHz, and the time of each frame in seconds."""
        margin = self.overlap_frames // 2
        step = self.window - self.overlap_frames * self.hop
        padded = np.pad(mono.astype(np.float32), (margin * self.hop, self.window))
        starts = np.arange(0, len(mono) + margin * self.hop, step)
        outputs = [self._run(padded[start : start + self.window]) for start in starts]
        frames, onsets = (np.concatenate([output[k][margin:-margin] for output in outputs]) for k in (0, 1))
        per_window = len(frames) // len(starts)
        samples = (starts[:, None] + self.hop * np.arange(per_window)).ravel()
        n_frames = int(np.searchsorted(samples, len(mono)))
        return frames[:n_frames], onsets[:n_frames], samples[:n_frames] / self.rate

    def _run(self, samples: np.ndarray) -> list[np.ndarray]:
        names = ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"]
        outputs = self.session.run(names, {"serving_default_input_2:0": samples[None, :, None]})
        return [output[0] for output in outputs]


ENERGY_GAP_FRAMES = 11


def decode_notes(
    frames: np.ndarray, onsets: np.ndarray, onset_threshold: float, frame_threshold: float, min_frames: int
) -> list[tuple[int, int, int]]:
    """Basic Pitch's rule from posteriors [frames, 88] to notes (start frame, end frame, pitch index).

    Onset peaks start notes, last first, which end before eleven frames below the threshold and silence their
    neighbours; then what energy is left makes notes without an onset, strongest first ("melodia").
    """
    energy = np.array(frames.T, np.float64)
    spans = _notes_from_onsets(energy, infer_onsets(frames, onsets), onset_threshold, frame_threshold, min_frames)
    return spans + _notes_from_energy(energy, frame_threshold, min_frames)


def infer_onsets(frames: np.ndarray, onsets: np.ndarray) -> np.ndarray:
    """Onset posteriors, or the rise of the note posteriors over one and two frames where that is larger."""
    rise = np.zeros(frames.shape)
    rise[2:] = (frames[2:] - np.maximum(frames[1:-1], frames[:-2])).clip(min=0)
    peak = rise.max(initial=0)
    return np.maximum(onsets, onsets.max(initial=0) * rise / peak) if peak > 0 else onsets


def _notes_from_onsets(
    energy: np.ndarray, onsets: np.ndarray, onset_threshold: float, frame_threshold: float, min_frames: int
) -> list[tuple[int, int, int]]:
    n_frames = energy.shape[1]
    peaks = np.zeros(onsets.shape, bool)
    peaks[1:-1] = (onsets[1:-1] > onsets[:-2]) & (onsets[1:-1] > onsets[2:]) & (onsets[1:-1] >= onset_threshold)
    spans = []
    for start, pitch in np.argwhere(peaks)[::-1].tolist():
        if start >= n_frames - 1:
            continue
        stop, below = _walk(energy[pitch], start + 1, 1, frame_threshold)
        end = stop - below
        if end - start > min_frames:
            energy[max(pitch - 1, 0) : pitch + 2, start:end] = 0
            spans.append((start, end, pitch))
    return spans


def _notes_from_energy(energy: np.ndarray, threshold: float, min_frames: int) -> list[tuple[int, int, int]]:
    by_frame = energy.T.ravel()
    candidates = np.flatnonzero(by_frame > threshold)
    spans = []
    for cell in candidates[np.argsort(-by_frame[candidates], kind="stable")].tolist():
        middle, pitch = divmod(cell, N_PITCHES)
        if energy[pitch, middle] == 0:
            continue
        stop, below = _walk(energy[pitch], middle + 1, 1, threshold)
        first, above = _walk(energy[pitch], middle - 1, -1, threshold)
        energy[max(pitch - 1, 0) : pitch + 2, first + 1 : middle] = 0
        energy[max(pitch - 1, 0) : pitch + 2, middle + 1 : stop] = 0
        energy[pitch, middle] = 0
        start, end = first + 1 + above, stop - 1 - below
        if end - start > min_frames:
            spans.append((start, end, pitch))
    return spans


def _walk(row: np.ndarray, frame: int, step: int, threshold: float) -> tuple[int, int]:
    """Go on from `frame` until eleven frames in a row are below, or the row ends; where, and how many were below."""
    limit = len(row) - 1 if step > 0 else 0
    below = 0
    while (limit - frame) * step > 0 and below < ENERGY_GAP_FRAMES:
        below = below + 1 if row[frame] < threshold else 0
        frame += step
    return frame, below


class DrumOnsets:
    """Onset detection by librosa, for recordings of drums alone; what it hears has pitch 0 and no length.

    numba compiles it when it first hears something, and keeps that on disk; two processes that do so at one time spoil
    the files for every later one (numba issue 10128), so one waits for the other.
    """

    name = DRUM_JUDGE

    def __init__(self) -> None:
        from filelock import FileLock

        self.librosa = _import_judge("librosa", extra("judges"))
        user = getattr(os, "getuid", int)()
        with FileLock(Path(tempfile.gettempdir()) / f"hsmad-librosa-{user}.lock"):
            self.transcribe(np.eye(2, SAMPLE_RATE, SAMPLE_RATE // 2, dtype=np.float32))

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        mono = audio.mean(axis=0)
        times = self.librosa.onset.onset_detect(y=mono, sr=SAMPLE_RATE, hop_length=441, units="time")
        return HeardNotes.from_rows([(time, time, 0) for time in times if np.any(mono)], velocity=False)


class PianoTranscription:
    """High-resolution piano transcription (Kong et al.), optional: its package fetches weights at first use."""

    name = "piano-transcription"

    def __init__(self, device: str = "cpu") -> None:
        cure = "pip install piano_transcription_inference (it downloads 165 MB of weights at first use)"
        self.model = _import_judge("piano_transcription_inference", cure).PianoTranscription(device=device)

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        notes = self.model.transcribe(_resample(audio.mean(axis=0), 16000), None)["est_note_events"]
        return HeardNotes.from_rows(
            [(note["onset_time"], note["offset_time"], note["midi_note"], note["velocity"]) for note in notes]
        )


class MT3:
    """MT3 through mt3-infer, optional: its package fetches weights at first use. Its velocities mean nothing."""

    name = "mt3"

    def __init__(self) -> None:
        self.package = _import_judge("mt3_infer", "pip install mt3-infer (it downloads its weights at first use)")

    def transcribe(self, audio: np.ndarray) -> HeardNotes:
        midi = self.package.transcribe(_resample(audio.mean(axis=0), 16000), sr=16000)
        return HeardNotes.from_rows(_midi_rows(midi), velocity=False)


def _midi_rows(midi: Any) -> list[tuple[float, float, int]]:
    """(onset_s, offset_s, pitch) of the pitched notes of a mido file."""
    now_s, rows = 0.0, []
    sounding: dict[tuple[int, int], float] = {}
    for message in midi:
        now_s += message.time
        if message.type not in ("note_on", "note_off") or message.channel == 9:
            continue
        started_s = sounding.pop((message.channel, message.note), None)
        if started_s is not None and now_s > started_s:
            rows.append((started_s, now_s, message.note))
        if message.type == "note_on" and message.velocity > 0:
            sounding[message.channel, message.note] = now_s
    return rows


def _resample(mono: np.ndarray, rate: int) -> np.ndarray:
    from scipy.signal import resample_poly

    divisor = np.gcd(rate, SAMPLE_RATE)
    return resample_poly(mono, rate // divisor, SAMPLE_RATE // divisor).astype(np.float32)
