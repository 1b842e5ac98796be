"""The FluidSynth library is found, or its absence is said in one line."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys

import pytest

from hsmad_cli.errors import HsmadError
from hsmad_cli.synth.library import load_fluidsynth


def test_the_library_loads_and_offers_what_pyfluidsynth_leaves_out() -> None:
    assert callable(load_fluidsynth().fluid_synth_write_float)


def test_loading_is_silent_where_ci_is_set() -> None:
    """pyfluidsynth prints the library's path there; a worker's log and a pipe of JSON stay clean."""
    program = "from hsmad_cli.synth.library import load_fluidsynth; load_fluidsynth()"
    loaded = subprocess.run([sys.executable, "-c", program], env={**os.environ, "CI": "1"}, capture_output=True)
    assert (loaded.returncode, loaded.stdout, loaded.stderr) == (0, b"", b"")


def test_without_a_library_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "fluidsynth":
            raise ImportError("Couldn't find the FluidSynth library.")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(HsmadError, match="FluidSynth cannot be loaded") as caught:
        load_fluidsynth.__wrapped__()
    assert "pygame-ce" in str(caught.value.hint)
