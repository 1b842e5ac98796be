"""hsmad caption: what a score says of itself, the prompt of `sample` without --style."""

from __future__ import annotations

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import Source, for_each, named
from hsmad_cli.errors import InputError


def caption(
    inputs: options.Inputs,
    max_minutes: options.MaxMinutes = 60,
    as_json: options.Json = False,
) -> None:
    """Say in words what a score plays: the prompt that sample takes without --style.

    One line for each input, which is MIDI, or the npz of render-srm or encode; several are named: NAME<TAB>CAPTION.
    """
    console = Console("caption", as_json)

    def work(source: Source) -> None:
        try:
            text = _caption_of(source, max_minutes)
        except InputError as error:
            raise named(error, source.name) from error
        console.report({"input": source.name, "caption": text})
        if not as_json:
            print(text if len(inputs) == 1 else f"{source.name}\t{text}", flush=True)

    for_each(console, [Source(argument) for argument in inputs], work)


def _caption_of(source: Source, max_minutes: float) -> str:
    from hsmad_cli.commands.scores import ZIP_MAGIC
    from hsmad_cli.files.midi import read_midi
    from hsmad_cli.files.npz import npz_meta
    from hsmad_cli.symbolic.caption import caption as caption_of

    if source.head() == ZIP_MAGIC:
        return str(npz_meta(source.content()).get("caption", ""))
    return caption_of(read_midi(source.content(), 60 * max_minutes))
