"""hsmad check-dataset: whether the clips of a bank or of shards sound as their notes and captions say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.errors import InputError

LISTENED_S, PICTURE_WIDTH, JPEG_QUALITY = 20, 1200, 60

if TYPE_CHECKING:
    import numpy as np

    from hsmad_cli.datasets.checks import Bar, ClipCheck, HeardClip
    from hsmad_cli.evaluation.listening_sheet import SheetItem


def check_dataset(
    folder: Annotated[Path, typer.Argument(metavar="BANK|SHARDS|PACK", help="What `hsmad dataset` made.")],
    n_clips: Annotated[int, typer.Option("--clips", min=1, help="Clips to check, drawn at random.")] = 200,
    listen: Annotated[
        Path | None,
        typer.Option("--listen", metavar="PAGE", help="Also write an HTML page to look and listen (20 s a clip)."),
    ] = None,
    listened: Annotated[int, typer.Option("--listen-clips", min=1, help="Clips on that page.")] = 24,
    annotations: Annotated[
        bool,
        typer.Option("--annotations", help="FOLDER is a MIDI pack or manifest: its annotations against its notes."),
    ] = False,
    seed: options.Seed = 0,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Check clips against their notes and captions: onsets, clipping, silence, instruments.

    Prints a table, or with --json one JSON object. Exit code 3 if a bar is missed.
    """
    from hsmad_cli.datasets.checks import bars, check_clip, drawn, heard_clip, open_clips
    from hsmad_cli.files.publish import check_absent, write_output

    console = Console("check-dataset", as_json, quiet)
    if annotations:
        _check_annotations(console, folder, n_clips, seed)
        return
    if listen is not None:
        check_absent(listen, force)
    clips = open_clips(folder)
    chosen = drawn(len(clips), n_clips, seed)
    with console.progress("checking", len(chosen)) as bar:
        checks = []
        for index in chosen:
            checks.append(check_clip(heard_clip(clips, index)))
            bar.update()
    if listen is not None:
        from hsmad_cli.evaluation.listening_sheet import listening_sheet

        shown = drawn(len(clips), min(listened, n_clips), seed)
        items = (_sheet_item(heard_clip(clips, index)) for index in shown)
        write_output(str(listen), listening_sheet(folder.name, items).encode(), force)
    found = bars(checks)
    console.report(_report(checks, found))
    if not as_json:
        _print(checks, found)
    missed = [f"{each.name}: {each.value:.3g}" for each in found if not each.is_met]
    if missed:
        raise InputError(f"{folder}: {len(missed)} of {len(found)} bars missed: {'; '.join(missed)}")


def _check_annotations(console: Console, source: Path, n_songs: int, seed: int) -> None:
    """Of the annotated songs, `n_songs` at random: a line a folder of scores."""
    from hsmad_cli.datasets.annotations import by_collection
    from hsmad_cli.datasets.checks import drawn
    from hsmad_cli.datasets.manifest import read_manifest

    items = [item for item in read_manifest(source) if item.chords is not None]
    if not items:
        raise InputError(f"{source}: no score has a .chords.lab beside it", "name a pack whose chords are annotated")
    chosen = [items[index] for index in drawn(len(items), n_songs, seed)]
    with console.progress("checking", len(chosen)) as bar:
        found = by_collection(chosen, bar.update)
    console.report(found)
    if not console.as_json:
        for name, shares in found.items():
            figures = (f"{key} {'-' if value is None else f'{value:.4g}'}" for key, value in shares.items())
            print("\t".join([name, *figures]))


def _report(checks: list[ClipCheck], found: list[Bar]) -> dict[str, Any]:
    from dataclasses import asdict

    said = [
        {"clip": check.index, "caption": text, "name": name} for check in checks for text, name in check.false_names
    ]
    return {
        "clips": len(checks),
        "bars": [{**asdict(each), "met": each.is_met} for each in found],
        "clipped": [check.index for check in checks if check.clipped],
        "false_names": said,
    }


def _print(checks: list[ClipCheck], found: list[Bar]) -> None:
    print(f"{len(checks)} clips")
    for each in found:
        bound = f">= {each.least:g}" if each.least is not None else f"<= {each.most:g}"
        print(f"{'ok' if each.is_met else 'MISSED'}\t{each.name}\t{each.value:.4g}\t{bound}")
    for check in checks:
        for caption, name in check.false_names:
            print(f"\tclip {check.index}: no {name} in: {caption}")


def _sheet_item(clip: HeardClip) -> SheetItem:
    from hsmad_cli.evaluation.listening_sheet import SheetItem
    from hsmad_cli.evaluation.plots import Panel, plot_renderings

    audio = clip.audio[: LISTENED_S * clip.sample_rate]
    title = f"clip {clip.index}: {clip.recipe}"
    picture = plot_renderings([Panel("", audio.T / 32768)], clip.notes)
    return SheetItem(title, clip.captions, _jpeg(picture), _mp3(audio, clip.sample_rate))


def _jpeg(png: bytes) -> bytes:
    """A picture as wide as the page, so that its legend can be read; Pillow comes with matplotlib."""
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    picture = Image.open(BytesIO(png)).convert("RGB")
    picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _mp3(pcm: np.ndarray, sample_rate: int) -> bytes:
    """An MP3 file with int16 [samples, 2]."""
    from io import BytesIO

    import soundfile

    buffer = BytesIO()
    form = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT", "compression_level": 0.85}
    soundfile.write(buffer, pcm, sample_rate, **form)
    return buffer.getvalue()
