"""hsmad musicgen: words, a score or a melody in, 44.1 kHz stereo out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny_musicgen import save_tiny_musicgen

from hsmad_cli.files.audio import read_audio, write_audio
from hsmad_cli.synth.soundfonts import packaged_soundfont

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_tiny_musicgen(folder / "musicgen-small")
    save_tiny_musicgen(folder / "musicgen-melody", melody=True)
    return folder


@pytest.fixture
def pulled(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: models / name)


@pytest.fixture
def tune(tmp_path: Path) -> Path:
    wave = 0.5 * np.sin(2 * np.pi * 220 * np.arange(22050) / 44100)
    write_audio(tmp_path / "tune.wav", np.stack([wave, wave]).astype(np.float32))
    return tmp_path / "tune.wav"


@pytest.mark.usefixtures("pulled")
def test_words_alone(hsmad) -> None:
    done = hsmad("musicgen", "--style", "jazz piano", "--seconds", 0.5, "-o", "a.wav", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    info = soundfile.info("a.wav")
    assert (info.samplerate, info.channels, info.frames) == (44100, 2, 22050)
    assert (report["style"], report["melody"], report["model"]) == ("jazz piano", None, "musicgen-small")
    assert report["settings"] == {"ws": 3.0, "top_k": 250}
    assert done.err == "a.wav\n"
    piped = hsmad("musicgen", "--style", "jazz piano", "--seconds", 0.5)
    assert piped.out == Path("a.wav").read_bytes()


@pytest.mark.usefixtures("pulled")
def test_a_score_gives_its_caption_and_its_length(hsmad, song: Path) -> None:
    done = hsmad("musicgen", song, "-o", "a.wav", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["style"] == hsmad("caption", song).out.decode().strip()
    assert report["seconds"] == pytest.approx(3.1, abs=0.01)
    assert report["ledger"]["read"] == 6
    hsmad("render-srm", song, "-o", "song.npz")
    short = hsmad("musicgen", "song.npz", "--seconds", 0.3, "-o", "b.wav", "--json")
    assert json.loads(short.out)["style"] == report["style"]
    assert soundfile.info("b.wav").frames == round(0.3 * 44100)


@pytest.mark.usefixtures("pulled")
def test_takes_differ_and_their_seeds_count_up(hsmad) -> None:
    arguments = ("musicgen", "--style", "jazz", "--seconds", 0.3, "-o")
    assert hsmad(*arguments, "a.wav", "--count", 2, "--seed", 7).code == 0
    assert hsmad(*arguments, "b.wav", "--seed", 8).code == 0
    assert Path("a-8.wav").read_bytes() == Path("b.wav").read_bytes() != Path("a-7.wav").read_bytes()


@pytest.mark.usefixtures("pulled")
def test_more_than_it_can_play_is_cut_and_said(hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.pipeline.musicgen.MAX_S", 0.4)
    done = hsmad("musicgen", "--style", "jazz", "--seconds", 61.5, "-o", "a.wav")
    assert done.code == 0
    assert done.err.splitlines()[0] == (
        "hsmad musicgen: musicgen: MusicGen plays at most 0.4 s, here the first of 61.5 s"
    )
    assert soundfile.info("a.wav").frames == round(0.4 * 44100)


@pytest.mark.usefixtures("pulled")
def test_a_sound_as_the_melody_gives_the_length_too(hsmad, tune: Path) -> None:
    done = hsmad("musicgen", "--melody", tune, "--style", "jazz", "-o", "a.wav", "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert (report["model"], report["melody"], report["seconds"]) == ("musicgen-melody", str(tune), 0.5)


@pytest.mark.usefixtures("pulled")
def test_a_melody_model_hears_the_score_as_synth_plays_it(hsmad, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = []

    def play(self: object, text: str, seconds: float, melody: np.ndarray, *_: object) -> np.ndarray:
        heard.append(melody)
        return np.zeros((2, 10), np.float32)

    monkeypatch.setattr("hsmad_cli.pipeline.musicgen.MusicGen.play", play)
    arguments = ("--soundfont", packaged_soundfont(), "--json", "-o")
    done = hsmad("musicgen", song, "--model", "musicgen-melody", *arguments, "a.wav")
    assert json.loads(done.out)["melody"] == str(song)
    assert hsmad("musicgen", "--melody", song, *arguments, "b.wav").code == 0
    hsmad("synth", song, *arguments, "c.wav")
    for melody in heard:
        np.testing.assert_allclose(melody, read_audio(Path("c.wav")), atol=1e-4)
    assert hsmad("musicgen", song, "--model", "musicgen-small", *arguments, "d.wav").code == 0
    assert [melody is None for melody in heard] == [False, False, True]


@pytest.mark.usefixtures("pulled")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "a score, --style or --melody is needed"),
        (("-", "--melody", "-"), 2, "stdin (-) is named twice"),
        (("--melody", "tune.wav", "--model", "musicgen-small"), 2, "musicgen-small follows no melody"),
        (("tune.wav",), 3, "tune.wav"),
        (("--melody", "nowhere.wav"), 3, "nowhere.wav: no such file"),
        (("--style", "jazz", "--model", "musicgen-huge"), 5, "musicgen-huge: no such MusicGen model"),
    ],
)
def test_it_refuses(hsmad, tune: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = hsmad("musicgen", *arguments, "-o", "a.wav")
    assert (done.code, message in done.err) == (code, True), done.err
    assert not Path("a.wav").exists()


def test_weights_that_were_not_pulled_are_named_with_their_cure(hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: None)
    done = hsmad("musicgen", "--style", "jazz", "-o", "a.wav")
    assert done.code == 5
    assert done.err == (
        "hsmad musicgen: the weights of musicgen-small are not in the local cache\n"
        "  hint: hsmad weights pull musicgen-small\n"
    )


def test_the_licence_of_the_weights_is_said(hsmad, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.files.hub.pulled", lambda name: None)
    assert "CC BY-NC 4.0" in hsmad("musicgen", "--help").out.decode()
    listed = hsmad("weights", "list").out.decode()
    assert all("(CC BY-NC 4.0)" in line for line in listed.splitlines() if line.startswith("musicgen"))
