"""The overlay program: a network as memory images for one accelerator parameter set.

The images are word arrays by memory space (:mod:`tritforge.overlay.spaces`). The program digest covers parameters and
images, so that read-back can be checked against it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from tritforge.errors import ProgramError
from tritforge.files import atomic_write
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.spaces import SPACES, TABLE, space_named
from tritforge.results import shortened
from tritforge.strict_json import read_json

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class OverlayProgram:
    """Memory images of a lowered network.

    Attributes:
        parameters: the accelerator the program is for.
        network_digest: digest of the network it came from.
        images: words by memory space, uint64.
        layer_names: names of the layers, in descriptor order.
        input_shape: ``(channels, height, width)`` of an image.
        classes: logits of a result.
        map_addresses: first bank word of every map that is kept, by name; the image has two.
    """

    parameters: AcceleratorParameters
    network_digest: str
    images: dict[str, NDArray[np.uint64]]
    layer_names: tuple[str, ...]
    input_shape: tuple[int, int, int]
    classes: int
    map_addresses: dict[str, int] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over parameters and memory images."""
        digest = hashlib.sha256(_canonical(asdict(self.parameters)).encode())
        for space in SPACES:
            digest.update(space.encode() + len(self.images[space]).to_bytes(8, "little"))
            digest.update(self.images[space].astype("<u8").tobytes())
        return digest.hexdigest()

    @property
    def size_bytes(self) -> int:
        """Bytes of the images as the accelerator's memories hold them."""
        return sum(-(-len(self.images[space.name]) * space.word_bits // 8) for space in TABLE)

    @property
    def beats_per_image(self) -> int:
        """Stream beats of four channel lanes that carry one image."""
        channels, height, width = self.input_shape
        return height * width * (1 if channels <= 4 else -(-channels // 4))


def save_program(path: Path, program: OverlayProgram) -> None:
    """Write a program file (safetensors); nothing is left behind when writing fails."""
    meta = {
        "schema": SCHEMA,
        "parameters": asdict(program.parameters),
        "network_digest": program.network_digest,
        "layer_names": list(program.layer_names),
        "input_shape": list(program.input_shape),
        "classes": program.classes,
        "map_addresses": program.map_addresses,
        "digest": program.digest,
    }
    atomic_write(path, save(dict(program.images), metadata={"program": _canonical(meta)}))


def load_program(path: Path) -> OverlayProgram:
    """Read a program file; raises ProgramError naming the file and what is wrong with it."""
    try:
        with safe_open(path, framework="numpy") as file:
            meta = read_json((file.metadata() or {})["program"])
        images = load_file(path)
        _check_form(meta, path)
        program = OverlayProgram(
            parameters=AcceleratorParameters(**meta["parameters"]),
            network_digest=meta["network_digest"],
            images={space: images[space] for space in SPACES},
            layer_names=tuple(meta["layer_names"]),
            input_shape=tuple(meta["input_shape"]),
            classes=meta["classes"],
            map_addresses=meta["map_addresses"],
        )
    except ProgramError as error:
        raise ProgramError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    except FileNotFoundError:
        raise ProgramError(f"{path}: no such program file") from None
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ProgramError(f"{path}: not a program file ({type(error).__name__}: {error})") from None
    for name, words in program.images.items():
        bits = space_named(name).word_bits
        if words.dtype != np.uint64 or words.ndim != 1 or (words.size and int(words.max()) >> bits):
            raise ProgramError(f"{path}: image {name} is not a row of {bits}-bit words")
    if program.digest != meta["digest"]:
        raise ProgramError(f"{path}: the images do not match the program digest {meta['digest'][:12]}")
    return program


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 31


_FORM: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "schema": (f"{SCHEMA}", lambda value: type(value) is int and value == SCHEMA),
    "digest": ("a string", lambda value: isinstance(value, str)),
    "network_digest": ("a string", lambda value: isinstance(value, str)),
    "parameters": ("an object", lambda value: isinstance(value, dict)),
    "layer_names": ("a list of names", lambda value: isinstance(value, list) and all(map(_is_name, value))),
    "input_shape": (
        "three sizes",
        lambda value: isinstance(value, list) and len(value) == 3 and all(map(_is_size, value)),
    ),
    "classes": ("a size", _is_size),
    "map_addresses": (
        "addresses by name",
        lambda value: (
            isinstance(value, dict)
            and all(_is_name(name) and type(place) is int and place >= 0 for name, place in value.items())
        ),
    ),
}


def _check_form(meta: Any, path: Path) -> None:
    if not isinstance(meta, dict):
        raise ProgramError(f"{path}: its metadata is no object")
    for key, (allowed, holds) in _FORM.items():
        if key not in meta:
            raise ProgramError(f"{path}: {key} is missing")
        if not holds(meta[key]):
            raise ProgramError(f"{path}: {key} is {shortened(meta[key])}; this release reads {allowed}")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
