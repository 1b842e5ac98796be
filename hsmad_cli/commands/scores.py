"""What verbs read as a score: MIDI, a soft piano roll or features, told apart by content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Source
from hsmad_cli.errors import InputError

if TYPE_CHECKING:
    from hsmad_cli.config import Instruments
    from hsmad_cli.files.score_npz import ScoreRoll
    from hsmad_cli.pipeline import EncodedScore, Pipeline
    from hsmad_cli.symbolic.notes import Ledger

ZIP_MAGIC = b"PK\x03\x04"
MIDI_MAGIC = b"MThd"


def is_score(source: Source) -> bool:
    """Whether the input is MIDI or an npz, by its first bytes."""
    return source.head() in (MIDI_MAGIC, ZIP_MAGIC)


def read_roll(source: Source, frame_rate: tuple[int, int], max_minutes: float) -> ScoreRoll:
    """The roll of a MIDI file, rendered at `frame_rate`, or of an SRM npz as it is."""
    from hsmad_cli.files.midi import read_midi
    from hsmad_cli.files.score_npz import ScoreRoll, load_roll

    max_s = 60 * max_minutes
    if source.head() != ZIP_MAGIC:
        return ScoreRoll.of(read_midi(source.content(), max_s), frame_rate)
    roll = load_roll(source.content())
    if roll.duration_s > max_s:
        raise InputError(f"{roll.duration_s / 60:.3g} min, more than --max-minutes {max_minutes:g}")
    return roll


def read_encoded(
    source: Source,
    pipeline: Pipeline,
    max_minutes: float,
    instruments: Instruments | None = None,
    dynamics: float | None = None,
    usual: Instruments = "midi",
) -> EncodedScore:
    """The features of a MIDI file or an SRM npz, told who plays (None: as `usual`) and dynamics so much wider (None: as
    usual), or of a features npz, which were told when they were made. Raises InputError."""
    from hsmad_cli.config import DYNAMICS
    from hsmad_cli.files.npz import npz_meta
    from hsmad_cli.files.score_npz import load_features

    if source.head() == ZIP_MAGIC and npz_meta(source.content())["kind"] == "features":
        for name, given in (("instruments", instruments), ("dynamics", dynamics)):
            if given is not None:
                raise InputError(f"features hold their {name} already", f"give --{name} to `hsmad encode`")
        return pipeline.restore(load_features(source.content()))
    roll = read_roll(source, pipeline.codec.frame_rate, max_minutes)
    return pipeline.encode(roll, instruments or usual, DYNAMICS if dynamics is None else dynamics)


def report_ledger(console: Console, name: str, ledger: Ledger) -> None:
    """A line on stderr about the notes that were dropped, if any; with -v one about those that were repaired."""
    for what, counts, tell in (("dropped", ledger.dropped, console.say), ("repaired", ledger.repaired, console.detail)):
        if counts:
            reasons = ", ".join(f"{reason}: {n}" for reason, n in counts.items())
            tell(f"{name}: of {ledger.read} notes {sum(counts.values())} {what} ({reasons})")
