"""The codec's stage: augmentation, chances, the balance of gradients, and that the codec learns a chord."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hsmad_cli.config import load_preset
from hsmad_cli.model.discriminator import discriminator_loss
from hsmad_cli.training.loop import Run
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw
from hsmad_cli.training.spectral_loss import loudness
from hsmad_cli.training.stages.vae import (
    ADVERSARIAL_SHARE,
    FEATURE_SHARE,
    SPECTRAL_SHARE,
    VAEStage,
    augment,
    passing_on,
)

CPU = torch.device("cpu")


class Chord:
    """An endless A major chord; crops begin anywhere."""

    def crop_audio(self, generator: torch.Generator, batch: int, n_samples: int) -> torch.Tensor:
        start = torch.randint(0, 44100, (batch, 1), generator=generator)
        seconds = (start + torch.arange(n_samples)) / 44100
        left = sum(0.2 * torch.sin(2 * torch.pi * pitch * seconds) for pitch in (220.0, 277.2, 329.6))
        return torch.stack((left, 0.5 * left), 1)


def stage(**changes: object) -> VAEStage:
    config = load_preset("tiny")
    return VAEStage(replace(config, train_vae=replace(config.train_vae, **changes)), Chord(), CPU)


def test_augmented_audio_never_clips_and_keeps_its_shape() -> None:
    audio = torch.rand(256, 2, 50) * 2 - 1
    result = augment(audio, torch.Generator().manual_seed(0))
    assert result.shape == audio.shape
    assert result.abs().max() <= 1.0
    level = result.square().mean((1, 2)).sqrt() / audio.square().mean((1, 2)).sqrt()
    assert level.min() < 0.02
    assert level.max() > 1.0


def test_augmentation_makes_mono_and_swaps() -> None:
    audio = torch.stack((torch.full((400, 10), 0.5), torch.full((400, 10), 0.25)), 1)
    result = augment(audio, torch.Generator().manual_seed(0))[..., 0]
    ratio = (result[:, 0] / result[:, 1])[result[:, 0] != 0]
    kinds = {round(float(value), 3) for value in ratio}
    assert kinds == {2.0, 0.5, 1.0}
    assert (result < 0).any()
    assert (result > 0).any()


def test_a_batch_is_a_function_of_the_draw_and_processes_share_the_sizes() -> None:
    trained = stage(batch=4)
    one, again = (trained.batch(7, Draw(3, 7)) for _ in range(2))
    other = trained.batch(7, Draw(3, 7, rank=1, world=2))
    assert torch.equal(one.audio, again.audio)
    assert torch.equal(one.noise, again.noise)
    assert not torch.equal(one.noise, other.noise)
    assert (one.sizes, one.scales) == (other.sizes, other.scales)


def test_latent_noise_is_of_the_usual_size_on_most_items() -> None:
    trained = stage(batch=256, crop_frames=4)
    size = trained._latent_noise(256, 64, torch.Generator().manual_seed(0)).std((1, 2))
    louder = size > 0.075
    assert 0.2 < louder.float().mean() < 0.4
    torch.testing.assert_close(size[~louder].mean(), torch.tensor(0.05), rtol=0.02, atol=0)
    assert size[louder].min() > 0.09
    assert size[louder].max() < 0.16


def test_passing_on_hands_a_gradient_through() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = passing_on(x * 3, torch.tensor([5.0, 7.0]), torch.tensor(42.0))
    loss.backward()
    assert loss == 42.0
    assert x.grad.tolist() == [15.0, 21.0]


def test_the_discriminator_joins_at_its_step_and_moves_after_the_codec() -> None:
    trained = stage(adversarial_from=2)
    assert list(trained.players) == ["vae", "discriminator"]
    batch = trained.batch(2, Draw(0, 2))
    assert trained.loss("discriminator", batch, 1) is None
    with pytest.raises(ValueError, match="after the vae"):
        trained.loss("discriminator", batch, 2)
    trained.loss("vae", batch, 2)
    loss, _ = trained.loss("discriminator", batch, 2)
    loss.backward()
    assert all(p.grad is None for p in trained.vae.parameters())
    used = {name.split(".")[1] for name, p in trained.discriminator.named_parameters() if p.grad is not None}
    assert used == {str(size) for size in batch.scales}
    assert list(stage().players) == ["vae"]


def test_the_discriminator_learns_as_if_it_judged_the_first_half_afresh() -> None:
    trained = stage(adversarial_from=1, batch=5)
    batch = trained.batch(1, Draw(0, 1))
    trained.loss("vae", batch, 1)
    loss, _ = trained.loss("discriminator", batch, 1)
    loss.backward()
    used = [p for p in trained.discriminator.parameters() if p.grad is not None]
    gradients = [p.grad.clone() for p in used]
    target = batch.audio / loudness(batch.audio)
    with torch.no_grad():
        estimate = trained.vae.reconstruct(batch.audio, batch.noise)[0] / loudness(batch.audio)
    afresh = discriminator_loss(*(trained.discriminator(audio[:3], batch.scales) for audio in (target, estimate)))
    torch.testing.assert_close(loss, afresh)
    for gradient, expected in zip(gradients, torch.autograd.grad(afresh, used), strict=True):
        torch.testing.assert_close(gradient, expected, atol=5e-5, rtol=1e-3)


def test_the_work_of_both_players_can_be_counted() -> None:
    trained = stage(adversarial_from=1)
    batch = trained.batch(1, Draw(0, 1))
    with FlopCounterMode(display=False) as counter:
        for player in trained.players:
            trained.loss(player, batch, 1)[0].backward()
    assert counter.get_flop_counts()["Discriminator"]


def test_a_frozen_encoder_keeps_its_latents_while_both_others_learn() -> None:
    trained = stage(adversarial_from=1, frozen=("encoder",), batch=2, crop_frames=8)
    trained.vae.update_statistics(torch.full((8,), 0.3), torch.full((8,), 2.0))
    run = Run(trained, trained.train, Workers(CPU), seed=0)
    before = {name: tensor.clone() for name, tensor in trained.vae.state_dict().items()}
    for _ in range(3):
        run.advance(0.0)
    after = run.ema.state_dict()
    changed = {name.split(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == {"decoder"}
    assert run.meter.take()["discriminator/loss"] > 0


def test_the_discriminators_gradients_get_their_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = stage(adversarial_from=1)
    batch = trained.batch(1, Draw(0, 1))
    target = batch.audio
    estimate = (0.5 * target).requires_grad_()
    loss, scalars = trained._balanced_loss(estimate, target, batch, adversarial=1.0)
    loss.backward()
    leaf = estimate.detach().requires_grad_()
    spectral = torch.autograd.grad(trained._spectral_loss(leaf, target, batch)[0], leaf)[0]
    added = (estimate.grad - spectral).norm() / spectral.norm() * SPECTRAL_SHARE
    assert FEATURE_SHARE - ADVERSARIAL_SHARE - 1e-4 < added < FEATURE_SHARE + ADVERSARIAL_SHARE + 1e-4
    torch.testing.assert_close(loss.detach(), scalars["spectral"])
    assert all(p.grad is None for p in trained.discriminator.parameters())


def test_sixty_steps_on_a_chord_lower_the_loss_by_a_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsmad_cli.training.stages.vae.augment", lambda audio, generator: audio)
    trained = stage(batch=4, crop_frames=8)
    optimiser = torch.optim.AdamW(trained.vae.parameters(), lr=3e-3, betas=(0.9, 0.99))
    losses = []
    for step in range(60):
        loss, scalars = trained.loss("vae", trained.batch(step, Draw(0, step)), step)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained.vae.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
    assert set(scalars) == {"complex", "magnitude", "log_magnitude", "wave"}
    assert sum(losses[-10:]) < 0.67 * sum(losses[:10])


def test_the_header_holds_the_codec_configuration() -> None:
    assert stage().header()["config"]["latent_channels"] == 8
