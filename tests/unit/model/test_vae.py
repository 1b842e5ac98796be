"""The codec: exact lengths, blocks = whole, statistics, and that it can learn."""

from __future__ import annotations

import math

import pytest
import torch

from hsmad_cli.config import CodecConfig, load_preset
from hsmad_cli.model import vae
from hsmad_cli.model.vae import (
    VAE,
    Convolution,
    Snake,
    WeightNormed,
    from_mid_side,
    from_patches,
    snake_kernel,
    to_mid_side,
    to_patches,
)

HOP = 882


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def tiny() -> VAE:
    torch.manual_seed(0)
    return VAE(load_preset("tiny").codec).eval()


def test_base_fits_into_twelve_million_parameters() -> None:
    parameters = sum(parameter.numel() for parameter in VAE(load_preset("base").codec).parameters())
    assert 10e6 < parameters <= 12e6


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (HOP, 1), (HOP + 1, 2), (5 * HOP, 5)])
def test_latent_frames_are_hops_rounded_up(tiny: VAE, samples: int, frames: int) -> None:
    with torch.no_grad():
        latent = tiny.encode(0.1 * noise(2, 2, samples))
        audio = tiny.decode(latent)
    assert latent.shape == (2, frames, 8)
    assert latent.dtype == torch.float32
    assert audio.shape == (2, 2, frames * HOP)
    assert audio.dtype == torch.float32


def test_wrong_shapes_are_refused_with_their_numbers(tiny: VAE) -> None:
    with pytest.raises(ValueError, match=r"\[1, 1, 882\]"):
        tiny.encode(torch.zeros(1, 1, HOP))
    with pytest.raises(ValueError, match=r"\[1, 8, 5\]"):
        tiny.decode(torch.zeros(1, 8, 5))


def test_mid_side_and_patches_are_transparent() -> None:
    audio = noise(2, 2, 12)
    torch.testing.assert_close(from_mid_side(to_mid_side(audio)), audio)
    assert torch.equal(from_patches(to_patches(audio, 6), 6), audio)
    assert torch.equal(to_mid_side(torch.ones(1, 2, 3))[0], torch.tensor([[1.0] * 3, [0.0] * 3]))
    assert to_patches(audio, 6)[1, 1].tolist() == [*audio[1, 0, 6:].tolist(), *audio[1, 1, 6:].tolist()]


def test_snake_on_a_cpu_without_gradient_is_the_same_function() -> None:
    snake = Snake(3)
    torch.nn.init.normal_(snake.log_alpha)
    x = noise(2, 50, 3)
    expected = x + torch.sin(snake.log_alpha.exp() * x) ** 2 / snake.log_alpha.exp()
    torch.testing.assert_close(snake(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(snake(x), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the kernel needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_snake_of_one_kernel_is_the_same_function(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(vae, "snake_kernel", lambda: lambda *of: calls.append(of) or snake_kernel()(*of))
    snake = Snake(3).cuda()
    torch.nn.init.normal_(snake.log_alpha)
    x = noise(2, 50, 3).cuda().to(dtype)
    alpha = snake.log_alpha.to(dtype).float().exp()
    expected = (x.float() + torch.sin(alpha * x.float()) ** 2 / alpha).to(dtype)
    with torch.inference_mode():
        torch.testing.assert_close(snake(x), expected)
    assert len(calls) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only there is the kernel of inference passed by")
@pytest.mark.parametrize("decoder_alone", [False, True])
def test_both_training_passes_compile_in_one_piece_on_a_gpu(tiny: VAE, decoder_alone: bool) -> None:
    tiny.cuda()
    reconstruct = tiny.reconstruct_frozen if decoder_alone else tiny.reconstruct
    audio, latent_noise = noise(2, 2, 8 * HOP).cuda(), noise(2, 8, 8).cuda()
    compiled = torch.compile(reconstruct, dynamic=False, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(audio, latent_noise), reconstruct(audio, latent_noise))


def test_rows_of_a_weight_have_the_norm_of_their_gain() -> None:
    layer = WeightNormed((4, 5), gain=3.0)
    with torch.no_grad():
        layer.direction.mul_(7)
    torch.testing.assert_close(layer.weight().norm(dim=1), torch.full((4,), 3.0))


def test_convolution_equals_the_sum_written_out() -> None:
    layer = Convolution(2, 1, kernel=3, dilation=2)
    x = noise(1, 9, 2)
    padded = torch.nn.functional.pad(x, (0, 0, 2, 2))
    taps = layer.weight().detach()[0, :, 0]
    expected = [sum(float(padded[0, t + 2 * k] @ taps[:, k]) for k in range(3)) for t in range(9)]
    torch.testing.assert_close(layer(x)[0, :, 0], torch.tensor(expected))


def test_halo_is_the_receptive_field_in_frames() -> None:
    config = CodecConfig(44100, (2, 3), (4, 4), (4, 4), kernels=(3, 3), dilations=(1,))
    # input convolution 2, units at 2 and 6 samples a frame 2 + 6, latent convolution 6: 16 samples = 2.7 frames of 6
    assert VAE(config).halo == 3
    assert VAE(CodecConfig()).halo == 19


@pytest.mark.parametrize("preset", ["tiny", "base"])
def test_blocks_with_a_halo_equal_the_whole(preset: str) -> None:
    torch.manual_seed(1)
    vae = VAE(load_preset(preset).codec).eval()
    halo, frames, start, stop = vae.halo, 2 * vae.halo + 9, vae.halo + 1, vae.halo + 5
    audio = 0.1 * noise(1, 2, frames * HOP)
    inner = slice(halo, halo + stop - start)
    with torch.no_grad():
        latent = vae.encode(audio)
        part = vae.encode(audio[..., (start - halo) * HOP : (stop + halo) * HOP])[:, inner]
        whole = vae.decode(latent)[..., start * HOP : stop * HOP]
        block = vae.decode(latent[:, start - halo : stop + halo])[..., inner.start * HOP : inner.stop * HOP]
    for one, other in ((latent[:, start:stop], part), (whole, block)):
        assert 20 * math.log10(float((one - other).norm() / one.norm()) + 1e-12) < -80


def test_a_context_below_the_halo_would_be_heard(tiny: VAE) -> None:
    latent = noise(1, 2 * tiny.halo + 1, 8).requires_grad_()
    tiny.decode(latent)[..., tiny.halo * HOP : (tiny.halo + 1) * HOP].sum().backward()
    reached = latent.grad.abs().sum((0, 2)).nonzero().flatten()
    assert len(reached) >= 2 * tiny.halo - 1


def test_training_latents_are_standardised_and_encode_agrees_after_updates(tiny: VAE) -> None:
    audio = 0.1 * noise(4, 2, 12 * HOP)
    seen: list[torch.Tensor] = []
    tiny.decoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    _, mean, variance = tiny.reconstruct(audio, torch.zeros(4, 12, 8))
    torch.testing.assert_close(seen[0].mean((0, 1)), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0].var((0, 1), correction=0), torch.ones(8), atol=1e-3, rtol=0)
    tiny.update_statistics(mean, variance)
    torch.testing.assert_close(tiny.encode(audio), seen[0], atol=1e-4, rtol=1e-4)


def test_running_statistics_begin_as_a_plain_average(tiny: VAE) -> None:
    for value in (1.0, 2.0, 6.0):
        tiny.update_statistics(torch.full((8,), value), torch.full((8,), 2 * value))
    torch.testing.assert_close(tiny.latent_mean, torch.full((8,), 3.0))
    torch.testing.assert_close(tiny.latent_variance, torch.full((8,), 6.0))


@pytest.mark.parametrize("name", ["reconstruct", "reconstruct_frozen"])
def test_reconstruct_is_one_graph(tiny: VAE, name: str) -> None:
    reconstruct = getattr(tiny, name)
    compiled = torch.compile(reconstruct, backend="eager", fullgraph=True, dynamic=False)
    audio, disturbance = 0.1 * noise(2, 2, 2 * HOP), 0.05 * noise(2, 2, 8)
    torch.testing.assert_close(compiled(audio, disturbance), reconstruct(audio, disturbance))


def test_the_decoder_alone_learns_from_the_latents_of_encode(tiny: VAE) -> None:
    audio, disturbance = 0.1 * noise(2, 2, 3 * HOP), 0.05 * noise(2, 3, 8)
    tiny.update_statistics(torch.full((8,), 0.3), torch.full((8,), 2.0))
    result = tiny.reconstruct_frozen(audio, disturbance)
    torch.testing.assert_close(result, tiny.decode(tiny.encode(audio) + disturbance))
    result.square().sum().backward()
    assert all(p.grad is None for p in tiny.encoder.parameters())
    assert all(p.grad is not None for p in tiny.decoder.parameters())
