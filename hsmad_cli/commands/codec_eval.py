"""hsmad codec-eval: what is left of the notes, and of the sound, after a codec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsmad_cli.commands import judging, options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import sounds_in
from hsmad_cli.errors import InputError

if TYPE_CHECKING:
    from hsmad_cli.evaluation.codec_eval import CodecUnderTest, Recording
    from hsmad_cli.symbolic.notes import NoteTable

SAMPLE_RATE = 44100
LATENT_CODECS = ("vae", "encodec", "dac")
DEFAULT_CODECS = ["vae", "opus-64", "opus-128", "mp3-64", "mp3-128"]


def codec_eval(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="Folder of sounds and MIDI files of the same names, or a manifest.")
    ],
    codec: Annotated[
        list[str] | None,
        typer.Option("--codec", metavar="CODEC", help="vae, vae=WEIGHTS, encodec, dac, mp3-K or opus-K; repeatable."),
    ] = None,
    noise: Annotated[
        list[float] | None,
        typer.Option("--noise", metavar="SHARE", help="Also decode latents with this share of noise; repeatable."),
    ] = None,
    soundfont: Annotated[
        Path | None, typer.Option("--soundfont", metavar="FILE", help="Renders the scores that have no sound.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Use the first seconds of each piece.")] = 20.0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Use at most so many pieces of the test split.")] = 200,
    judge: judging.Judge = "auto",
    min_reference_f1: Annotated[
        float, typer.Option("--min-reference-f1", min=0, max=1, help="Leave out what the judge cannot hear anyway.")
    ] = 0.4,
    workers: judging.Workers = 1,
    device: options.Device = "auto",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Compare codecs by the notes, dynamics, timing and sound that they keep.

    Every piece is judged before and after each codec. Where scores are rendered, their drum parts are judged alone too.
    Prints a table, or with --json one JSON object for each codec.
    """
    from hsmad_cli.evaluation.codec_eval import evaluate_codec, hear_originals

    console = Console("codec-eval", as_json, quiet, verbose)
    where = judging.judge_device(device)
    codecs = [each for name in codec or DEFAULT_CODECS for each in _load_codecs(name, device, noise or [])]
    recordings = list(_recordings(data, soundfont, seconds, limit))
    console.detail(f"{len(recordings)} recordings, {len(codecs)} codecs")
    originals = hear_originals(recordings, judge, where, workers)
    rows = []
    with console.progress("judging", len(codecs) * len(recordings)) as bar:
        for each in codecs:
            rows.append(
                evaluate_codec(
                    each, recordings, originals, judge, where, workers, min_reference_f1, done=lambda _: bar.update()
                )
            )
            console.report(rows[-1])
    if not as_json:
        _print_table(rows)


def _load_codecs(argument: str, device: str, noise: list[float]) -> Iterator[CodecUnderTest]:
    """The codec of an argument of --codec, and the same with noise on its latents."""
    from hsmad_cli.evaluation.codec_eval import latent_codec, lossy_codec, with_noise
    from hsmad_cli.pipeline import Codec

    kind, _, weights = argument.partition("=")
    if kind not in LATENT_CODECS:
        yield lossy_codec(argument)
        return
    codec = latent_codec(argument, Codec.load(weights or None, device, kind))
    yield codec
    for share in noise:
        yield with_noise(codec, share)


def _recordings(data: Path, soundfont: Path | None, seconds: float, limit: int) -> Iterator[Recording]:
    for name, midi, sound in _files(data, limit):
        notes = _first_notes(midi, seconds)
        if len(notes):
            yield from _read(name, notes, sound, seconds) if sound else _render(name, notes, soundfont, seconds)


def _files(data: Path, limit: int) -> list[tuple[str, Path, Path | None]]:
    """(name, MIDI file, sound file or None) of a folder of sounds, or of the test items of a manifest."""
    from hsmad_cli.datasets.manifest import read_manifest

    sounds = sounds_in(data)
    pairs = [(sound.with_suffix(suffix), sound) for sound in sounds for suffix in (".mid", ".midi")]
    found: list[tuple[str, Path, Path | None]] = [
        (str(sound.relative_to(data)), midi, sound) for midi, sound in pairs if midi.is_file()
    ]
    if sounds and not found:
        raise InputError(f"{data}: {len(sounds)} sounds, none with a .mid of the same name")
    if not found:
        items = read_manifest(data)
        chosen = [item for item in items if item.split == "test"] or items
        found = [(item.id, Path(item.midi), Path(item.audio) if item.audio else None) for item in chosen]
    step = max(1, len(found) // limit)
    return found[::step][:limit]


def _first_notes(midi: Path, seconds: float) -> NoteTable:
    from hsmad_cli.files.midi import read_midi

    notes = read_midi(midi).notes
    return notes.select(notes.onset_s < seconds)


def _read(name: str, notes: NoteTable, sound: Path, seconds: float) -> Iterator[Recording]:
    from hsmad_cli.evaluation.codec_eval import Recording
    from hsmad_cli.files.audio import read_audio

    yield Recording(name, read_audio(sound)[:, : round(seconds * SAMPLE_RATE)], notes)


def _render(name: str, notes: NoteTable, soundfont: Path | None, seconds: float) -> Iterator[Recording]:
    """A rendering of the score, and one of its drums alone where both drums and pitches play."""
    from hsmad_cli.evaluation.codec_eval import Recording
    from hsmad_cli.synth.engine import Synthesizer

    synthesizer = Synthesizer(soundfont)
    yield Recording(name, synthesizer.render(notes, seconds), notes)
    drums = notes.select(notes.is_drum)
    if 0 < len(drums) < len(notes):
        yield replace(Recording(name, synthesizer.render(drums, seconds), drums), name=f"{name} (drums)")


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console as Rich
    from rich.table import Table

    table = Table()
    table.add_column("")
    for row in rows:
        table.add_column(row["codec"], justify="right")
    for label, values in _table_rows(rows).items():
        table.add_row(label, *values)
    Rich().print(table)


def _table_rows(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    judges = sorted({judge for row in rows for judge in row["notes"]})
    cells: dict[str, list[str]] = {}
    for judge in judges:
        versus = [row["notes"].get(judge, {}).get("versus", {}).get("reference", {}) for row in rows]
        cells[f"{judge}: onset F1 / original"] = [judging.interval(each.get("onset_f1_ratio")) for each in versus]
        if judge == "transkun":
            cells[f"{judge}: velocity r / original"] = [
                judging.interval(each.get("velocity_correlation_ratio")) for each in versus
            ]
        paired = [each.get("paired", {}) for each in versus]
        cells[f"{judge}: onset shift, ms"] = [judging.number(each.get("median_absolute_ms"), 2) for each in paired]
        cells[f"{judge}: 90 % below, ms"] = [judging.number(each.get("p90_absolute_ms"), 2) for each in paired]
    for label, key in (
        ("log-mel distance, dB", "log_mel_db"), ("STFT distance", "stft_distance"), ("SI-SDR, dB", "si_sdr_db"),
        ("stereo error", "stereo_error"), ("kbit/s", "kbit_per_s"), ("encode, x real time", "encode_speed"),
        ("decode, x real time", "decode_speed"),
    ):  # fmt: skip
        cells[label] = [judging.number(row[key], 3 if key == "stereo_error" else 2) for row in rows]
    return cells
