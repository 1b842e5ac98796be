"""The one training loop of every stage.

A stage says what is trained (its players), draws batches and computes losses; the loop does the rest: AdamW, warm-up
and decay, clipping, bf16, EMA, many processes, metrics, saving, exact resume, leaving in good order on a signal.

A run folder holds `config.json`, `metrics.jsonl` (one object a line), `state.safetensors` (float32: raw weights, EMA,
optimisers, step) and `<kind>.safetensors` (the EMA in half precision, ready to ship).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hsmad_cli.config import TrainConfig, canonical_json, to_dict
from hsmad_cli.errors import ConfigError, WeightsError
from hsmad_cli.files.checkpoint import fill, halved, load_checkpoint, read_header, save_checkpoint
from hsmad_cli.files.publish import append_line, write_bytes
from hsmad_cli.model.precision import autocast
from hsmad_cli.training.capture import CapturedLoss, CapturedMove
from hsmad_cli.training.ema import EMA
from hsmad_cli.training.growth import grown, latent_channels, with_silent_parts
from hsmad_cli.training.metrics import Meter, keep_lines_until
from hsmad_cli.training.muon import Muon
from hsmad_cli.training.parallel import Workers
from hsmad_cli.training.randomness import Draw
from hsmad_cli.training.signals import Signals

STATE_FILE = "state.safetensors"
METRICS_FILE = "metrics.jsonl"
AGREE_EVERY = 10
OPTIMISER_KEYS = ("step", "exp_avg", "exp_avg_sq", "momentum")


class Stage(Protocol):
    """What is trained, on what, towards what.

    `players` are trained modules on the run's device, each with an optimiser of its own; in every step they move in
    this order on the same batch. The first is the model that ships, with an EMA; a discriminator is a second one.
    A stage compiles what pays (static shapes) itself, and draws every random number in `batch`.
    """

    kind: str
    players: dict[str, nn.Module]

    def batch(self, step: int, draw: Draw) -> Any:
        """The data and noise of one step, on the device: a function of (step, draw) only, so that a run can resume."""
        ...

    def loss(self, player: str, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]] | None:
        """The player's loss and detached 0-d scalars for the log (NaN = not observed); None: it sits this step out.

        Whether it sits out depends on `step` only. Called under autocast; backward and the step follow at once, so a
        later player may use what an earlier one left on the stage.
        """
        ...

    def header(self) -> dict[str, Any]:
        """What the shipped checkpoint says besides kind, step and GPU seconds: `config`, sha256 of its codec, ..."""
        ...


def rate_factor(step: int, progress: float, config: TrainConfig) -> float:
    """Learning rate of `step` (0, 1, ...) over its full value; `progress` is the done part of the run, 0 to 1."""
    warm = min(1.0, (step + 1) / max(config.warmup, 1))
    if config.decay <= 0.0:
        return warm
    into_decay = min(max((progress - (1.0 - config.decay)) / config.decay, 0.0), 1.0)
    return warm * 0.5 * (1.0 + math.cos(math.pi * into_decay))


def freeze(model: nn.Module, parts: Iterable[str]) -> None:
    """Train no parameter of these parts of a model. Raises ConfigError for a part that it does not have."""
    there = dict(model.named_children())
    for part in parts:
        if part not in there:
            raise ConfigError(f"nothing called {part!r} to keep frozen", f"parts of this model: {', '.join(there)}")
        there[part].requires_grad_(False)


class Run:
    """The state of a training run: players, their optimisers, the EMA and the step."""

    def __init__(self, stage: Stage, config: TrainConfig, workers: Workers, seed: int) -> None:
        self.stage, self.config, self.workers, self.seed = stage, config, workers, seed
        self.step = 0
        self.saved_step = -1
        self.gpu_seconds = 0.0
        self.fused = workers.device.type == "cuda"
        self.captures = self.fused and config.capture
        self.model_name, self.model = next(iter(stage.players.items()))
        freeze(self.model, config.frozen)
        self.ema = EMA(self.model, config.ema)
        self.parameters = {name: [p for p in player.parameters() if p.requires_grad] for name, player in self.players}
        self.rate = torch.tensor(config.learning_rate, device=workers.device) if self.captures else config.learning_rate
        self.optimisers = {name: self._optimisers(self.parameters[name]) for name, _ in self.players}
        self.captured: dict[str, CapturedLoss] = {}
        self.moves: dict[str, Callable[[], Tensor]] = {}
        self.meter = Meter(workers)

    @property
    def players(self) -> Iterable[tuple[str, nn.Module]]:
        return self.stage.players.items()

    def _optimisers(self, parameters: list[nn.Parameter]) -> list[torch.optim.Optimizer]:
        """Those of a player: matrices and kernels decay and may be Muon's; biases, gains and gates are AdamW's."""
        rate, decay = self.rate, self.config.weight_decay
        matrices = [p for p in parameters if p.ndim >= 2]
        adam = partial(torch.optim.AdamW, lr=rate, betas=self.config.betas, fused=self.fused, capturable=self.captures)
        others = {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}
        if self.config.optimiser == "muon":
            return [Muon(matrices, rate, weight_decay=decay), adam([others])]
        return [adam([{"params": matrices, "weight_decay": decay}, others])]

    def advance(self, progress: float) -> None:
        """One step of every player; nothing waits for the GPU."""
        torch.compiler.cudagraph_mark_step_begin()
        batch = self.draw_batch()
        rate = self.config.learning_rate * rate_factor(self.step, progress, self.config)
        for name, _ in self.players:
            self._move(name, batch, rate)
        self.step += 1
        self.ema.update(self.step)

    def draw_batch(self) -> Any:
        """The data and noise of the step to come."""
        return self.stage.batch(self.step, Draw(self.seed, self.step, self.workers.rank, self.workers.world))

    def loss_of(self, name: str, batch: Any) -> tuple[Tensor, dict[str, Tensor]] | None:
        """A player's loss and scalars in the run's precision, or None if it sits this step out."""
        with autocast(self.workers.device, self.config.precision):
            return self.stage.loss(name, batch, self.step)

    def _gradients(self, name: str, batch: Any) -> tuple[Tensor, dict[str, Tensor]] | None:
        """Loss and scalars of a player, whose gradients are set; None if it sits this step out."""
        if self.captures:
            if name not in self.captured:
                self.captured[name] = CapturedLoss(partial(self.loss_of, name), self.parameters[name])
            return self.captured[name](batch)
        outcome = self.loss_of(name, batch)
        if outcome is not None:
            for optimiser in self.optimisers[name]:
                optimiser.zero_grad(set_to_none=True)
            outcome[0].backward()
        return outcome

    def _move(self, name: str, batch: Any, rate: float) -> None:
        outcome = self._gradients(name, batch)
        if outcome is None:
            return
        loss, scalars = outcome
        self._average_gradients(self.parameters[name])
        self._set_rate(name, rate)
        norm = self._mover(name)()
        self.meter.add(name, self.step, {"loss": loss.detach(), "grad_norm": norm.detach(), **scalars})

    def _set_rate(self, name: str, rate: float) -> None:
        if isinstance(self.rate, Tensor):
            self.rate.fill_(rate)
            return
        for optimiser in self.optimisers[name]:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def _mover(self, name: str) -> Callable[[], Tensor]:
        if name not in self.moves:
            move = partial(self._clip_and_step, name)
            self.moves[name] = CapturedMove(move) if self.captures else move
        return self.moves[name]

    def _clip_and_step(self, name: str) -> Tensor:
        """Clip the gradients and move the parameters; returns the gradients' norm."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters[name], self.config.clip or math.inf)
        for optimiser in self.optimisers[name]:
            optimiser.step()
        return norm

    def _average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Mean over the processes; a parameter that took no part in the loss has a gradient of zero."""
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.workers.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    def tensors(self) -> dict[str, Tensor]:
        """All that a resumed run needs, as named float32 tensors."""
        found = {f"ema/{name}": tensor for name, tensor in self.ema.named().items()}
        for player_name, player in self.players:
            found |= {f"model/{player_name}/{name}": tensor for name, tensor in player.state_dict().items()}
            for optimiser, name, parameter in self._moved_by(player_name):
                state = optimiser.state.get(parameter, {})
                found |= {f"optimiser/{player_name}/{key}/{name}": value for key, value in state.items()}
        return found

    def restore(self, path: Path) -> None:
        """Go on exactly where a saved state stopped. Raises WeightsError if it is damaged or of another model."""
        tensors, header = load_checkpoint(path, "training")
        if header["stage"] != self.stage.kind:
            raise WeightsError(f"{path}: a state of stage {header['stage']!r}, this is {self.stage.kind!r}")
        for player_name, player in self.players:
            fill(player, _under(tensors, f"model/{player_name}/"), str(path))
            self._restore_optimisers(player_name, tensors)
        for name, average in self.ema.named().items():
            average.copy_(tensors[f"ema/{name}"])
        self.step, self.gpu_seconds = header["step"], header["gpu_seconds"]
        self.moves.clear()

    def _moved_by(self, player_name: str) -> Iterator[tuple[torch.optim.Optimizer, str, nn.Parameter]]:
        """The trained parameters of a player, with their names, each beside its optimiser."""
        names = {parameter: name for name, parameter in self.stage.players[player_name].named_parameters()}
        for optimiser in self.optimisers[player_name]:
            for group in optimiser.param_groups:
                yield from ((optimiser, names[parameter], parameter) for parameter in group["params"])

    def _restore_optimisers(self, player_name: str, tensors: Mapping[str, Tensor]) -> None:
        for optimiser, name, parameter in self._moved_by(player_name):
            keys = {key: f"optimiser/{player_name}/{key}/{name}" for key in OPTIMISER_KEYS}
            state = {key: tensors[where].to(parameter.device) for key, where in keys.items() if where in tensors}
            if "step" in state and not self.fused:
                state["step"] = state["step"].cpu()
            if state:
                optimiser.state[parameter] = state

    def start_from(self, path: Path) -> None:
        """Take only the model's weights: the EMA of a state, or a checkpoint, also one of fewer latent channels or
        without parts that are silent at first."""
        if read_header(path)["kind"] == "training":
            tensors, _ = load_checkpoint(path, "training")
            weights = _under(tensors, f"model/{self.model_name}/") | _under(tensors, "ema/")
        else:
            weights, header = load_checkpoint(path, self.stage.kind)
            narrow, wide = latent_channels(header), latent_channels(self.stage.header())
            if narrow < wide:
                if self.config.frozen:
                    raise ConfigError(f"{path}: {narrow} latent channels, and frozen parts cannot learn {wide}")
                weights = grown(weights, self.model, narrow, wide)
        fill(self.model, with_silent_parts(weights, self.model), str(path))
        self.ema.reset()

    def save(self, run_dir: Path) -> None:
        """Write the state and the shippable weights, after making sure that no step was non-finite."""
        if self.saved_step == self.step:
            return
        self.meter.check()
        self.workers.average([buffer for _, player in self.players for buffer in _float_buffers(player)])
        if self.workers.chief:
            progress = {"step": self.step, "gpu_seconds": round(self.gpu_seconds, 1)}
            header = {"kind": "training", "stage": self.stage.kind, "seed": self.seed, **progress}
            save_checkpoint(run_dir / STATE_FILE, self.tensors(), header)
            shipped = {"kind": self.stage.kind, **progress, **self.stage.header()}
            save_checkpoint(run_dir / f"{self.stage.kind}.safetensors", halved(self.ema.state_dict()), shipped)
        self.workers.wait()
        self.saved_step = self.step


class Clock:
    """How far a run is: by steps, or by the seconds of this session if it has a budget."""

    def __init__(self, run: Run, config: TrainConfig) -> None:
        self.run, self.config = run, config
        self.began = time.monotonic()
        self.elapsed = 0.0
        self.charged = 0.0

    def read(self) -> float:
        self.elapsed = time.monotonic() - self.began
        return self.elapsed

    @property
    def progress(self) -> float:
        by_time = self.elapsed / self.config.seconds if self.config.seconds else 0.0
        return max(self.run.step / max(self.config.steps, 1), by_time)

    def charge(self) -> None:
        """Add the time since the last call to the run's GPU seconds."""
        now = time.monotonic() - self.began
        self.run.gpu_seconds += (now - self.charged) * self.run.workers.world
        self.charged = now


Test = Callable[[nn.Module, int], Mapping[str, float]]


def train(
    stage: Stage,
    config: TrainConfig,
    run_dir: Path,
    *,
    workers: Workers,
    seed: int = 0,
    resume: bool = False,
    init: Path | None = None,
    about: Mapping[str, Any] | None = None,
    test: Test | None = None,
    between: Callable[[int], object] = lambda step: None,
    log: Callable[[str], None] = lambda line: None,
) -> int:
    """Train a stage into a run folder and return the number of steps done.

    `resume` goes on from the folder's state if it has one; else `init` starts from the weights of a file; `about` is
    written to config.json; `test(model with EMA weights, step)` gives metrics every `test_every` steps and at the end,
    on the process that has one; `between(step)` is called before every step.

    Raises NonFiniteError (nothing of it is saved), Terminated or KeyboardInterrupt after saving, WeightsError,
    ConfigError.
    """
    run = Run(stage, config, workers, seed)
    state = run_dir / STATE_FILE
    if resume and state.is_file():
        run.restore(state)
    elif init is not None:
        run.start_from(init)
    elif config.frozen:
        raise ConfigError("frozen parts need weights to keep", "name them with --init FILE")
    workers.share(tensor for _, player in run.players for tensor in player.state_dict().values())
    if workers.chief:
        run_dir.mkdir(parents=True, exist_ok=True)
        keep_lines_until(run_dir / METRICS_FILE, run.step)
        record = {"stage": stage.kind, "train": to_dict(config), "seed": seed, "world": workers.world}
        write_bytes(run_dir / "config.json", canonical_json({**record, **stage.header(), **(about or {})}).encode())
    with Signals() as signals:
        _until_done(run, run_dir, signals, test, between, log)
    return run.step


def _until_done(
    run: Run,
    run_dir: Path,
    signals: Signals,
    test: Test | None,
    between: Callable[[int], object],
    log: Callable[[str], None],
) -> None:
    config, workers = run.config, run.workers
    clock = Clock(run, config)
    reporter = Reporter(run, clock, run_dir / METRICS_FILE, log)
    while run.step < config.steps:
        if workers.world == 1 or run.step % AGREE_EVERY == 0:
            clock.elapsed, signals.number = workers.largest([clock.read(), signals.number])
            if signals.number or (config.seconds and clock.elapsed >= config.seconds):
                break
        between(run.step)
        run.advance(clock.progress)
        if run.step % config.log_every == 0:
            reporter.report()
        if test is not None and config.test_every and run.step % config.test_every == 0:
            reporter.report_test(test)
        if run.step % config.save_every == 0:
            clock.charge()
            run.save(run_dir)
    if test is not None and run.step != reporter.tested_step and not signals.number:
        reporter.report_test(test)
    clock.charge()
    run.save(run_dir)
    signals.leave(f"saved step {run.step} to {run_dir}")


class Reporter:
    """Metrics as JSON lines in the run folder, and one line for people."""

    def __init__(self, run: Run, clock: Clock, path: Path, log: Callable[[str], None]) -> None:
        self.run, self.clock, self.path, self.log = run, clock, path, log
        self.last_step, self.last_time = run.step, time.monotonic()
        self.tested_step = -1

    def report(self) -> None:
        """Fetch the scalars of the steps since the last report: the only moment that waits for the GPU."""
        run = self.run
        means = run.meter.take()
        now = time.monotonic()
        steps, seconds = run.step - self.last_step, now - self.last_time
        self.last_step, self.last_time = run.step, now
        items_per_s = steps * run.config.batch * run.workers.world / seconds
        rate = run.config.learning_rate * rate_factor(run.step - 1, self.clock.progress, run.config)
        self.write({**means, "learning_rate": rate, "items_per_s": items_per_s})
        if run.workers.chief:
            loss = means.get(f"{run.model_name}/loss", math.nan)
            speed = f"{1000 * seconds / steps:.1f} ms/step  {items_per_s:.1f} items/s"
            self.log(f"step {run.step}/{run.config.steps}  loss {loss:.4f}  lr {rate:.2e}  {speed}")

    def report_test(self, test: Test) -> None:
        """The metrics of the averaged weights; the time that they take is no training."""
        run, began = self.run, time.monotonic()
        with run.ema.applied() as model, torch.no_grad():
            tested = {f"test/{name}": value for name, value in test(model, run.step).items()}
        self.write(tested)
        self.log(f"step {run.step}/{run.config.steps}  " + "  ".join(f"{k} {value:.4f}" for k, value in tested.items()))
        self.tested_step = run.step
        self.last_time += time.monotonic() - began

    def write(self, values: Mapping[str, float]) -> None:
        if self.run.workers.chief:
            line = {"step": self.run.step, "seconds": round(time.monotonic() - self.clock.began, 2)}
            line |= {name: float(f"{value:.6g}") for name, value in values.items() if math.isfinite(value)}
            append_line(self.path, json.dumps(line))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _float_buffers(module: nn.Module) -> list[Tensor]:
    return [buffer for buffer in module.buffers() if buffer.is_floating_point()]
