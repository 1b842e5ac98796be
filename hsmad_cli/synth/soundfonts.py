"""Where soundfonts are found."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hsmad_cli.errors import InputError

FOLDERS = (
    "/usr/share/sounds/sf3",
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/share/fluidr3mono-gm-soundfont",
    "/usr/local/share/soundfonts",
    "/opt/homebrew/share/soundfonts",
)
PREFERRED = ("MuseScore_General", "FluidR3", "GeneralUser")
_MAGIC = b"sfbk"


def find_soundfont(named: str | Path | None = None) -> Path:
    """The named soundfont, else the best one installed, else the small one inside the pretty_midi package.

    Raises InputError if the named file is no soundfont, or if there is none at all.
    """
    if named is not None:
        return _checked(Path(named))
    installed = [path for folder in FOLDERS for path in sorted(Path(folder).glob("*.sf[23]"))]
    for prefix in PREFERRED:
        for path in installed:
            if path.name.startswith(prefix):
                return path
    fallback = installed[0] if installed else packaged_soundfont()
    if fallback is not None:
        return fallback
    raise InputError("no soundfont found", "name one with --soundfont FILE.sf2, or: pip install pretty_midi")


def packaged_soundfont() -> Path | None:
    """TimGM6mb.sf2 inside the pretty_midi package, which is not imported for it; None where it is not installed."""
    spec = find_spec("pretty_midi")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "TimGM6mb.sf2"
    return path if path.is_file() else None


def _checked(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            header = file.read(12)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    if header[:4] != b"RIFF" or header[8:12] != _MAGIC:
        raise InputError(f"{path}: not a soundfont (.sf2 or .sf3)")
    return path
