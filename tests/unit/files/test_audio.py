"""Sound through files, bytes and pipes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from hsmad_cli.errors import ConfigError, InputError, UsageError
from hsmad_cli.files.audio import audio_format, encode_audio, read_audio, resample, write_audio
from hsmad_cli.files.ogg import with_serial


def sine(hertz: float, rate: int, seconds: float = 0.5) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.fixture
def stereo() -> np.ndarray:
    return np.stack([sine(440, 44100), sine(660, 44100)])


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_comes_back_to_within_half_a_step(tmp_path: Path, stereo: np.ndarray, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    assert write_audio(path, stereo) == 0
    read = read_audio(path)
    assert read.dtype == np.float32
    assert np.abs(read * 32768 / 32767 - stereo).max() <= 0.5 / 32767 + 1e-7


def test_equal_samples_give_equal_bytes_and_bytes_can_be_read(stereo: np.ndarray) -> None:
    data, _ = encode_audio(stereo, 44100, "wav")
    assert data == encode_audio(stereo, 44100, "wav")[0]
    np.testing.assert_array_equal(read_audio(data), read_audio(io.BytesIO(data)))


def test_ogg_sounds_alike_is_small_and_always_the_same(stereo: np.ndarray) -> None:
    data, _ = encode_audio(stereo, 44100, "ogg")
    assert data == encode_audio(stereo, 44100, "ogg")[0]
    assert len(data) < 0.25 * 2 * stereo.size
    read = read_audio(data)
    assert read.shape == stereo.shape
    assert np.sqrt(np.mean((read - stereo) ** 2)) < 0.02 * np.sqrt(np.mean(stereo**2))


def test_pages_of_ogg_keep_valid_checksums_under_another_serial_number(stereo: np.ndarray) -> None:
    data, _ = encode_audio(stereo, 44100, "ogg")
    buffer = io.BytesIO()
    soundfile.write(buffer, stereo.T, 44100, format="OGG")
    assert with_serial(data, 0) == data
    original = buffer.getvalue()
    assert with_serial(original, int.from_bytes(original[14:18], "little")) == original


def test_clipped_samples_are_counted(tmp_path: Path) -> None:
    audio = np.array([[0.0, 1.0, 1.5, -2.0], [0.5, -1.0, 0.0, 1.0001]])
    assert write_audio(tmp_path / "loud.wav", audio) == 3
    pcm, _ = soundfile.read(tmp_path / "loud.wav", dtype="int16")
    assert pcm.T.tolist() == [[0, 32767, 32767, -32767], [16384, -32767, 0, 32767]]


def test_mono_is_given_to_both_channels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "mono.wav", sine(440, 44100), 44100)
    audio = read_audio(tmp_path / "mono.wav")
    assert audio.shape == (2, 22050)
    np.testing.assert_array_equal(audio[0], audio[1])


def test_resampling_keeps_pitch_and_length() -> None:
    audio = resample(sine(440, 48000)[None], 48000, 44100)
    assert audio.shape == (1, 22050)
    middle = slice(2000, 20000)
    assert np.abs(audio[0] - sine(440, 44100))[middle].max() < 1e-3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not readable audio"),
        (b"MThd not a sound at all", "not readable audio"),
        (encode_audio(np.zeros((2, 0)), 44100, "wav")[0], "no samples"),
        (encode_audio(np.zeros((3, 10)), 44100, "wav")[0], "3 channels, expected 1 or 2"),
        (encode_audio(np.zeros((1, 100)), 10, "wav")[0], "10 s of audio, at most 5 s"),
    ],
)
def test_bad_sound_is_an_input_error(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(InputError, match=reason):
            read_audio(source, max_s=5)


def test_absent_file_and_non_finite_samples(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_audio(tmp_path / "absent.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, np.inf]), 44100, subtype="FLOAT")
    with pytest.raises(InputError, match="2 samples are not finite"):
        read_audio(tmp_path / "nan.wav")


def test_formats() -> None:
    assert [audio_format(name) for name in ("a.wav", "b.FLAC", "c.ogg", "-")] == ["wav", "flac", "ogg", "wav"]
    with pytest.raises(UsageError, match="cannot write mp3"):
        audio_format("song.mp3")


def test_a_torchaudio_that_does_not_load_is_one_line_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(ConfigError, match="torchaudio does not load") as caught:
        resample(np.zeros((1, 10), np.float32), 48000, 44100)
    assert "constraints.txt" in str(caught.value.hint)
