"""What `sample` reads besides MIDI: the soft piano roll of a whole song, and the features made of it.

A `ScoreRoll` is rendered, or read from an npz, in blocks that lie on one grid, so that a roll that went through a file
is the same to the bit as one rendered on the spot, and a long song never stands in memory as one dense array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.config import INSTRUMENTS, Instruments
from hsmad_cli.errors import InputError
from hsmad_cli.files.npz import Source, load_npz, save_npz, source_name
from hsmad_cli.symbolic.caption import caption
from hsmad_cli.symbolic.dynamics import with_dynamics
from hsmad_cli.symbolic.notes import N_FAMILIES, N_PITCHES, Ledger, NoteTable, Score
from hsmad_cli.symbolic.srm import LAYOUT, N_GROUPS, NoteTensors, count_frames, render_srm

BLOCK_FRAMES = 2048
HALF_PRECISION = 2**-10
LARGEST = 127
CURVES = ("tempo_s", "tempo_bpm", "pedal_s", "pedal_value", "beats_s")
FEATURES = ("event", "local", "global")


@dataclass(frozen=True)
class ScoreRoll:
    """The roll S_sync [T_H, D_in] of a song [2.2.1] and the score that it came from.

    frame_rate: frames a second as (numerator, denominator). n_frames: T_H without padding. caption: what the score says
    in words. block: k -> [1, frames, D_in], the frames from k BLOCK_FRAMES on. from_file: it may have been edited.
    """

    score: Score
    caption: str
    duration_s: float
    frame_rate: tuple[int, int]
    n_frames: int
    block: Callable[[int], Tensor]
    from_file: bool = False

    @classmethod
    def of(cls, score: Score, frame_rate: tuple[int, int], genre: str = "") -> ScoreRoll:
        """The roll of a score, rendered block by block when it is asked for."""
        n_frames = count_frames(score.duration_s, frame_rate)
        block = _renderer(score, frame_rate, n_frames)
        return cls(score, caption(score, genre), score.duration_s, frame_rate, n_frames, block)

    def with_dynamics(self, factor: float) -> ScoreRoll:
        """The roll with dynamics so much wider than those of its score, which stays as written.

        Cells of a file that do not say what its score says, as well as half precision can, were edited, and keep what
        they say. Raises ValueError for a negative factor.
        """
        if factor == 1:
            return self
        wider = _renderer(with_dynamics(self.score, factor), self.frame_rate, self.n_frames)
        if not self.from_file:
            return replace(self, block=wider)
        written = _renderer(self.score, self.frame_rate, self.n_frames)

        def block(k: int) -> Tensor:
            mine = self.block(k)
            as_written = torch.isclose(mine, written(k), rtol=HALF_PRECISION, atol=HALF_PRECISION)
            return torch.where(as_written, wider(k), mine)

        return replace(self, block=block)

    def blocks(self, multiple: int = 1) -> Iterator[Tensor]:
        """Consecutive blocks [1, frames, D_in]; the last is padded with silence to a multiple of `multiple` in all."""
        n_blocks = -(-self.n_frames // BLOCK_FRAMES)
        for k in range(n_blocks):
            block = self.block(k)
            surplus = -self.n_frames % multiple if k == n_blocks - 1 else 0
            yield torch.nn.functional.pad(block, (0, 0, 0, surplus))


def _renderer(score: Score, frame_rate: tuple[int, int], n_frames: int) -> Callable[[int], Tensor]:
    """k -> block k of the roll of a score."""
    notes = NoteTensors.from_scores([score])

    def render(k: int) -> Tensor:
        start = k * BLOCK_FRAMES
        return render_srm(notes, start, min(BLOCK_FRAMES, n_frames - start), frame_rate)

    return render


def save_roll(target: Path | str, roll: ScoreRoll, force: bool = True) -> None:
    """Write a roll and its score as an npz of kind `srm`; groups of planes that do not occur are left out."""
    planes = _planes_of(roll.score)
    arrays = {name: np.zeros((roll.n_frames, _width(where)), np.float32) for name, where in planes.items()}
    for k, block in enumerate(roll.blocks()):
        rows = slice(k * BLOCK_FRAMES, k * BLOCK_FRAMES + block.shape[1])
        for name, where in planes.items():
            arrays[name][rows] = block[0, :, where].numpy()
    save_npz(target, arrays | _score_arrays(roll.score), {"kind": "srm", **_describe(roll)}, force)


def load_roll(source: Source) -> ScoreRoll:
    """The roll of an npz of kind `srm`. Raises InputError naming what does not fit."""
    arrays, meta = load_npz(source, "srm")
    try:
        score, frame_rate = _score_from(arrays, meta), _rate(meta["frame_rate"])
        words, duration_s = str(meta["caption"]), float(meta["duration_s"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source_name(source)}: the meta or notes of this SRM are damaged ({error})") from error
    planes = {key: (arrays[key], where) for key, where in _all_planes().items() if key in arrays}
    n_frames = len(arrays["union_onset"])
    for key, (array, where) in planes.items():
        if array.shape != (n_frames, _width(where)):
            raise InputError(f"{source_name(source)}: {key} is {array.shape}, expected {(n_frames, _width(where))}")

    def read(k: int) -> Tensor:
        rows = slice(k * BLOCK_FRAMES, min((k + 1) * BLOCK_FRAMES, n_frames))
        block = torch.zeros(1, rows.stop - rows.start, LAYOUT.width)
        for array, where in planes.values():
            block[0, :, where] = torch.from_numpy(array[rows].astype(np.float32))
        return block

    return ScoreRoll(score, words, duration_s, frame_rate, n_frames, read, from_file=True)


@dataclass(frozen=True)
class StoredFeatures:
    """The features of a score [2.2] as they lie in an npz of kind `features`: event, local and global [T, D] float32.

    dynamics: how much wider than written the denoiser was told the velocities. instruments: whether it was told who
    plays (`midi`) or not (`free`); None: unknown.
    denoiser_sha256: the weights whose encoder made them; no other denoiser can read them.
    """

    event: np.ndarray
    local: np.ndarray
    global_: np.ndarray
    caption: str
    duration_s: float
    frame_rate: tuple[int, int]
    dynamics: float
    instruments: Instruments | None
    ledger: Ledger
    denoiser_sha256: str


def save_features(target: Path | str, features: StoredFeatures, force: bool = True) -> None:
    """Write features as an npz of kind `features`."""
    arrays = {"event": features.event, "local": features.local, "global": features.global_}
    about = ("caption", "duration_s", "frame_rate", "dynamics", "instruments", "denoiser_sha256")
    meta = {name: getattr(features, name) for name in about if getattr(features, name) is not None}
    save_npz(target, arrays, {"kind": "features", **meta, "ledger": asdict(features.ledger)}, force)


def load_features(source: Source) -> StoredFeatures:
    """The features of an npz of kind `features`. Raises InputError naming what does not fit."""
    arrays, meta = load_npz(source, "features")
    try:
        event, local, global_ = (arrays[level] for level in FEATURES)
        rate, ledger = _rate(meta["frame_rate"]), Ledger(**meta["ledger"])
        words, duration_s, dynamics = str(meta["caption"]), float(meta["duration_s"]), float(meta.get("dynamics", 1.0))
        shown, sha256 = _shown(meta), str(meta["denoiser_sha256"])
        return StoredFeatures(event, local, global_, words, duration_s, rate, dynamics, shown, ledger, sha256)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source_name(source)}: the meta of these features is damaged ({error})") from error


def same_rate(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two rates, each (numerator, denominator), are equal."""
    return Fraction(*one) == Fraction(*other)


def _shown(meta: Mapping[str, Any]) -> Instruments | None:
    """Who plays features, as their meta says; files of older versions do not."""
    shown = meta.get("instruments")
    if shown is not None and shown not in INSTRUMENTS:
        raise ValueError(f"instruments {shown!r}")
    return shown


def _rate(pair: Any) -> tuple[int, int]:
    numerator, denominator = (int(number) for number in pair)
    if numerator < 1 or denominator < 1:
        raise ValueError(f"rate {numerator}/{denominator}")
    return numerator, denominator


def _all_planes() -> dict[str, slice]:
    """Every array of an SRM file, and its place on the D_in axis."""
    union = ("union_onset", "union_position", "union_sustain", "union_age", "programs", "kits", "pedal")
    planes = {name: getattr(LAYOUT, name) for name in union}
    for part in ("family_onset", "family_cover"):
        first = getattr(LAYOUT, part).start
        for group in range(N_GROUPS):
            start = first + group * N_PITCHES
            planes[f"{part}_{group:02d}"] = slice(start, start + N_PITCHES)
    return planes


def _planes_of(score: Score) -> dict[str, slice]:
    """The arrays that the notes of a score can fill."""
    notes = score.notes
    groups = set((notes.program[~notes.is_drum] // 8).tolist()) | ({N_FAMILIES} if notes.is_drum.any() else set())
    missing = set(range(N_GROUPS)) - groups
    absent = {f"{part}_{group:02d}" for part in ("family_onset", "family_cover") for group in missing}
    absent |= {"kits"} if N_FAMILIES in missing else set()
    absent |= set() if groups - {N_FAMILIES} else {"programs"}
    absent |= set() if score.pedal_value.any() else {"pedal"}
    return {name: where for name, where in _all_planes().items() if name not in absent}


def _width(where: slice) -> int:
    return where.stop - where.start


def _score_arrays(score: Score) -> dict[str, np.ndarray]:
    notes = {f"note_{name}": column for name, column in score.notes.columns().items()}
    return notes | {name: np.asarray(getattr(score, name), np.float64) for name in CURVES}


def _score_from(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> Score:
    notes = NoteTable(**{name: arrays[f"note_{name}"] for name in NoteTable.DTYPES})
    chords = tuple((float(start), float(end), str(label)) for start, end, label in meta["chords"])
    curves = {name: arrays[name] for name in CURVES}
    _check_score(notes, curves)
    return Score(notes, **curves, chords=chords, ledger=Ledger(**meta["ledger"]), title=str(meta["title"]))


def _check_score(notes: NoteTable, curves: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError unless all that a roll is rendered from has matching lengths and possible values."""
    lengths = {column.shape for column in notes.columns().values()}
    if len(lengths) > 1 or notes.pitch.ndim != 1:
        raise ValueError(f"notes of shapes {sorted(lengths)}")
    for times, values in (("tempo_s", "tempo_bpm"), ("pedal_s", "pedal_value")):
        if curves[times].shape != curves[values].shape or curves[times].ndim != 1:
            raise ValueError(f"{times} is {curves[times].shape}, {values} is {curves[values].shape}")
    for name, column in (("pitch", notes.pitch), ("program", notes.program), ("velocity", notes.velocity)):
        if ((column < 0) | (column > LARGEST)).any():
            raise ValueError(f"a {name} that is not between 0 and {LARGEST}")


def _describe(roll: ScoreRoll) -> dict[str, Any]:
    score = roll.score
    return {
        "frame_rate": roll.frame_rate,
        "duration_s": roll.duration_s,
        "caption": roll.caption,
        "programs": sorted(set(score.notes.program[~score.notes.is_drum].tolist())),
        "drums": bool(score.notes.is_drum.any()),
        "chords": score.chords,
        "title": score.title,
        "ledger": asdict(score.ledger),
    }
