"""Arrays in files: what goes in comes out, and what is damaged is refused before memory is used."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hsmad_cli.errors import InputError
from hsmad_cli.files.npz import encode_npz, load_npz, npz_meta, save_npz

LATENT = {"latent": np.arange(6, dtype=np.float32).reshape(3, 2)}


def test_arrays_and_meta_come_back(tmp_path: Path) -> None:
    arrays = {**LATENT, "scalar": np.float64(3), "empty": np.zeros((0, 4), np.int16)}
    save_npz(tmp_path / "song.npz", arrays, {"kind": "latent", "frame_rate": (50, 1)})
    for source in (tmp_path / "song.npz", (tmp_path / "song.npz").read_bytes()):
        read, meta = load_npz(source, "latent")
        assert meta == {"kind": "latent", "version": 1, "frame_rate": [50, 1]}
        for name, array in arrays.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)


def test_numpy_reads_it_without_pickle() -> None:
    with np.load(io.BytesIO(encode_npz(LATENT, {"kind": "latent"})), allow_pickle=False) as file:
        np.testing.assert_array_equal(file["latent"], LATENT["latent"])
        assert json.loads(str(file["meta"]))["kind"] == "latent"


def test_equal_content_gives_equal_bytes() -> None:
    assert encode_npz(LATENT, {"kind": "latent", "a": 1}) == encode_npz(LATENT, {"a": 1, "kind": "latent"})


def test_the_wrong_kind_names_both_kinds() -> None:
    data = encode_npz(LATENT, {"kind": "latent"})
    assert npz_meta(data)["kind"] == "latent"
    with pytest.raises(InputError, match="kind 'latent', expected 'srm'") as caught:
        load_npz(data, "srm")
    assert caught.value.exit_code == 3


def rezipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def npy(array: np.ndarray, **write: bool) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **write)
    return buffer.getvalue()


META = npy(np.array('{"kind":"latent","version":1}'))
LYING = io.BytesIO()
np.lib.format.write_array_header_1_0(LYING, {"descr": "<f4", "fortran_order": False, "shape": (1, 10_000)})
LYING.write(b"four")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an npz file"),
        (b"MThd", "not an npz file"),
        (encode_npz(LATENT, {"kind": "latent"})[:-30], "not an npz file, or cut short"),
        (rezipped({"latent.npy": npy(LATENT["latent"])}), "without a meta member"),
        (rezipped({"meta.npy": npy(np.array("[1, 2"))}), "the meta member is damaged"),
        (rezipped({"meta.npy": npy(np.array('{"kind": "latent"}'))}), "the meta member is damaged"),
        (rezipped({"meta.npy": npy(np.array('{"kind":"latent","version":2}'))}), "version 2, this hsmad reads up to 1"),
        (rezipped({"meta.npy": META}), "no array 'latent'"),
        (rezipped({"meta.npy": META, "latent.npy": npy(np.zeros(3))}), "1 axes, expected float with 2"),
        (rezipped({"meta.npy": META, "latent.npy": npy(np.zeros((3, 2), np.int8))}), "latent is int8"),
        (rezipped({"meta.npy": META, "latent.npy": npy(np.full((3, 2), np.nan))}), "6 non-finite"),
        (rezipped({"meta.npy": META, "latent.npy": npy(np.array([[{}]]), allow_pickle=True)}), "pickled objects"),
        (rezipped({"meta.npy": META, "latent.npy": b"\x93NUMPY\x01\x00"}), "latent is damaged"),
        (rezipped({"meta.npy": META, "latent.npy": LYING.getvalue()}), "declares 40000 bytes, the archive 4"),
    ],
)
def test_damage_is_an_input_error(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        load_npz(data, "latent")


def test_a_bomb_is_refused_by_its_declared_size() -> None:
    data = rezipped({"meta.npy": META, "latent.npy": npy(np.zeros((1000, 1000)))})
    assert len(data) < 20_000
    with pytest.raises(InputError, match=r"declares 0\.0 GB of arrays, at most 0\.0 GB"):
        load_npz(data, "latent", max_bytes=1_000_000)


def test_a_flipped_bit_is_found() -> None:
    data = bytearray(encode_npz({"latent": np.random.default_rng(0).normal(size=(50, 8))}, {"kind": "latent"}))
    data[len(data) // 2] ^= 1
    with pytest.raises(InputError, match="latent is damaged"):
        load_npz(bytes(data), "latent")
