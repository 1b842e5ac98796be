"""A whole training set as flat tensors, on the GPU if there is room: crops and note windows, no loop, no sync."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.datasets.factory import Clip
from hsmad_cli.datasets.sheets import NOTE_DTYPES, Rates, Sheet, sheet_of
from hsmad_cli.errors import InputError
from hsmad_cli.files.publish import write_bytes
from hsmad_cli.symbolic.srm import DRUM_LENGTH_S, NoteTensors

VERSION = 1
TABLE = "bank.json"
AUDIO = "audio"
GROUP_OF = {
    AUDIO: AUDIO, **{f"note_{name}": "note" for name in NOTE_DTYPES}, "pedal_s": "pedal", "pedal_value": "pedal",
    "chord": "chord", "key": "key", "tempo": "tempo",
}  # fmt: skip


@dataclass(frozen=True)
class Texts:
    """What is said of each clip, and where it comes from: lists with one entry a clip."""

    captions: list[list[str]]
    tags: list[list[str]]
    item_ids: list[str]
    recipes: list[str]
    soundfonts: list[str]

    def select(self, index: Sequence[int]) -> Texts:
        return Texts(**{name: [values[i] for i in index] for name, values in vars(self).items()})


@dataclass(frozen=True)
class ClipBank:
    """Clips one after the other along flat axes.

    columns: "audio" int16 [samples, 2]; "note_onset_s", "note_offset_s" float32 (seconds from the clip's first sample),
    "note_pitch", ...; "pedal_s", "pedal_value"; "chord" int8 [T_M]; "key" int8 and "tempo" float32 (log bpm) [T_L];
    "latents" half [T_H, C] once they are set. counts: elements of each clip in each group, on the host. first, count:
    where each clip begins in each group and how many elements it has, int64 [n_clips], on the columns' device.
    room: elements that each clip has place for in each group, if clips can be replaced (`replacing`), else empty.
    """

    columns: dict[str, Tensor]
    counts: dict[str, np.ndarray]
    texts: Texts
    rates: Rates = field(default_factory=Rates)
    room: dict[str, int] = field(default_factory=dict)
    first: dict[str, Tensor] = field(default_factory=dict)
    count: dict[str, Tensor] = field(default_factory=dict)
    _ends: dict[tuple[int, int, int], Tensor] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.first:
            first = {group: torch.from_numpy(self.starts(group)) for group in self.counts}
            object.__setattr__(self, "first", first)
            object.__setattr__(self, "count", {group: torch.tensor(count) for group, count in self.counts.items()})

    def __len__(self) -> int:
        return len(self.counts[AUDIO])

    @property
    def device(self) -> torch.device:
        return self.columns[AUDIO].device

    @property
    def captions(self) -> list[list[str]]:
        return self.texts.captions

    @property
    def n_frames(self) -> np.ndarray:
        """Latent frames of each clip, on the host."""
        return self.counts[AUDIO] // self.rates.hop_length

    @property
    def seconds(self) -> float:
        return float(self.counts[AUDIO].sum()) / self.rates.sample_rate

    def to(self, device: torch.device | str) -> ClipBank:
        """The bank on another device."""
        columns = {name: column.to(device) for name, column in self.columns.items()}
        first, count = (
            {group: values.to(device) for group, values in tensors.items()} for tensors in (self.first, self.count)
        )
        return replace(self, columns=columns, first=first, count=count, _ends={})

    def with_latents(self, latents: Tensor) -> ClipBank:
        """The bank with latents [sum of n_frames, C] of all clips in order; raises ValueError on another length."""
        if len(latents) != self.n_frames.sum():
            raise ValueError(f"{len(latents)} latent frames for {self.n_frames.sum()} frames of audio")
        return replace(self, columns={**self.columns, "latents": latents})

    def draw(
        self, generator: torch.Generator, batch: int, length: int, step: int = 1, unit: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Random windows of `length`, all equally likely: clip_index [B] and start [B], a multiple of `step`.

        Lengths are counted in `unit` samples: 1 for audio, the hop length for latent frames. Raises ValueError if no
        clip is so long. The generator is on the bank's device.
        """
        ends = self._window_ends(length, step, unit)
        uniform = torch.rand(batch, generator=generator, device=self.device, dtype=torch.float64)
        place = (uniform * ends[-1]).long()
        clip_index = torch.searchsorted(ends, place, right=True)
        return clip_index, (place - ends[clip_index - 1] * (clip_index > 0)) * step

    def _window_ends(self, length: int, step: int, unit: int) -> Tensor:
        """Running count [n_clips] of the places where a window fits."""
        if (length, step, unit) not in self._ends:
            places = np.maximum((self.counts[AUDIO] // unit - length) // step + 1, 0)
            if not places.any():
                raise ValueError(f"no clip has {length * unit} samples; the longest has {self.counts[AUDIO].max()}")
            self._ends[length, step, unit] = torch.from_numpy(np.cumsum(places)).to(self.device)
        return self._ends[length, step, unit]

    def draw_frames(self, generator: torch.Generator, batch: int, n_frames: int) -> tuple[Tensor, Tensor]:
        """Random windows of latent frames: clip_index [B] and start_frame [B], a multiple of R1 R2."""
        return self.draw(generator, batch, n_frames, self.rates.multiple, self.rates.hop_length)

    def audio_at(self, clip_index: Tensor, start: Tensor, n_samples: int) -> Tensor:
        """Audio [B, 2, n_samples], float32 in -1..1, of windows that begin at sample `start` [B] of their clips."""
        audio = self.columns[AUDIO][self._index(AUDIO, clip_index, start, n_samples)]
        return audio.transpose(1, 2).float() / 32768

    def crop_audio(self, generator: torch.Generator, batch: int, n_samples: int) -> Tensor:
        """Random audio [B, 2, n_samples], float32 in -1..1."""
        return self.audio_at(*self.draw(generator, batch, n_samples), n_samples)

    def latents_at(self, clip_index: Tensor, start_frame: Tensor, n_frames: int) -> Tensor:
        """Latents [B, n_frames, C] of windows that begin at `start_frame` [B] of their clips."""
        first = self.first[AUDIO][clip_index] // self.rates.hop_length + start_frame
        return self.columns["latents"][first[:, None] + torch.arange(n_frames, device=self.device)]

    def targets(self, clip_index: Tensor, start_frame: Tensor, n_frames: int) -> dict[str, Tensor]:
        """Targets of windows at multiples of R1 R2: chord [B, n_frames / R1], key and tempo [B, n_frames / R1 R2]."""
        found = {}
        for name, level in (("chord", 1), ("key", 2), ("tempo", 2)):
            per = self.rates.frames_per(level)
            found[name] = self.columns[name][self._index(name, clip_index, start_frame // per, n_frames // per)]
        return {"chord": found["chord"].long(), "key": found["key"].long(), "tempo": found["tempo"]}

    def _index(self, group: str, clip_index: Tensor, start: Tensor, length: int) -> Tensor:
        first = self.first[group][clip_index] + start
        return first[:, None] + torch.arange(length, device=self.device)

    def window(self, clip_index: Tensor, start_frame: Tensor, n_frames: int, max_notes: int) -> NoteTensors:
        """The notes that touch windows of their clips, [B, max_notes], times from each window's beginning.

        Notes that begin or end within a frame outside are in it, since a soft onset reaches so far. start_frame may be
        negative and a window may reach beyond its clip: nothing sounds there. Of more than `max_notes` the first stay.
        """
        start_s = self._seconds(start_frame)[:, None]
        index, exists = self._all_of("note", clip_index)
        onset_s, offset_s = (self.columns[f"note_{name}"][index] - start_s for name in ("onset_s", "offset_s"))
        reach_s = torch.where(self.columns["note_is_drum"][index], onset_s + DRUM_LENGTH_S, offset_s).maximum(offset_s)
        frame_s = self.rates.hop_length / self.rates.sample_rate
        touches = exists & (onset_s < (n_frames + 1) * frame_s) & (reach_s > -frame_s)
        slot = touches.cumsum(1) - 1
        slot = torch.where(touches & (slot < max_notes), slot, max_notes)
        empty = torch.zeros(len(clip_index), max_notes + 1, dtype=torch.long, device=self.device)
        index = empty.scatter(1, slot, index)[:, :max_notes]
        valid = torch.arange(max_notes, device=self.device) < touches.sum(1, keepdim=True)
        return self._note_tensors(index, valid, start_s, clip_index)

    def _note_tensors(self, index: Tensor, valid: Tensor, start_s: Tensor, clip_index: Tensor) -> NoteTensors:
        note = {name: self.columns[f"note_{name}"][index] for name in NOTE_DTYPES}
        pedal, exists = self._all_of("pedal", clip_index)
        return NoteTensors(
            onset_s=torch.where(valid, (note["onset_s"] - start_s).float(), 0.0),
            offset_s=torch.where(valid, (note["offset_s"] - start_s).float(), 0.0),
            velocity=note["velocity"].float() * valid,
            pitch=note["pitch"].long(),
            program=note["program"].long(),
            is_drum=note["is_drum"] & valid,
            part=note["part"].long(),
            valid=valid,
            pedal_s=(self.columns["pedal_s"][pedal] - start_s).float(),
            pedal_value=torch.where(exists[:, :1], self.columns["pedal_value"][pedal], 0.0),
        )

    def _seconds(self, frame: Tensor) -> Tensor:
        return frame.double() * self.rates.hop_length / self.rates.sample_rate

    def _all_of(self, group: str, clip_index: Tensor) -> tuple[Tensor, Tensor]:
        """Indices [B, K] of everything a group holds of these clips, padded with the last, and which of them exist."""
        most = self.room.get(group, int(self.counts[group].max(initial=0)))
        total = len(self.columns[next(name for name in GROUP_OF if GROUP_OF[name] == group)])
        count = self.count[group][clip_index][:, None]
        k = torch.arange(most, device=self.device)
        index = self.first[group][clip_index][:, None] + k.minimum((count - 1).clamp(min=0))
        return index.clamp(max=max(total - 1, 0)), k < count

    def starts(self, group: str) -> np.ndarray:
        """Where each clip begins in a group, on the host."""
        count = self.counts[group]
        return np.arange(len(count)) * self.room[group] if self.room else np.cumsum(count) - count

    def most_notes(self, n_frames: int) -> int:
        """The most notes that touch any window of `n_frames` at a multiple of R1 R2: what `max_notes` must be."""
        names = ("note_onset_s", "note_offset_s", "note_is_drum")
        onset_s, offset_s, is_drum = (self.columns[name].cpu().numpy() for name in names)
        most = 1
        for begin, count, frames in zip(self.starts("note"), self.counts["note"], self.n_frames, strict=True):
            mine = slice(begin, begin + count)
            most = max(most, most_at_once(onset_s[mine], offset_s[mine], is_drum[mine], n_frames, frames, self.rates))
        return most

    def select(self, index: Sequence[int]) -> ClipBank:
        """A bank of some of the clips, in this order, on the host."""
        chosen = np.asarray(index, np.int64)
        columns = {}
        for name, column in self.columns.items():
            first, count = self._extent(name)
            rows = column.cpu().numpy()
            columns[name] = torch.from_numpy(np.concatenate([rows[first[i] : first[i] + count[i]] for i in chosen]))
        counts = {group: count[chosen] for group, count in self.counts.items()}
        return ClipBank(columns, counts, self.texts.select(chosen.tolist()), self.rates)

    def _extent(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        count = self.n_frames if name == "latents" else self.counts[GROUP_OF[name]]
        return self.starts(AUDIO) // self.rates.hop_length if name == "latents" else self.starts(GROUP_OF[name]), count

    @classmethod
    def from_clips(cls, clips: Iterable[Clip], rates: Rates | None = None) -> ClipBank:
        """A bank of clips that are in memory."""
        rates = rates or Rates()
        pairs = [(clip, sheet_of(clip, rates)) for clip in clips]
        audio = np.concatenate([clip.audio[:, : sheet.n_samples].T for clip, sheet in pairs])
        sheets = [sheet for _, sheet in pairs]
        columns = {AUDIO: audio, **columns_of(sheets)}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
        return cls(tensors, counts_of(sheets), texts_of(sheets), rates)

    def save(self, folder: Path) -> None:
        """Writes the bank as one .npy file a column, and bank.json last."""
        if self.room:
            self.select(range(len(self))).save(folder)
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name, column in self.columns.items():
            np.save(folder / f"{name}.npy", column.cpu().numpy(), allow_pickle=False)
        write_table(folder, self.counts, self.texts, self.rates)

    @classmethod
    def load(cls, folder: str | Path, rank: int = 0, world: int = 1) -> ClipBank:
        """The bank in a folder, mapped and not read; with several ranks, rank r holds clips r, r + world, ... of it.

        Raises InputError for a folder without a bank, or with one of another version.
        """
        folder = Path(folder)
        table = read_table(folder)
        names = [*GROUP_OF, *(["latents"] if (folder / "latents.npy").is_file() else [])]
        columns = {name: torch.from_numpy(np.load(folder / f"{name}.npy", mmap_mode="c")) for name in names}
        counts = {group: np.asarray(count, np.int64) for group, count in table["counts"].items()}
        rates = Rates(**{**table["rates"], "ratios": tuple(table["rates"]["ratios"])})
        bank = cls(columns, counts, Texts(**table["texts"]), rates)
        return bank if world == 1 else bank.select(range(rank, len(bank), world))


def most_at_once(
    onset_s: np.ndarray, offset_s: np.ndarray, is_drum: np.ndarray, n_frames: int, frames: int, rates: Rates
) -> int:
    """The most notes of a clip of `frames` that touch any window of `n_frames` at a multiple of R1 R2."""
    frame_s = rates.hop_length / rates.sample_rate
    reach_s = np.where(is_drum, np.maximum(offset_s, onset_s + DRUM_LENGTH_S), offset_s)
    starts_s = np.arange(-n_frames, frames + 1, rates.multiple) * frame_s
    begun = np.searchsorted(np.sort(onset_s), starts_s + (n_frames + 1) * frame_s + 1e-3)
    over = np.searchsorted(np.sort(reach_s), starts_s - frame_s - 1e-3)
    return int((begun - over).max())


def columns_of(sheets: Sequence[Sheet]) -> dict[str, np.ndarray]:
    """All columns of a bank but its audio."""
    columns = {f"note_{name}": np.concatenate([sheet.notes[name] for sheet in sheets]) for name in NOTE_DTYPES}
    for name in ("pedal_s", "pedal_value", "chord", "key", "tempo"):
        columns[name] = np.concatenate([getattr(sheet, name) for sheet in sheets])
    return columns


def counts_of(sheets: Sequence[Sheet]) -> dict[str, np.ndarray]:
    """Elements of each clip in each group."""
    lengths = {
        AUDIO: [sheet.n_samples for sheet in sheets],
        "note": [len(sheet.notes["pitch"]) for sheet in sheets],
        "pedal": [len(sheet.pedal_s) for sheet in sheets],
        "chord": [len(sheet.chord) for sheet in sheets],
        "key": [len(sheet.key) for sheet in sheets],
        "tempo": [len(sheet.tempo) for sheet in sheets],
    }
    return {group: np.array(length, np.int64) for group, length in lengths.items()}


def texts_of(sheets: Sequence[Sheet]) -> Texts:
    return Texts(
        captions=[list(sheet.captions) for sheet in sheets],
        tags=[list(sheet.tags) for sheet in sheets],
        item_ids=[sheet.item_id for sheet in sheets],
        recipes=[sheet.recipe for sheet in sheets],
        soundfonts=[sheet.soundfont for sheet in sheets],
    )


def write_table(
    folder: Path, counts: Mapping[str, np.ndarray], texts: Texts, rates: Rates, codec_sha256: str | None = None
) -> None:
    """bank.json: what is not an array. A folder is a bank once it is there. codec_sha256: of its latents' codec."""
    lists = {group: count.tolist() for group, count in counts.items()}
    table = {"version": VERSION, "counts": lists, "rates": asdict(rates), "texts": vars(texts)}
    if codec_sha256 is not None:
        table["codec_sha256"] = codec_sha256
    write_bytes(folder / TABLE, json.dumps(table, ensure_ascii=False).encode())


def read_table(folder: Path) -> dict:
    """bank.json as a dict; raises InputError."""
    try:
        table: dict = json.loads((folder / TABLE).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder}: not a clip bank ({TABLE}: {error.strerror})") from error
    except ValueError as error:
        raise InputError(f"{folder / TABLE}: not a clip bank: {error}") from error
    if table.get("version") != VERSION:
        raise InputError(f"{folder}: a clip bank of version {table.get('version')}, not {VERSION}", "build it anew")
    return table
