"""Small files with large claims: reading takes 64 MiB and 4 times the file, or 4 times 2 bytes a claimed weight.

The file's digest is wrong, so that a network is refused at the very end, after all that takes memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peak_memory import MEGABYTE, peak_memory
from safetensors.numpy import save_file

from tritforge.errors import NetworkError, PatchError
from tritforge.network.file import TRIT_ORDER, load_network
from tritforge.network.trit_packing import pack_bitmap, pack_trits
from tritforge.network.weight_limit import VARIABLE, WEIGHT_LIMIT
from tritforge.patches.patch import inspect
from tritforge.patches.steps import Patch, write_patch

SIDE = 1365
"""3x3 kernels of so many inputs and outputs come close to the limit."""


def bound(claimed: int, *files: Path) -> int:
    return 64 * MEGABYTE + 4 * max(2 * claimed, *(path.stat().st_size for path in files))


def convolution(name: str, source: str, shape: tuple[int, int, int], bits: int, active: int) -> dict[str, Any]:
    outputs, inputs, kernel = shape
    sizes = {"outputs": outputs, "inputs": inputs, "kernel": kernel, "stride": 1, "weight_bits": bits, "shift": 0}
    rest = {"residual": None, "residual_multiplier": 0, "logits": bits > 2, "active": active}
    return {"type": "convolution", "name": name, "input": source} | sizes | rest


def write_claim(path: Path, layers: list[dict[str, Any]], group_channels: int, stored: bool) -> int:
    """A network file of 1x1 maps, all groups stored or none; returns the weights it claims."""
    tensors: dict[str, np.ndarray] = {}
    claimed = 0
    for layer in layers:
        name, outputs, inputs, kernel = (layer[key] for key in ("name", "outputs", "inputs", "kernel"))
        count = outputs * inputs * kernel * kernel
        claimed += count
        tensors |= {f"{name}.multiplier": np.ones(outputs, "<i2"), f"{name}.bias": np.ones(outputs, "<i8")}
        if layer["active"]:
            groups = -(-inputs // (group_channels * (9 // kernel**2)))
            bitmap = pack_bitmap(np.full(outputs * groups, stored))
            tensors[f"{name}.stored"] = bitmap
            tensors |= {f"{name}.active{index}": bitmap for index in range(layer["active"])}
            tensors[f"{name}.trits"] = pack_trits(np.ones(count if stored else 0, np.int8))
        else:
            tensors[f"{name}.weights"] = np.ones((outputs, inputs, kernel, kernel), "<i2")
    channels = layers[0]["inputs"]
    image = {"bits": 8, "channels": channels, "height": 1, "width": 1, "zero_point": [3] * channels}
    document = {"schema": 1, "trit_order": TRIT_ORDER, "digest": "0" * 64, "activation_bits": 8, "provenance": {}}
    document |= {"group_channels": group_channels, "input": image, "layers": layers}
    save_file(tensors, path, metadata={"tritforge": json.dumps(document)})
    return claimed


def square(side: int) -> list[dict[str, Any]]:
    return [convolution("a", "input", (side, side, 3), 2, 1), convolution("fc", "a", (2, side, 1), 9, 0)]


THIN = 1 << 20
CLAIMS: dict[str, tuple[list[dict[str, Any]], int, bool]] = {
    "no group stored": (square(SIDE), 4, False),
    "every group stored": (square(SIDE), 4, True),
    "groups of padding": (
        [convolution("a", "input", (THIN, 1, 1), 2, 1), convolution("fc", "a", (1, THIN, 1), 9, 0)],
        256,
        False,
    ),
    "multi-bit": ([convolution("fc", "input", (4096, 4095, 1), 9, 0)], 4, True),
    "logits": ([convolution("fc", "input", (1 << 22, 1, 1), 9, 0)], 4, True),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_network_takes_memory_by_its_file_and_claim(name: str, tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    claimed = write_claim(path, *CLAIMS[name])
    outcome, peak = peak_memory("from tritforge.network.file import load_network", f"load_network({str(path)!r})")
    assert "its integers give" in outcome and peak <= bound(claimed, path)


def test_more_weights_are_read_on_request_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "n.safetensors"
    write_claim(path, square(SIDE + 1), 4, False)
    with pytest.raises(NetworkError, match=f"more than {WEIGHT_LIMIT} weights in all; {VARIABLE} sets another limit"):
        load_network(path)
    with pytest.raises(NetworkError, match="its integers give"):
        load_network(path, max_weights=1 << 25)
    monkeypatch.setenv(VARIABLE, str(1 << 25))
    with pytest.raises(NetworkError, match="its integers give"):
        load_network(path)
    monkeypatch.setenv(VARIABLE, "many")
    with pytest.raises(NetworkError, match=f"{VARIABLE} is 'many'; it takes a number of weights"):
        load_network(path)


def test_bitmaps_count_where_they_hold_more_than_the_weights(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    write_claim(path, [convolution("a", "input", (1 << 17, 1, 3), 2, 255)], 256, False)
    with pytest.raises(NetworkError, match="claim more than"):
        load_network(path)


def test_a_long_header_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "n.safetensors"
    document = json.dumps({"tritforge": "[" + "[]," * (3 << 20) + "[]]"})
    save_file({"a": np.zeros(1)}, path, metadata={"tritforge": document})
    outcome, peak = peak_memory("from tritforge.network.file import load_network", f"load_network({str(path)!r})")
    assert "; allowed are 2097152" in outcome and peak <= 16 * MEGABYTE
    save_file({"a": np.zeros(1)}, path, metadata={"tritforge": "[" + "[]," * 690_000 + "[]]"})
    outcome, peak = peak_memory("from tritforge.network.file import load_network", f"load_network({str(path)!r})")
    assert "metadata must be an object" in outcome and peak <= bound(0, path)


def write_claiming_patch(path: Path, number: int, ratio: float) -> None:
    """Patch ``number`` of a chain: so many of all the trits that may be claimed change."""
    rng = np.random.default_rng(number)
    positions = np.flatnonzero(rng.random(WEIGHT_LIMIT) < ratio)
    steps = rng.integers(1, 3, positions.size).astype(np.uint8)
    none = np.zeros(0, dtype=np.int64)
    digests = (f"{number:064x}", f"{number + 1:064x}")
    path.write_bytes(write_patch(Patch(*digests, number, WEIGHT_LIMIT, positions, steps, 1, none, none, none)))


PATCH_CALLS = {
    "inspect": "patch.inspect(open({0!r}, 'rb').read())",
    "reverse": "steps.reverse(open({0!r}, 'rb').read(), 9)",
    "compose": "steps.compose(open({0!r}, 'rb').read(), open({1!r}, 'rb').read())",
}


@pytest.mark.parametrize("ratio", [0.2, 0.66])
def test_a_patch_takes_memory_by_its_file_and_claim(ratio: float, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_claiming_patch(first, 1, ratio)
    write_claiming_patch(second, 2, ratio)
    for name, call in PATCH_CALLS.items():
        outcome, peak = peak_memory("from tritforge.patches import patch, steps", call.format(str(first), str(second)))
        assert outcome == "done" and peak <= bound(WEIGHT_LIMIT, first, second), name


def test_a_patch_claims_more_on_request_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    none = np.zeros(0, dtype=np.int64)
    for trits, channels, words in ((WEIGHT_LIMIT + 1, 1, "trits"), (1, WEIGHT_LIMIT + 1, "affine entries")):
        monkeypatch.delenv(VARIABLE, raising=False)
        data = write_patch(Patch("0" * 64, "1" * 64, 1, trits, none, none.astype("u1"), channels, none, none, none))
        with pytest.raises(PatchError, match=f"claims {WEIGHT_LIMIT + 1} {words}, more than {WEIGHT_LIMIT}"):
            inspect(data)
        monkeypatch.setenv(VARIABLE, str(WEIGHT_LIMIT + 1))
        assert inspect(data)["changed_trits"] == 0
