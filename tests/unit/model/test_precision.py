"""In which precision a chip computes."""

from __future__ import annotations

import pytest
import torch

from hsmad_cli.model.precision import autocast, has_bfloat16, precision_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("chip", "has"),
    [
        ({"avx2": True}, False),
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_a_cpu_needs_instructions_for_bfloat16(
    monkeypatch: pytest.MonkeyPatch, chip: dict[str, bool], has: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: chip)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert has_bfloat16(CPU) is has
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert has_bfloat16(CPU) is False


def test_of_the_accelerators_cuda_has_it() -> None:
    assert has_bfloat16(torch.device("cuda"))
    assert not has_bfloat16(torch.device("mps"))


@pytest.mark.parametrize("chip", [True, False])
@pytest.mark.parametrize("wanted", ["bf16", "fp32"])
def test_products_are_in_bfloat16_if_wanted_where_the_chip_does(monkeypatch, chip: bool, wanted: str) -> None:
    monkeypatch.setattr("hsmad_cli.model.precision.has_bfloat16", lambda device: chip)
    square = torch.eye(2)
    with autocast(CPU, wanted):
        product = square @ square
    assert product.dtype == precision_of(CPU, wanted)
    assert (product.dtype == torch.bfloat16) is (chip and wanted == "bf16")
