"""The compiled passes of ``stage_kernels.cpp`` over maps, as functions of tensors on the CPU.

Compiled once by the C++ compiler, for the vectors that torch uses on this processor, and kept in the user's cache.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from tritforge.errors import TritforgeError
from tritforge.files import atomic_write

LANES = 64
"""Values of a block."""
ELEMENTS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_FLAGS = ("-std=c++17", "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-pthread")
_VECTORS = {"AVX2": ("-march=x86-64-v3",), "AVX512": ("-march=x86-64-v4", "-mprefer-vector-width=512")}


class KernelError(TritforgeError):
    """The compiled passes cannot be had here."""


def takes(shape: torch.Size, element: torch.dtype) -> bool:
    """Whether there are passes over maps ``(B, C, H, W)`` of a type: whole blocks of :data:`LANES` neighbours."""
    channels = shape[1]
    return element in ELEMENTS and (
        channels % LANES == 0 or (LANES % channels == 0 and channels >= 1 and shape.numel() % LANES == 0)
    )


def statistics(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance ``(C,)``, fp64, of maps ``(B, C, H, W)``."""
    means, variances = _lane_sums(maps), _lane_sums(maps)
    _run("statistics", maps, maps, means, variances)
    means, variances = means.reshape(-1, maps.shape[1]), variances.reshape(-1, maps.shape[1])
    mean = means.mean(dim=0)
    return mean, (variances + (means - mean).square()).mean(dim=0)


def rectify(maps: Tensor, residual: Tensor | None, factor: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """``relu(maps * factor + offset + residual)``, and a mask of where it is above 0."""
    out, mask = torch.empty_like(maps), torch.empty_like(maps, dtype=torch.int16)
    _run("rectify", maps, maps, residual, _lanes(factor), _lanes(offset), out, mask)
    return out, mask


def largest(maps: Tensor, residual: Tensor | None, factor: Tensor, offset: Tensor) -> tuple[Tensor, float]:
    """``maps * factor + offset + residual``, and the largest of its values."""
    out = torch.empty_like(maps)
    return out, _run("largest", maps, maps, residual, _lanes(factor), _lanes(offset), out)


def quantise(values: Tensor, scale: float, top: int) -> Tensor:
    """Round values in place to multiples of ``scale`` from 0 to ``top``; returns a mask of what was in range."""
    mask = torch.empty_like(values, dtype=torch.int16)
    _run("quantise", values, values, mask, ctypes.c_float(scale), ctypes.c_float(top))
    return mask


def masked(gradient: Tensor, mask: Tensor, maps: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradient where the mask is set, its sum by channel and that of its products with ``maps - mean``, fp64."""
    out, sums, products = torch.empty_like(maps), _lane_sums(maps), _lane_sums(maps)
    _run("masked", maps, gradient, mask, maps, _lanes(mean), out, sums, products)
    of_channels = (lanes.reshape(-1, maps.shape[1]).sum(dim=0) for lanes in (sums, products))
    return out, *of_channels


def backward(gradient: Tensor, maps: Tensor, slope: Tensor, factor: Tensor, offset: Tensor, out: Tensor) -> None:
    """``out = gradient * slope + maps * factor + offset``; ``out`` may be the gradient."""
    _run("backward", maps, gradient, maps, _lanes(slope), _lanes(factor), _lanes(offset), out)


def _lane_sums(maps: Tensor) -> Tensor:
    return torch.empty(max(LANES, maps.shape[1]), dtype=torch.float64)


def _lanes(values: Tensor) -> Tensor:
    values = values.to(torch.float32)
    return values.repeat(LANES // len(values)) if len(values) < LANES else values.contiguous()


def _run(name: str, maps: Tensor, *arguments: Tensor | ctypes.c_float | None) -> float:
    function = getattr(library(), f"{name}_{ELEMENTS[maps.dtype]}")
    function.restype = ctypes.c_float if name == "largest" else None
    blocks = max(1, maps.shape[1] // LANES)
    passed = [
        ctypes.c_void_p(argument.data_ptr()) if isinstance(argument, Tensor) else argument for argument in arguments
    ]
    rows = ctypes.c_int64(maps.numel() // (LANES * blocks))
    return function(rows, ctypes.c_int64(blocks), ctypes.c_int(torch.get_num_threads()), *passed)


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled passes.

    Raises:
        KernelError: there is no C++ compiler, or it refuses them.
    """
    source = (resources.files("tritforge.compress") / "stage_kernels.cpp").read_bytes()
    compiler = os.environ.get("CXX", "g++")
    vectors = _VECTORS.get(torch.backends.cpu.get_cpu_capability(), ())
    key = hashlib.sha256(b"\0".join([source, *(part.encode() for part in (compiler, *_FLAGS, *vectors))])).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tritforge"
    path = cache / f"stage_kernels-{platform.machine()}-{key[:16]}.so"
    if not path.exists():
        atomic_write(path, _compiled(source, [compiler, *_FLAGS, *vectors], path.with_suffix(f".{os.getpid()}")))
    return ctypes.CDLL(str(path))


def _compiled(source: bytes, command: list[str], temporary: Path) -> bytes:
    temporary.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run([*command, "-x", "c++", "-", "-o", str(temporary)], input=source, capture_output=True)
        if done.returncode:
            raise KernelError(f"{command[0]} refuses the kernels of the steps: {done.stderr.decode()[-400:].strip()}")
        return temporary.read_bytes()
    except OSError as error:
        raise KernelError(
            f"fused steps need a C++ compiler, and {command[0]} cannot be run; set CXX, or fused = false"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
