"""hsmad transcribe-eval: does the audio play what the score says?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsmad_cli.commands import judging, options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Source
from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import InputError, UsageError, WeightsError

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.evaluation.evaluate import Evaluation, Piece
    from hsmad_cli.symbolic.notes import NoteTable


@dataclass(frozen=True)
class Question:
    """Files to compare: a rendering, its score, and perhaps a reference rendering."""

    audio: Source
    midi: Source
    reference: Source | None


@dataclass(frozen=True)
class Excerpt:
    """The part of the score that the audio plays."""

    start_s: float
    seconds: float | None

    @property
    def end_s(self) -> float:
        return float("inf") if self.seconds is None else self.start_s + self.seconds


def transcribe_eval(
    audio: Annotated[str | None, typer.Argument(metavar="[AUDIO]", help="The rendering to judge; - is stdin.")] = None,
    midi: Annotated[str | None, typer.Argument(metavar="[MIDI]", help="The score it should play.")] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", metavar="AUDIO", help="Another rendering, judged as the ceiling.")
    ] = None,
    synth: Annotated[bool, typer.Option("--synth", help="Render the score with a soundfont as the reference.")] = False,
    soundfont: Annotated[Path | None, typer.Option("--soundfont", metavar="FILE", help="Soundfont of --synth.")] = None,
    codec: Annotated[bool, typer.Option(help="With a reference, judge codec(reference) too.")] = True,
    judge: judging.Judge = "auto",
    start: Annotated[float, typer.Option("--start", min=0, help="Second of the score at which the audio starts.")] = 0,
    seconds: Annotated[float | None, typer.Option("--seconds", min=0, help="Judge this much of the score.")] = None,
    pairs: Annotated[
        Path | None,
        typer.Option("--pairs", metavar="FILE", help='Many: JSON lines {"audio": .., "midi": .., "reference": ..}.'),
    ] = None,
    listed: Annotated[int, typer.Option("--list", min=0, help="Missed, extra and late notes to list at most.")] = 50,
    workers: judging.Workers = 1,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Transcribe audio and score the notes heard against the MIDI file: F1, timing, velocity, wrong notes.

    A score means little without its ceiling: give --reference or --synth, and the same judge also hears the reference
    and the reference through the codec. Prints a table, or with --json one JSON object (with --pairs one a line, the
    summary last).
    """
    from hsmad_cli.evaluation.evaluate import evaluate, evaluate_many

    console = Console("transcribe-eval", as_json, quiet, verbose)
    questions = _questions(audio, midi, reference, pairs)
    if synth and any(question.reference for question in questions):
        raise UsageError("--synth makes the reference, --reference names it", "use one of them")
    where = judging.judge_device(device)
    maker = PieceMaker(console, Excerpt(start, seconds), synth, soundfont, codec, device)
    if pairs is None:
        row = evaluate(maker.piece(questions[0]), judge, where, listed)
        console.report(row.to_json())
        if not as_json:
            _print_piece(row)
        return
    with console.progress("judging", len(questions)) as bar:

        def done(row: Evaluation) -> None:
            bar.update()
            console.report(row.to_json())

        pieces = (maker.piece(question) for question in questions)
        rows, summary = evaluate_many(pieces, judge, where, workers, done=done)
    console.report({"summary": summary})
    if not as_json:
        _print_many(rows, summary)


def _questions(audio: str | None, midi: str | None, reference: str | None, pairs: Path | None) -> list[Question]:
    if pairs is not None:
        if audio or midi or reference:
            raise UsageError("--pairs names all files", "leave AUDIO, MIDI and --reference out")
        return list(_read_pairs(pairs))
    if audio is None or midi is None:
        raise UsageError("AUDIO and MIDI are needed", "hsmad transcribe-eval song.wav song.mid")
    if [audio, midi, reference].count("-") > 1:
        raise UsageError("stdin (-) is named twice")
    return [Question(Source(audio), Source(midi), Source(reference) if reference else None)]


def _read_pairs(path: Path) -> Iterator[Question]:
    from json import JSONDecodeError, loads

    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if not lines:
        raise InputError(f"{path}: no pairs")
    for number, line in enumerate(lines, 1):
        try:
            row = loads(line)
            files = [str(path.parent / row[key]) if row.get(key) else None for key in ("audio", "midi", "reference")]
        except (JSONDecodeError, AttributeError, TypeError) as error:
            raise InputError(f"{path}: line {number}: {error}") from error
        audio, midi, reference = files
        if audio is None or midi is None:
            raise InputError(f'{path}: line {number}: needs "audio" and "midi"')
        yield Question(Source(audio), Source(midi), Source(reference) if reference else None)


class PieceMaker:
    """Reads the files of a question, makes its reference and its codec(reference)."""

    def __init__(
        self, console: Console, excerpt: Excerpt, synth: bool, soundfont: Path | None, codec: bool, device: str
    ) -> None:
        from hsmad_cli.pipeline import choose_device

        self.console = console
        self.excerpt = excerpt
        self.device = choose_device(device)
        self.synthesizer = self._load_synthesizer(soundfont) if synth else None
        self.wants_codec = codec
        self.codec: Any = None

    def piece(self, question: Question) -> Piece:
        from hsmad_cli.evaluation.evaluate import Piece
        from hsmad_cli.files.audio import read_audio
        from hsmad_cli.files.midi import read_midi

        audio = read_audio(question.audio.content())
        notes = read_midi(question.midi.content()).notes
        reference = self._reference(question, notes, audio.shape[1] / SAMPLE_RATE)
        return Piece(
            name=question.audio.name,
            audio=self._cut(audio),
            notes=notes,
            reference=reference,
            codec=None if reference is None or not self.wants_codec else self._through_codec(reference),
            start_s=self.excerpt.start_s,
            end_s=self.excerpt.end_s,
        )

    def _reference(self, question: Question, notes: NoteTable, audio_s: float) -> np.ndarray | None:
        from hsmad_cli.files.audio import read_audio

        if question.reference is not None:
            return self._cut(read_audio(question.reference.content()))
        if self.synthesizer is None:
            return None
        start = round(self.excerpt.start_s * SAMPLE_RATE)
        rendering = self.synthesizer.render(notes, self.excerpt.start_s + audio_s)
        return self._cut(rendering[:, start:])

    def _cut(self, audio: np.ndarray) -> np.ndarray:
        return audio if self.excerpt.seconds is None else audio[:, : round(self.excerpt.seconds * SAMPLE_RATE)]

    def _through_codec(self, audio: np.ndarray) -> np.ndarray | None:
        from hsmad_cli.pipeline import Codec

        try:
            self.codec = self.codec or Codec.load(device=self.device)
        except WeightsError as error:
            self.console.warn(f"no ceiling for the codec: {error}")
            self.wants_codec = False
            return None
        return self.codec.decode(self.codec.encode(audio))[:, : audio.shape[1]]

    def _load_synthesizer(self, soundfont: Path | None) -> Any:
        from hsmad_cli.synth.engine import Synthesizer

        return Synthesizer(soundfont)


def _print_piece(row: Evaluation) -> None:
    from rich.console import Console as Rich
    from rich.table import Table

    table = Table(title=f"{row.name}, judged by {row.judge}", title_justify="left")
    table.add_column("")
    columns = {"generated": row.generated, **row.ceilings}
    for name in columns:
        table.add_column(name if name != "codec" else "codec(reference)", justify="right")
    for label, values in _table_rows(list(columns.values())).items():
        table.add_row(label, *values)
    Rich().print(table)


def _table_rows(scores: list[Any]) -> dict[str, list[str]]:
    return {
        "onset F1": [judging.number(s.onset.f1) for s in scores],
        "  precision": [judging.number(s.onset.precision) for s in scores],
        "  recall": [judging.number(s.onset.recall) for s in scores],
        "onset + offset F1": [judging.number(s.onset_offset.f1) for s in scores],
        "onset + velocity F1": [judging.number(s.onset_velocity and s.onset_velocity.f1) for s in scores],
        "velocity correlation": [judging.number(s.velocity_correlation) for s in scores],
        "timing error, mean, ms": [judging.number(s.timing.mean_absolute_ms, 1) for s in scores],
        "timing error, median, ms": [judging.number(s.timing.median_absolute_ms, 1) for s in scores],
        "bias, ms": [judging.number(s.timing.bias_ms, 1) for s in scores],
        "drift, ms a minute": [judging.number(s.timing_within_500_ms.drift_ms_per_minute, 1) for s in scores],
        "written / heard": [f"{s.n_reference} / {s.n_heard}" for s in scores],
        "missed / extra / late": [f"{s.n_missed} / {s.n_extra} / {s.n_late}" for s in scores],
    }


def _print_many(rows: list[Evaluation], summary: dict[str, Any]) -> None:
    from rich.console import Console as Rich
    from rich.table import Table

    table = Table()
    for heading in ("piece", "judge", "onset F1", "reference", "codec(reference)"):
        table.add_column(heading, justify="left" if heading in ("piece", "judge") else "right")
    for row in rows:
        ceilings = [row.ceilings[key].onset.f1 if key in row.ceilings else None for key in ("reference", "codec")]
        table.add_row(row.name, row.judge, judging.number(row.generated.onset.f1), *map(judging.number, ceilings))
    for judge, values in summary.items():
        ceilings = [values["versus"].get(key, {}).get("onset_f1") for key in ("reference", "codec")]
        means = [judging.number(interval and interval["value"]) for interval in (values["onset_f1"], *ceilings)]
        table.add_row(f"mean of {values['n']}", judge, *means, style="bold")
    Rich().print(table)
