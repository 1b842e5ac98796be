"""Where weights are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hsmad_cli.errors import WeightsError
from hsmad_cli.files import hub
from hsmad_cli.files.checkpoint import file_sha256, latent_sha256, load_checkpoint, read_header, save_checkpoint


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A weights folder with two denoisers, of which the second is the default."""
    monkeypatch.setenv(hub.ENVIRONMENT, str(tmp_path / "weights"))
    folder = tmp_path / "weights"
    folder.mkdir()
    rows = []
    for name in ("old", "new"):
        path = folder / f"{name}.safetensors"
        path.write_bytes(name.encode() * 10)
        size = path.stat().st_size
        row = {"name": name, "kind": "denoiser", "file": path.name, "sha256": file_sha256(path), "bytes": size}
        rows.append({**row, "default": name == "new"})
    (folder / hub.INDEX).write_text(json.dumps(rows))
    return folder


def test_by_name_by_default_and_by_file(folder: Path) -> None:
    assert hub.find_weights("old", "denoiser") == folder / "old.safetensors"
    assert hub.find_weights(None, "denoiser") == folder / "new.safetensors"
    assert hub.find_weights(str(folder / "old.safetensors"), "denoiser") == folder / "old.safetensors"
    with pytest.raises(WeightsError, match="no weights called 'young'") as caught:
        hub.find_weights("young", "denoiser")
    assert "old, new" in str(caught.value.hint)
    with pytest.raises(WeightsError, match="no default vae weights"):
        hub.find_weights(None, "vae")


def test_what_ships_is_found_by_what_the_commands_ask_for() -> None:
    asked = {"vae": None, "style": None, "denoiser": None, "scorer": "scorer"}
    kinds = [read_header(hub.find_weights(name, kind))["kind"] for kind, name in asked.items()]
    assert kinds == ["vae", "style", "denoiser", "style"]


def test_what_is_listed_is_verified(folder: Path) -> None:
    path = folder / "new.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="29 bytes, the index says 30"):
        hub.find_weights("new", "denoiser")
    path.write_bytes(b"x" * 30)
    with pytest.raises(WeightsError, match="its sha256 is not that of the index"):
        hub.find_weights("new", "denoiser")
    path.unlink()
    with pytest.raises(WeightsError, match="listed but not there"):
        hub.find_weights("new", "denoiser")


def test_by_sha256_shipped_or_beside_or_in_a_run_next_to_it(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "denoiser"
    run.mkdir(parents=True)
    beside = run / "denoiser.safetensors"
    new = hub.find_entry("new", "denoiser")
    assert hub.find_by_sha256(new.sha256, "denoiser", beside) == folder / "new.safetensors"
    codec = tmp_path / "runs" / "codec" / "vae.safetensors"
    codec.parent.mkdir()
    codec.write_bytes(b"codec")
    assert hub.find_by_sha256(file_sha256(codec), "vae", beside) == codec
    (run / "copied.safetensors").write_bytes(b"codec")
    assert hub.find_by_sha256(file_sha256(codec), "vae", beside) == run / "copied.safetensors"
    with pytest.raises(WeightsError, match=r"made with vae weights of sha256 000000000000\.\.\."):
        hub.find_by_sha256("0" * 64, "vae", beside)
    assert hub.find_by_sha256(file_sha256(codec), "vae", beside, named=codec) == codec
    for named, message in ((folder / "old.safetensors", "was made with vae weights"), (run / "no", "no such file")):
        with pytest.raises(WeightsError, match=message):
            hub.find_by_sha256(file_sha256(codec), "vae", beside, named=named)


def test_a_style_encoder_of_the_same_space_is_found(
    tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hub.ENVIRONMENT, str(tiny_weights))
    old, beside = tiny_weights / "style.safetensors", tmp_path / "denoiser.safetensors"
    space = file_sha256(old)
    assert hub.find_style(space, beside) == old
    tensors, header = load_checkpoint(old, "style")
    del header["sha256"]
    later, other = tmp_path / "later.safetensors", tmp_path / "other.safetensors"
    for path, of in ((later, space), (other, "1" * 64)):
        save_checkpoint(path, tensors, {**header, "space_sha256": of})
    assert hub.find_style(space, beside, named=later) == later
    assert hub.find_style("1" * 64, beside) == other
    for sha256, named in (("2" * 64, None), (space, other)):
        with pytest.raises(WeightsError, match=r"style"):
            hub.find_style(sha256, beside, named=named)


@pytest.mark.parametrize("text", ["{", "[1]", '[{"name": 1}]', '[{"nome": "x"}]', '[{"name": "x"}]'])
def test_a_damaged_index(folder: Path, text: str) -> None:
    (folder / hub.INDEX).write_text(text)
    with pytest.raises(WeightsError, match="damaged index"):
        hub.entries()


def test_pulling_without_a_network_or_by_an_unknown_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")

    def unreachable(*args: object, **options: object) -> str:
        raise ConnectionError("cannot reach the hub\nlong story")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(WeightsError, match=r"clap: cannot reach the hub$"):
        hub.pull("clap")
    assert hub.pulled("clap") is None
    with pytest.raises(WeightsError, match="nothing called 'gpt'"):
        hub.pull("gpt")
    with pytest.raises(WeightsError, match="weights of clap are not in the local cache"):
        hub.pulled_folder("clap")


def test_pulling_takes_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **options: str(tmp_path))
    with pytest.raises(WeightsError, match="has no safetensors file"):
        hub.pull("t5")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert hub.pull("t5") == tmp_path


def save_codec(path: Path, encoder: float, decoder: float, mean: float = 0.0, **config: object) -> str:
    path.parent.mkdir(exist_ok=True)
    tensors = {"encoder.w": encoder, "decoder.w": decoder, "latent_mean": mean, "latent_variance": 1.0}
    header = {"kind": "vae", "config": {"latent_channels": 8, **config}}
    save_checkpoint(path, {name: torch.full((2,), value) for name, value in tensors.items()}, header)
    return file_sha256(path)


def test_the_sha256_of_latents_is_blind_to_the_decoder_only(tmp_path: Path) -> None:
    changes = [{}, {"decoder": 9.0}, {"decoder_channels": [9]}, {"encoder": 9.0}, {"mean": 9.0}, {"dilations": [9]}]
    for number, change in enumerate(changes):
        save_codec(tmp_path / f"{number}.safetensors", **({"encoder": 1.0, "decoder": 2.0} | change))
    first, *others = (latent_sha256(tmp_path / f"{number}.safetensors") for number in range(len(changes)))
    assert [other == first for other in others] == [True, True, False, False, False]


@pytest.fixture
def codecs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A denoiser's run, and next to it a codec, one with a better decoder, and one of other latents."""
    monkeypatch.setenv(hub.ENVIRONMENT, str(tmp_path / "weights"))
    paths = {name: tmp_path / "runs" / name / "vae.safetensors" for name in ("first", "later", "other")}
    (tmp_path / "runs").mkdir()
    for number, (name, path) in enumerate(paths.items()):
        save_codec(path, encoder=5.0 if name == "other" else 1.0, decoder=float(number))
    (tmp_path / "runs" / "denoiser").mkdir()
    return paths | {"denoiser": tmp_path / "runs" / "denoiser" / "denoiser.safetensors"}


def test_a_denoiser_is_served_by_every_codec_of_its_latents(codecs: dict[str, Path]) -> None:
    header = {"codec_sha256": "0" * 64, "latent_sha256": latent_sha256(codecs["first"])}
    beside = codecs["denoiser"]
    assert hub.find_codec(header, beside) == codecs["first"]
    assert hub.find_codec(header, beside, named=codecs["later"]) == codecs["later"]
    codecs["first"].unlink()
    assert hub.find_codec(header, beside) == codecs["later"]
    with pytest.raises(WeightsError, match=r"other/vae.safetensors: not the codec of .*denoiser.safetensors"):
        hub.find_codec(header, beside, named=codecs["other"])
    codecs["later"].unlink()
    with pytest.raises(WeightsError, match=r"no codec of .*denoiser.safetensors is here"):
        hub.find_codec(header, beside)


def test_a_denoiser_that_names_a_file_only_takes_its_latents_from_that_file(codecs: dict[str, Path]) -> None:
    header, beside = {"codec_sha256": file_sha256(codecs["first"])}, codecs["denoiser"]
    assert hub.find_codec(header, beside) == codecs["first"]
    assert hub.find_codec(header, beside, named=codecs["later"]) == codecs["later"]
    with pytest.raises(WeightsError, match="not the codec of"):
        hub.find_codec(header, beside, named=codecs["other"])
    with pytest.raises(WeightsError, match="does not say codec_sha256"):
        hub.find_codec({}, beside)


def test_the_default_codec_of_the_same_latents_comes_first(codecs: dict[str, Path]) -> None:
    folder = hub.weights_folder()
    rows = []
    for decoder, name in ((7.0, "old"), (8.0, "new")):
        path = folder / f"{name}.safetensors"
        sha256 = save_codec(path, encoder=1.0, decoder=decoder)
        row = {"name": name, "kind": "vae", "file": path.name, "sha256": sha256, "bytes": path.stat().st_size}
        rows.append({**row, "default": name == "new"})
    (folder / hub.INDEX).write_text(json.dumps(rows))
    header = {"codec_sha256": rows[0]["sha256"], "latent_sha256": latent_sha256(codecs["first"])}
    assert hub.find_codec(header, codecs["denoiser"]) == folder / "new.safetensors"
