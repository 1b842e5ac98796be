"""hsmad style-benchmark: do sounds have the style, or the programs, that were asked for?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from hsmad_cli.commands import judging, options
from hsmad_cli.commands.benchmark import DEFAULT, SPLITS, guidance_grid, load_models
from hsmad_cli.commands.benchmark_report import Report, targets_of, write_report
from hsmad_cli.commands.benchmark_table import markdown_table
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.lists import names_of
from hsmad_cli.commands.references import load_synthesizer
from hsmad_cli.commands.style_table import COLUMNS
from hsmad_cli.config import DYNAMICS, Instruments
from hsmad_cli.errors import InputError, PartialError, UsageError, WeightsError

if TYPE_CHECKING:
    from hsmad_cli.datasets.recipes import Recipe

JUDGE = "basic-pitch"
Phrasing = Literal["trained", "held-out", "sentences"]


def style_benchmark(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="A MIDI pack or a manifest.")],
    soundfont: Annotated[Path, typer.Option("--soundfont", metavar="FILE", help="Renders the references.")],
    scorer: Annotated[
        str | None,
        typer.Option(
            "--scorer", metavar="NAME|FILE", help="A style checkpoint that names sounds, not that which plays."
        ),
    ] = None,
    styles: Annotated[
        str, typer.Option("--styles", metavar="N|LIST", help="So many different styles, or these by name.")
    ] = "20",
    scores: Annotated[int, typer.Option("--scores", min=1, help="Scores, each played in every style.")] = 5,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="Length of a clip.")] = 10.0,
    start: Annotated[float, typer.Option("--start", min=0, help="Second of a score at which its clip begins.")] = 20.0,
    split: options.Split = "unseen",
    phrasing: Annotated[
        Phrasing,
        typer.Option(
            "--phrasing",
            help="Words that training knows, words that it was never told, or known ones inside unheard sentences.",
        ),
    ] = "trained",
    shuffled: Annotated[bool, typer.Option("--shuffled", help="Ask for another style than is scored: chance.")] = False,
    families: Annotated[
        bool,
        typer.Option(
            "--families", help="Solo programs of the 16 GM families in place of styles, by the score's own caption."
        ),
    ] = False,
    fit_soundfont: Annotated[
        list[Path] | None,
        typer.Option("--fit-soundfont", metavar="FILE", help="To learn the families by (default: --soundfont)."),
    ] = None,
    fit_scores: Annotated[
        int, typer.Option("--fit-scores", min=2, help="Training scores to learn the families by.")
    ] = 40,
    wh: options.ScoreGuidances = None,
    ws: options.StyleGuidances = None,
    cfg: options.GuidanceModes = DEFAULT.guidance,
    steps: options.StepCounts = f"{DEFAULT.steps}",
    temperature: options.Temperatures = f"{DEFAULT.temperature:g}",
    rescale: options.Rescalings = f"{DEFAULT.rescale:g}",
    wa: options.AttentionGuidances = f"{DEFAULT.w_a:g}",
    dynamics: options.Dynamics = DYNAMICS,
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
    as_json: options.FiguresJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Make the tables of style: is what was asked for what is heard, and are the notes played as well?

    Unseen scores are orchestrated by the recipe of every style, rendered, and generated from the same notes and words
    alone (--instruments free). A scorer that nobody plays by names the style of each sound among all: top 1, top 5;
    without one the table says only how well the notes are played. With --families every score is played on one program
    of each GM family (--instruments midi, the score's own caption), and a classifier of the scorer's embeddings names
    the family, or without a scorer one of plain timbre, which has heard training scores, plain and through the codec.
    LIST is values with commas between.
    """
    from hsmad_cli.commands.style_sounds import FamilySchool, PromptedPlayers, StyleClips, family_clips
    from hsmad_cli.datasets.excerpts import Choice
    from hsmad_cli.datasets.manifest import read_manifest
    from hsmad_cli.datasets.style_choice import own_words
    from hsmad_cli.evaluation.benchmark import Benchmark
    from hsmad_cli.evaluation.style_benchmark import Ear, Listener, summarise_styles
    from hsmad_cli.evaluation.style_score import StyleScorer
    from hsmad_cli.evaluation.timbre import timbre
    from hsmad_cli.evaluation.transcriber import load_judge
    from hsmad_cli.evaluation.workers import Workers
    from hsmad_cli.files.checkpoint import file_sha256
    from hsmad_cli.files.hub import find_weights

    console = Console("style-benchmark", False, quiet, verbose)
    instruments: Instruments = "midi" if families else "free"
    settings = [] if codec_only else guidance_grid(instruments, wh, ws, cfg, steps, temperature, rescale, wa)
    names_of("--split", split, SPLITS)
    recipes = _recipes_of(styles)
    targets = targets_of(output, markdown, as_json)
    where = judging.judge_device(device)
    load_judge(JUDGE, where)
    load_synthesizer(soundfont)
    items = read_manifest(pack)
    judge_file = None if scorer is None else find_weights(scorer, "scorer")
    scoring = judge_file and StyleScorer.load(judge_file, where)
    model, pipeline = load_models(weights, codec, style_encoder, device, codec_only)
    if pipeline is not None and judge_file is not None:
        _check_independent(judge_file, weights)
    n_labels = 16 if families else len(recipes)
    choice = Choice(scores, seconds, start, split, seed)
    report = Report(console, scores * n_labels)
    if scorer is None and not families:
        console.warn("styles are not named, since no --scorer is given: the table is of notes only")
    about = {
        "labels": "families" if families else "styles", "weights": pipeline and pipeline.sha256,
        "codec": model.sha256, "scorer": judge_file and file_sha256(judge_file), "soundfont": soundfont.name,
        "instruments": instruments, "dynamics": dynamics, "phrasing": phrasing, "shuffled": shuffled, **asdict(choice),
        "min_reference_f1": min_reference_f1,
    }  # fmt: skip

    def write() -> None:
        unknown = pipeline.style.unknown_words if pipeline else lambda text: []
        table = summarise_styles(report.rows, n_labels, unknown, min_reference_f1)
        figures = report.figures("style-benchmark", about, table)
        write_report(console, figures, markdown_table(table, COLUMNS), targets, markdown)

    with Workers(workers) as pool:
        if families:
            learnt = Choice(fit_scores, seconds, start, "train", seed)
            school = FamilySchool(items, learnt, fit_soundfont or [soundfont], model, pool, report.failed)
            embed = scoring.embed_audio if scoring else timbre
            ear: Ear | None = Ear(embed, (school.by_family if scoring else school.by_program)(embed))
            chosen = family_clips(items, choice, report.failed)
        else:
            words = {recipe.name: own_words(recipe) for recipe in recipes}
            ear = Ear(scoring.embed_audio, scoring.classifier(words)) if scoring else None
            chosen = StyleClips(recipes, _phrases(recipes, phrasing), soundfont, shuffled).of(
                items, choice, report.failed
            )
        players = PromptedPlayers(pool, soundfont, model, pipeline, instruments, dynamics, seed)
        listener = Listener(ear)
        benchmark = Benchmark(players, settings, (JUDGE,), where)
        with report.kept_by(write):
            for row in benchmark.run(chosen, pool, report.done, report.failed, listener):
                report.rows.append(listener.with_verdict(row))
    if not report.rows:
        raise InputError(f"{pack}: no score of the split {split} suits these styles", "see --styles and --split")
    if report.failures:
        raise PartialError(f"{len(report.failures)} failed, {report.n_done} done")


def _recipes_of(argument: str) -> list[Recipe]:
    """The styles that --styles counts or names."""
    from hsmad_cli.datasets.recipes import recipes
    from hsmad_cli.datasets.style_choice import different_styles

    if argument.isdecimal():
        if not 2 <= int(argument) <= len(recipes()):
            raise UsageError(f"--styles: {argument} is not between 2 and {len(recipes())}")
        return different_styles(int(argument))
    by_name = {recipe.name: recipe for recipe in recipes()}
    return [by_name[name] for name in names_of("--styles", argument, tuple(by_name))]


def _phrases(recipes: list[Recipe], phrasing: Phrasing) -> dict[str, tuple[str, ...]]:
    """What each style is asked by."""
    import numpy as np

    from hsmad_cli.datasets.captions import held_out_phrases
    from hsmad_cli.datasets.sentences import sentence
    from hsmad_cli.datasets.style_choice import own_words

    if phrasing == "held-out":
        held_out = held_out_phrases()
        return {recipe.name: held_out[recipe.name] for recipe in recipes}
    asked = {recipe.name: own_words(recipe) for recipe in recipes}
    if phrasing == "trained":
        return asked
    generator = np.random.default_rng(0)
    return {name: tuple(sentence(word, generator, held_out=True) for word in words) for name, words in asked.items()}


def _check_independent(scorer: Path, weights: str | None) -> None:
    """Nobody is judged by the ears that he plays by."""
    from hsmad_cli.files.checkpoint import read_header, style_space
    from hsmad_cli.files.hub import find_weights

    if read_header(find_weights(weights, "denoiser")).get("style_sha256") == style_space(scorer):
        raise WeightsError(f"{scorer}: is the style encoder of these weights", "train another, with another --seed")
