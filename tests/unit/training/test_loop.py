from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import CONFIG, ToyStage

from hsmad_cli.errors import NonFiniteError, Terminated, WeightsError
from hsmad_cli.files.checkpoint import load_checkpoint, save_checkpoint
from hsmad_cli.training.loop import Run, rate_factor, train
from hsmad_cli.training.parallel import Workers

ALONE = Workers(torch.device("cpu"))
TOY = Path(__file__).with_name("toy.py")


def state(run_dir: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run_dir / "state.safetensors", "training")[0]


def metrics(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def without_times(lines: list[dict]) -> list[dict]:
    return [{key: value for key, value in line.items() if key not in ("seconds", "items_per_s")} for line in lines]


def assert_same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never stopped."""
    run_dir = tmp_path_factory.mktemp("whole")
    assert train(ToyStage(), CONFIG, run_dir, workers=ALONE) == 12
    return run_dir


def test_rate_warms_up_stays_and_decays() -> None:
    config = replace(CONFIG, warmup=4, decay=0.5)
    assert [rate_factor(step, 0.0, config) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rate_factor(9, 0.5, config) == 1.0
    assert rate_factor(9, 0.75, config) == pytest.approx(0.5)
    assert rate_factor(9, 1.0, config) == pytest.approx(0.0)
    assert rate_factor(9, 1.0, replace(config, decay=0.0)) == 1.0


def test_a_run_learns_and_writes_its_folder(whole: Path) -> None:
    lines = metrics(whole)
    assert [line["step"] for line in lines] == list(range(1, 13))
    assert lines[-1]["model/loss"] < lines[0]["model/loss"]
    assert "critic/loss" not in lines[1]
    assert "critic/loss" in lines[2]
    assert "model/never" not in lines[0]
    assert json.loads((whole / "config.json").read_text())["train"]["steps"] == 12
    shipped, header = load_checkpoint(whole / "toy.safetensors", "toy")
    assert header["step"] == 12
    assert header["config"] == {"width": 8}
    assert shipped["0.weight"].dtype == torch.float16
    assert torch.equal(shipped["0.weight"], state(whole)["ema/0.weight"].half())


@pytest.mark.parametrize("stop_at", [3, 5, 11])
def test_a_resumed_run_is_as_if_never_stopped(whole: Path, tmp_path: Path, stop_at: int) -> None:
    with pytest.raises(RuntimeError, match="stopped here"):
        train(ToyStage(stop_at=stop_at), CONFIG, tmp_path, workers=ALONE)
    train(ToyStage(), CONFIG, tmp_path, workers=ALONE, resume=True)
    assert_same_bits(state(tmp_path), state(whole))
    assert without_times(metrics(tmp_path)) == without_times(metrics(whole))


@pytest.mark.parametrize("chip", [True, False])
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_losses_are_computed_in_bfloat16_if_wanted_where_the_chip_does(monkeypatch, chip: bool, precision: str) -> None:
    class Watched(ToyStage):
        def loss(self, player, batch, step):
            self.seen = self.players["model"](batch).dtype
            return super().loss(player, batch, step)

    monkeypatch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: chip)
    stage = Watched()
    Run(stage, replace(CONFIG, precision=precision), ALONE, 0).advance(0.0)
    assert stage.seen == (torch.bfloat16 if chip and precision == "bf16" else torch.float32)


def test_resuming_a_finished_run_does_nothing(whole: Path, tmp_path: Path) -> None:
    train(ToyStage(), CONFIG, tmp_path, workers=ALONE)
    assert train(ToyStage(), CONFIG, tmp_path, workers=ALONE, resume=True) == 12
    assert_same_bits(state(tmp_path), state(whole))


def test_sigterm_saves_and_leaves_and_the_run_resumes(whole: Path, tmp_path: Path) -> None:
    class Killed(ToyStage):
        def batch(self, step, draw):
            if step == 7:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().batch(step, draw)

    with pytest.raises(Terminated, match="saved step 8"):
        train(Killed(), CONFIG, tmp_path, workers=ALONE)
    assert load_checkpoint(tmp_path / "state.safetensors", "training")[1]["step"] == 8
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    train(ToyStage(), CONFIG, tmp_path, workers=ALONE, resume=True)
    assert_same_bits(state(tmp_path), state(whole))


def test_ctrl_c_saves_and_interrupts(tmp_path: Path) -> None:
    class Interrupted(ToyStage):
        def batch(self, step, draw):
            if step == 2:
                os.kill(os.getpid(), signal.SIGINT)
            return super().batch(step, draw)

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(), CONFIG, tmp_path, workers=ALONE)
    assert load_checkpoint(tmp_path / "state.safetensors", "training")[1]["step"] == 3


def test_kill_dash_nine_loses_at_most_save_every_steps(whole: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, str(TOY), str(tmp_path)], env=environment)
    deadline = time.monotonic() + 280
    while not (tmp_path / "toy.safetensors").is_file() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert load_checkpoint(tmp_path / "state.safetensors", "training")[1]["step"] in (5, 10, 12)
    train(ToyStage(), CONFIG, tmp_path, workers=ALONE, resume=True)
    assert_same_bits(state(tmp_path), state(whole))
    assert without_times(metrics(tmp_path)) == without_times(metrics(whole))


def test_a_time_budget_ends_the_run_and_drives_the_decay(tmp_path: Path) -> None:
    config = replace(CONFIG, steps=10**6, seconds=0.5, save_every=10**6)
    steps = train(ToyStage(pause_s=0.01), config, tmp_path, workers=ALONE)
    assert 2 < steps < 100
    assert load_checkpoint(tmp_path / "state.safetensors", "training")[1]["step"] == steps
    assert metrics(tmp_path)[-1]["learning_rate"] < 0.2 * config.learning_rate


def test_a_non_finite_loss_names_its_step_and_saves_nothing_bad(tmp_path: Path) -> None:
    config = replace(CONFIG, log_every=100)
    with pytest.raises(NonFiniteError, match="at step 8;"):
        train(ToyStage(bad_step=7), config, tmp_path, workers=ALONE)
    tensors, header = load_checkpoint(tmp_path / "state.safetensors", "training")
    assert header["step"] == 5
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_init_takes_the_ema_and_nothing_else(whole: Path, tmp_path: Path) -> None:
    from_state, from_shipped = (Run(ToyStage(), CONFIG, ALONE, 0) for _ in range(2))
    from_state.start_from(whole / "state.safetensors")
    from_shipped.start_from(whole / "toy.safetensors")
    wanted = state(whole)
    for name, parameter in from_state.model.named_parameters():
        assert torch.equal(parameter, wanted[f"ema/{name}"])
        assert torch.equal(from_state.ema.named()[name], parameter)
    for name, parameter in from_shipped.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), wanted[f"ema/{name}"], rtol=2**-11, atol=1e-6)
    assert from_state.step == 0
    assert not from_state.optimisers["model"][0].state


def test_a_state_of_another_stage_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "state.safetensors", {}, {"kind": "training", "stage": "vae", "step": 1})
    with pytest.raises(WeightsError, match="stage 'vae'"):
        train(ToyStage(), CONFIG, tmp_path, workers=ALONE, resume=True)


def test_the_test_metric_sees_the_ema_and_leaves_the_weights(whole: Path, tmp_path: Path) -> None:
    seen = []

    def test(model: torch.nn.Module, step: int) -> dict[str, float]:
        seen.append((step, model.training))
        return {"weight": float(model[0].weight.sum())}

    train(ToyStage(), replace(CONFIG, test_every=6), tmp_path, workers=ALONE, test=test)
    assert seen == [(6, False), (12, False)]
    tested = [line for line in metrics(tmp_path) if "test/weight" in line]
    assert tested[-1]["test/weight"] == pytest.approx(float(state(whole)["ema/0.weight"].sum()), rel=1e-4)
    assert_same_bits(state(tmp_path), state(whole))


def test_draws_depend_on_seed_step_and_rank_only(tmp_path: Path) -> None:
    stage = ToyStage()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    train(stage, replace(CONFIG, steps=2), tmp_path, workers=ALONE, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    first, second = stage.draws

    def values(draw, *arguments, **keywords):
        return torch.rand(4, generator=draw.generator(*arguments, **keywords))

    assert torch.equal(values(first, "x"), values(replace(first), "x"))
    others = [values(second, "x"), values(first, "y"), values(replace(first, rank=1), "x")]
    others += [values(replace(first, seed=4), "x")]
    assert not any(torch.equal(values(first, "x"), other) for other in others)
    assert torch.equal(values(first, "x", shared=True), values(replace(first, rank=1), "x", shared=True))
