"""The small parts' optimiser."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from outofsight.training.muon import KernelMuon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (4, 50), (50, 4)])
def test_orthogonalised_keeps_directions_and_evens_out_sizes(shape: tuple[int, int]) -> None:
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    sizes = torch.linspace(1, 0.2, min(shape))
    made = orthogonalised(u @ torch.diag(sizes) @ v)
    inside = u.T @ made @ v.T
    assert torch.linalg.svdvals(made).min() > 0.7 and torch.linalg.svdvals(made).max() < 1.3
    torch.testing.assert_close(inside, torch.diag(inside.diagonal()), atol=1e-4, rtol=0)
    assert (inside.diagonal() > 0).all()


def test_a_kernel_is_moved_as_the_matrix_that_it_is() -> None:
    kernel = nn.Parameter(torch.randn(6, 3, 2, 2))
    matrix = nn.Parameter(kernel.detach().flatten(1).clone())
    for step in range(3):
        for parameter in (kernel, matrix):
            parameter.grad = torch.randn(6, 12, generator=torch.Generator().manual_seed(step)).view(parameter.shape)
    for parameter in (kernel, matrix):
        KernelMuon([parameter], lr=0.1).step()
    torch.testing.assert_close(kernel.detach().flatten(1), matrix.detach())


def test_a_step_is_as_large_as_adamw_would_make_it() -> None:
    parameter = nn.Parameter(torch.zeros(32, 64))
    parameter.grad = torch.randn(32, 64)
    KernelMuon([parameter], lr=0.01).step()
    assert parameter.detach().square().mean().sqrt() == pytest.approx(0.2 * 0.01, rel=0.2)
