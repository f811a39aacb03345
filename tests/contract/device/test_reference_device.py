"""The reference device computes what the interpreter and the reference model do, from the words that it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerator_scenarios import PARAMETERS, some_network
from network_samples import changed
from program_interpreter import run_program

from tritforge.cost.cycle_model import predict
from tritforge.device import protocol
from tritforge.device.accelerator import Accelerator
from tritforge.device.protocol import drive
from tritforge.device.reference_device import FreeRunning, Move, ReferenceDevice, reference_accelerator
from tritforge.device.streams import image_beats
from tritforge.errors import DeviceError
from tritforge.network.file import load_network
from tritforge.network.network import Network
from tritforge.network.reference import logits
from tritforge.overlay import register_map as rm
from tritforge.overlay.lowering import fitting_parameters, lower
from tritforge.overlay.parameters import AcceleratorParameters
from tritforge.overlay.program import OverlayProgram
from tritforge.overlay.register_map import Register, State
from tritforge.overlay.spaces import ENTRY
from tritforge.patches.patch import diff
from tritforge.samples.random_network import KINDS, random_images, random_layer_network, random_network
from tritforge.samples.resnet_network import resnet_network

DIGITS = Path(__file__).parents[3] / "reports" / "networks" / "digits.safetensors"


def interpreted(program: OverlayProgram, network: Network, images: np.ndarray) -> list[list[int]]:
    """Logits by the interpreter of the tests, which shares no code with lowering or the device."""
    inputs = [(layer.input, getattr(layer, "residual", None)) for layer in network.layers]
    last = program.layer_names[-1]
    return [run_program(program, inputs, image)[last][:, 0, 0].tolist() for image in images]


def assert_all_three_agree(
    accelerator: Accelerator, network: Network, images: np.ndarray, interpreter_images: int = 1
) -> None:
    given = [list(result.logits) for result in accelerator.infer(images)]
    assert given == logits(network, images).tolist()
    held = replace(lower(network, accelerator.parameters), images=accelerator.read_back())
    assert given[:interpreter_images] == interpreted(held, network, images[:interpreter_images])


def assert_agree_after_load_and_patch(network: Network, parameters: AcceleratorParameters, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parameters = fitting_parameters(network, parameters)
    accelerator = reference_accelerator(parameters, seed)
    accelerator.load(network, version=0)
    images = random_images(rng, network, 2)
    assert_all_three_agree(accelerator, network, images)
    for version, ratio in enumerate((0.01, 0.3), start=1):
        update = accelerator.prepare(network, diff(network, changed(network, seed, ratio, ratio), version))
        accelerator.apply(update)
        network = update.result
        assert_all_three_agree(accelerator, network, images)


@pytest.mark.parametrize("pes", [4, 8, 16, 32])
@pytest.mark.parametrize("group_channels", [8, 16])
@pytest.mark.parametrize("activation_bits", [8, 16])
def test_random_networks_on_every_shape_of_array(pes: int, group_channels: int, activation_bits: int) -> None:
    seed = 100 * pes + 10 * group_channels + activation_bits
    network = random_network(
        np.random.default_rng(seed),
        activation_bits=activation_bits,
        max_size=6,
        max_channels=32,
        blocks=2,
        group_channels=group_channels,
    )
    parameters = AcceleratorParameters(
        pes=pes, group_channels=group_channels, activation_bits=activation_bits, pass_outputs=32
    )
    assert_agree_after_load_and_patch(network, parameters, seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_kind_of_layer(kind: str, seed: int) -> None:
    network = random_layer_network(np.random.default_rng(seed), kind, size=(5, 4), group_channels=16)
    assert_agree_after_load_and_patch(network, AcceleratorParameters(), seed)


def test_passes_and_groups_beyond_the_first() -> None:
    rng = np.random.default_rng(3)
    wide = random_layer_network(
        rng, "conv3x3", size=(3, 3), channels=32, outputs=96, zero_groups=0.3, group_channels=16
    )
    deep = random_layer_network(
        rng, "conv1x1", size=(2, 3), channels=160, outputs=16, zero_groups=0.0, group_channels=16
    )
    for network in (wide, deep):
        assert_agree_after_load_and_patch(network, AcceleratorParameters(pass_outputs=32), 4)


def test_the_recorded_digits_network() -> None:
    assert_agree_after_load_and_patch(load_network(DIGITS), AcceleratorParameters(), 5)


def test_a_resnet_20_and_its_cycles() -> None:
    network = resnet_network(20, group_channels=16)
    accelerator = reference_accelerator(AcceleratorParameters())
    accelerator.load(network, version=1)
    images = random_images(np.random.default_rng(1), network, 2)
    results = accelerator.infer(images)
    assert [list(result.logits) for result in results] == logits(network, images).tolist()
    assert accelerator.program is not None
    prediction = predict(accelerator.program, images=2)
    assert results[1].cycle - results[0].cycle == prediction.distances[0]
    update = accelerator.prepare(network, diff(network, changed(network, 6, 0.01, 0.05), 2))
    accelerator.apply(update)
    assert_all_three_agree(accelerator, update.result, images[:1])


def test_an_image_is_computed_from_the_words_by_their_addresses() -> None:
    """One weight word changed behind everybody's back, and put back."""
    network = some_network(np.random.default_rng(8))
    device = ReferenceDevice(PARAMETERS)
    accelerator = Accelerator(FreeRunning(device), FreeRunning(device), PARAMETERS)
    accelerator.load(network, version=1)
    images = random_images(np.random.default_rng(9), network, 3)
    before = accelerator.infer(images)
    assert accelerator.program is not None
    slot = np.flatnonzero(accelerator.program.images["weights"])[-1]
    for word, differs in ((0, True), (int(accelerator.program.images["weights"][slot]), False)):
        device.memories.write("weights", int(slot), word)
        after = accelerator.infer(images)
        assert ([r.logits for r in after] != [r.logits for r in before]) == differs
        held = replace(accelerator.program, images=accelerator.read_back())
        assert [list(result.logits) for result in after] == interpreted(held, network, images)


def test_memories_begin_with_any_words() -> None:
    first, second, again = (ReferenceDevice(PARAMETERS, seed) for seed in (1, 2, 1))
    for space, words in first.memories.images.items():
        assert not np.array_equal(words, second.memories.images[space])
        assert np.array_equal(words, again.memories.images[space])


def started(images: int = 0) -> tuple[FreeRunning, Network, np.ndarray]:
    """A free-running device with a network as version 3, and images for it."""
    rng = np.random.default_rng(21)
    network = some_network(rng)
    bus = FreeRunning(ReferenceDevice(PARAMETERS))
    drive(protocol.load_program(lower(network, PARAMETERS), 3), bus)
    drive(protocol.enable(), bus)
    return bus, network, image_beats(random_images(rng, network, images), 8)


def events(bus: FreeRunning) -> int:
    told = drive(protocol.read_register(Register.EVENTS), bus)
    drive(protocol.write_register(Register.EVENTS, told), bus)
    return told


def test_an_image_that_ends_early_is_dropped_and_told() -> None:
    bus, network, beats = started(3)
    bus.device.send(beats[0][:-1], last=True)
    bus.device.send(beats[1])
    bus.device.send(beats[2], last=True)
    bus.device.settle()
    assert events(bus) == rm.EVENTS_EARLY_LAST.mask | rm.EVENTS_BATCH_DONE.mask
    assert [result.last for result in bus.device.results] == [False, True]
    assert [result.sequence for result in bus.device.results] == [0, 1]


def test_a_batch_that_does_not_end_is_told() -> None:
    bus, _, beats = started(5)
    drive(protocol.write_register(Register.BATCH, 2), bus)
    for index, last in enumerate((False, True, False, False, True)):
        bus.device.send(beats[index], last)
        bus.device.settle()
        late = rm.EVENTS_LATE_LAST.mask if index == 3 else 0
        assert events(bus) == late | (rm.EVENTS_BATCH_DONE.mask if last else 0)


def test_images_wait_while_they_may_not_run() -> None:
    bus, network, beats = started(1)
    drive(protocol.enable(False), bus)
    with pytest.raises(DeviceError, match="no result came after image 0; the state is valid"):
        bus.run(beats, network.classes)
    assert bus.device.moves() == ()
    drive(protocol.enable(), bus)
    assert len(bus.device.results) == 1


@pytest.mark.parametrize(
    ("register", "value", "finished"),
    [(Register.CONTROL, rm.CONTROL_LOAD.mask, 1), (Register.COMMAND, rm.COMMAND_SOFT_RESET.mask, 0)],
)
def test_images_in_the_buffers_are_dropped_by_a_load_and_by_a_reset(
    register: Register, value: int, finished: int
) -> None:
    """Before a load the image in the array ends; a reset drops it. Images on the stream stay there."""
    bus, network, beats = started(4)
    device = bus.device
    for image in beats:
        device.send(image)
    for move in (Move.TAKE, Move.TAKE, Move.START):
        assert move in device.moves()
        device.make(move)
    assert Move.TAKE not in device.moves()  # both buffers are full
    bus.write(register, np.array([value], dtype=np.uint32))
    assert len(device.results) == finished
    drive(protocol.load_program(lower(network, PARAMETERS), 4), bus)
    drive(protocol.enable(), bus)
    assert [result.version for result in device.results] == [3] * finished + [4, 4]
    assert [result.sequence for result in device.results] == list(range(finished + 2))


def test_a_repeated_commit_is_refused_and_one_copy_is_made() -> None:
    bus, _, _ = started()
    device = bus.device
    for expected in (0, rm.EVENTS_REFUSED.mask):
        device.write(Register.COMMAND, np.array([rm.COMMAND_COMMIT.mask], dtype=np.uint32))
        assert device.registers.values[Register.EVENTS] == expected
    device.settle()
    assert device.moves() == () and events(bus) == rm.EVENTS_REFUSED.mask | rm.EVENTS_COMMIT_DONE.mask


def test_more_entries_than_staging_has_are_refused() -> None:
    bus, _, _ = started()
    drive(protocol.write_register(Register.STAGED, PARAMETERS.staging + 1), bus)
    with pytest.raises(DeviceError, match="refused"):
        drive(protocol.commit(9), bus)
    assert drive(protocol.version(), bus) == 3


def test_a_reset_leaves_the_memories_and_staging() -> None:
    bus, _, _ = started()
    device = bus.device
    drive(protocol.stage(np.ones(3, dtype=ENTRY)), bus)
    before = {space: words.copy() for space, words in device.memories.images.items()}
    staged = device.staging.entries.copy()
    drive(protocol.soft_reset(), bus)
    assert device.state is State.EMPTY
    assert all(np.array_equal(words, before[space]) for space, words in device.memories.images.items())
    assert np.array_equal(device.staging.entries, staged)


def test_a_stretch_across_windows_is_answered_word_by_word() -> None:
    """Registers and counters lie side by side; behind the descriptors' window there is nothing."""
    bus, _, _ = started()
    words = bus.read(Register.INTERRUPT_ENABLE - 4, 2)
    assert words.tolist() == [bus.read(offset, 1)[0] for offset in (Register.EVENTS, Register.INTERRUPT_ENABLE)]
    end = rm.DESCRIPTORS.base + 4 * rm.DESCRIPTORS.words
    with pytest.raises(DeviceError, match=f"0x{end:05X}"):
        bus.read(end - 4, 2)
    with pytest.raises(DeviceError, match=f"0x{end:05X}"):
        bus.write(end - 4, np.zeros(2, dtype=np.uint32))
    assert events(bus) == rm.EVENTS_CLOSED_WRITE.mask  # the first word had a place, and a closed one
