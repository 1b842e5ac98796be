"""The codec table on codecs whose faults are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hsmad_cli.errors import UsageError
from hsmad_cli.evaluation import benchmark
from hsmad_cli.evaluation.benchmark import Clip
from hsmad_cli.evaluation.codec_eval import (
    CodecUnderTest,
    Recording,
    evaluate_codec,
    hear_originals,
    latent_codec,
    latent_statistics,
    lossy_codec,
    with_noise,
)
from hsmad_cli.evaluation.lossy import decode_lossy, encode_lossy
from hsmad_cli.evaluation.note_scores import HeardNotes
from hsmad_cli.evaluation.signal_distances import band_errors, si_sdr_db, signal_distances
from hsmad_cli.evaluation.workers import Workers
from hsmad_cli.symbolic.notes import NoteTable, Score

RATE = 44100
GENERATOR = np.random.default_rng(0)
NOISE = (0.1 * GENERATOR.standard_normal((2, RATE))).astype(np.float32)


class FrameCodec:
    """Latents are frames of 100 samples of both channels."""

    sample_rate = RATE

    def encode(self, audio: np.ndarray) -> np.ndarray:
        return audio.reshape(2, -1, 100).transpose(1, 0, 2).reshape(-1, 200)

    def decode(self, latent: np.ndarray) -> np.ndarray:
        return latent.reshape(-1, 2, 100).transpose(1, 0, 2).reshape(2, -1)


def test_identical_audio_has_no_distance():
    distances = signal_distances(NOISE, NOISE.copy())
    octaves = {name: value for name, value in distances.items() if name.startswith(("energy_db", "magnitude_db"))}
    assert {octaves[name] for name in octaves if name.startswith("energy")} == {0}
    assert max(octaves[name] for name in octaves if name.startswith("magnitude")) < -60
    assert len(octaves) == 10
    others = {"log_mel_db": 0, "stft_distance": 0, "si_sdr_db": 100, "stereo_error": 0}
    assert {name: distances[name] for name in distances.keys() - octaves.keys()} == others


def test_an_octave_that_is_lost_or_halved_is_named_whatever_the_phase():
    low, high = (np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)[None].repeat(2, 0) for hertz in (500, 3000))
    lost, halved = band_errors(low + high, low), band_errors(low + high, -low - high / 2)
    assert lost["energy_db_2000"] < -50
    assert lost["magnitude_db_2000"] == pytest.approx(0, abs=0.01)
    assert halved["energy_db_2000"] == pytest.approx(-6.02, abs=0.01)
    assert halved["magnitude_db_2000"] == pytest.approx(-6.02, abs=0.01)
    assert halved["magnitude_db_0"] < -50
    assert band_errors(0 * low, 0 * low) == dict.fromkeys(lost, 0.0)
    hiss = 1e-5 * GENERATOR.standard_normal(low.shape)
    assert abs(band_errors(low, low + hiss)["energy_db_8000"]) < 1


def test_si_sdr_is_minus_the_level_of_the_noise_at_any_gain():
    tone = np.sin(np.arange(RATE) / 20)[None].repeat(2, 0)
    error = GENERATOR.standard_normal(tone.shape)
    error -= tone * (error.ravel() @ tone.ravel()) / (tone.ravel() @ tone.ravel())
    error *= 0.1 * np.linalg.norm(tone) / np.linalg.norm(error)
    assert si_sdr_db(tone, 0.3 * (tone + error)) == pytest.approx(20)


def test_half_the_amplitude_is_6_db_of_log_mel():
    assert signal_distances(NOISE, NOISE / 2)["log_mel_db"] == pytest.approx(6.0206, abs=0.01)


def test_swapped_channels_are_a_stereo_error_and_mono_is_half_of_it():
    left_only = NOISE * np.array([[1], [0]], np.float32)
    assert signal_distances(left_only, left_only[::-1].copy())["stereo_error"] == pytest.approx(2, abs=1e-4)
    assert signal_distances(left_only, left_only[:1].repeat(2, 0))["stereo_error"] == pytest.approx(1, abs=1e-4)


def test_audio_of_different_length_is_refused():
    with pytest.raises(ValueError, match="differ in shape"):
        signal_distances(NOISE, NOISE[:, :-1])


@pytest.mark.parametrize("name", ["mp3-64", "mp3-128", "opus-64", "opus-128"])
def test_lossy_codecs_have_the_bit_rate_they_name_and_no_delay(name):
    seconds = 3
    time = np.arange(seconds * RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * 220 * time) * np.exp(-((time - 1.5) ** 2) / 0.1)
    audio = np.stack([tone, tone]).astype(np.float32) + 0.003 * np.tile(NOISE, seconds)
    data = encode_lossy(audio, name)
    assert len(data) * 8 / 1000 / seconds == pytest.approx(float(name.split("-")[1]), rel=0.1)
    decoded = decode_lossy(data)
    assert decoded.shape == audio.shape
    assert si_sdr_db(audio, decoded) > 10


def test_an_unknown_lossy_codec_is_a_usage_error():
    with pytest.raises(UsageError, match="no lossy codec 'vorbis-64'"):
        encode_lossy(NOISE, "vorbis-64")


def test_latent_statistics_of_a_gaussian_and_a_dead_channel():
    latent = GENERATOR.standard_normal((20000, 4))
    latent[:, 1] = 2 * latent[:, 1] + 3
    latent[:, 3] = 0.5
    statistics = latent_statistics([latent[:5000], latent[5000:]])
    assert (statistics["channels"], statistics["dead"]) == (4, 1)
    assert statistics["largest_mean"] == pytest.approx(3, abs=0.1)
    assert statistics["largest_variance"] == pytest.approx(4, rel=0.05)
    assert abs(statistics["largest_excess_kurtosis"]) < 0.2
    assert statistics["mean_absolute_correlation"] < 0.03


def test_latent_statistics_see_heavy_tails_and_copies():
    channel = GENERATOR.laplace(size=(50000, 1))
    statistics = latent_statistics([np.concatenate([channel, -channel], axis=1)])
    assert statistics["median_excess_kurtosis"] == pytest.approx(3, rel=0.2)
    assert statistics["mean_absolute_correlation"] == pytest.approx(1)


def test_noise_is_a_share_of_each_channels_deviation():
    codec = latent_codec("frames", FrameCodec())
    noisy = with_noise(codec, 0.1, seed=3)
    assert noisy.name == "frames + 10% noise"
    assert si_sdr_db(NOISE, noisy.decode(noisy.encode(NOISE))) == pytest.approx(20, abs=0.3)


def played(name: str, kind: str, audio: np.ndarray = NOISE, drums: bool = False) -> Recording:
    notes = NoteTable([0.1, 0.5], [0.3, 0.9], [60, 62], [80, 80], [40, 40], [drums, drums], [0, 0])
    return Recording(Clip(name, kind, Score(notes), 1.0), audio)


@pytest.fixture
def originals(monkeypatch):
    """Two recordings of one set; the ear hears both notes, 2 ms late, in whatever is not silent."""
    notes = played("a", "ensembles").clip.score.notes

    class Ear:
        def transcribe(self, audio):
            late = 0.002 * (np.abs(audio).max() < 0.9 * np.abs(NOISE).max())
            heard = HeardNotes(notes.onset_s + late, notes.offset_s, notes.pitch.astype(int))
            return heard if np.any(audio) else heard.select(np.zeros(0, int))

    monkeypatch.setattr(benchmark, "load_judge", lambda name, device: Ear())
    return list(hear_originals([played(name, "ensembles") for name in "ab"], "auto", "cpu", Workers(1)))


def column(codec: CodecUnderTest, originals: list) -> dict:
    return evaluate_codec(codec, originals, "cpu", Workers(1))


def test_the_column_of_a_perfect_codec(originals):
    figures = column(latent_codec("frames", FrameCodec()), originals)
    assert (figures["codec"], figures["n"], figures["seconds"], figures["kbit_per_s"]) == ("frames", 2, 2.0, None)
    assert figures["si_sdr_db"] == 100
    assert figures["latent"]["channels"] == 200
    (row,) = figures["notes"]
    assert (row["set"], row["judge"], row["n"]) == ("ensembles", "basic-pitch", 2)
    assert row["onset_f1_ratio"]["codec/reference"]["value"] == 1
    assert (row["onset_shift"]["n"], row["onset_shift"]["median_absolute_ms"]) == (4, 0)
    assert json.dumps(figures, allow_nan=False)


def test_a_codec_that_plays_softly_and_late_shifts_every_onset(originals):
    codec = CodecUnderTest("soft", lambda audio: b"x", lambda data: NOISE / 2)
    (row,) = column(codec, originals)["notes"]
    assert row["onset_shift"]["median_absolute_ms"] == pytest.approx(2)
    assert row["onset_shift"]["p90_absolute_ms"] == pytest.approx(2)


def test_the_column_of_a_codec_that_gives_silence_cut_short(originals):
    codec = CodecUnderTest("mute", lambda audio: b"x", lambda data: np.zeros((2, 100), np.float32))
    figures = column(codec, originals)
    assert figures["kbit_per_s"] == pytest.approx(0.008)
    assert figures["notes"][0]["onset_f1_ratio"]["codec/reference"]["value"] == 0
    assert figures["notes"][0]["onset_shift"]["median_absolute_ms"] is None
    assert figures["latent"] is None


def test_sets_are_rows_of_their_own_and_drums_are_compared_with_what_was_heard(originals):
    drums = hear_originals([played("d", "drums", drums=True)], "auto", "cpu", Workers(1))
    rows = column(lossy_codec("mp3-128"), [*originals, *drums])["notes"]
    assert [(row["set"], row["judge"], row["n"]) for row in rows] == [
        ("ensembles", "basic-pitch", 2),
        ("drums", "librosa-onset", 1),
    ]
    assert rows[1]["onset_f1"]["reference"]["value"] == 1


def test_a_lossy_codec_fits_the_table(originals):
    assert column(lossy_codec("mp3-128"), originals)["kbit_per_s"] == pytest.approx(128, rel=0.1)
