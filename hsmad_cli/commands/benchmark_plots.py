"""The pictures of `hsmad benchmark --plot`: reference, codec and generated music of each clip, with what was heard."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from hsmad_cli.errors import OutputError

if TYPE_CHECKING:
    from hsmad_cli.config import SampleConfig
    from hsmad_cli.evaluation.benchmark import Hearing


def pictures_in(folder: Path | None) -> Callable[[Hearing], object]:
    """What draws a hearing into a PNG of this folder, which is made now; without a folder it does nothing."""
    if folder is None:
        return lambda hearing: None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot make the folder: {error.strerror}") from error
    return lambda hearing: _draw(folder / f"{_name(hearing)}.png", hearing)


def _knobs(setting: SampleConfig) -> tuple[str, ...]:
    """How a sound was generated, each setting a word."""
    guidance = (setting.guidance, f"wh{setting.w_h:g}", f"ws{setting.w_s:g}")
    return (*guidance, f"{setting.steps}", f"t{setting.temperature:g}", f"r{setting.rescale:g}", f"wa{setting.w_a:g}")


def _name(hearing: Hearing) -> str:
    """Set, clip, shift, judge and setting, as far as there are any, without what a file cannot be called.

    A hash of them keeps apart what would be called the same.
    """
    clip, setting = hearing.clip, hearing.setting
    knobs = _knobs(setting) if setting else ()
    words = re.sub(r"[^\w.+-]+", "_", "-".join(filter(None, (clip.kind, clip.name, clip.shift, hearing.judge, *knobs))))
    exact = repr((clip.kind, clip.name, clip.shift, hearing.judge, setting))
    return f"{words}-{sha256(exact.encode()).hexdigest()[:8]}"


def _draw(path: Path, hearing: Hearing) -> None:
    from hsmad_cli.evaluation.benchmark import truth_of
    from hsmad_cli.evaluation.note_scores import score_notes
    from hsmad_cli.evaluation.plots import Panel, plot_renderings
    from hsmad_cli.files.publish import write_bytes

    truth = truth_of(hearing.clip, hearing.judge, hearing.heard)
    panels = []
    for role, audio in hearing.sounds.items():
        f1 = score_notes(truth, hearing.heard[role], listed=0).onset.f1
        title = f"{hearing.clip.name}: {role}, onset F1 {f1:.3f} by {hearing.judge}"
        panels.append(Panel(title, audio, hearing.heard[role], truth))
    write_bytes(path, plot_renderings(panels, hearing.clip.score.notes))
