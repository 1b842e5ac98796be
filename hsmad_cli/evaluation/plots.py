"""Listen by eye: the score as a piano roll over the spectrogram of a rendering, on one axis of semitones."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from hsmad_cli.errors import ConfigError
from hsmad_cli.symbolic.notes import GM_FAMILIES, LOWEST_PITCH, NoteTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SAMPLE_RATE = 44100
WINDOW = 8192
COLUMNS = 1600
TOP_PITCH = 127
STEPS_PER_SEMITONE = 3
DYNAMIC_RANGE_DB = 70


def semitone_spectrogram(audio: np.ndarray, n_columns: int = COLUMNS) -> np.ndarray:
    """Level in dB below the loudest cell, 0 to -70, [3 rows a semitone from pitch 21 to 127, n_columns].

    audio: [2, samples] at 44.1 kHz. Column centres are spread evenly over it; windows are 186 ms of both channels.
    """
    mono = np.pad(audio.mean(axis=0), WINDOW // 2)
    starts = np.linspace(0, audio.shape[1] - 1, n_columns).astype(int)
    window = np.hanning(WINDOW).astype(np.float32)
    spectrum = np.stack([np.abs(np.fft.rfft(mono[start : start + WINDOW] * window)) for start in starts], axis=1)
    pitch = np.arange(LOWEST_PITCH, TOP_PITCH, 1 / STEPS_PER_SEMITONE)
    bins = 440 * 2 ** ((pitch - 69) / 12) * WINDOW / SAMPLE_RATE
    low = bins.astype(int)
    share = (bins - low)[:, None]
    level = (1 - share) * spectrum[low] + share * spectrum[low + 1]
    return 20 * np.log10(np.maximum(level / max(level.max(), 1e-9), 10 ** (-DYNAMIC_RANGE_DB / 20)))


def plot_renderings(sounds: Sequence[tuple[str, np.ndarray]], notes: NoteTable, start_s: float = 0.0) -> bytes:
    """A PNG with one panel for each (name, sound [2, samples]); sounds begin at `start_s` of the score.

    Notes are outlined in the colour of their family, drums are ticks at the bottom.
    """
    figure = _figure(len(sounds))
    axes = figure.subplots(len(sounds), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, audio) in zip(axes, sounds, strict=True):
        end_s = start_s + audio.shape[1] / SAMPLE_RATE
        extent = (start_s, end_s, LOWEST_PITCH - 0.5 / STEPS_PER_SEMITONE, TOP_PITCH - 0.5 / STEPS_PER_SEMITONE)
        axis.imshow(semitone_spectrogram(audio), origin="lower", aspect="auto", cmap="magma", extent=extent)
        _draw_notes(axis, notes, start_s, end_s)
        axis.set(title=name, ylabel="pitch", xlim=(start_s, end_s), ylim=(LOWEST_PITCH, TOP_PITCH))
    axes[-1].set_xlabel("seconds")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _figure(n_panels: int) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise ConfigError("plots need matplotlib", "pip install 'hsmad[plot]'") from None
    return Figure(figsize=(16, 1 + 4 * n_panels), dpi=100, layout="constrained")


def _draw_notes(axis: Axes, notes: NoteTable, start_s: float, end_s: float) -> None:
    from matplotlib import colormaps
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Patch, Rectangle

    seen = notes.select((notes.onset_s < end_s) & (notes.offset_s > start_s))
    pitched, drums = seen.select(~seen.is_drum), seen.select(seen.is_drum)
    family = pitched.program // 8
    colours = colormaps["tab20"](np.arange(len(GM_FAMILIES)))
    boxes = [
        Rectangle((onset_s, pitch - 0.5), offset_s - onset_s, 1.0)
        for onset_s, offset_s, pitch in zip(pitched.onset_s, pitched.offset_s, pitched.pitch, strict=True)
    ]
    axis.add_collection(PatchCollection(boxes, facecolor="none", edgecolor=colours[family], linewidth=0.9))
    axis.vlines(drums.onset_s, LOWEST_PITCH, LOWEST_PITCH + 3, color="white", linewidth=0.8)
    legend = [
        Patch(edgecolor=colours[index], facecolor="none", label=GM_FAMILIES[index]) for index in np.unique(family)
    ]
    if legend:
        axis.legend(handles=legend, loc="upper right", fontsize="x-small")
