"""A file appears whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from hsmad_cli.errors import OutputError
from hsmad_cli.files import publish as publish_module
from hsmad_cli.files.publish import append_line, check_absent, publish, write_bytes, write_output


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    write_bytes(path, b"old")
    with publish(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["song.wav"]


def write_and_fail(path: Path, blow: BaseException) -> None:
    with publish(path) as file:
        file.write(b"half of the n")
        raise blow


@pytest.mark.parametrize("blow", [KeyboardInterrupt(), ValueError("a bug")])
def test_a_crash_leaves_the_old_file_and_nothing_else(tmp_path: Path, blow: BaseException) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(b"old")
    with pytest.raises(type(blow)):
        write_and_fail(path, blow)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["song.wav"]


def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="No space left") as caught:
        write_and_fail(tmp_path / "song.wav", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert caught.value.exit_code == 6
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device() -> None:
    with pytest.raises(OutputError, match=r"/dev/full: cannot write: No space left"):
        write_bytes(Path("/dev/full"), b"x" * 100_000)
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    with pytest.raises(OutputError, match=r"/dev/full: cannot write: No space left"):
        append_line(Path("/dev/full"), "a line of a log")


def test_devices_and_named_pipes_are_written_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_bytes(pipe, b"music")
    reader.join()
    assert received == [b"music"]
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


def test_a_link_is_followed(tmp_path: Path) -> None:
    real, link = tmp_path / "real.wav", tmp_path / "link.wav"
    link.symlink_to(real)
    write_bytes(link, b"music")
    assert link.is_symlink()
    assert real.read_bytes() == b"music"


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    write_bytes(tmp_path / "published", b"")
    assert (tmp_path / "published").stat().st_mode == plain.stat().st_mode


def test_an_existing_file_is_refused_without_force(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    write_bytes(path, b"old", force=False)
    with pytest.raises(OutputError, match=r"song\.wav: exists already"):
        write_bytes(path, b"new", force=False)
    assert path.read_bytes() == b"old"
    check_absent(path, force=True)


def test_a_folder_or_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        write_bytes(tmp_path, b"x")
    with pytest.raises(OutputError, match="No such file or directory"):
        write_bytes(tmp_path / "absent" / "song.wav", b"x")


def test_the_folder_is_synced_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    path = tmp_path / "song.wav"
    monkeypatch.setattr(publish_module, "sync_folder", lambda folder: seen.append(path.exists() and folder == tmp_path))
    write_bytes(path, b"x")
    assert seen == [True]


def test_stdout(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_output("-", b"\x00\xff music")
    assert capfdbinary.readouterr().out == b"\x00\xff music"
