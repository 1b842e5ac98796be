"""Finds the FluidSynth library and binds pyfluidsynth to it."""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import io
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from hsmad_cli.errors import ConfigError

_CURE = "install libfluidsynth3 (apt install libfluidsynth3, brew install fluid-synth) or: pip install pygame-ce"
_LOG_LEVELS = 5


def bundled_library() -> str | None:
    """Path of the FluidSynth that the pygame-ce wheel carries, found without importing pygame; None without it."""
    spec = find_spec("pygame")
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    for folder in (package.parent / "pygame_ce.libs", package / ".dylibs", package):
        for library in sorted(folder.glob("libfluidsynth*")):
            return str(library)
    return None


@functools.cache
def load_fluidsynth() -> ModuleType:
    """pyfluidsynth bound to the system's library, else to the one inside the pygame-ce wheel, its log silenced.

    Raises ConfigError with the cure if there is no library, or no pyfluidsynth.
    """
    try:
        # pyfluidsynth looks for its library while it is imported, and prints its path where CI is set.
        with _bundled_library_found(), contextlib.redirect_stdout(io.StringIO()):
            import fluidsynth
    except (ImportError, OSError) as error:
        raise ConfigError(f"FluidSynth cannot be loaded: {error}", _CURE) from error
    _declare(fluidsynth)
    for level in range(_LOG_LEVELS):
        fluidsynth.fluid_set_log_function(level, None, None)
    return fluidsynth


@contextlib.contextmanager
def _bundled_library_found() -> Iterator[None]:
    """`ctypes.util.find_library` finds the bundled library where the system has none."""
    find_library = ctypes.util.find_library
    ctypes.util.find_library = lambda name: find_library(name) or bundled_library()
    try:
        yield
    finally:
        ctypes.util.find_library = find_library


def _declare(fluidsynth: ModuleType) -> None:
    """Adds the C functions that pyfluidsynth leaves out: float output, a soundfont shared by synthesizers, the log."""
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    signatures = {
        "fluid_synth_write_float": (pointer, integer, pointer, integer, integer, pointer, integer, integer),
        "fluid_synth_add_sfont": (pointer, pointer),
        "fluid_synth_remove_sfont": (pointer, pointer),
        "fluid_sfont_get_preset": (pointer, integer, integer),
        "fluid_set_log_function": (integer, pointer, pointer),
    }
    results = {"fluid_sfont_get_preset": pointer, "fluid_set_log_function": pointer}
    for name, arguments in signatures.items():
        function = getattr(fluidsynth._fl, name)
        function.argtypes = arguments
        function.restype = results.get(name, integer)
        setattr(fluidsynth, name, function)
