"""Options that several verbs share, each spelt, described and checked in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hsmad_cli.config import DYNAMICS, default_wh, default_ws

MAX_STEPS = 1000

Inputs = Annotated[list[str], typer.Argument(metavar="INPUT", help="Input files; - is stdin.", show_default=False)]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", metavar="FILE", help="Output file, replaced if it exists; - is stdout."),
]
OutDir = Annotated[
    Path | None,
    typer.Option("--out-dir", metavar="FOLDER", help="Folder for the outputs of many inputs, named after them."),
]
Force = Annotated[bool, typer.Option("--force", help="Replace outputs that exist.")]
Json = Annotated[bool, typer.Option("--json", help="Report as one JSON object a file (stderr if stdout has data).")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say only what went wrong.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**63 - 1, help="Same seed, same bytes.")]
DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Device = Annotated[DeviceName, typer.Option("--device", help="Where to compute.")]
Weights = Annotated[
    str | None,
    typer.Option("--weights", metavar="NAME|FILE", help="Denoiser, by name or file; the rest is found by its sha256."),
]
Codec = Annotated[str | None, typer.Option("--weights", metavar="NAME|FILE", help="Codec, by name or file.")]
SoundFormat = Annotated[
    Literal["wav", "flac", "ogg"], typer.Option("--format", help="Format of outputs that -o does not name.")
]
Gain = Annotated[
    float, typer.Option("--gain", metavar="DB", min=-120, max=120, help="Louder or softer by so many decibels.")
]
_WIDER = "How much wider than written the velocities of pitched parts are told; 1 = as written."
Dynamics = Annotated[float, typer.Option("--dynamics", metavar="FACTOR", min=0, max=10, help=_WIDER)]
DynamicsOfScore = Annotated[
    float | None,
    typer.Option(
        "--dynamics", metavar="FACTOR", min=0, max=10, help=f"{_WIDER}  [default: {DYNAMICS:g}]", show_default=False
    ),
]
MaxMinutes = Annotated[float, typer.Option("--max-minutes", min=0, help="Refuse scores that are longer.")]

Split = Annotated[
    str,
    typer.Option(
        "--split", help="unseen (all but train; of tier B all but an official train), train, validation or test."
    ),
]
DEFAULT_WH = f"[default: {default_wh('midi'):g}; where words decide who plays {default_wh('free'):g}]"
DEFAULT_WS = f"[default: {default_ws('nested'):g}; with another --cfg {default_ws('additive'):g}]"
ScoreGuidances = Annotated[
    str | None,
    typer.Option("--wh", metavar="LIST", help=f"Guidance of the score.  {DEFAULT_WH}", show_default=False),
]
StyleGuidances = Annotated[
    str | None,
    typer.Option(
        "--ws",
        metavar="LIST",
        help=f"Guidance of the style; above --wh, of the outline only.  {DEFAULT_WS}",
        show_default=False,
    ),
]
GuidanceModes = Annotated[str, typer.Option("--cfg", metavar="LIST", help="How the two are combined.")]
Temperatures = Annotated[
    str, typer.Option("--temperature", metavar="LIST", help="What is kept of the noise halfway, 0 to 1.")
]
AttentionGuidances = Annotated[
    str, typer.Option("--wa", metavar="LIST", help="Guidance of the first layer's attention.")
]
Rescalings = Annotated[
    str, typer.Option("--rescale", metavar="LIST", help="How far guidance is kept from making it louder.")
]
StepCounts = Annotated[str, typer.Option("--steps", metavar="LIST", help="Steps of the sampler.")]
CodecOnly = Annotated[bool, typer.Option("--codec-only", help="Judge the codec and generate nothing.")]
LeastF1 = Annotated[
    float, typer.Option("--min-reference-f1", min=0, max=1, help="Leave out what the judge cannot hear anyway.")
]
CodecFile = Annotated[Path | None, typer.Option("--codec", metavar="FILE", help="Codec of the denoiser.")]
StyleEncoderFile = Annotated[
    Path | None, typer.Option("--style-encoder", metavar="FILE", help="Style encoder of the denoiser.")
]
JudgeProcesses = Annotated[int, typer.Option("--workers", min=1, help="Processes that render and judge.")]
Figures = Annotated[
    str | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="All figures as JSON; - is stdout, the default unless it is a terminal."
    ),
]
Markdown = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="The table as Markdown.")]
FiguresJson = Annotated[bool, typer.Option("--json", help="All figures as JSON on stdout.")]
