from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from tritforge.compress.data.augmentation import Augmentation, shift_images, turn_images
from tritforge.compress.data.dataset import Split, stratified_split
from tritforge.compress.data.mnist import load_mnist, read_idx
from tritforge.compress.data.recorded_shift import camera_askew, turned
from tritforge.compress.data.sources import load_dataset
from tritforge.errors import DataError, RecipeError

SHARED = Path(os.environ.get("TRITFORGE_DATA", Path(__file__).resolve().parents[3] / ".." / "shared" / "data"))


def test_digits_are_one_stratified_split_whose_parts_do_not_overlap():
    data = load_dataset("digits")
    assert len(data.train) + len(data.validation) == 1437
    assert len(data.test) == 360
    assert np.bincount(data.test.labels).min() >= 35
    assert data.image_shape == (1, 8, 8)
    assert data.test.images.max() == 240
    # The data set itself holds no doubles between training and test pixels.
    train = {image.tobytes() for image in np.concatenate([data.train.images, data.validation.images])}
    assert not train & {image.tobytes() for image in data.test.images}
    assert load_dataset("digits").digest() == data.digest()
    assert load_dataset("digits", validation_fraction=0.2).digest() != data.digest()


def test_stratified_split_takes_the_fraction_of_every_class():
    labels = np.repeat(np.arange(3), (40, 20, 10))
    large, small = stratified_split(labels, 0.1, 0)
    assert np.bincount(labels[small]).tolist() == [4, 2, 1]
    assert sorted([*large, *small]) == list(range(70))
    _, rounded = stratified_split(labels, 0.19, 0)
    assert np.bincount(labels[rounded]).tolist() == [8, 4, 2]
    for fraction in (0.001, 0.999):
        with pytest.raises(DataError, match="leaves one part of the split empty"):
            stratified_split(labels, fraction, 0)


def test_unknown_data_set_is_refused():
    with pytest.raises(RecipeError, match="allowed are digits, mnist, cifar10, cifar100, folder, packed"):
        load_dataset("imagenet")


def write_idx(folder: Path, name: str, array: np.ndarray, compress: bool = False) -> Path:
    content = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path = folder / (name + ".gz" if compress else name)
    path.write_bytes(gzip.compress(content) if compress else content)
    return path


@pytest.fixture
def tiny_mnist(tmp_path):
    generator = np.random.default_rng(0)
    for prefix, count, compress in (("train", 40, True), ("t10k", 10, False)):
        images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        write_idx(tmp_path, f"{prefix}-images-idx3-ubyte", images, compress)
        write_idx(tmp_path, f"{prefix}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8), compress)
    return tmp_path


def test_mnist_reads_raw_and_gzipped_files_alike(tiny_mnist):
    data = load_mnist(tiny_mnist, 0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 10)
    assert data.image_shape == (1, 28, 28)


def test_an_empty_data_folder_means_the_one_of_that_name_in_tritforge_data(tiny_mnist, tmp_path, monkeypatch):
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "mnist").symlink_to(tiny_mnist)
    monkeypatch.setenv("TRITFORGE_DATA", str(tmp_path / "root"))
    assert load_dataset("mnist", "", 0.25).digest() == load_dataset("mnist", tiny_mnist, 0.25).digest()
    with pytest.raises(DataError, match="root/cifar10, which TRITFORGE_DATA leads to, does not exist; give "):
        load_dataset("cifar10")
    with pytest.raises(DataError, match="elsewhere does not exist"):
        load_dataset("mnist", tmp_path / "elsewhere")
    monkeypatch.delenv("TRITFORGE_DATA")
    with pytest.raises(DataError, match="mnist needs data_folder, .* or TRITFORGE_DATA, the folder in which"):
        load_dataset("mnist")


def test_parts_without_images_or_of_different_shapes_are_refused(tiny_mnist):
    write_idx(tiny_mnist, "t10k-images-idx3-ubyte", np.zeros((10, 28, 27), np.uint8))
    with pytest.raises(DataError, match=r"test images of mnist have shape \(1, 28, 27\); .* \(1, 28, 28\)"):
        load_mnist(tiny_mnist, 0.25)
    for prefix, part in (("t10k", "test"), ("train", "training")):
        for kind, shape in (("images-idx3", (0, 28, 28)), ("labels-idx1", (0,))):
            for path in tiny_mnist.glob(f"{prefix}-{kind}*"):
                path.unlink()
            write_idx(tiny_mnist, f"{prefix}-{kind}-ubyte", np.zeros(shape, np.uint8))
        with pytest.raises(DataError, match=f"the {part} part of mnist holds no images"):
            load_mnist(tiny_mnist, 0.25)


def test_mnist_says_plainly_what_is_wrong(tiny_mnist, monkeypatch):
    monkeypatch.delenv("TRITFORGE_DATA", raising=False)
    with pytest.raises(DataError, match="does not exist"):
        load_mnist(tiny_mnist / "nowhere")
    with pytest.raises(DataError, match="needs data_folder"):
        load_dataset("mnist")
    images = tiny_mnist / "t10k-images-idx3-ubyte"
    content = images.read_bytes()
    images.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte has 7855 bytes; its header announces 7856"):
        load_mnist(tiny_mnist, 0.25)
    images.write_bytes(content[:7])
    with pytest.raises(DataError, match="truncated inside its header"):
        load_mnist(tiny_mnist, 0.25)
    images.write_bytes(b"\x89PNG" + content[4:])
    with pytest.raises(DataError, match="starts with 89504e47"):
        load_mnist(tiny_mnist, 0.25)
    images.unlink()
    with pytest.raises(DataError, match="lacks t10k-images-idx3-ubyte"):
        load_mnist(tiny_mnist, 0.25)


def test_mnist_refuses_labels_out_of_range_and_unequal_counts(tiny_mnist):
    path = write_idx(tiny_mnist, "t10k-labels-idx1-ubyte", np.full(10, 10, np.uint8))
    with pytest.raises(DataError, match="holds the label 10; allowed are 0 to 9"):
        load_mnist(tiny_mnist, 0.25)
    write_idx(tiny_mnist, path.name, np.zeros(9, np.uint8))
    with pytest.raises(DataError, match="9 labels for 10 images"):
        load_mnist(tiny_mnist, 0.25)


def test_a_truncated_gzip_is_told(tiny_mnist):
    path = tiny_mnist / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match="damaged or truncated gzip"):
        read_idx(path, 1)


@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="no folder mnist under TRITFORGE_DATA or ../shared/data")
def test_mnist_itself_has_its_known_size_and_mean():
    data = load_mnist(SHARED / "mnist")
    pixels = np.concatenate([data.train.images, data.validation.images])
    assert pixels.shape == (60000, 1, 28, 28)
    assert pixels.mean() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert len(data.test) == 10000


def test_shift_moves_pixels_and_brings_in_zeros():
    image = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3)
    moved = shift_images(image, torch.tensor([1]), torch.tensor([-1]))
    assert moved[0, 0].tolist() == [[0, 0, 0], [2, 3, 0], [5, 6, 0]]
    moved = shift_images(image, torch.tensor([-1]), torch.tensor([1]))
    assert moved[0, 0].tolist() == [[0, 4, 5], [0, 7, 8], [0, 0, 0]]


def test_shifts_are_drawn_up_to_both_ends():
    drawn = Augmentation(shift_pixels=2).draw(500, torch.Generator().manual_seed(0))["moved"]
    assert [axis.unique().tolist() for axis in drawn] == [[-2, -1, 0, 1, 2]] * 2


def test_pixels_between_pixels_are_rounded():
    # Twice as large: both pixels of the result lie a quarter from a pixel of the source.
    image = torch.tensor([0, 101], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert turn_images(image, torch.zeros(1), torch.tensor([2.0]))[0, 0].tolist() == [[25, 76]]


def test_what_comes_in_is_the_pixel_asked_for_of_each_channel():
    images = torch.full((1, 2, 5, 5), 200, dtype=torch.uint8)
    augment = Augmentation(shift_pixels=2, zoom=0.5, fill=(7, 9))
    moved = augment.change(images, {"moved": torch.tensor([[2], [0]])})
    assert [moved[0, channel, :2].unique().tolist() for channel in (0, 1)] == [[7], [9]]
    assert (moved[0, :, 2:] == 200).all()
    turned = augment.change(images, {"turned": torch.tensor([[0.0], [-1.0]])})
    assert turned[0, :, 0, 0].tolist() == [7, 9]
    assert turned[0, 0, 2, 2] == 200


def test_a_quarter_turn_is_counter_clockwise_and_exact():
    image = torch.arange(1, 10, dtype=torch.uint8).reshape(1, 1, 3, 3)
    quarter = turn_images(image, torch.tensor([90.0]), torch.ones(1))
    assert torch.equal(quarter, torch.rot90(image, 1, (2, 3)))


def test_augmentation_depends_on_its_generator_alone():
    images = torch.from_numpy(load_dataset("digits").test.images[:16])
    augment = Augmentation(shift_pixels=1, rotation_degrees=10, zoom=0.1, flip=True)

    def drawn(seed: int) -> torch.Tensor:
        return augment.change(images, augment.draw(len(images), torch.Generator().manual_seed(seed)))

    first, again = (drawn(3) for _ in range(2))
    assert torch.equal(first, again)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, drawn(4))
    assert torch.equal(Augmentation().change(images, Augmentation().draw(len(images), torch.Generator())), images)


def test_the_recorded_shift_turns_every_part_and_joins_the_servers_data():
    data = load_dataset("digits")
    shifted = camera_askew(data, 25)
    assert len(shifted.train) == 2 * len(data.train)
    assert np.array_equal(shifted.train.images[: len(data.train)], data.train.images)
    assert np.array_equal(shifted.new.test.labels, data.test.labels)
    assert np.array_equal(turned(data.test, 0).images, data.test.images)
    assert shifted.new.digest() == camera_askew(data, 25).new.digest()


def test_a_part_without_images_stays_empty_when_cameras_turn():
    shifted = camera_askew(load_dataset("digits", validation_fraction=0.0), 25)
    assert len(shifted.validation) == len(shifted.new.validation) == 0


def test_unequal_counts_of_images_and_labels_are_refused():
    with pytest.raises(DataError, match="2 images and 3 labels"):
        Split(np.zeros((2, 1, 8, 8), np.uint8), np.zeros(3, np.int64))
