"""The compiled passes of ``stage_kernels.cpp`` over maps, as functions of tensors on the CPU.

Compiled once by the C++ compiler, for the vectors that torch uses on this processor, and kept in the build folder.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn

from tritforge.builds import build_root
from tritforge.errors import TritforgeError
from tritforge.files import atomic_write

LANES = 64
"""Values of a block."""
ESCAPE = "set CXX, or fused = false"
"""What to do without them, the end of a sentence."""
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


def forward(
    maps: Tensor, residual: Tensor | None, norm: nn.BatchNorm2d, rectified: bool
) -> tuple[Tensor, float, Tensor, Tensor]:
    """``norm(maps) + residual``, rectified or not; the norm's running statistics move.

    Returns:
        The map, its largest value where it was not rectified, and mean and inverse deviation of each channel, fp64.
    """
    channels = maps.shape[1]
    out = torch.empty_like(maps)
    means, inverses = torch.empty(2, channels, dtype=torch.float64)
    learnt = norm.weight, norm.bias, norm.running_mean, norm.running_var
    # Without a momentum the running statistics are averages over all batches, as torch has it.
    momentum = 1 / (int(norm.num_batches_tracked) + 1) if norm.momentum is None else norm.momentum
    constants = ctypes.c_double(momentum), ctypes.c_double(norm.eps)
    largest = _run("forward", maps, ctypes.c_int(rectified), maps, residual, *learnt, *constants, means, inverses, out)
    norm.num_batches_tracked += 1
    return out, largest, means, inverses


def quantise(values: Tensor, scale: float, top: int) -> Tensor:
    """Round values in place to multiples of ``scale`` from 0 to ``top``; returns a mask of what was in range."""
    mask = torch.empty_like(values, dtype=torch.int16)
    _run("quantise", values, values, mask, ctypes.c_float(scale), ctypes.c_float(top))
    return mask


def backward(
    gradient: Tensor,
    rectified: Tensor | None,
    mask: Tensor | None,
    maps: Tensor,
    weight: Tensor,
    means: Tensor,
    inverses: Tensor,
    joined: bool,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Gradients of maps, residual, weight and bias.

    Args:
        gradient: of the stage's map.
        rectified: that map, where it was rectified.
        mask: of :func:`quantise`, where it was quantised.
        maps, weight, means, inverses: as of :func:`forward`.
        joined: whether there is a residual.
    """
    passed = torch.empty_like(maps)
    of_maps = torch.empty_like(maps) if joined else passed
    of_weight, of_bias = torch.empty(2, maps.shape[1])
    given = gradient, rectified, mask, maps, weight, means, inverses
    _run("backward", maps, *given, passed, of_maps, of_weight, of_bias)
    return of_maps, passed if joined else None, of_weight, of_bias


def _run(name: str, maps: Tensor, *arguments: Tensor | ctypes._SimpleCData | None) -> float:
    pixels = ctypes.c_int64(maps.numel() // maps.shape[1])
    passed = [
        ctypes.c_void_p(argument.data_ptr()) if isinstance(argument, Tensor) else argument for argument in arguments
    ]
    function = getattr(compiled_passes(), f"{name}_{ELEMENTS[maps.dtype]}")
    return function(pixels, ctypes.c_int64(maps.shape[1]), ctypes.c_int(torch.get_num_threads()), *passed)


@functools.cache
def compiled_passes() -> ctypes.CDLL:
    """The compiled passes.

    Raises:
        KernelError: there is no C++ compiler, or it does not compile them.
        TritforgeError: the build folder cannot be written.
    """
    source = (resources.files(__package__) / "stage_kernels.cpp").read_bytes()
    compiler = os.environ.get("CXX", "g++")
    vectors = _VECTORS.get(torch.backends.cpu.get_cpu_capability(), ())
    key = hashlib.sha256(b"\0".join([source, *(part.encode() for part in (compiler, *_FLAGS, *vectors))])).hexdigest()
    path = build_root() / "kernels" / f"stage_kernels-{platform.machine()}-{key[:16]}.so"
    if not path.exists():
        atomic_write(path, _compiled(source, [compiler, *_FLAGS, *vectors]))
    functions = ctypes.CDLL(str(path))
    for element in ELEMENTS.values():
        getattr(functions, f"forward_{element}").restype = ctypes.c_float
    return functions


def _compiled(source: bytes, command: list[str]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "kernels.so"
        try:
            done = subprocess.run([*command, "-x", "c++", "-", "-o", str(built)], input=source, capture_output=True)
        except OSError as error:
            raise KernelError(f"fused steps need a C++ compiler, and {command[0]} cannot be run; {ESCAPE}") from error
        if done.returncode:
            told = done.stderr.decode(errors="replace").splitlines()
            first = next((line for line in told if "error" in line), f"exit status {done.returncode}")
            raise KernelError(f"{command[0]} does not compile the fused steps ({first.strip()}); {ESCAPE}")
        return built.read_bytes()
