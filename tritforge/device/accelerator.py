"""The accelerator as a host sees it: networks in, images in, results out, updates on the way.

One class for every accelerator: what differs is the bus and the streams it is given (a simulation, the reference
device, a board). All methods return when the accelerator has done what they say.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from tritforge.device import protocol
from tritforge.device.apply import AppliedUpdate, apply_update
from tritforge.device.protocol import Bus, Steps, Value, drive
from tritforge.device.streams import Result, Streams, image_beats
from tritforge.device.update import Lower, PreparedUpdate, prepare_update
from tritforge.errors import DeviceError
from tritforge.network.digest import network_digest
from tritforge.network.network import Network
from tritforge.overlay.lowering import lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.register_map import State
from tritforge.overlay.spaces import Words


class Accelerator:
    """An accelerator behind a bus and two streams.

    Args:
        bus: its registers and memories.
        streams: its images and results.
        parameters: what it was built with.

    Attributes:
        program: what it was loaded with, followed through updates; None before the first load and after a reset.
    """

    def __init__(self, bus: Bus, streams: Streams, parameters: AcceleratorParameters) -> None:
        self.parameters = parameters
        self.program: OverlayProgram | None = None
        self._bus, self._streams = bus, streams
        self._lower: Lower = partial(lower, parameters=parameters)

    def do(self, steps: Steps[Value]) -> Value:
        """Run steps of the register protocol; gives what they return."""
        return drive(steps, self._bus)

    def check(self) -> None:
        """Raises DeviceError where the accelerator tells other parameters than it is taken to have."""
        expected = asdict(self.parameters)
        for name, value in self.do(protocol.capabilities()).items():
            if value != expected[name]:
                raise DeviceError(f"the accelerator's {name} is {value}; it is taken to be {expected[name]}")

    def load(self, network: Network, version: int, every_group: bool = False) -> None:
        """Load ``network`` under ``version`` and let images run.

        Args:
            every_group: store and issue every group, zero ones too.

        Raises:
            CapacityError: the network does not fit.
            DeviceError: the accelerator refused.
        """
        self._lower = partial(lower, parameters=self.parameters, every_group=every_group)
        program = self._lower(network)
        self.program = None
        self.do(protocol.load_program(program, version))
        self.do(protocol.enable())
        self.program = program

    def infer(self, images: ArrayLike) -> list[Result]:
        """Results of images ``(images, channels, height, width)``, run back to back as one batch that TLAST closes.

        Raises:
            DeviceError: nothing is loaded, the images have another shape than the network's, or a result did not come.
        """
        program, pixels = self._loaded(), np.asarray(images)
        if pixels.ndim != 4 or pixels.shape[1:] != program.input_shape:
            raise DeviceError(f"images have shape {pixels.shape[1:]}; the network takes {program.input_shape}")
        return self._streams.run(image_beats(pixels, self.parameters.activation_bits), program.classes)

    def prepare(self, network: Network, patch: bytes) -> PreparedUpdate:
        """What the patch file ``patch`` changes where ``network`` is held; the accelerator is not asked.

        Raises:
            PatchError: the patch is damaged or for another network or version.
        """
        held = self.program
        known = held is not None and held.network_digest == network_digest(network)
        return prepare_update(network, patch, self._lower, held if known else None)

    def apply(self, update: PreparedUpdate) -> AppliedUpdate:
        """Bring the accelerator from the base network of ``update`` to its result; raises as ``apply_update`` does."""
        applied = self.do(apply_update(update))
        self.program = update.result_program
        return applied

    def state(self) -> State:
        """What the accelerator does with images."""
        return self.do(protocol.state())

    def version(self) -> int:
        """The network version in force."""
        return self.do(protocol.version())

    def counters(self) -> dict[str, int]:
        """All counters at one instant, by name; each counts modulo 2**32."""
        return self.do(protocol.counters())

    def clear_counters(self) -> None:
        """Set all counters to zero."""
        self.do(protocol.clear_counters())

    def layer_counters(self) -> dict[str, dict[str, int]]:
        """Counters of each layer in the last image, by the layer's name."""
        names = self._loaded().layer_names
        return dict(zip(names, self.do(protocol.layer_counters(len(names))), strict=True))

    def read_back(self) -> dict[str, Words]:
        """Words of the program that the accelerator holds, by memory space."""
        lengths = {space: words.size for space, words in self._loaded().images.items()}
        return self.do(protocol.read_images(lengths))

    def digest(self) -> str:
        """Program digest of the words that the accelerator holds."""
        held = self._loaded()
        return replace(held, images=self.read_back()).digest

    def enable(self, on: bool = True) -> None:
        """Let images run, or not."""
        self.do(protocol.enable(on))

    def reset(self) -> None:
        """Drop what runs; a network has to be loaded again."""
        self.do(protocol.soft_reset())
        self.program = None

    def _loaded(self) -> OverlayProgram:
        if self.program is None:
            raise DeviceError("no network is loaded")
        return self.program
