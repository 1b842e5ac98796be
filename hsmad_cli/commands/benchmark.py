"""hsmad benchmark: the tables of quality, for any weights."""

from __future__ import annotations

from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hsmad_cli.commands import judging, options
from hsmad_cli.commands.benchmark_report import Report, targets_of, write_report
from hsmad_cli.commands.benchmark_table import markdown_table
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.lists import counts_of, names_of, numbers_of
from hsmad_cli.commands.references import load_synthesizer
from hsmad_cli.config import DYNAMICS, GUIDANCES, Guidance, Instruments, SampleConfig, default_wh, default_ws
from hsmad_cli.errors import InputError, PartialError, UsageError

if TYPE_CHECKING:
    from hsmad_cli.pipeline import Codec, Pipeline

DEFAULT = SampleConfig()
SETS = ("piano", "ensembles", "bands", "drums")
JUDGES = ("auto", "basic-pitch", "transkun")
SPLITS = ("unseen", "train", "validation", "test")


def benchmark(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="A MIDI pack or a manifest.")],
    soundfont: Annotated[Path, typer.Option("--soundfont", metavar="FILE", help="Renders the references.")],
    sets: Annotated[str, typer.Option("--sets", metavar="LIST", help="Of piano, ensembles, bands, drums.")] = ",".join(
        SETS
    ),
    clips: Annotated[int, typer.Option("--clips", min=1, help="Clips of each set, at most.")] = 100,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Length of a clip.")] = 20.0,
    start: Annotated[float, typer.Option("--start", min=0, help="Second of a score at which its clip begins.")] = 20.0,
    whole: Annotated[bool, typer.Option("--whole", help="Whole scores in place of excerpts.")] = False,
    split: options.Split = "unseen",
    judge: Annotated[
        str, typer.Option("--judge", metavar="LIST", help="Of auto (Transkun for pianos), basic-pitch, transkun.")
    ] = "auto",
    wh: options.ScoreGuidances = None,
    ws: options.StyleGuidances = None,
    cfg: options.GuidanceModes = DEFAULT.guidance,
    steps: options.StepCounts = f"{DEFAULT.steps}",
    temperature: options.Temperatures = f"{DEFAULT.temperature:g}",
    rescale: options.Rescalings = f"{DEFAULT.rescale:g}",
    wa: options.AttentionGuidances = f"{DEFAULT.w_a:g}",
    instruments: Annotated[
        Instruments,
        typer.Option("--instruments", help="Who plays: midi, as the score says; free: the caption."),
    ] = "midi",
    dynamics: options.Dynamics = DYNAMICS,
    shift_semitones: Annotated[
        int, typer.Option("--shift-semitones", metavar="N", help="Also play every clip so much higher.")
    ] = 0,
    delay_ms: Annotated[
        float, typer.Option("--delay-ms", metavar="MS", min=0, help="Also play every clip so much later.")
    ] = 0.0,
    codec_only: options.CodecOnly = False,
    min_reference_f1: options.LeastF1 = 0.4,
    seed: options.Seed = 0,
    weights: options.Weights = None,
    codec: options.CodecFile = None,
    style_encoder: options.StyleEncoderFile = None,
    workers: options.JudgeProcesses = 1,
    device: options.Device = "auto",
    output: options.Figures = None,
    markdown: options.Markdown = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FOLDER", help="Pictures of what was played, heard, missed, and heard besides."),
    ] = None,
    as_json: options.FiguresJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make the tables of quality: how well unseen scores are played by a soundfont, the codec and the model.

    LIST is values with commas between; every combination of --wh, --ws, --wa, --cfg, --steps, --temperature and
    --rescale is a row. The same judges hear the reference, the reference through the codec, and what is generated. The
    table goes to stderr; all figures, those of every clip and those of the table with 95 % intervals, go to -o.
    """
    from hsmad_cli.commands.benchmark_plots import pictures_in
    from hsmad_cli.commands.benchmark_sounds import Players, Shift, clips_of
    from hsmad_cli.datasets.excerpts import Choice
    from hsmad_cli.datasets.manifest import read_manifest
    from hsmad_cli.evaluation.benchmark import Benchmark, summarise_clips
    from hsmad_cli.evaluation.workers import Workers

    console = Console("benchmark", False, quiet, verbose)
    settings = [] if codec_only else guidance_grid(instruments, wh, ws, cfg, steps, temperature, rescale, wa)
    judges = names_of("--judge", judge, JUDGES)
    names_of("--split", split, SPLITS)
    where = judging.judge_device(device)
    kinds = _audible_sets(console, names_of("--sets", sets, SETS), judges, where)
    choice = Choice(clips, None if whole else seconds, start, split, seed)
    shift = Shift(shift_semitones, delay_ms / 1000)
    report = Report(console, clips * sum(shift.n_forms(kind) for kind in kinds))
    targets, show = targets_of(output, markdown, as_json), pictures_in(plot)
    load_synthesizer(soundfont)
    items = read_manifest(pack)
    model, pipeline = load_models(weights, codec, style_encoder, device, codec_only)
    about = {
        "weights": pipeline and pipeline.sha256, "codec": model.sha256, "soundfont": soundfont.name,
        "instruments": instruments, "dynamics": dynamics, **asdict(choice), "min_reference_f1": min_reference_f1,
    }  # fmt: skip

    def write() -> None:
        figures = report.figures("benchmark", about, summarise_clips(report.rows, min_reference_f1))
        write_report(console, figures, markdown_table(figures["table"]), targets, markdown)

    with Workers(workers) as pool:
        players = Players(pool, soundfont, model, pipeline, instruments, dynamics, seed)
        chosen = clips_of(items, kinds, choice, shift, report.failed)
        with report.kept_by(write):
            for row in Benchmark(players, settings, judges, where).run(chosen, pool, report.done, report.failed, show):
                report.rows.append(row)
    if not report.rows:
        raise InputError(f"{pack}: no clip of {', '.join(kinds)} could be judged", "see --sets and --split")
    if report.failures:
        raise PartialError(f"{len(report.failures)} failed, {report.n_done} done")


def guidance_grid(
    instruments: Instruments,
    wh: str | None,
    ws: str | None,
    cfg: str,
    steps: str,
    temperature: str,
    rescale: str,
    wa: str,
) -> list[SampleConfig]:
    """Every combination of seven lists; wh None: the default where these play, ws None: that of each guidance."""
    scores = [default_wh(instruments)] if wh is None else numbers_of("--wh", wh)
    others = (
        counts_of("--steps", steps, options.MAX_STEPS),
        numbers_of("--temperature", temperature),
        numbers_of("--rescale", rescale),
        numbers_of("--wa", wa),
    )
    return [
        SampleConfig(w_h, w_s, mode, count, temperature=warmth, rescale=share, w_a=w_a)
        for mode in names_of("--cfg", cfg, GUIDANCES)
        for count, warmth, share, w_a, w_s, w_h in product(*others, _style_weights(ws, mode), scores)
    ]


def _style_weights(ws: str | None, guidance: Guidance) -> list[float]:
    """The values of --ws for one guidance; `joint`, which has no weight of the style, takes one."""
    weights = [default_ws(guidance)] if ws is None else numbers_of("--ws", ws)
    return weights[:1] if guidance == "joint" else weights


def _audible_sets(console: Console, kinds: list[str], judges: list[str], device: str) -> list[str]:
    """The sets that can be judged here: without librosa all but the drums; the other judges must be there."""
    from hsmad_cli.evaluation.transcriber import DRUM_JUDGE, load_judge

    pitched = [kind for kind in kinds if kind != "drums"]
    suited = {"transkun" if kind == "piano" else "basic-pitch" for kind in pitched}
    for name in sorted({each for judge in judges for each in (suited if judge == "auto" else {judge})}):
        if pitched:
            load_judge(name, device)
    if pitched == kinds:
        return kinds
    try:
        load_judge(DRUM_JUDGE)
    except UsageError as error:
        if not pitched:
            raise
        console.warn(f"no drums: {error}")
        return pitched
    return kinds


def load_models(
    weights: str | None, codec: Path | None, style_encoder: Path | None, device: str, codec_only: bool
) -> tuple[Codec, Pipeline | None]:
    """The codec and, unless it is alone, the pipeline that it is of."""
    from hsmad_cli.pipeline import Codec, Pipeline

    if codec_only and (codec is not None or weights is None):
        return Codec.load(codec, device), None
    pipeline = Pipeline.load(weights, device, codec, style_encoder)
    return pipeline.codec, None if codec_only else pipeline
