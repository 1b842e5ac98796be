"""hsmad listen: a blind listening test, and what its ratings say."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hsmad_cli.commands import options
from hsmad_cli.commands.console import Console
from hsmad_cli.commands.jobs import sounds_in
from hsmad_cli.errors import InputError, UsageError


def listen(
    action: Annotated[Literal["make", "score"], typer.Argument(metavar="ACTION", show_default=False)],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="make: SYSTEM=FOLDER ...; score: key.json ratings.json ..."),
    ],
    out_dir: options.OutDir = None,
    seed: options.Seed = 0,
    force: options.Force = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Make a blind listening test, or compute mean opinion scores from its ratings.

    make writes index.html and clips/ for the listeners and key.json, which they should not get, to --out-dir. score
    prints the mean rating of each system with its 95 % confidence interval.
    """
    console = Console("listen", as_json, quiet)
    if action == "make":
        if out_dir is None:
            raise UsageError("listen make needs --out-dir", "hsmad listen make ours=a other=b --out-dir test")
        _make(console, inputs, out_dir, seed, force)
    else:
        _score(console, inputs)


def _make(console: Console, inputs: list[str], out_dir: Path, seed: int, force: bool) -> None:
    from hsmad_cli.evaluation.listening import answer_key, blind_clips, page
    from hsmad_cli.files.publish import check_absent, write_bytes

    clips = blind_clips(dict(map(_system, inputs)), seed)
    (out_dir / "clips").mkdir(parents=True, exist_ok=True)
    check_absent(out_dir / "key.json", force)
    for clip in clips:
        write_bytes(out_dir / "clips" / clip.blind, clip.source.read_bytes())
    write_bytes(out_dir / "index.html", page(clips).encode())
    write_bytes(out_dir / "key.json", _json(answer_key(clips)).encode())
    console.say(f"{out_dir / 'index.html'}: {len(clips)} clips; keep key.json for yourself")
    console.report({"page": str(out_dir / "index.html"), "key": str(out_dir / "key.json"), "clips": len(clips)})


def _system(argument: str) -> tuple[str, list[Path]]:
    name, _, folder = argument.partition("=")
    if not name or not folder:
        raise UsageError(f"{argument}: expected SYSTEM=FOLDER")
    return name, sounds_in(Path(folder))


def _score(console: Console, inputs: list[str]) -> None:
    from hsmad_cli.evaluation.listening import opinion_scores

    if len(inputs) < 2:
        raise UsageError("listen score needs a key and at least one file of ratings")
    key, *listeners = (_read_json(path) for path in inputs)
    scores = opinion_scores(key, listeners)
    console.report({system: asdict(score) for system, score in scores.items()})
    if not console.as_json:
        for system, score in scores.items():
            interval = "" if score.low is None else f"  [{score.low:.2f}, {score.high:.2f}]"
            print(f"{system}\t{score.mos:.2f}{interval}\t{score.n} ratings")


def _read_json(path: str) -> dict[str, Any]:
    from json import JSONDecodeError, loads

    try:
        values = loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, JSONDecodeError) as error:
        raise InputError(f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object")
    return values


def _json(values: Any) -> str:
    from json import dumps

    return dumps(values, indent=1, ensure_ascii=False) + "\n"
