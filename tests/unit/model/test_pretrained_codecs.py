"""EnCodec and DAC through tiny models that were saved and loaded, as real ones are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hsmad_cli.model.pretrained_codecs import DACCodec, EncodecCodec, PretrainedCodec, dac_halo


def tiny_encodec(folder: Path, **changes: object) -> Path:
    from transformers import EncodecConfig, EncodecModel

    sizes = {"num_filters": 2, "hidden_size": 8, "upsampling_ratios": [5, 4], "codebook_size": 16, "num_lstm_layers": 1}
    config = EncodecConfig(sampling_rate=1000, target_bandwidths=[0.4], **{**sizes, **changes})
    EncodecModel(config).save_pretrained(folder)
    return folder


def tiny_dac(folder: Path) -> Path:
    from transformers import DacConfig, DacModel

    config = DacConfig(
        encoder_hidden_size=2, decoder_hidden_size=16, downsampling_ratios=[2, 4], n_codebooks=2, codebook_size=16,
        codebook_dim=2, sampling_rate=1000,
    )  # fmt: skip
    DacModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(params=["encodec", "dac"])
def codec(request: pytest.FixtureRequest, tmp_path: Path) -> PretrainedCodec:
    torch.manual_seed(0)
    if request.param == "encodec":
        return EncodecCodec.load(tiny_encodec(tmp_path))
    return DACCodec.load(tiny_dac(tmp_path))


def test_lengths_are_exact(codec: PretrainedCodec) -> None:
    assert codec.sample_rate == 1000
    assert codec.hop_length == (20 if isinstance(codec, EncodecCodec) else 8)
    for samples in (codec.hop_length * 20, codec.hop_length * 20 + 1):
        frames = -(-samples // codec.hop_length)
        with torch.no_grad():
            latent = codec.encode(0.1 * torch.randn(2, 2, samples))
            audio = codec.decode(latent)
        assert latent.shape == (2, frames, codec.latent_channels)
        assert audio.shape == (2, 2, frames * codec.hop_length)


def test_channels_do_not_mix(codec: PretrainedCodec) -> None:
    audio = 0.1 * torch.randn(1, 2, codec.hop_length * 20)
    with torch.no_grad():
        latent, swapped = codec.encode(audio), codec.encode(audio.flip(1))
        half = codec.latent_channels // 2
        torch.testing.assert_close(swapped, torch.cat((latent[..., half:], latent[..., :half]), -1))
        torch.testing.assert_close(codec.decode(swapped), codec.decode(latent).flip(1))


def test_it_decodes_as_transformers_does(codec: PretrainedCodec) -> None:
    audio = 0.1 * torch.randn(1, 2, codec.hop_length * 20)
    with torch.no_grad():
        mine = codec.decode(codec.encode(audio))
        theirs = codec.model(audio.transpose(0, 1)).audio_values.reshape(1, 2, -1)
    torch.testing.assert_close(mine[..., : theirs.shape[-1]], theirs, atol=1e-5, rtol=1e-4)


def test_an_encodec_that_normalises_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="normalize=True"):
        EncodecCodec.load(tiny_encodec(tmp_path, normalize=True))


def test_dac_in_blocks_equals_the_whole(tmp_path: Path) -> None:
    codec = DACCodec.load(tiny_dac(tmp_path))
    assert codec.halo is not None
    halo, hop, start, stop = codec.halo, codec.hop_length, codec.halo + 2, codec.halo + 6
    audio = 0.1 * torch.randn(1, 2, (2 * halo + 9) * hop)
    with torch.no_grad():
        latent = codec.encode(audio)
        part = codec.encode(audio[..., (start - halo) * hop : (stop + halo) * hop])[:, halo:-halo]
        whole = codec.decode(latent)[..., start * hop : stop * hop]
        block = codec.decode(latent[:, start - halo : stop + halo])[..., halo * hop : -halo * hop]
    torch.testing.assert_close(part, latent[:, start:stop], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(block, whole, atol=1e-5, rtol=1e-4)


def test_halo_of_the_real_dac() -> None:
    assert dac_halo([2, 4, 8, 8]) == 10
