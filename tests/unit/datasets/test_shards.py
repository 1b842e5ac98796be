"""Shards: any number of builders, killed or not, leave the same bytes, which webdataset and the index read alike."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import signal
import subprocess
import sys
import tarfile
import zlib
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch

from hsmad_cli.datasets.build import build_bank, make_plan
from hsmad_cli.datasets.factory import FactoryOptions, Plan
from hsmad_cli.datasets.manifest import SPLITS, Item
from hsmad_cli.datasets.memory import ClipBank, read_table
from hsmad_cli.datasets.samples import FLAC, INT16, LATENTS, Sample, pack, unpack
from hsmad_cli.datasets.shard_build import Part, build_shards, shard_table
from hsmad_cli.datasets.shards import Shards, ShardTable
from hsmad_cli.datasets.sheets import Rates
from hsmad_cli.errors import InputError, OutputError

OPTIONS = FactoryOptions(seconds=2.0)
N_CLIPS, PER_SHARD = 10, 3
HOURS = N_CLIPS * 2 / 3600
CODEC = "c" * 64


@pytest.fixture(scope="module")
def plan(pack: Path, soundfont: Path) -> Plan:
    return make_plan(pack, [soundfont], HOURS, 0, SPLITS, ("A",), OPTIONS)


@pytest.fixture(scope="module")
def table(plan: Plan) -> ShardTable:
    return shard_table(plan, Rates(), FLAC, PER_SHARD)


@pytest.fixture(scope="module")
def built(plan: Plan, table: ShardTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of three, three, three and one clip, by one process."""
    folder = tmp_path_factory.mktemp("shards")
    assert build_shards(folder, plan, table, workers=1) == 4
    return folder


def all_bytes(folder: Path) -> dict[str, str]:
    """sha256 by name of all that lies in a folder, hidden files too."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def assert_same(one: Sample, other: Sample) -> None:
    assert pack(one, FLAC, 44100) == pack(other, FLAC, 44100)


def test_a_sample_survives_as_files(built: Path) -> None:
    sample = Shards(built)[4]
    for sound in (FLAC, INT16):
        again = unpack(pack(sample, sound, 44100), "here")
        np.testing.assert_array_equal(again.audio, sample.audio)
        assert again.sheet.captions == sample.sheet.captions
        for name, column in sample.sheet.notes.items():
            np.testing.assert_array_equal(again.sheet.notes[name], column)
        assert_same(again, sample)


def test_members_have_no_owner_and_no_time(built: Path) -> None:
    with tarfile.open(built / "clips-000000.tar") as tar:
        members = tar.getmembers()
    assert [member.name for member in members[:3]] == ["000000.flac", "000000.npz", "000000.json"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_the_index_says_where_members_lie(built: Path) -> None:
    for tar_file in sorted(built.glob("*.tar")):
        index = json.loads(tar_file.with_suffix(".index.json").read_text())
        data = tar_file.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (index["bytes"], index["sha256"])
        with tarfile.open(tar_file) as tar:
            found = {m.name: [m.offset_data, m.size, zlib.crc32(tar.extractfile(m).read())] for m in tar}
        said = {f"{s['key']}.{name}": at for s in index["samples"] for name, at in s.items() if name != "key"}
        assert said == found


def test_webdataset_reads_what_the_index_reads(built: Path) -> None:
    wds = pytest.importorskip("webdataset")
    shards, tars = Shards(built), sorted(str(path) for path in built.glob("*.tar"))
    seen = list(wds.WebDataset(tars, shardshuffle=False).decode())
    assert [sample["__key__"] for sample in seen] == [f"{clip:06d}" for clip in range(N_CLIPS)]
    for clip, sample in enumerate(seen):
        mine = shards[clip]
        np.testing.assert_array_equal(sample["npz"]["note_onset_s"], mine.sheet.notes["onset_s"])
        np.testing.assert_array_equal(sample["npz"]["beats_s"], mine.beats_s)
        assert tuple(sample["json"]["captions"]) == mine.sheet.captions
        assert sample["json"]["group"] == mine.group
        assert sample["json"]["chords"] == "derived"
        assert sample["flac"][:4] == b"fLaC"


def test_parts_and_processes_change_nothing(built: Path, plan: Plan, table: ShardTable, tmp_path: Path) -> None:
    made = [build_shards(tmp_path, plan, table, Part(index, 3), workers=4 - index) for index in (2, 0, 1)]
    assert sorted(made) == [1, 1, 2]
    assert all_bytes(tmp_path) == all_bytes(built)
    assert Shards(tmp_path).tree_hash == Shards(built).tree_hash


def test_what_is_there_is_not_made_again(built: Path, plan: Plan, table: ShardTable) -> None:
    times = {path: path.stat().st_mtime_ns for path in built.iterdir()}
    assert build_shards(built, plan, table) == 0
    assert {path: path.stat().st_mtime_ns for path in built.iterdir()} == times


KILLED = """
import os, signal, sys
from pathlib import Path
from hsmad_cli.datasets.build import make_plan
from hsmad_cli.datasets.factory import FactoryOptions
from hsmad_cli.datasets.manifest import SPLITS
from hsmad_cli.datasets.shard_build import build_shards, shard_table
from hsmad_cli.datasets.sheets import Rates

def die(done, total):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    pack, soundfont, folder, hours = sys.argv[1:]
    plan = make_plan(pack, [soundfont], float(hours), 0, SPLITS, ("A",), FactoryOptions(seconds=2.0))
    build_shards(Path(folder), plan, shard_table(plan, Rates(), "flac", 3), workers=2, progress=die)
"""


def test_a_killed_build_goes_on(
    built: Path, pack: Path, soundfont: Path, plan: Plan, table: ShardTable, tmp_path: Path
) -> None:
    """Killed in the second shard; that its workers leave too shows in that their stderr closes."""
    script, folder = tmp_path / "killed.py", tmp_path / "shards"
    script.write_text(KILLED)
    arguments = [sys.executable, str(script), str(pack), str(soundfont), str(folder), str(HOURS)]
    outcome = subprocess.run(arguments, capture_output=True, timeout=280)
    assert outcome.returncode == -signal.SIGKILL, outcome.stderr
    assert sorted(path.name for path in folder.glob("clips*")) == ["clips-000000.index.json", "clips-000000.tar"]
    assert len(list(folder.glob(".*.part"))) == 1
    with pytest.raises(InputError, match="3 of 4 shards are missing, the first is 1"):
        Shards(folder)
    assert build_shards(folder, plan, table, workers=1) == 3
    assert all_bytes(folder) == all_bytes(built)


def test_a_tar_without_its_index_is_made_again(built: Path, plan: Plan, table: ShardTable, tmp_path: Path) -> None:
    for path in built.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "clips-000002.index.json").unlink()
    (tmp_path / "clips-000002.tar").write_bytes(b"torn")
    assert build_shards(tmp_path, plan, table, workers=1) == 1
    assert all_bytes(tmp_path) == all_bytes(built)


def test_other_data_are_not_mixed_in(built: Path, plan: Plan) -> None:
    with pytest.raises(OutputError, match="other data"):
        build_shards(built, plan, shard_table(plan, Rates(), INT16, PER_SHARD))


def test_parts_are_counted_from_0() -> None:
    assert [list(Part(index, 3).of(7)) for index in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    for index, count in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="counted from 0"):
            Part(index, count)


def test_a_stream_goes_on_where_it_stopped(built: Path) -> None:
    shards = Shards(built)
    whole = list(itertools.islice(shards.stream(7), 2 * N_CLIPS))
    for position in (4, N_CLIPS, N_CLIPS + 3):
        assert_same(next(shards.stream(7, position)), whole[position])
    first, second = ([sample.sheet.item_id for sample in part] for part in (whole[:N_CLIPS], whole[N_CLIPS:]))
    assert sorted(first) == sorted(second)
    assert len({pack(sample, FLAC, 44100)[FLAC] for sample in whole}) == N_CLIPS


def test_shards_become_the_bank_that_is_made_directly(built: Path, pack: Path, soundfont: Path, tmp_path: Path) -> None:
    unpacked = build_bank(built, workers=2, cache_dir=tmp_path)
    direct = build_bank(pack, [soundfont], HOURS, 0, 1, tmp_path, SPLITS, options=OPTIONS)
    assert unpacked != direct
    assert build_bank(built, cache_dir=tmp_path) == unpacked
    one, other = ClipBank.load(unpacked), ClipBank.load(direct)
    assert one.texts == other.texts
    assert one.rates == other.rates
    assert one.columns.keys() == other.columns.keys()
    for name, column in one.columns.items():
        torch.testing.assert_close(column, other.columns[name], rtol=0, atol=0, equal_nan=True)


def test_latents_take_the_place_of_sound(plan: Plan, built: Path, tmp_path: Path) -> None:
    """A codec of one channel: the mean of each frame of the left side."""
    hop = Rates().hop_length

    def encode(audio: np.ndarray) -> np.ndarray:
        return audio[0].reshape(-1, hop).mean(1, keepdims=True)

    table = shard_table(plan, Rates(), LATENTS, PER_SHARD, CODEC)
    folders = [tmp_path / "one", tmp_path / "two"]
    for workers, folder in enumerate(folders, 1):
        build_shards(folder, plan, table, workers=workers, encode=encode)
    assert all_bytes(folders[0]) == all_bytes(folders[1])
    path = build_bank(folders[0], cache_dir=tmp_path, workers=1)
    assert read_table(path)["codec_sha256"] == CODEC
    bank = ClipBank.load(path)
    assert bank.columns["audio"].shape == (0, 2)
    sound = Shards(built)[2].audio
    assert sound is not None
    expected = encode(sound.T.astype(np.float32) / 32768).astype(np.float16)
    latents = bank.latents_at(torch.tensor([2]), torch.tensor([0]), len(expected))[0]
    np.testing.assert_array_equal(latents.numpy(), expected)


def copied(built: Path, folder: Path) -> Path:
    for path in built.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_damage_is_named(built: Path, tmp_path: Path) -> None:
    path = copied(built, tmp_path) / "clips-000001.tar"
    data = bytearray(path.read_bytes())
    at, size, _ = json.loads((built / "clips-000001.index.json").read_text())["samples"][1]["npz"]
    data[at + size // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"clips-000001\.tar: 000004\.npz is damaged"):
        Shards(tmp_path)[4]
    path.write_bytes(data[:-1000])
    with pytest.raises(InputError, match="its index says"):
        Shards(tmp_path)
    (tmp_path / "shards.json").write_text('{"version": 0}')
    with pytest.raises(InputError, match="not of version 1"):
        Shards(tmp_path)


def documented(section: str) -> set[str]:
    """The names in the first columns of the tables of a section of docs/files.md."""
    document = (Path(__file__).parents[3] / "docs" / "files.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|([^|]+)\|", document.split(f"## {section}")[1].split("\n## ")[0], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_the_document_names_every_key(built: Path) -> None:
    assert {field.name for field in fields(Item)} <= documented("Manifest")
    members = pack(Shards(built)[0], FLAC, 44100)
    arrays = set(np.load(BytesIO(members["npz"])).files)
    table, words = json.loads((built / "shards.json").read_text()), json.loads(members["json"])
    names = documented("Shards")
    assert arrays | set(table) | set(words) | {FLAC, INT16, LATENTS, "npz", "json"} <= names
    files = {"shards.json", "clips-000000.tar", "clips-000000.index.json"}
    assert names <= arrays | set(table) | set(words) | files | {FLAC, INT16, LATENTS, "npz", "json"}
