"""Where the time of a training step goes, measured before a long run is paid for."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from hsmad_cli.training.loop import Run

WARM_UP = 5
LONGEST_NAME = 72


@dataclass(frozen=True)
class Kernel:
    """A kernel (on a CPU: an operator): milliseconds and launches a step."""

    name: str
    ms: float
    launches: float


@dataclass(frozen=True)
class StepProfile:
    """first_s: the first step, compilation included. phases_ms: each phase alone, waiting for the device after it.
    step_ms: a step as in training, without waiting. busy_ms: sum of kernel times of a step. tflop: of a step's matrix
    products and convolutions (1e12). memory_gib: largest allocation (NaN on a CPU). kernels: the slowest first.
    """

    first_s: float
    step_ms: float
    busy_ms: float
    phases_ms: dict[str, float]
    tflop: float
    memory_gib: float
    kernels: list[Kernel]

    def lines(self, most: int = 25) -> list[str]:
        """The profile in words, the `most` slowest kernels last."""
        rate = self.tflop / self.step_ms * 1e3
        launches = sum(kernel.launches for kernel in self.kernels)
        phases = ", ".join(f"{name} {ms:.1f}" for name, ms in self.phases_ms.items())
        return [
            f"first step {self.first_s:.1f} s, then {self.step_ms:.1f} ms a step; memory {self.memory_gib:.1f} GiB",
            f"kernels {self.busy_ms:.1f} ms in {launches:.0f} launches; {self.tflop:.2f} TFLOP = {rate:.0f} TFLOP/s",
            f"one after the other, in ms: {phases}",
            *(f"{k.ms:8.2f} ms {k.launches:7.1f} x  {k.name[:LONGEST_NAME]}" for k in self.kernels[:most]),
        ]


def profile(run: Run, steps: int) -> StepProfile:
    """Measure `steps` steps of a run after a warm-up; the run moves on, nothing is saved."""
    device = run.workers.device
    first_s = _seconds_of(run, 1)
    _seconds_of(run, WARM_UP)
    step_ms = 1e3 * _seconds_of(run, steps) / steps
    kernels = _kernels(run, steps)
    memory = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else float("nan")
    return StepProfile(
        first_s=first_s,
        step_ms=step_ms,
        busy_ms=sum(kernel.ms for kernel in kernels),
        phases_ms=_phases(run, steps),
        tflop=_tflop(run),
        memory_gib=memory,
        kernels=kernels,
    )


def _wait(run: Run) -> None:
    if run.workers.device.type == "cuda":
        torch.cuda.synchronize(run.workers.device)


def _seconds_of(run: Run, steps: int) -> float:
    _wait(run)
    began = time.perf_counter()
    for _ in range(steps):
        run.advance(0.0)
    _wait(run)
    return time.perf_counter() - began


def _phases(run: Run, steps: int) -> dict[str, float]:
    """Milliseconds of drawing a batch, of the losses, of their gradients, and of all of a step's rest."""
    spent = dict.fromkeys(("batch", "loss", "gradient", "step"), 0.0)
    for _ in range(steps):
        marks = [time.perf_counter()]
        batch = run.draw_batch()
        marks.append(_now(run))
        for name, _ in run.players:
            outcome = run.loss_of(name, batch)
            marks.append(_now(run))
            if outcome is not None:
                outcome[0].backward()
            marks.append(_now(run))
            spent["loss"] += marks[-2] - marks[-3]
            spent["gradient"] += marks[-1] - marks[-2]
        spent["batch"] += marks[1] - marks[0]
        spent["step"] += _seconds_of(run, 1)
    return {name: 1e3 * seconds / steps for name, seconds in spent.items()}


def _now(run: Run) -> float:
    _wait(run)
    return time.perf_counter()


def _kernels(run: Run, steps: int) -> list[Kernel]:
    on_gpu = run.workers.device.type == "cuda"
    activity = torch.profiler.ProfilerActivity
    watched = [activity.CPU, activity.CUDA] if on_gpu else [activity.CPU]
    with torch.profiler.profile(activities=watched, acc_events=True) as profiler:
        _seconds_of(run, steps)
    kind = torch.autograd.DeviceType.CUDA if on_gpu else torch.autograd.DeviceType.CPU
    found = []
    for event in profiler.key_averages():
        if event.device_type == kind and not event.is_user_annotation:
            us = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            found.append(Kernel(event.key, us / 1e3 / steps, event.count / steps))
    return sorted(found, key=lambda kernel: -kernel.ms)


def _tflop(run: Run) -> float:
    batch = run.draw_batch()
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        for name, _ in run.players:
            outcome = run.loss_of(name, batch)
            if outcome is not None:
                outcome[0].backward()
    return counter.get_total_flops() / 1e12
