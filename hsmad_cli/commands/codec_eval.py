"""hsmad codec-eval: what is left of the notes, and of the sound, after a codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsmad_cli.commands import judging, options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import sounds_in
from hsmad_cli.commands.lists import names_of
from hsmad_cli.commands.references import render_reference
from hsmad_cli.config import SAMPLE_RATE
from hsmad_cli.errors import InputError

if TYPE_CHECKING:
    from hsmad_cli.evaluation.codec_eval import CodecUnderTest, Recording

SETS = ("piano", "ensembles", "bands", "drums")
LATENT_CODECS = ("vae", "encodec", "dac")
DEFAULT_CODECS = ["vae", "opus-64", "opus-128", "mp3-64", "mp3-128"]
DEFAULT_NOISE = [0.05, 0.1]
RECORDED = "recordings"
SOUND_ROWS = (
    ("log-mel distance, dB", "log_mel_db", 2),
    ("STFT distance", "stft_distance", 2),
    ("SI-SDR, dB", "si_sdr_db", 2),
    ("stereo error", "stereo_error", 3),
    ("energy / original below 1 kHz, dB", "energy_db_0", 1),
    ("1 to 2 kHz", "energy_db_1000", 1),
    ("2 to 4 kHz", "energy_db_2000", 1),
    ("4 to 8 kHz", "energy_db_4000", 1),
    ("8 to 16 kHz", "energy_db_8000", 1),
    ("error of magnitudes below 1 kHz, dB", "magnitude_db_0", 1),
    ("in 1 to 2 kHz", "magnitude_db_1000", 1),
    ("in 2 to 4 kHz", "magnitude_db_2000", 1),
    ("in 4 to 8 kHz", "magnitude_db_4000", 1),
    ("in 8 to 16 kHz", "magnitude_db_8000", 1),
    ("kbit/s", "kbit_per_s", 1),
    ("encode, x real time", "encode_speed", 1),
    ("decode, x real time", "decode_speed", 1),
)
LATENT_ROWS = (
    ("latent channels", "channels"),
    ("dead channels", "dead"),
    ("largest mean", "largest_mean"),
    ("smallest variance", "smallest_variance"),
    ("largest variance", "largest_variance"),
    ("median skewness", "median_skewness"),
    ("median excess kurtosis", "median_excess_kurtosis"),
    ("mean |correlation|", "mean_absolute_correlation"),
)


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
        typer.Option(
            "--noise",
            metavar="SHARE",
            help="Also decode latents with this share of noise; repeatable. Without --codec: 0.05 and 0.1.",
        ),
    ] = None,
    sets: Annotated[str, typer.Option("--sets", metavar="LIST", help="Of piano, ensembles, bands, drums.")] = ",".join(
        SETS
    ),
    soundfont: Annotated[
        Path | None, typer.Option("--soundfont", metavar="FILE", help="Renders the scores that have no sound.")
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Length of an excerpt.")] = 20.0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Use at most so many pieces (of each set).")] = 200,
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

    Every piece is judged before and after each codec. Of a manifest without sounds, the unseen excerpts of `hsmad
    benchmark` are rendered.
    Prints a table, or with --json one JSON object for each codec.
    """
    from hsmad_cli.evaluation.codec_eval import evaluate_codec, hear_originals
    from hsmad_cli.evaluation.workers import Workers

    console = Console("codec-eval", as_json, quiet, verbose)
    where = judging.judge_device(device)
    kinds = names_of("--sets", sets, SETS)
    shares = DEFAULT_NOISE if codec is None and noise is None else noise or []
    codecs = [each for name in codec or DEFAULT_CODECS for each in _load_codecs(name, device, shares)]
    recordings = list(_recordings(console, data, soundfont, kinds, seconds, limit))
    if not recordings:
        raise InputError(f"{data}: no piece of {', '.join(kinds)} can be played", "see --sets")
    console.detail(f"{len(recordings)} recordings, {len(codecs)} codecs")
    rows = []
    with Workers(workers) as pool, console.progress("judging", len(codecs) * len(recordings)) as bar:
        originals = list(hear_originals(recordings, judge, where, pool))
        for each in codecs:
            rows.append(evaluate_codec(each, originals, where, pool, min_reference_f1, done=bar.update))
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


def _recordings(
    console: Console, data: Path, soundfont: Path | None, kinds: Sequence[str], seconds: float, limit: int
) -> Iterator[Recording]:
    """Sounds beside their scores or, of a manifest without sounds, what `hsmad benchmark` renders."""
    from hsmad_cli.datasets.excerpts import Choice, excerpts
    from hsmad_cli.datasets.manifest import read_manifest
    from hsmad_cli.evaluation.benchmark import Clip
    from hsmad_cli.evaluation.codec_eval import Recording

    pairs = _sounds_with_scores(data)
    items = [] if pairs else read_manifest(data)
    pairs = pairs or [
        (item.id, Path(item.midi), Path(item.audio)) for item in items if item.audio and item.split == "test"
    ]
    for name, midi, sound in pairs[:: max(1, len(pairs) // limit)][:limit]:
        yield from _read(name, midi, sound, seconds)
    for kind in kinds if not pairs else ():
        for excerpt in excerpts(
            items, kind, Choice(limit, seconds), lambda name, error: console.warn(f"{name}: {error}")
        ):
            audio = render_reference(soundfont, excerpt.score.notes, seconds)
            yield Recording(Clip(excerpt.name, kind, excerpt.score, seconds), audio)


def _sounds_with_scores(data: Path) -> list[tuple[str, Path, Path]]:
    """(name, MIDI file, sound file) of a folder; empty for anything else."""
    sounds = sounds_in(data)
    found = [
        (str(sound.relative_to(data)), midi, sound)
        for sound in sounds
        for midi in (sound.with_suffix(".mid"), sound.with_suffix(".midi"))
        if midi.is_file()
    ]
    if sounds and not found:
        raise InputError(f"{data}: {len(sounds)} sounds, none with a .mid of the same name")
    return found


def _read(name: str, midi: Path, sound: Path, seconds: float) -> Iterator[Recording]:
    from hsmad_cli.datasets.excerpts import cut
    from hsmad_cli.evaluation.benchmark import Clip
    from hsmad_cli.evaluation.codec_eval import Recording
    from hsmad_cli.files.audio import read_audio
    from hsmad_cli.files.midi import read_midi

    excerpt = cut(name, read_midi(midi), 0.0, seconds)
    if len(excerpt.score.notes):
        audio = read_audio(sound)[:, : round(seconds * SAMPLE_RATE)]
        yield Recording(Clip(name, RECORDED, excerpt.score, seconds), audio)


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
    cells: dict[str, list[str]] = {}
    for same in zip(*(row["notes"] for row in rows), strict=True):
        cells |= _note_cells(f"{same[0]['set']}, {same[0]['judge']}", same)
    for label, key, decimals in SOUND_ROWS:
        cells[label] = [judging.number(row[key], decimals) for row in rows]
    for label, key in LATENT_ROWS:
        cells[label] = [judging.number(row["latent"] and row["latent"][key]) for row in rows]
    return cells


def _note_cells(heading: str, rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """What one judge hears in one set, by codec."""
    first = rows[0]
    original = judging.number(first["onset_f1"]["reference"] and first["onset_f1"]["reference"]["value"])
    cells = {
        f"{heading} ({first['n']} clips, {original}): onset F1 / original": [
            judging.interval(row["onset_f1_ratio"]["codec/reference"]) for row in rows
        ]
    }
    velocity = [row["velocity_correlation_ratio"]["codec/reference"] for row in rows]
    if any(velocity):
        cells[f"{heading}: velocity r / original"] = [judging.interval(each) for each in velocity]
    for label, key in (
        ("median onset shift, ms", "median_absolute_ms"),
        ("90 % of shifts below, ms", "p90_absolute_ms"),
    ):
        cells[f"{heading}: {label}"] = [judging.number(row["onset_shift"][key], 2) for row in rows]
    return cells
