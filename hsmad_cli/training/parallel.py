"""The processes of one training run: one per GPU under torchrun, or just this one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.distributed.nn  # before any group: its functions keep the group that is open when they are imported
from torch import Tensor


@dataclass(frozen=True)
class Workers:
    """This process among the `world` processes that train together, until it is left; rank 0 writes the files."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @classmethod
    def join(cls, device: str = "cpu") -> Workers:
        """Join the processes that torchrun started, each on the GPU of its LOCAL_RANK, or stay alone."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        cuda = torch.device(device).type == "cuda"
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", torch.device(device).index or 0)))
            torch.set_float32_matmul_precision("high")
        here = torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device(device)
        if world == 1:
            return cls(here)
        if not dist.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
            dist.init_process_group(backend, timeout=timedelta(minutes=20))
        return cls(here, dist.get_rank(), world)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the group, however training ended: gloo's threads may abort a process that ends before they do."""
        if self.world > 1 and dist.is_initialized():
            dist.destroy_process_group()

    @property
    def chief(self) -> bool:
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> None:
        """Replace every float tensor by its mean over the processes: one flat all-reduce."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.world
        parts = flat.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)])

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the tensors of rank 0."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def largest(self, values: list[float]) -> list[float]:
        """The largest of each number over the processes, by way of the CPU (the GPU is not waited for)."""
        if self.world == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return shared.tolist()

    def wait(self) -> None:
        """Until every process is here."""
        self.largest([0.0])
