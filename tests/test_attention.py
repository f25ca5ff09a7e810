"""The fast attention path against its plain twin and against a softmax written out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from outofsight.memory.windows import QueryGroup, centred_windows, group_queries, selectable_tokens
from outofsight.models import kernels, products
from outofsight.models.attention import attend
from outofsight.models.kernels import can_merge


def reference(query, key, value, windows, memory_key, memory_value, picks, counts):
    """Softmax over the union of window and recalled tokens, frame by frame, head by head, in plain algebra."""
    out = torch.zeros_like(query)
    for b in range(query.shape[0]):
        for f, (start, width) in enumerate(windows):
            chosen = picks[b, f, : counts[f]]
            keys = torch.cat([key[b, start : start + width].flatten(0, 1), memory_key[b, chosen].flatten(0, 1)])
            values = torch.cat([value[b, start : start + width].flatten(0, 1), memory_value[b, chosen].flatten(0, 1)])
            for h in range(query.shape[3]):
                score = query[b, f, :, h] @ keys[:, h].T / query.shape[-1] ** 0.5
                out[b, f, :, h] = score.softmax(-1) @ values[:, h]
    return out


def random_case(batch, frames, tokens, heads, width, pages, recall, seed=0):
    g = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64).requires_grad_()

    q, k, v = (draw(batch, frames, tokens, heads, 8) for _ in range(3))
    mk, mv = (draw(batch, pages, 3, heads, 8) for _ in range(2))
    windows = centred_windows(range(frames), 0, frames, width)
    picks = torch.rand(batch, frames, pages, generator=g).argsort(-1)[..., : max(recall)] if recall else None
    return q, k, v, mk, mv, windows, picks


@given(
    batch=st.integers(1, 3),
    frames=st.integers(1, 9),
    tokens=st.integers(1, 5),
    width=st.integers(1, 12),
    pages=st.integers(1, 5),
    data=st.data(),
)
@settings(deadline=None, max_examples=40)
def test_fast_and_plain_paths_equal_the_written_out_softmax(batch, frames, tokens, width, pages, data) -> None:
    recall = data.draw(st.lists(st.integers(0, pages), min_size=frames, max_size=frames))
    q, k, v, mk, mv, windows, picks = random_case(batch, frames, tokens, 2, width, pages, recall)
    groups = group_queries(windows, recall)
    expected = reference(q, k, v, windows, mk, mv, picks, recall)
    weight = torch.randn_like(expected)
    inputs = (q, k, v, mk, mv)
    expected_gradients = torch.autograd.grad((expected * weight).sum(), inputs, allow_unused=True)
    for plain in (False, True):
        out = attend(q, k, v, groups, mk, mv, picks, plain=plain)
        torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
        gradients = torch.autograd.grad((out * weight).sum(), inputs, allow_unused=True)
        for ours, theirs in zip(gradients, expected_gradients, strict=True):
            zero = torch.zeros(())
            torch.testing.assert_close(
                zero if ours is None else ours.sum(), zero if theirs is None else theirs.sum().float(),
                rtol=1e-6, atol=1e-6, check_dtype=False,
            )  # fmt: skip
            if ours is not None and theirs is not None:
                torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)
        with torch.no_grad():
            torch.testing.assert_close(
                attend(q, k, v, groups, mk, mv, picks, plain=plain), expected, rtol=1e-9, atol=1e-9
            )


@pytest.mark.parametrize("small", [0, 400, 1 << 20])
def test_memory_is_gathered_in_slices_without_changing_the_result(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # pages far larger than the keys: one frame at a time, two, or all
    monkeypatch.setattr(kernels, "_SMALL", small)
    inputs = random_case(1, 6, 2, 1, 3, 9, [8] * 6)
    q, k, v, mk, mv, windows, picks = inputs
    slices = list(kernels._recall_slices(q[0], k[0], mk[0], picks[0]))
    assert len(slices) == {0: 6, 400: 3, 1 << 20: 1}[small]
    groups = group_queries(windows, [8] * 6)
    expected = reference(q, k, v, windows, mk, mv, picks, [8] * 6)
    out = attend(q, k, v, groups, mk, mv, picks)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    weight = torch.randn_like(out)
    found, wanted = (torch.autograd.grad((x * weight).sum(), (q, k, v, mk, mv)) for x in (out, expected))
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_fast_path_never_copies_windows() -> None:
    k = random_case(1, 6, 4, 1, 5, 3, [1] * 6)[1]
    from outofsight.models.kernels import _windows

    view = _windows(k[0].detach(), 2, (0, 1, 5))
    assert view.untyped_storage().data_ptr() == k.untyped_storage().data_ptr()
    assert torch.equal(view[1], k[0, 1:6].flatten(0, 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    q, k, v, mk, mv, windows, picks = random_case(2, 5, 3, 2, 3, 3, [2] * 5)
    expected = attend(q, k, v, group_queries(windows, [2] * 5), mk, mv, picks)
    cast = [x.detach().to(dtype) for x in (q, k, v, mk, mv)]
    out = attend(*cast[:3], group_queries(windows, [2] * 5), *cast[3:], picks)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=0.05 if dtype == torch.bfloat16 else 1e-5)


def test_other_backends_take_the_plain_path() -> None:
    q = torch.randn(1, 1, 2, 1, 8)
    assert can_merge(q)
    assert not can_merge(q, "flex")
    q, k, v, mk, mv, windows, picks = random_case(1, 4, 3, 2, 3, 3, [2] * 4)
    groups = group_queries(windows, [2] * 4)
    ours = attend(q, k, v, groups, mk, mv, picks)
    torch.testing.assert_close(
        attend(q, k, v, groups, mk, mv, picks, backend="_native_math"), ours, rtol=1e-9, atol=1e-9
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_kernels_equal_the_plain_path(dtype: torch.dtype) -> None:
    g = torch.Generator("cuda").manual_seed(0)
    q, k, v = (torch.randn(1, 8, 24, 2, 64, generator=g, device="cuda", dtype=dtype) for _ in range(3))
    mk, mv = (torch.randn(1, 4, 6, 2, 64, generator=g, device="cuda", dtype=dtype) for _ in range(2))
    inputs = [x.requires_grad_() for x in (q, k, v, mk, mv)]
    windows = centred_windows(range(8), 0, 8, 5)
    picks = torch.rand(1, 8, 4, device="cuda").argsort(-1)[..., :2]
    results = []
    for plain in (False, True):
        out = attend(q, k, v, group_queries(windows, [2] * 8), mk, mv, picks, plain=plain)
        results.append((out, *torch.autograd.grad(out.float().square().sum(), inputs)))
    tolerance = 2e-2 if dtype == torch.bfloat16 else 1e-4
    for ours, plain_result in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain_result, rtol=tolerance, atol=tolerance)


# --- windows ------------------------------------------------------------------------------------------------


def test_windows_of_the_release() -> None:
    # 5 frames centred, start clamped to [0, F-5] (docs/hydra.md, point 3)
    assert [start for start, _ in centred_windows(range(8), 0, 8, 5)] == [0, 0, 0, 1, 2, 3, 3, 3]


def test_window_longer_than_the_sequence_is_the_sequence() -> None:
    assert centred_windows(range(3), 0, 3, 5) == [(0, 3)] * 3
    assert centred_windows(range(4, 6), 4, 6, 9) == [(4, 2)] * 2


def test_tokens_wholly_inside_the_window_cannot_be_recalled() -> None:
    sources = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 6]])
    selectable = selectable_tokens([(1, 5)], sources)
    assert selectable.tolist() == [[True, False, False, True]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=12))
@settings(deadline=None)
def test_groups_cover_every_query_once_with_its_own_window(frames) -> None:
    windows = [(start, width) for start, width, _ in frames]
    recall = [count for _, _, count in frames]
    seen = []
    for group in group_queries(windows, recall):
        assert isinstance(group, QueryGroup)
        for i in range(group.frames):
            assert windows[group.first + i] == (group.start + i * group.step, group.width)
            assert recall[group.first + i] == group.recall
            seen.append(group.first + i)
    assert seen == list(range(len(frames)))


def test_products_in_half_precision_have_the_gradients_of_the_plain_path() -> None:
    # on a CPU in bf16 the scores are written out (models/kernels.py, _by_products)
    def gradients(dtype: torch.dtype, plain: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        tensors = [torch.randn(2, frames, 12, 2, 64).to(dtype).requires_grad_() for frames in (6, 10, 10, 4, 4)]
        query, key, value, memory_key, memory_value = tensors
        picks = torch.randint(0, 4, (2, 6, 2))
        groups = (QueryGroup(0, 4, 0, 1, 5, 2), QueryGroup(4, 2, 3, 0, 5, 1))
        out = attend(query, key, value, groups, memory_key, memory_value, picks, plain=plain)
        (out.float() * torch.randn(out.shape)).sum().backward()
        return [out.detach().double(), *(x.grad.double() for x in tensors if x.grad is not None)]

    for ours, exact in zip(gradients(torch.bfloat16, False), gradients(torch.float64, True), strict=True):
        assert (ours - exact).norm() < 0.01 * exact.norm()


@pytest.mark.parametrize(("width", "recall"), [(9, 0), (3, 0), (3, 2)])
def test_small_models_in_half_precision_are_served_in_one_product(
    width: int, recall: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v, mk, mv, windows, picks = random_case(3, 9, 6, 2, width, 5, [recall] * 9)
    groups = group_queries(windows, [recall] * 9)
    half = [x.detach().bfloat16().requires_grad_() for x in (q, k, v, mk, mv)]
    assert all(products.serves(half[0][:, : g.frames], g, half[3]) for g in groups)
    weight = torch.randn_like(half[0])
    found = []
    for plain in (False, True):
        out = attend(half[0], half[1], half[2], groups, half[3], half[4], picks, plain=plain)
        used = half if recall else half[:3]
        found.append([out, *torch.autograd.grad((out * weight).sum(), used)])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).float().norm() < 0.02 * theirs.float().norm()
    monkeypatch.setattr(products, "_MOST_SCORES", 0)
    assert not any(products.serves(half[0], g, half[3]) for g in groups)
    assert not products.serves(q, groups[0], mk)
