"""Training by several processes (`torchrun`): every one takes its share of each global batch."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor, nn


def start(device: torch.device) -> torch.device:
    """Join the processes that `torchrun` started, if it did; gives this process's device."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) < 2:
        return device
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def stop() -> None:
    """Leave them."""
    if dist.is_initialized():
        dist.destroy_process_group()


def world() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_main() -> bool:
    """Whether this process writes files and speaks."""
    return rank() == 0


def wait() -> None:
    """Until all processes are here: what the first one wrote is then there for all."""
    if dist.is_initialized():
        dist.barrier()


def total(value: Tensor) -> Tensor:
    """The sum over processes of a number that needs no gradient."""
    summed = value.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(summed)
    return summed


def wrap(module: nn.Module) -> nn.Module:
    """The module under `DistributedDataParallel`, whose backward pass leaves the mean of all processes' gradients."""
    if not dist.is_initialized():
        return module
    return nn.parallel.DistributedDataParallel(module, find_unused_parameters=True)
