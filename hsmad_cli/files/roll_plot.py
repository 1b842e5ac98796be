"""A picture of a soft piano roll."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np

from hsmad_cli.errors import ConfigError, extra
from hsmad_cli.files.publish import write_bytes
from hsmad_cli.files.score_npz import ScoreRoll
from hsmad_cli.symbolic.notes import HIGHEST_PITCH, LOWEST_PITCH
from hsmad_cli.symbolic.srm import DRUMS, LAYOUT

MAX_COLUMNS = 4000
PITCHES = HIGHEST_PITCH - LOWEST_PITCH + 1


def plot_roll(path: Path, roll: ScoreRoll) -> None:
    """Draw sustain and onsets of the pitched notes, and the strikes of the drums, as a PNG. Needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("--plot needs matplotlib", extra("plot")) from None
    first_drum = LAYOUT.family_onset.start + DRUMS * PITCHES
    planes = {
        "pitched notes": (LAYOUT.union_onset, LAYOUT.union_sustain),
        "drums": (slice(first_drum, first_drum + PITCHES),),
    }
    figure = Figure(figsize=(14, 8), layout="constrained")
    for axes, (title, groups) in zip(figure.subplots(2, 1, sharex=True), planes.items(), strict=True):
        image = np.maximum.reduce([_image(roll, where) for where in groups])
        extent = (0.0, roll.duration_s, LOWEST_PITCH - 0.5, HIGHEST_PITCH + 0.5)
        axes.imshow(image.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=0, vmax=1)
        axes.set(title=title, ylabel="MIDI pitch")
    figure.supxlabel("seconds")
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def _image(roll: ScoreRoll, where: slice) -> np.ndarray:
    """[columns, pitches]: the frames, the largest of neighbours where there are more than `MAX_COLUMNS`."""
    frames = np.concatenate([block[0, :, where].numpy() for block in roll.blocks()])
    stride = -(-len(frames) // MAX_COLUMNS)
    padded = np.pad(frames, ((0, -len(frames) % stride), (0, 0)))
    return padded.reshape(-1, stride, frames.shape[1]).max(1)
