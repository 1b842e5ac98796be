"""hsmad sample: a score and a sentence in, music out."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hsmad_cli.config import DYNAMICS
from hsmad_cli.errors import NonFiniteError
from hsmad_cli.files.npz import load_npz, save_npz

FAST = ("--steps", 2)
DURATION = round(3.1 * 44100)


def test_a_song_becomes_a_sound_of_its_length_to_the_sample(hsmad, song: Path) -> None:
    done = hsmad("sample", song, "--style", "jazz", "--wh", 4, "-o", "song.wav", *FAST)
    assert (done.code, done.out) == (0, b"")
    assert done.err.splitlines()[-1] == "song.wav"
    info = soundfile.info("song.wav")
    assert (info.frames, info.channels, info.samplerate, info.subtype) == (DURATION, 2, 44100, "PCM_16")
    assert np.abs(soundfile.read("song.wav")[0]).max() > 0.001


def test_the_same_seed_gives_the_same_bytes_alone_or_among_others(hsmad, song: Path) -> None:
    other = Path("other.mid")
    other.write_bytes(song.read_bytes())
    assert hsmad("sample", song, "-o", "alone.wav", "--seed", 7, *FAST).code == 0
    assert hsmad("sample", other, song, "--out-dir", "both", "--seed", 7, *FAST).code == 0
    alone = Path("alone.wav").read_bytes()
    assert alone == Path("both/song.wav").read_bytes() == Path("both/other.wav").read_bytes()
    assert hsmad("sample", song, "-o", "another.wav", "--seed", 8, *FAST).code == 0
    assert alone != Path("another.wav").read_bytes()


def test_the_colder_the_farther_from_the_take_at_one(hsmad, song: Path) -> None:
    def played(temperature: float) -> np.ndarray:
        options = ("--temperature", temperature, "--gain", 0, "--force")
        assert hsmad("sample", song, "-o", "take.wav", *options, *FAST).code == 0
        return soundfile.read("take.wav")[0]

    warm = played(1)
    assert 0 < np.abs(played(0.9) - warm).max() < np.abs(played(0) - warm).max()


def test_count_gives_seeds_that_count_up(hsmad, song: Path) -> None:
    assert hsmad("sample", song, "-o", "take.flac", "--count", 2, "--seed", 4, *FAST).code == 0
    assert hsmad("sample", song, "-o", "five.flac", "--seed", 5, *FAST).code == 0
    assert sorted(path.name for path in Path().glob("*.flac")) == ["five.flac", "take-4.flac", "take-5.flac"]
    assert Path("take-5.flac").read_bytes() == Path("five.flac").read_bytes() != Path("take-4.flac").read_bytes()


def test_stdout_when_it_is_a_pipe(hsmad, song: Path) -> None:
    done = hsmad("sample", song, "--json", *FAST)
    assert soundfile.info(io.BytesIO(done.out)).frames == DURATION
    report = json.loads(done.err.splitlines()[-1])
    assert report["output"] == "-"
    assert soundfile.info(io.BytesIO(hsmad("sample", song, "--format", "flac", *FAST).out)).format == "FLAC"


def test_the_report(hsmad, song: Path, tiny_weights: Path) -> None:
    done = hsmad("sample", song, "--style", "Jazz zydeco", "-o", "song.wav", "--json", "--gain", 60, "--seed", 3, *FAST)
    report = json.loads(done.out)
    assert report["input"] == str(song)
    assert report["output"] == "song.wav"
    assert report["seconds"] == pytest.approx(3.1)
    assert report["seed"] == 3
    assert report["instruments"] == "free"
    assert report["unknown_words"] == ["zydeco"]
    assert report["ledger"] == {"read": 6, "rendered": 6, "repaired": {}, "dropped": {}}
    assert report["settings"]["w_h"] == 3.0
    pcm, _ = soundfile.read("song.wav", dtype="int16")
    assert 0 < report["clipped_samples"] <= np.count_nonzero(np.abs(pcm) == 32767)
    assert f"{report['clipped_samples']} of {pcm.size} samples clipped" in done.err
    assert "never saw: zydeco" in done.err
    index = json.loads((tiny_weights / "index.json").read_text())
    assert report["weights"] == next(row["sha256"] for row in index if row["kind"] == "denoiser")


def test_a_misspelt_word_is_told_once_before_sampling(hsmad, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise NonFiniteError("no music")

    monkeypatch.setattr("hsmad_cli.pipeline.Pipeline.sample", fail)
    lines = hsmad("sample", song, "--style", "jazz gitar zydeco", "-o", "a.wav", "--count", 2).err.splitlines()
    told = "hsmad sample: words the style encoder never saw: gitar (did you mean guitar?), zydeco"
    assert lines[0] == told
    assert lines.count(told) == 1


def test_without_style_the_caption_is_the_prompt_and_the_score_says_who_plays(hsmad, song: Path) -> None:
    report = json.loads(hsmad("sample", song, "-o", "a.wav", "--json", *FAST).out)
    assert report["instruments"] == "midi"
    assert "piano" in report["style"]
    hsmad("sample", song, "--style", report["style"], "--instruments", "midi", "-o", "b.wav", *FAST)
    assert Path("a.wav").read_bytes() == Path("b.wav").read_bytes()
    hsmad("sample", song, "--style", "", "--instruments", "midi", "-o", "null.wav", *FAST)
    assert Path("a.wav").read_bytes() != Path("null.wav").read_bytes()


def test_a_piped_roll_and_stored_features_sound_as_the_midi_file(hsmad, song: Path) -> None:
    assert hsmad("render-srm", song, "-o", "song.npz").code == 0
    assert hsmad("encode", song, "-o", "features.npz").code == 0
    for source in (song, "song.npz", "features.npz"):
        assert hsmad("sample", source, "-o", f"{Path(source).stem}.wav", *FAST).code == 0
    expected = Path("song.wav").read_bytes()
    assert hsmad("sample", song, "-o", "midi.wav", *FAST).code == 0
    assert Path("midi.wav").read_bytes() == expected == Path("features.wav").read_bytes()


def test_an_excerpt_has_the_length_asked_for(hsmad, song: Path) -> None:
    assert hsmad("sample", song, "--start", 0.5, "--seconds", 1, "-o", "part.wav", *FAST).code == 0
    assert soundfile.info("part.wav").frames == 44100
    assert hsmad("sample", song, "--start", 3, "--seconds", 10, "-o", "end.wav", *FAST).code == 0
    assert soundfile.info("end.wav").frames == round(0.1 * 44100)
    late = hsmad("sample", song, "--start", 5, "-o", "late.wav", *FAST)
    assert late.code == 3
    assert "the song lasts 3.1 s, it cannot start at 5 s" in late.err


def test_nothing_clips_unless_a_gain_is_asked_for(hsmad, song: Path) -> None:
    loud = ("sample", song, "--wh", 900, "--json", "-o", "loud.wav", "--force", *FAST)
    raw, safe = (json.loads(hsmad(*loud, *gain).out) for gain in (("--gain", 0), ()))
    assert raw["clipped_samples"] > 0 == raw["gain_db"]
    assert safe["clipped_samples"] == 0 > safe["gain_db"]
    assert np.abs(soundfile.read("loud.wav")[0]).max() == pytest.approx(0.999, abs=1e-3)


def test_gain_is_in_decibels(hsmad, song: Path) -> None:
    hsmad("sample", song, "-o", "soft.wav", "--gain", -20, *FAST)
    hsmad("sample", song, "-o", "softer.wav", "--gain", -40, *FAST)
    soft, softer = (soundfile.read(name)[0] for name in ("soft.wav", "softer.wav"))
    assert np.abs(soft - 10 * softer).max() < 6 / 32767


@pytest.mark.parametrize("cfg", ["additive", "nested", "anchored", "joint"])
@pytest.mark.parametrize("sampler", ["dpm", "ddim"])
def test_every_guidance_and_sampler_plays(hsmad, song: Path, cfg: str, sampler: str) -> None:
    assert hsmad("sample", song, "--cfg", cfg, "--sampler", sampler, "--seconds", 0.5, "-o", "a.wav", *FAST).code == 0


@pytest.mark.parametrize(("cfg", "w_s"), [("nested", 8), ("additive", 2), ("anchored", 2)])
def test_the_guidance_of_the_style_depends_on_how_it_is_combined(hsmad, song: Path, cfg: str, w_s: float) -> None:
    told = hsmad("sample", song, "--cfg", cfg, "--seconds", 0.5, "-o", "a.wav", "--json", *FAST)
    assert json.loads(told.out)["settings"]["w_s"] == w_s


def test_joint_guidance_has_one_weight(hsmad, song: Path) -> None:
    done = hsmad("sample", song, "--cfg", "joint", "--ws", 2, "-o", "song.wav")
    assert done.code == 2
    assert done.err.startswith("hsmad sample: --cfg joint has one weight")
    assert not Path("song.wav").exists()


def test_a_bad_file_among_many_is_named_and_does_not_stop_the_rest(hsmad, song: Path) -> None:
    Path("bad.mid").write_bytes(b"no music")
    done = hsmad("sample", "bad.mid", song, "absent.mid", "--out-dir", "out", *FAST)
    assert done.code == 8
    lines = done.err.splitlines()
    assert lines[0].startswith("hsmad sample: bad.mid: ")
    assert "absent.mid: no such file" in done.err
    assert "out/song.wav" in lines
    assert lines[-1] == "hsmad sample: 2 of 3 failed, 1 done"
    assert [path.name for path in Path("out").iterdir()] == ["song.wav"]


def test_an_output_that_exists_is_refused_in_a_folder_unless_forced(hsmad, song: Path) -> None:
    Path("out").mkdir()
    Path("out/song.wav").write_bytes(b"precious")
    done = hsmad("sample", song, "--out-dir", "out", *FAST)
    assert (done.code, Path("out/song.wav").read_bytes()) == (6, b"precious")
    assert "hint: --force replaces it" in done.err
    assert hsmad("sample", song, "--out-dir", "out", "--force", *FAST).code == 0
    assert Path("out/song.wav").read_bytes() != b"precious"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("-o", "a.wav", "--out-dir", "out"), "exclude each other"),
        (("-o", "-", "--count", "2"), "2 outputs for stdout"),
        (("-o", "song.mp3"), "cannot write mp3"),
        (("--cfg", "none"), "Invalid value for '--cfg': 'none'"),
        (("--wh", "nan", "-o", "a.wav"), "the guidance of the score is nan"),
        (("--wh", "-3", "-o", "a.wav"), "the guidance of the score is -3"),
        (("--ws", "inf", "-o", "a.wav"), "the guidance of the style is inf"),
        (("--temperature", "-1", "-o", "a.wav"), "the temperature is -1"),
        (("--temperature", "1.5", "-o", "a.wav"), "the temperature is 1.5"),
        (("--temperature", "nan", "-o", "a.wav"), "the temperature is nan"),
        (("--rescale", "1.5", "-o", "a.wav"), "the rescaling is 1.5"),
        (("--wa", "-1", "-o", "a.wav"), "the guidance of the attention is -1"),
        (("--dynamics", "nan", "-o", "a.wav"), "Invalid value for '--dynamics'"),
        (("--dynamics", "-1", "-o", "a.wav"), "greater than or equal to 0"),
        (("--gain", "nan", "-o", "a.wav"), "Invalid value for '--gain'"),
        (("--steps", "0"), "greater than or equal to 1"),
        (("--device", "mps", "-o", "a.wav"), "no device 'mps' here"),
    ],
)
def test_usage_errors(hsmad, song: Path, argv: tuple[str, ...], reason: str) -> None:
    done = hsmad("sample", song, *argv)
    assert (done.code, done.out) == (2, b"")
    assert reason in done.err


def test_wider_dynamics_are_other_music_from_any_form_of_the_score(hsmad, song: Path) -> None:
    usual = hsmad("sample", song, "-o", "usual.wav", "--json", *FAST)
    hsmad("sample", song, "-o", "told.wav", "--dynamics", DYNAMICS, *FAST)
    assert Path("told.wav").read_bytes() == Path("usual.wav").read_bytes()
    wide = hsmad("sample", song, "-o", "wide.wav", "--dynamics", 2, "--json", *FAST)
    assert [json.loads(done.out)["dynamics"] for done in (usual, wide)] == [DYNAMICS, 2]
    assert Path("usual.wav").read_bytes() != Path("wide.wav").read_bytes()
    hsmad("render-srm", song, "-o", "roll.npz")
    hsmad("sample", "roll.npz", "-o", "roll.wav", "--dynamics", 2, *FAST)
    assert Path("roll.wav").read_bytes() == Path("wide.wav").read_bytes()
    hsmad("encode", song, "-o", "features.npz", "--dynamics", 2)
    told = hsmad("sample", "features.npz", "-o", "features.wav", "--json", *FAST)
    assert json.loads(told.out)["dynamics"] == 2
    assert Path("features.wav").read_bytes() == Path("wide.wav").read_bytes()
    refused = hsmad("sample", "features.npz", "-o", "again.wav", "--dynamics", 2, *FAST)
    assert refused.code == 3
    assert "features hold their dynamics already" in refused.err


@pytest.mark.parametrize("instruments", ["midi", "free"])
def test_features_say_who_plays(hsmad, song: Path, instruments: str) -> None:
    words, who = ("--style", "jazz", "--json", *FAST), ("--instruments", instruments)
    hsmad("encode", song, "-o", "features.npz", *who)
    told = json.loads(hsmad("sample", "features.npz", "-o", "features.wav", *words).out)
    assert told["instruments"] == instruments
    hsmad("sample", song, "-o", "song.wav", *who, *words)
    assert Path("features.wav").read_bytes() == Path("song.wav").read_bytes()
    refused = hsmad("sample", "features.npz", "-o", "again.wav", *who, *words)
    assert refused.code == 3
    assert "features hold their instruments already" in refused.err
    assert "hint: give --instruments to `hsmad encode`" in refused.err


def test_features_of_older_versions_play_and_do_not_say_who(hsmad, song: Path) -> None:
    hsmad("encode", song, "-o", "features.npz")
    arrays, meta = load_npz(Path("features.npz"), "features")
    save_npz(Path("old.npz"), arrays, {key: value for key, value in meta.items() if key != "instruments"})
    played = [hsmad("sample", f"{name}.npz", "-o", f"{name}.wav", "--json", *FAST) for name in ("features", "old")]
    assert [json.loads(done.out)["instruments"] for done in played] == ["midi", None]
    assert Path("old.wav").read_bytes() == Path("features.wav").read_bytes()


def test_two_inputs_need_a_folder_and_two_of_one_name_are_refused(hsmad, song: Path) -> None:
    assert "2 inputs for one output" in hsmad("sample", song, "other.mid").err
    assert "would both become" in hsmad("sample", "a/song.mid", "b/song.mid", "--out-dir", "out").err
    assert "named twice" in hsmad("sample", "-", "-", "--out-dir", "out").err
