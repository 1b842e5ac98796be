"""Soft piano roll S_sync [2.2.1]: notes become `[B, T_H, D_in]` planes that a network can read, and differentiate.

Frame t covers the frame coordinates [t, t+1); its centre is t + 1/2. Notes that meet in one cell combine so:

onset     triangular kernel one frame to each side, times velocity / 127; the **maximum** of the strikes.
position  onset coordinate minus frame centre, -1 to 1 frames, of the strike with the largest onset value in that cell
          (of equals, the latest); 0 where no onset is.
cover     exact fraction of the frame in which the note sounds, times velocity / 127; the **sum** of the notes.
age       log(1 + seconds since the last strike of that pitch) at the frame's centre, while the pitch sounds.
activity  fraction of the frame in which a program (or drum kit) sounds, summed over its notes and cut at 1.

A cover is the running sum of what changes at the ends of the notes. The changes are whole multiples of 2**-16, so the
sums are exact in float32: silence is exactly 0, and no order of summation, batch or block alters a bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.symbolic.notes import DRUM_LENGTH_S, LOWEST_PITCH, N_FAMILIES, N_PITCHES, NoteTable, Score

N_GROUPS = N_FAMILIES + 1
DRUMS = N_FAMILIES
N_PROGRAMS = 128
DRUM_KITS = ("standard", "room", "power", "electronic", "jazz", "brush", "orchestra")

_PITCH_PLANES = N_PITCHES * (1 + N_GROUPS)
_ACTIVITY_PLANES = N_PROGRAMS + len(DRUM_KITS)
_QUANTUM = 2.0**-16
_LONG_AGO = -1e7
_NO_POSITION = -2.0


class SRMLayout(NamedTuple):
    """Where each group of planes lies on the D_in axis.

    Pitch planes run from MIDI 21 to 108. `family_onset` and `family_cover` hold 17 x 88 planes, family-major: plane
    88 g + p is pitch 21 + p of GM family g (0 to 15), g = 16 being the drums with their GM percussion keys. `programs`
    are the 128 GM programs, `kits` the seven `DRUM_KITS`, `pedal` the sustain pedal, 0 to 1.
    """

    union_onset: slice = slice(0, 88)
    family_onset: slice = slice(88, 1584)
    union_sustain: slice = slice(1584, 1672)
    family_cover: slice = slice(1672, 3168)
    programs: slice = slice(3168, 3296)
    kits: slice = slice(3296, 3303)
    union_position: slice = slice(3303, 3391)
    union_age: slice = slice(3391, 3479)
    pedal: slice = slice(3479, 3480)

    @property
    def width(self) -> int:
        return self.pedal.stop

    @property
    def onsets(self) -> slice:
        return slice(self.union_onset.start, self.family_onset.stop)

    @property
    def covers(self) -> slice:
        return slice(self.union_sustain.start, self.kits.stop)

    @property
    def activities(self) -> slice:
        return slice(self.programs.start, self.kits.stop)

    def named_planes(self, device: torch.device | None = None) -> Tensor:
        """Bool [D_in]: True on the planes that tell which pitched instrument plays."""
        named = torch.zeros(self.width, dtype=torch.bool, device=device)
        n_pitched = N_FAMILIES * N_PITCHES
        for group in (self.family_onset, self.family_cover):
            named[group.start : group.start + n_pitched] = True
        named[self.programs] = True
        return named


LAYOUT = SRMLayout()


@dataclass(frozen=True)
class NoteTensors:
    """A batch of note tables as tensors, padded to equal length.

    onset_s, offset_s: [B, N] float32 or float64 seconds. velocity: [B, N] float32, 1 to 127. pitch (21 to 108),
    program, part: [B, N] int64. is_drum, valid: [B, N] bool; padding is not valid. pedal_s, pedal_value: [B, K], the
    sustain pedal as a step function, 0 before the first step; padding repeats the last value.
    """

    onset_s: Tensor
    offset_s: Tensor
    velocity: Tensor
    pitch: Tensor
    program: Tensor
    is_drum: Tensor
    part: Tensor
    valid: Tensor
    pedal_s: Tensor
    pedal_value: Tensor

    @classmethod
    def from_tables(
        cls, tables: Sequence[NoteTable], pedals: Sequence[tuple[np.ndarray, np.ndarray]] | None = None
    ) -> NoteTensors:
        """Note tables, and for each its pedal steps (times in seconds, values 0 to 1), as one padded batch."""
        columns = {
            name: _pad([getattr(table, name) for table in tables], dtype) for name, dtype in _COLUMN_DTYPES.items()
        }
        valid = _pad([np.ones(len(table)) for table in tables], np.bool_)
        steps = [(np.zeros(0), np.zeros(0))] * len(tables) if pedals is None else pedals
        pedal_s = _pad([times for times, _ in steps], np.float64)
        pedal_value = _pad([values for _, values in steps], np.float32, repeat_last=True)
        return cls(**columns, valid=valid, pedal_s=pedal_s, pedal_value=pedal_value)

    @classmethod
    def from_scores(cls, scores: Sequence[Score]) -> NoteTensors:
        """Scores with their pedal curves as one padded batch."""
        return cls.from_tables(
            [score.notes for score in scores], [(score.pedal_s, score.pedal_value) for score in scores]
        )

    def to(self, device: torch.device | str) -> NoteTensors:
        """The same notes on another device."""
        return NoteTensors(**{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


_COLUMN_DTYPES = {
    "onset_s": np.float64, "offset_s": np.float64, "velocity": np.float32,
    "pitch": np.int64, "program": np.int64, "is_drum": np.bool_, "part": np.int64,
}  # fmt: skip


def _pad(columns: Sequence[np.ndarray], dtype: type, repeat_last: bool = False) -> Tensor:
    padded: np.ndarray = np.zeros((len(columns), max((len(column) for column in columns), default=0)), dtype)
    for row, column in zip(padded, columns, strict=True):
        row[: len(column)] = column
        if repeat_last and len(column):
            row[len(column) :] = column[-1]
    return torch.from_numpy(padded)


def count_frames(duration_s: float, frame_rate: tuple[int, int], multiple: int = 1) -> int:
    """Frames T_H that hold `duration_s` seconds, at least one `multiple`, padded up to a multiple of it (R1 R2)."""
    frames = math.ceil(round(duration_s * frame_rate[0] / frame_rate[1], 6))
    return max(1, -(-frames // multiple)) * multiple


def render_srm(
    notes: NoteTensors,
    start_frame: int,
    n_frames: int,
    frame_rate: tuple[int, int],
    *,
    named: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Soft piano roll S_sync [2.2.1] of the frames start_frame to start_frame + n_frames: [B, n_frames, D_in].

    frame_rate: frames a second as (numerator, denominator). named: [B, N] bool, True where a note shows which
    instrument plays it; a pitched note that is not named is in the union planes only (drums are always named). Default:
    all are. The planes are `SRMLayout`'s. Differentiable in onset, offset and velocity; no host synchronisation.
    """
    rate = frame_rate[0] / frame_rate[1]
    placed = _place(notes, rate, start_frame, named)
    grid = _Grid(notes.onset_s.shape[0], n_frames, notes.onset_s.device)
    srm = torch.empty(grid.batch, n_frames, LAYOUT.width, dtype=dtype, device=grid.device)
    onsets = _onset_planes(placed, grid)
    srm[..., LAYOUT.onsets] = onsets
    srm[..., LAYOUT.union_position] = _position_planes(placed, grid, onsets)
    covers = _cover_sums(placed, grid)
    srm[..., LAYOUT.covers] = covers
    srm[..., LAYOUT.activities] = covers[..., -_ACTIVITY_PLANES:].clamp(max=1.0)
    srm[..., LAYOUT.union_age] = _age_planes(placed, grid, covers[..., :N_PITCHES], rate)
    srm[..., LAYOUT.pedal] = _pedal_plane(notes, rate, start_frame, grid)
    return srm


def hide_families(srm: Tensor, hidden: Tensor, layout: SRMLayout = LAYOUT) -> Tensor:
    """The roll without the planes that name pitched instruments, in the items where `hidden` [B] is True."""
    erased = hidden[:, None, None] & layout.named_planes(srm.device)
    return srm.masked_fill(erased, 0.0)


@dataclass(frozen=True)
class _Placed:
    """Notes on the planes of a block, all [B, N].

    onset, offset: frame coordinates. strength: velocity / 127. pitched, named: which notes the union and the families
    show. row: pitch counted from 21. family_plane: row in the stack of union and families. colour: program, 128 + kit.
    """

    onset: Tensor
    offset: Tensor
    strength: Tensor
    pitched: Tensor
    named: Tensor
    row: Tensor
    family_plane: Tensor
    colour: Tensor


def _place(notes: NoteTensors, rate: float, start_frame: int, named: Tensor | None) -> _Placed:
    row = notes.pitch - LOWEST_PITCH
    seen = notes.valid & (row >= 0) & (row < N_PITCHES)
    row = row.clamp(0, N_PITCHES - 1)
    onset = notes.onset_s * rate - start_frame
    offset = torch.where(notes.is_drum, onset + DRUM_LENGTH_S * rate, notes.offset_s * rate - start_frame)
    group = torch.where(notes.is_drum, DRUMS, notes.program // 8)
    kit = torch.where(notes.program < 8 * len(DRUM_KITS), notes.program // 8, 0)
    return _Placed(
        onset=onset,
        offset=offset,
        strength=notes.velocity.float() / 127,
        pitched=seen & ~notes.is_drum,
        named=seen if named is None else seen & (named | notes.is_drum),
        row=row,
        family_plane=N_PITCHES * (1 + group) + row,
        colour=torch.where(notes.is_drum, N_PROGRAMS + kit, notes.program),
    )


@dataclass(frozen=True)
class _Grid:
    """The cells of a block of frames, as one flat axis for scattering."""

    batch: int
    n_frames: int
    device: torch.device

    def stack(self, n_planes: int, fill: float = 0.0) -> Tensor:
        return torch.full((self.batch * self.n_frames * n_planes,), fill, device=self.device)

    def shaped(self, flat: Tensor) -> Tensor:
        return flat.view(self.batch, self.n_frames, -1)

    def inside(self, frame: Tensor) -> Tensor:
        return (frame >= 0) & (frame < self.n_frames)

    def cells(self, frame: Tensor, plane: Tensor, alive: Tensor, n_planes: int) -> Tensor:
        """Flat index of (item, frame, plane), each [B, K]. What is not alive is spread out, lest it contend for one."""
        item = torch.arange(self.batch, device=self.device)[:, None]
        index = (item * self.n_frames + frame) * n_planes + plane
        n_cells = self.batch * self.n_frames * n_planes
        spread = torch.arange(index.numel(), device=self.device).view_as(index) % n_cells
        return torch.where(alive, index, spread).flatten()


def _splat(notes: _Placed) -> tuple[Tensor, Tensor, Tensor]:
    """Of each onset the two frames whose centres surround it, the kernel there, and onset minus centre: [B, 2N]."""
    before, fraction = _split(notes.onset - 0.5)
    strength = torch.cat([(1 - fraction) * notes.strength, fraction * notes.strength], 1)
    return torch.cat([before, before + 1], 1), strength, torch.cat([fraction, fraction - 1], 1)


def _onset_planes(notes: _Placed, grid: _Grid) -> Tensor:
    """Onsets of union and families: [B, T, 88 + 1496]."""
    frame, strength, _ = _splat(notes)
    inside = grid.inside(frame)
    alive = torch.cat([_twice(notes.pitched) & inside, _twice(notes.named) & inside], 1)
    plane = torch.cat([_twice(notes.row), _twice(notes.family_plane)], 1)
    cells = grid.cells(_twice(frame), plane, alive, _PITCH_PLANES)
    onsets = grid.stack(_PITCH_PLANES).scatter_reduce_(0, cells, (_twice(strength) * alive).flatten(), "amax")
    return grid.shaped(onsets)


def _position_planes(notes: _Placed, grid: _Grid, onsets: Tensor) -> Tensor:
    """Positions of the union's onsets, whose strengths are `onsets`: [B, T, 88]."""
    frame, strength, position = _splat(notes)
    inside = _twice(notes.pitched) & grid.inside(frame)
    union = grid.cells(frame, _twice(notes.row), inside, _PITCH_PLANES)
    largest = onsets.detach().flatten()[union].view_as(frame)
    wins = inside & (strength > 0) & (strength == largest)
    cells = grid.cells(frame, _twice(notes.row), wins, N_PITCHES)
    values = torch.where(wins, position, _NO_POSITION).flatten()
    positions = grid.stack(N_PITCHES, _NO_POSITION).scatter_reduce_(0, cells, values, "amax")
    return grid.shaped(torch.where(positions > _NO_POSITION, positions, 0.0))


def _cover_sums(notes: _Placed, grid: _Grid) -> Tensor:
    """Cover of union and families, and summed activity of programs and kits: [B, T, 88 + 1496 + 128 + 7]."""
    strength = _quantised(notes.strength)
    height = torch.cat([strength, strength, torch.ones_like(strength)], 1)
    alive = torch.cat([notes.pitched, notes.named, notes.named], 1)
    plane = torch.cat([notes.row, notes.family_plane, _PITCH_PLANES + notes.colour], 1)
    ends = torch.cat([notes.onset.repeat(1, 3), notes.offset.repeat(1, 3)], 1)
    heights = torch.cat([height, -height], 1)
    return _running_sum(ends, heights, _twice(alive), _twice(plane), _PITCH_PLANES + _ACTIVITY_PLANES, grid)


def _age_planes(notes: _Placed, grid: _Grid, sustain: Tensor, rate: float) -> Tensor:
    """log(1 + age in seconds) of the last strike of each union pitch, where `sustain` [B, T, 88] sounds."""
    frame = notes.onset.floor().clamp(min=0).long()
    alive = notes.pitched & grid.inside(frame)
    cells = grid.cells(frame, notes.row, alive, N_PITCHES)
    onset = torch.where(alive, notes.onset, _LONG_AGO).float().flatten()
    strikes = grid.shaped(grid.stack(N_PITCHES, _LONG_AGO).scatter_reduce_(0, cells, onset, "amax"))
    centre = torch.arange(grid.n_frames, device=grid.device)[:, None] + 0.5
    age_s = (centre - strikes.cummax(1).values).clamp(min=0) / rate
    return torch.where(sustain > 0, age_s.log1p(), 0.0)


def _pedal_plane(notes: NoteTensors, rate: float, start_frame: int, grid: _Grid) -> Tensor:
    """Mean pedal value of each frame: [B, T, 1]."""
    value = _quantised(notes.pedal_value.float())
    change = torch.diff(value, dim=1, prepend=torch.zeros_like(value[:, :1]))
    moves, plane = change != 0, torch.zeros_like(change, dtype=torch.int64)
    return _running_sum(notes.pedal_s * rate - start_frame, change, moves, plane, 1, grid)


def _running_sum(x: Tensor, height: Tensor, alive: Tensor, plane: Tensor, n_planes: int, grid: _Grid) -> Tensor:
    """Mean over each frame of the sum of steps of `height` at coordinate `x`, all [B, K]: [B, T, n_planes]."""
    frame, fraction = _split(x.clamp(0, grid.n_frames))
    late = _quantised(fraction * height)
    frames, heights = torch.cat([frame, frame + 1], 1), torch.cat([height - late, late], 1)
    lands = _twice(alive) & grid.inside(frames)
    cells = grid.cells(frames, _twice(plane), lands, n_planes)
    changes = grid.stack(n_planes).scatter_add_(0, cells, (heights * lands).flatten())
    return grid.shaped(changes).cumsum_(1)


def _split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Whole part (int64) and fraction (float32) of coordinates."""
    whole = x.floor()
    return whole.long(), (x - whole).float()


def _quantised(x: Tensor) -> Tensor:
    """x at the nearest multiple of 2**-16, with the gradient of x."""
    return x + ((x / _QUANTUM).round() * _QUANTUM - x).detach()


def _twice(x: Tensor) -> Tensor:
    return torch.cat([x, x], 1)
