"""hsmad fad, clap-score, listen and plot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.evaluation import clap_score as clap_module
from hsmad_cli.files.audio import write_audio


def write_sounds(folder: str, seed: int, gain: float = 0.1) -> list[Path]:
    generator = np.random.default_rng(seed)
    paths = [Path(folder) / f"{name}.wav" for name in ("a", "b")]
    Path(folder).mkdir()
    for path in paths:
        write_audio(path, (gain * generator.standard_normal((2, 3 * 44100))).clip(-1, 1).astype(np.float32))
    return paths


def test_the_distance_of_sets_grows_with_their_difference(hsmad) -> None:
    write_sounds("ours", 0)
    write_sounds("theirs", 1)
    write_sounds("soft", 2, gain=0.01)
    near, far = (json.loads(hsmad("fad", "ours", other, "--json").out) for other in ("theirs", "soft"))
    assert near["embedding"] == "log-mel statistics"
    assert (near["dimensions"], near["n_generated"], near["n_reference"]) == (128, 6, 6)
    assert 0 <= near["distance"] < 1 < far["distance"]
    done = hsmad("fad", "ours", "theirs")
    assert "log-mel statistics" in done.out.decode()
    assert "biased" in done.err


def test_a_folder_without_sounds_is_bad_input(hsmad) -> None:
    Path("empty").mkdir()
    done = hsmad("fad", "empty", "empty")
    assert (done.code, "empty: no" in done.err) == (3, True)


def test_clap_scores_each_text_for_each_sound(hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loud:
        """A model whose vector is (loud, soft) and that knows these two words."""

        def __init__(self, folder, device):
            assert str(folder) == "model"

        def embed_audio(self, audio):
            return np.array([[1.0, 0.0] if np.abs(audio).mean() > 0.05 else [0.0, 1.0]])

        def embed_text(self, texts):
            return np.array([[text == "loud", text == "soft"] for text in texts], float)

    monkeypatch.setattr(clap_module, "Clap", Loud)
    loud = write_sounds("loud", 0, gain=0.2)[0]
    soft = write_sounds("soft", 0, gain=0.01)[0]
    done = hsmad("clap-score", loud, soft, "--text", "loud", "--text", "soft", "--model", "model", "--json")
    scores = [json.loads(line)["scores"] for line in done.out.splitlines()]
    assert scores == [{"loud": 1.0, "soft": 0.0}, {"loud": 0.0, "soft": 1.0}]
    partly = hsmad("clap-score", loud, "missing.wav", "--text", "loud", "--model", "model")
    assert partly.code == 8
    assert partly.out.decode() == f"{loud}\t1.0000\n"
    missing, hint, summary = partly.err.splitlines()
    assert missing == "hsmad clap-score: missing.wav: no such file"
    assert hint.startswith("  hint: looked for from")
    assert summary == "hsmad clap-score: 1 of 2 failed, 1 done"


def test_a_clap_model_that_is_not_there_is_a_weights_error(hsmad) -> None:
    pytest.importorskip("transformers")
    sound = write_sounds("sounds", 0)[0]
    done = hsmad("clap-score", sound, "--text", "jazz", "--model", "nowhere")
    assert done.code == 5
    assert "hint: hsmad weights pull clap" in done.err


def test_a_listening_test_from_clips_to_scores(hsmad) -> None:
    write_sounds("ours", 0)
    write_sounds("theirs", 1)
    done = hsmad("listen", "make", "ours=ours", "theirs=theirs", "--out-dir", "test", "--seed", 3, "--json")
    assert json.loads(done.out) == {"page": "test/index.html", "key": "test/key.json", "clips": 4}
    key = json.loads(Path("test/key.json").read_text())
    page = Path("test/index.html").read_text()
    for blind, hidden in key.items():
        source = Path(hidden["system"]) / f"{hidden['piece']}.wav"
        assert Path("test/clips", blind).read_bytes() == source.read_bytes()
        assert blind in page
    for number, low in enumerate((1, 2)):
        ratings = {blind: 5 if hidden["system"] == "ours" else low for blind, hidden in key.items()}
        Path(f"ratings{number}.json").write_text(json.dumps(ratings))
    scores = json.loads(hsmad("listen", "score", "test/key.json", "ratings0.json", "ratings1.json", "--json").out)
    assert {system: score["mos"] for system, score in scores.items()} == {"ours": 5.0, "theirs": 1.5}
    assert hsmad("listen", "make", "ours=ours", "--out-dir", "test").code == 6
    assert "ours\t5.00" in hsmad("listen", "score", "test/key.json", "ratings0.json").out.decode()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("make", "ours=ours"), 2, "needs --out-dir"),
        (("make", "ours", "--out-dir", "test"), 2, "expected SYSTEM=FOLDER"),
        (("make", "ours=nowhere", "--out-dir", "test"), 3, "0 clips"),
        (("score", "key.json"), 2, "at least one file of ratings"),
        (("score", "key.json", "ratings.json"), 3, "key.json"),
    ],
)
def test_a_listening_test_refuses(hsmad, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = hsmad("listen", *arguments)
    assert (done.code, message in done.err) == (code, True)


def test_a_score_is_drawn_over_its_renderings(hsmad, song: Path) -> None:
    pytest.importorskip("matplotlib")
    first, second = write_sounds("sounds", 0)
    done = hsmad("plot", song, first, second, "-o", "plot.png", "--start", 0.2, "--seconds", 1, "--json")
    assert json.loads(done.out) == {"output": "plot.png", "panels": 2}
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    assert hsmad("plot", song, first, "-o", "-").out.startswith(b"\x89PNG")
    assert hsmad("plot", song, first, "-o", "late.png", "--start", 9).code == 3
