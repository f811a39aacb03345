from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from compress_samples import SMALL, small_digits
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tritforge.cli.main import run
from tritforge.compress.layers import stage_kernels
from tritforge.compress.layers.activations import ActivationQuantiser
from tritforge.compress.layers.fused_stage import fused_stage, fusible
from tritforge.compress.models.kinds.conv import ConvStage, option_a
from tritforge.compress.training.train import train

BFLOAT16_STEP = 2**-8


def draw(shape, seed, element=torch.float32):
    """Maps whose channels lie about different means, with different spreads."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(1, shape[1], 1, 1, generator=generator) * 3 + 0.1
    centre = torch.randn(1, shape[1], 1, 1, generator=generator) * 4
    values = torch.randn(shape, generator=generator) * spread + centre
    return values.to(element).contiguous(memory_format=torch.channels_last)


def a_norm(channels, seed):
    generator = torch.Generator().manual_seed(seed)
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.randn(channels, generator=generator))
        norm.bias.copy_(torch.randn(channels, generator=generator))
        norm.running_mean.copy_(torch.randn(channels, generator=generator))
    return norm


def an_activation(quantised):
    if not quantised:
        return nn.ReLU()
    quantiser = ActivationQuantiser(8)
    quantiser.peak.fill_(2.0)
    return quantiser


class Exact:
    """The stage in fp64 by its definition, and its gradients by autograd."""

    def __init__(self, maps, residual, norm, activation):
        self.maps = maps.detach().double().requires_grad_()
        self.residual = None if residual is None else residual.detach().double().requires_grad_()
        self.weight = norm.weight.detach().double().requires_grad_()
        self.bias = norm.bias.detach().double().requires_grad_()
        mean = self.maps.mean(dim=(0, 2, 3), keepdim=True)
        variance = (self.maps - mean).square().mean(dim=(0, 2, 3), keepdim=True)
        normal = (self.maps - mean) / (variance + norm.eps).sqrt()
        values = normal * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)
        self.values = values if self.residual is None else values + self.residual
        self.limit = float("inf")
        if isinstance(activation, ActivationQuantiser):
            largest = self.values.max().item()
            peak = activation.peak.item() + activation.momentum * (max(largest, 0) - activation.peak.item())
            self.scale, self.limit = peak / activation.top, peak
        self.out = self.values.clamp(0, self.limit)

    def gradients(self, gradient):
        self.out.backward(gradient.double())
        leaves = [self.maps, self.weight, self.bias] + ([] if self.residual is None else [self.residual])
        return [leaf.grad for leaf in leaves]


BATCHES = st.integers(1, 9)
EIGHTS = st.integers(1, 5).map(lambda n: 8 * n)
SHAPES = st.one_of(
    st.tuples(BATCHES, st.sampled_from([1, 2, 4, 8, 16, 32]), st.just(8), EIGHTS),
    st.tuples(BATCHES, st.sampled_from([64, 128, 192]), st.integers(1, 6), st.integers(2, 6)),
)


@given(SHAPES, st.booleans(), st.booleans(), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_a_stage_and_its_gradients_are_those_of_the_definition(shape, joined, quantised, seed):
    maps = draw(shape, seed).requires_grad_()
    residual = draw(shape, seed + 1).requires_grad_() if joined else None
    norm, activation = a_norm(shape[1], seed), an_activation(quantised)
    exact = Exact(maps, residual, norm, activation)
    assert fusible(maps, norm, activation)
    out = fused_stage(maps, residual, norm, activation)
    if quantised:
        levels = out.detach().double() / exact.scale
        assert (levels - levels.round()).abs().max() < 1e-3
        assert (out - exact.out).abs().max() <= exact.scale * 0.501 + 1e-4
        assert activation.peak.item() == pytest.approx(exact.limit, rel=1e-5)
    else:
        assert torch.allclose(out.double(), exact.out, atol=2e-4, rtol=1e-4)
    # Where a value lies at an edge of the range, rounding decides whether the gradient passes: nothing is sent there.
    edge = (exact.values.abs() < 1e-3) | ((exact.values - exact.limit).abs() < 1e-3)
    gradient = torch.where(edge, 0.0, draw(shape, seed + 2).double()).float()
    out.backward(gradient)
    found = [maps.grad, norm.weight.grad, norm.bias.grad] + ([residual.grad] if joined else [])
    for value, wanted in zip(found, exact.gradients(gradient), strict=True):
        assert value.dtype == torch.float32
        assert (value - wanted).norm() <= 1e-3 * wanted.norm() + 1e-3


@pytest.mark.parametrize("scale", [0.5, 0.037])
def test_quantising_rounds_half_up_to_the_bit(scale):
    """Every half of a step from far below 0 to far above the top, and the values beside them."""
    quantiser = ActivationQuantiser(8)
    quantiser.peak.fill_(255 * scale)
    halves = torch.arange(-40, 600).float() * (float(quantiser.scale) / 2)
    beside = [torch.nextafter(halves, torch.tensor(limit)) for limit in (-1e9, 1e9)]
    values = torch.cat([halves, *beside]).reshape(1, 64, 5, 6).contiguous(memory_format=torch.channels_last)
    ratios = values / quantiser.scale
    out = values.clone()
    mask = stage_kernels.quantise(out, float(quantiser.scale), quantiser.top)
    assert torch.equal(out, quantiser.levels(values) * quantiser.scale)
    assert torch.equal(mask.bool(), (ratios >= 0) & (ratios <= quantiser.top))


@pytest.mark.parametrize("quantised", [False, True])
def test_in_bfloat16_a_stage_rounds_where_torch_does(quantised):
    shape = (8, 16, 16, 16)
    residual = draw(shape, 1, torch.bfloat16).abs()
    outs, gradients = [], []
    for fused in (False, True):
        maps = draw(shape, 0, torch.bfloat16).requires_grad_()
        stage = ConvStage(nn.Identity(), 16, an_activation(quantised), fused)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outs.append(stage(maps, residual))
        assert outs[-1].dtype == torch.bfloat16
        outs[-1].backward(draw(shape, 2, torch.bfloat16))
        gradients.append(maps.grad.float())
    step = stage.activation.scale if quantised else 0.0
    apart = (outs[0].float() - outs[1].float()).abs()
    assert (apart <= 2 * BFLOAT16_STEP * outs[0].float().abs() + 1.01 * step + 1e-6).all()
    assert (apart > 0).float().mean() < 0.05
    assert (gradients[0] - gradients[1]).norm() < 0.05 * gradients[0].norm()


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_and_the_peak_move_as_torch_moves_them(momentum):
    plain, fused = (ConvStage(nn.Identity(), 32, an_activation(True), kind) for kind in (False, True))
    plain.norm.momentum = fused.norm.momentum = momentum
    for turn in range(3):
        maps = draw((4, 32, 8, 8), turn)
        plain(maps)
        fused(maps)
    for name, value in plain.state_dict().items():
        assert torch.allclose(value, fused.state_dict()[name], rtol=1e-4, atol=1e-5), name
    assert fused.norm.num_batches_tracked == 3


@pytest.mark.parametrize("element", [torch.float32, torch.bfloat16])
def test_threads_do_not_change_a_bit(element):
    threads, kept = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            maps = draw((16, 64, 9, 9), 0, element).requires_grad_()
            norm = a_norm(64, 0)
            out = fused_stage(maps, maps.detach(), norm, nn.ReLU())
            out.backward(draw(maps.shape, 3, element))
            kept.append([out.detach(), maps.grad, norm.weight.grad, norm.bias.grad, norm.running_var])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, three) for one, three in zip(*kept, strict=True))


def test_maps_in_another_memory_layout_give_the_same():
    maps, gradient = draw((4, 16, 8, 8), 0), draw((4, 16, 8, 8), 1)
    found = []
    for layout in (torch.channels_last, torch.contiguous_format):
        given_maps = maps.detach().contiguous(memory_format=layout).requires_grad_()
        norm = a_norm(16, 0)
        fused_stage(given_maps, None, norm, nn.ReLU()).backward(gradient.contiguous(memory_format=layout))
        found.append((given_maps.grad, norm.weight.grad))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("quantised", [False, True])
def test_a_value_that_is_no_number_stays_one(quantised):
    maps = draw((4, 16, 8, 8), 0)
    maps[1, 3, 2, 2] = float("nan")
    out = fused_stage(maps, None, a_norm(16, 0), an_activation(quantised))
    assert out[:, 3].isnan().all()


def test_what_the_passes_cannot_do_is_left_to_torch(monkeypatch):
    norm = nn.BatchNorm2d(16)
    maps = draw((4, 16, 8, 8), 0)
    assert fusible(maps, norm, nn.ReLU())
    assert not fusible(maps, norm.eval(), nn.ReLU())
    assert not fusible(maps, nn.BatchNorm2d(16), nn.Identity())
    assert not fusible(maps, nn.Identity(), nn.ReLU())
    assert not fusible(maps.double(), nn.BatchNorm2d(16), nn.ReLU())
    assert not fusible(maps[:3, :, :3, :3], nn.BatchNorm2d(16), nn.ReLU())
    assert not fusible(draw((4, 48, 8, 8), 0), nn.BatchNorm2d(48), nn.ReLU())
    monkeypatch.setattr(stage_kernels, "compiled_passes", None)
    stages = [ConvStage(nn.Identity(), 16, nn.ReLU(), fused).eval() for fused in (False, True)]
    assert torch.equal(stages[0](maps), stages[1](maps))


def test_a_fused_training_is_the_plain_one_up_to_rounding_and_resumes_bit_for_bit(tmp_path):
    data, recipe = small_digits(), replace(SMALL, epochs=2, checkpoint_steps=2)
    plain = train(recipe, tmp_path / "plain", dataset=data)
    recipe = replace(recipe, fused=True)
    fused = train(recipe, tmp_path / "fused", dataset=data)
    losses = [np.genfromtxt(done.folder / "log.csv", delimiter=",", names=True)["loss"] for done in (plain, fused)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)

    class StopError(Exception):
        pass

    def stop(_):
        if (tmp_path / "again" / "checkpoint.pt").exists():
            raise StopError

    with pytest.raises(StopError):
        train(recipe, tmp_path / "again", dataset=data, advance=stop)
    again = train(recipe, tmp_path / "again", dataset=data)
    assert again.resumed_from > 0
    for name, value in fused.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_the_gradient_of_a_shortcut_is_autograds_in_the_layout_of_its_source():
    for source_shape, shape in (((2, 16, 8, 8), (2, 32, 4, 4)), ((2, 16, 7, 7), (2, 24, 4, 4)), ((2, 4, 4, 4),) * 2):
        source = draw(source_shape, 0).requires_grad_()
        like = draw(shape, 1)
        out = option_a(source, like)
        zeros = (shape[1] - source_shape[1]) // 2
        stride = 1 if source_shape[2:] == shape[2:] else 2
        other = source.detach().clone().requires_grad_()
        padding = (0, 0, 0, 0, zeros, zeros)
        wanted = nn.functional.pad(other[:, :, ::stride, ::stride], padding)
        assert torch.equal(out, wanted)
        out.backward(like)
        wanted.backward(like)
        assert torch.equal(source.grad, other.grad)
        assert source.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("compiler", "sentence"),
    [
        ("no-compiler", "fused steps need a C++ compiler, and no-compiler cannot be run; set CXX, or fused = false"),
        ("false", "false does not compile the fused steps (exit status 1); set CXX, or fused = false"),
    ],
)
def test_without_a_compiler_a_fused_training_says_so_in_one_sentence(tmp_path, monkeypatch, capsys, compiler, sentence):
    monkeypatch.setenv("TRITFORGE_BUILD", str(tmp_path / "build"))
    assert sentence in refusal(tmp_path, monkeypatch, capsys, compiler)
    assert not (tmp_path / "build").exists()


def test_a_build_folder_that_cannot_be_is_told_in_one_sentence(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TRITFORGE_BUILD", str(tmp_path / "file"))
    assert "cannot write" in refusal(tmp_path, monkeypatch, capsys, "g++")


def refusal(tmp_path, monkeypatch, capsys, compiler: str) -> str:
    """What a fused training says with a compiler."""
    monkeypatch.setenv("CXX", compiler)
    stage_kernels.compiled_passes.cache_clear()
    try:
        options = ["--run", str(tmp_path / "run"), "--set", "fused=true", "--set", "epochs=1"]
        assert run(["train", "digits_ternary", *options]) == 2
    finally:
        stage_kernels.compiled_passes.cache_clear()
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return " ".join(error.split())
