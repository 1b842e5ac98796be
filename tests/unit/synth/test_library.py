"""The FluidSynth library is found, or its absence is said in one line."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest

from hsmad_cli.errors import ConfigError
from hsmad_cli.synth.library import load_fluidsynth


def test_the_library_loads_and_offers_what_pyfluidsynth_leaves_out() -> None:
    assert callable(load_fluidsynth().fluid_synth_write_float)


SYSTEM_LIBRARY = """
import ctypes.util
from hsmad_cli.evaluation.transcriber import _import_judge as import_judge
from hsmad_cli.synth.library import bundled_library, load_fluidsynth
ctypes.util.find_library = lambda name: bundled_library()
"""


@pytest.mark.parametrize(
    "first", ["load_fluidsynth()", "import hsmad_cli.files.midi", "import_judge('transkun.Data', '')"]
)
def test_nothing_is_printed_where_ci_is_set(first: str) -> None:
    """pyfluidsynth prints there where it found its library; pipes carry nothing but data."""
    program = [sys.executable, "-c", SYSTEM_LIBRARY + first]
    loaded = subprocess.run(program, env={**os.environ, "CI": "1"}, capture_output=True)
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, b"", b"")


def test_without_a_library_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "fluidsynth":
            raise ImportError("Couldn't find the FluidSynth library.")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match="FluidSynth cannot be loaded") as caught:
        load_fluidsynth.__wrapped__()
    assert "pygame-ce" in str(caught.value.hint)
