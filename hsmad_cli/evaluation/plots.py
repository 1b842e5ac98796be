"""Listen by eye: the score as a piano roll over the spectrogram of a rendering, on one axis of semitones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import ConfigError, extra
from hsmad_cli.evaluation.note_scores import HeardNotes, match
from hsmad_cli.symbolic.notes import GM_FAMILIES, LOWEST_PITCH, NoteTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 1600
TOP_PITCH = 111
STEPS_PER_SEMITONE = 3
DYNAMIC_RANGE_DB = 70
WINDOWS = ((LOWEST_PITCH, 8192), (72, 4096), (84, 2048))
FOUND, MISSED, EXTRA = "white", "red", "cyan"
SHORTEST_S = 0.03


@dataclass(frozen=True)
class Panel:
    """A sound, [2, samples] at 44.1 kHz, and its title; `heard`: what a judge hears in it, `written` what it should."""

    title: str
    audio: np.ndarray
    heard: HeardNotes | None = None
    written: HeardNotes | None = None


def semitone_spectrogram(audio: np.ndarray, n_columns: int = COLUMNS) -> np.ndarray:
    """Level in dB below the loudest cell, 0 to -70, [3 rows a semitone from pitch 21 to 111 (5 kHz), n_columns].

    audio: [2, samples] at 44.1 kHz, of which the mean is taken. Column centres are spread evenly over it. Windows are
    186 ms, above 523 Hz 93 ms and above 1 kHz 46 ms, so that neighbours are told apart and attacks stay sharp.
    """
    ends = [*(lowest for lowest, _ in WINDOWS[1:]), TOP_PITCH]
    bands = [
        _band(audio.mean(axis=0), np.arange(lowest, end, 1 / STEPS_PER_SEMITONE), window, n_columns)
        for (lowest, window), end in zip(WINDOWS, ends, strict=True)
    ]
    level = np.concatenate(bands)
    return 20 * np.log10(np.maximum(level / max(level.max(), 1e-9), 10 ** (-DYNAMIC_RANGE_DB / 20)))


def _band(mono: np.ndarray, pitch: np.ndarray, window: int, n_columns: int) -> np.ndarray:
    """Magnitude at each pitch [len(pitch), n_columns]; a steady tone has the same in every band."""
    starts = np.linspace(0, len(mono) - 1, n_columns).astype(int)
    padded = np.pad(mono, window // 2)
    shape = np.hanning(window).astype(np.float32) / window
    spectrum = np.stack([np.abs(np.fft.rfft(padded[start : start + window] * shape)) for start in starts], axis=1)
    bins = 440 * 2 ** ((pitch - 69) / 12) * window / SAMPLE_RATE
    low = bins.astype(int)
    share = (bins - low)[:, None]
    return (1 - share) * spectrum[low] + share * spectrum[low + 1]


def plot_renderings(panels: Sequence[Panel], notes: NoteTable, start_s: float = 0.0) -> bytes:
    """A PNG with the panels one above the other; sounds begin at `start_s` of the score.

    Notes are outlined in the colour of their family, or, where a judge has heard the sound: white if it found them, red
    if it missed them, and cyan what it heard besides. Drums are ticks at the bottom.
    """
    figure = _figure(len(panels))
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        end_s = start_s + panel.audio.shape[1] / SAMPLE_RATE
        extent = (start_s, end_s, LOWEST_PITCH - 0.5 / STEPS_PER_SEMITONE, TOP_PITCH - 0.5 / STEPS_PER_SEMITONE)
        axis.imshow(semitone_spectrogram(panel.audio), origin="lower", aspect="auto", cmap="magma", extent=extent)
        _draw_drums(axis, notes, start_s, end_s)
        if panel.heard is None or panel.written is None:
            _draw_notes(axis, notes, start_s, end_s)
        else:
            _draw_verdicts(axis, panel.written, panel.heard)
        axis.set(title=panel.title, ylabel="pitch", xlim=(start_s, end_s), ylim=(LOWEST_PITCH, TOP_PITCH))
    axes[-1].set_xlabel("seconds")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _figure(n_panels: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("plots need matplotlib", extra("plot")) from None
    return Figure(figsize=(16, 1 + 4 * n_panels), dpi=100, layout="constrained")


def _draw_drums(axis: Axes, notes: NoteTable, start_s: float, end_s: float) -> None:
    drums = notes.select(notes.is_drum & (notes.onset_s < end_s) & (notes.onset_s >= start_s))
    axis.vlines(drums.onset_s, LOWEST_PITCH, LOWEST_PITCH + 3, color="white", linewidth=0.8)


def _draw_notes(axis: Axes, notes: NoteTable, start_s: float, end_s: float) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Patch

    pitched = notes.select(~notes.is_drum & (notes.onset_s < end_s) & (notes.offset_s > start_s))
    family = pitched.program // 8
    colours = colormaps["tab20"](np.arange(len(GM_FAMILIES)))
    _outline(axis, pitched, colours[family])
    legend = [
        Patch(edgecolor=colours[index], facecolor="none", label=GM_FAMILIES[index]) for index in np.unique(family)
    ]
    if legend:
        axis.legend(handles=legend, loc="upper right", fontsize="x-small")


def _draw_verdicts(axis: Axes, written: HeardNotes, heard: HeardNotes) -> None:
    """The written notes that were found and that were missed, and the heard ones that nobody wrote."""
    pairs = match(written, heard)
    _outline(axis, written.select(pairs[:, 0]), FOUND)
    _outline(axis, written.select(np.setdiff1d(np.arange(len(written)), pairs[:, 0])), MISSED)
    _outline(axis, heard.select(np.setdiff1d(np.arange(len(heard)), pairs[:, 1])), EXTRA)


def _outline(axis: Axes, notes: NoteTable | HeardNotes, colour: str | np.ndarray) -> None:
    """A box around each note; onsets without pitch, those of drums, lie at the bottom."""
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    lengths_s = np.maximum(notes.offset_s - notes.onset_s, SHORTEST_S)
    pitches = np.maximum(notes.pitch, LOWEST_PITCH)
    boxes = [
        Rectangle((onset_s, pitch - 0.5), length_s, 1.0)
        for onset_s, length_s, pitch in zip(notes.onset_s, lengths_s, pitches, strict=True)
    ]
    axis.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=colour, linewidth=0.9))
