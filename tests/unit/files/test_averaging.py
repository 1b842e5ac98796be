"""The mean of checkpoints: of numbers worked out by hand, and of those that have none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hsmad_cli.errors import WeightsError
from hsmad_cli.files.averaging import averaged
from hsmad_cli.files.checkpoint import latent_sha256, load_checkpoint, read_header, save_checkpoint

HEADER = {"kind": "denoiser", "config": {"width": 2}, "latent_sha256": "a", "codec_sha256": "b"}


def saved(
    path: Path,
    values: list[float],
    seconds: float,
    count: int = 1,
    dtype: torch.dtype = torch.float16,
    **header: object,
) -> Path:
    tensors = {"weight": torch.tensor(values, dtype=dtype), "count": torch.tensor(count)}
    save_checkpoint(path, tensors, {**HEADER, "step": 7, "gpu_seconds": seconds, **header})
    return path


def test_the_mean_is_that_of_every_number(tmp_path: Path) -> None:
    paths = [
        saved(tmp_path / "1", [1.0, -2.0], 10.0, 1),
        saved(tmp_path / "2", [2.0, 4.0], 20.0, 2),
        saved(tmp_path / "3", [6.0, 1.0], 40.0, 3, codec_sha256="c"),
    ]
    tensors, header = averaged(paths)
    assert tensors["weight"].dtype == torch.float16
    assert tensors["weight"].tolist() == [3.0, 1.0]
    assert int(tensors["count"]) == 3
    shas = [read_header(path)["sha256"] for path in paths]
    assert header == HEADER | {"codec_sha256": "c", "gpu_seconds": 70.0, "averaged": shas}


def test_runs_with_and_without_dropout_have_a_mean_that_is_played_by_the_last(tmp_path: Path) -> None:
    settings = [{"hse": {"width": 8, "dropout": dropout}} for dropout in (0.1, 0.0)]
    paths = [saved(tmp_path / str(n), [1.0 + n, 0.0], 1.0, config=config) for n, config in enumerate(settings)]
    tensors, header = averaged(paths)
    assert tensors["weight"].tolist() == [1.5, 0.0]
    assert header["config"] == settings[-1]


def test_what_an_older_version_did_not_write_has_its_default(tmp_path: Path) -> None:
    old, new = {"hse": {"width": 8}}, {"hse": {"width": 8}, "unet": {"global_film": False}}
    paths = [saved(tmp_path / str(n), [1.0 + n, 0.0], 1.0, config=config) for n, config in enumerate((old, new))]
    assert averaged(paths)[0]["weight"].tolist() == [1.5, 0.0]
    other = saved(tmp_path / "other", [0.0, 0.0], 1.0, config={"hse": {"width": 8}, "unet": {"global_film": True}})
    with pytest.raises(WeightsError, match="its config is not that of the last"):
        averaged([other, paths[0]])


@pytest.mark.parametrize("copies", [2, 3])
def test_the_mean_of_copies_is_the_copy_to_the_bit(copies: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "1", [0.1, -0.0], 1.0)
    mean, _ = averaged([path] * copies)
    known, _ = load_checkpoint(path, "denoiser")
    assert mean["weight"].view(torch.int16).tolist() == known["weight"].view(torch.int16).tolist()


def test_codecs_of_one_encoder_keep_its_latents(tmp_path: Path) -> None:
    tensors = {"encoder.weight": torch.tensor([0.3, -0.0, 0.7]), "latent_mean": torch.zeros(2)}
    for name, gain in (("a", 1.0), ("b", 3.0)):
        decoder = {"decoder.weight": torch.tensor([gain])}
        save_checkpoint(tmp_path / name, {**tensors, **decoder}, {"kind": "vae", "config": {}})
    mean, header = averaged([tmp_path / "a", tmp_path / "b"])
    save_checkpoint(tmp_path / "mean", mean, header)
    assert mean["decoder.weight"].tolist() == [2.0]
    assert latent_sha256(tmp_path / "mean") == latent_sha256(tmp_path / "a")


def test_large_numbers_of_half_precision_do_not_overflow(tmp_path: Path) -> None:
    paths = [saved(tmp_path / name, [60000.0, 1.0], 1.0) for name in "ab"]
    assert averaged(paths)[0]["weight"].tolist() == [60000.0, 1.0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"latent_sha256": "other"}, "its latent_sha256 is not that of the last"),
        ({"config": {"width": 3}}, "its config is not that of the last"),
        ({"config": {"hse": {"dropout": 0.1}}}, "its config is not that of the last"),
        ({"config": {"width": 2, "diffusion": {"dropout": "together"}}}, "its config is not that of the last"),
        ({"values": [1.0]}, "its tensor weight is not that of the last"),
        ({"dtype": torch.float32}, "its tensor weight is not that of the last"),
        ({"kind": "vae"}, "a checkpoint of kind 'vae', expected 'denoiser'"),
    ],
)
def test_what_has_no_mean_is_refused(change: dict, said: str, tmp_path: Path) -> None:
    first = saved(tmp_path / "1", **{"values": [1.0, 2.0], "seconds": 1.0, **change})
    with pytest.raises(WeightsError, match=said):
        averaged([first, saved(tmp_path / "2", [1.0, 2.0], 1.0)])


def test_the_state_of_a_run_is_refused(tmp_path: Path) -> None:
    state = saved(tmp_path / "1", [1.0], 1.0, kind="training")
    with pytest.raises(WeightsError, match="the state of a run"):
        averaged([state, state])


def test_one_alone_has_no_mean(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two checkpoints or more, got 1"):
        averaged([saved(tmp_path / "1", [1.0], 1.0)])
