from __future__ import annotations

import pytest
import torch
from torch import nn

from hsmad_cli.training.ema import EMA


def scalar_module(value: float) -> nn.Linear:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, value)
    return module


def test_average_by_hand() -> None:
    module = scalar_module(1.0)
    ema = EMA(module, decay=0.5)
    nn.init.constant_(module.weight, 3.0)
    ema.update(step=1)  # decay (1 + 1) / (10 + 1)
    first = 2 / 11 * 1.0 + 9 / 11 * 3.0
    assert ema.named()["weight"].item() == pytest.approx(first)
    nn.init.constant_(module.weight, -1.0)
    ema.update(step=1000)  # the warm-up is over: decay 0.5
    assert ema.named()["weight"].item() == pytest.approx(0.5 * first - 0.5)


def test_applied_swaps_in_place_and_back() -> None:
    module = scalar_module(1.0).train()
    ema = EMA(module, decay=0.9)
    nn.init.constant_(module.weight, 5.0)
    address = module.weight.data_ptr()
    with ema.applied() as averaged:
        assert averaged.weight.item() == 1.0
        assert averaged.weight.data_ptr() == address
        assert not averaged.training
    assert module.weight.item() == 5.0
    assert module.training


def test_state_has_averaged_parameters_and_live_buffers() -> None:
    module = nn.BatchNorm1d(2)
    ema = EMA(module, decay=0.9)
    nn.init.constant_(module.weight, 7.0)
    module.running_mean.fill_(4.0)
    state = ema.state_dict()
    assert state["weight"].tolist() == [1.0, 1.0]
    assert state["running_mean"].tolist() == [4.0, 4.0]
    ema.reset()
    assert ema.state_dict()["weight"].tolist() == [7.0, 7.0]


def test_a_frozen_parameter_keeps_even_the_sign_of_its_zero() -> None:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight.requires_grad_(False), -0.0)
    ema = EMA(module, decay=0.9)
    ema.update(step=1)
    assert list(ema.named()) == ["bias"]
    assert torch.signbit(ema.state_dict()["weight"]).all()
