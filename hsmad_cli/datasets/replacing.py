"""Clips of a bank that give way to others while a training reads it: in place, so that no tensor moves or grows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hsmad_cli.datasets.memory import AUDIO, GROUP_OF, ClipBank, columns_of, counts_of
from hsmad_cli.datasets.sheets import Sheet


def with_room(bank: ClipBank) -> ClipBank:
    """The bank in a form whose clips can be replaced: each has room for as much as the fullest one holds.

    Raises ValueError unless all clips are equally long.
    """
    if np.ptp(bank.counts[AUDIO]):
        raise ValueError(f"clips of {bank.counts[AUDIO].min()} to {bank.counts[AUDIO].max()} samples")
    room = {group: int(count.max(initial=0)) for group, count in bank.counts.items()}
    counts = {group: count.copy() for group, count in bank.counts.items()}
    texts = bank.texts.select(range(len(bank)))
    spread = replace(bank, counts=counts, texts=texts, room=room, first={}, count={}, _ends={})
    columns = {name: _spread(column, name, bank, spread) for name, column in bank.columns.items()}
    return replace(spread, columns=columns)


def _spread(column: Tensor, name: str, bank: ClipBank, spread: ClipBank) -> Tensor:
    """A column with each clip where it begins in the bank with room; the column itself if no clip moves."""
    group = GROUP_OF.get(name, AUDIO)
    counts, room = bank.counts[group], spread.room[group]
    if (counts == room).all():
        return column
    within = np.arange(counts.sum()) - np.repeat(bank.starts(group), counts)
    place = torch.from_numpy(np.repeat(spread.starts(group), counts) + within)
    return column.new_zeros(len(bank) * room).index_copy(0, place, column)


def fits(bank: ClipBank, sheet: Sheet) -> bool:
    """Whether a clip is as long as those of the bank, and holds no more of anything than there is room for."""
    lengths = {group: int(length[0]) for group, length in counts_of([sheet]).items()}
    return lengths[AUDIO] == bank.room[AUDIO] and all(n <= bank.room[group] for group, n in lengths.items())


def put(bank: ClipBank, clip: int, sheet: Sheet, sound: Tensor) -> None:
    """Replace a clip of a bank with room by one that fits.

    sound: its audio, int16 [n, 2], or its latents [T_H, C] in a bank of latents. Nothing waits for the device.
    """
    kind = "latents" if "latents" in bank.columns else AUDIO
    bank.columns[kind][clip * len(sound) : (clip + 1) * len(sound)] = sound
    for name, values in columns_of([sheet]).items():
        start = clip * bank.room[GROUP_OF[name]]
        bank.columns[name][start : start + len(values)] = sent(values, bank.device)
    for group, (length,) in counts_of([sheet]).items():
        bank.counts[group][clip] = length
        bank.count[group][clip] = int(length)
    said = (list(sheet.captions), list(sheet.tags), sheet.item_id, sheet.recipe, sheet.soundfont)
    for texts, text in zip(vars(bank.texts).values(), said, strict=True):
        texts[clip] = text


def sent(values: np.ndarray, device: torch.device) -> Tensor:
    """An array on its way to a device, by way of pinned memory, so that neither waits for the other."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor
