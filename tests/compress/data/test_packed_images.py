from __future__ import annotations

import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tritforge.compress.data.image_files import encode_pixels
from tritforge.compress.data.packed_images import Streamed, encoded_arrays, load_packed, write_pack
from tritforge.compress.data.sources import load_dataset
from tritforge.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 3, 6, 5), dtype=np.uint8)
LABELS = np.arange(24) % 2


def encoded_pack(path, pixels=PIXELS):
    """Twenty training and four test images of three classes, PNG."""
    arrays = {"classes": np.array(["cat", "dog", "bird"])}
    for part, chosen in (("train", slice(0, 20)), ("test", slice(20, 24))):
        arrays |= encoded_arrays(part, [encode_pixels(image) for image in pixels[chosen]])
        arrays[f"{part}_labels"] = LABELS[chosen]
    write_pack(path, arrays)
    return path


def pixel_pack(path):
    arrays = {"classes": np.array(["cat", "dog", "bird"])}
    for part, chosen in (("train", slice(0, 20)), ("test", slice(20, 24))):
        images = PIXELS[chosen]
        arrays[f"{part}_pixels"] = Streamed(images.shape, (image.tobytes() for image in images))
        arrays[f"{part}_labels"] = LABELS[chosen]
    write_pack(path, arrays)
    return path


@pytest.fixture
def pack(tmp_path):
    return encoded_pack(tmp_path / "tiny.npz")


def rewrite(path, **changes):
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})


@pytest.mark.parametrize("write", [encoded_pack, pixel_pack])
def test_a_pack_gives_back_the_pixels_channels_first(tmp_path, write):
    data = load_dataset("packed", write(tmp_path / "tiny.npz"))
    assert (data.name, data.classes, data.image_shape) == ("tiny", 3, (3, 6, 5))
    assert data.class_names == ("cat", "dog", "bird")
    assert len(data.train) == 18
    assert np.array_equal(data.test.images, PIXELS[20:])
    assert data.test.labels.tolist() == [0, 1, 0, 1]


def test_both_kinds_of_packs_are_the_same_data_set(tmp_path):
    one, other = encoded_pack(tmp_path / "a.npz"), pixel_pack(tmp_path / "b.npz")
    assert load_packed(one).digest() == load_packed(other).digest()
    assert load_packed(one).zero_point() == load_packed(other).zero_point()


def test_pixels_are_mapped_and_not_read(tmp_path):
    path = pixel_pack(tmp_path / "tiny.npz")
    data = load_packed(path, 0.0)
    assert isinstance(data.train.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        data.train.images[0] = 0


def test_a_pack_is_what_numpy_writes_of_the_same_arrays(pack, tmp_path):
    with np.load(pack) as stored:
        np.savez(tmp_path / "again.npz", **{name: stored[name] for name in stored.files})
    assert (tmp_path / "again.npz").read_bytes() == pack.read_bytes()


def test_grey_images_beside_coloured_ones_get_three_equal_channels(tmp_path):
    images = [PIXELS[0, :1], PIXELS[1], PIXELS[2, :1]]
    arrays = {"classes": np.array(["a"]), "train_labels": np.zeros(3, int), "test_labels": np.zeros(1, int)}
    arrays |= encoded_arrays("train", [encode_pixels(image) for image in images])
    write_pack(tmp_path / "p.npz", arrays | encoded_arrays("test", [encode_pixels(PIXELS[3, :1])]))
    data = load_packed(tmp_path / "p.npz", 0.0)
    assert data.train.images.shape == (3, 3, 6, 5)
    assert np.array_equal(data.train.images[0], np.repeat(images[0], 3, axis=0))
    assert np.array_equal(data.train.images[1], PIXELS[1])
    assert np.array_equal(data.test.images[0], np.repeat(PIXELS[3, :1], 3, axis=0))


def test_missing_files_and_other_files_are_told(pack, tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        load_packed(tmp_path / "missing.npz")
    with pytest.raises(DataError, match="needs data_folder"):
        load_dataset("packed")
    np.save(tmp_path / "array.npy", np.arange(3))
    with pytest.raises(DataError, match="not a pack of images"):
        load_packed(tmp_path / "array.npy")


@pytest.fixture(scope="module")
def both_packs(tmp_path_factory):
    """A path, and the contents of a pack of either kind."""
    path = tmp_path_factory.mktemp("packs") / "damaged.npz"
    return path, [write(path).read_bytes() for write in (encoded_pack, pixel_pack)]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_pack_is_refused_or_still_whole(both_packs, data):
    path, contents = both_packs
    content = bytearray(data.draw(st.sampled_from(contents)))
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        loaded = load_packed(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert loaded.image_shape == (3, 6, 5)
        assert len(loaded.test) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "lacks the one-dimensional array test_labels of whole numbers"),
        ({"test_labels": np.array([0.0, 1, 0, 1])}, "lacks the one-dimensional array test_labels of whole numbers"),
        ({"classes": np.arange(3)}, "lacks the one-dimensional array classes of words"),
        ({"test_labels": np.array([0, 1, 2, 3])}, "test_labels run from 0 to 3; there are 3 classes"),
        ({"test_labels": np.array([0, -1, 2, 0])}, "test_labels run from -1 to 2"),
        ({"test_labels": np.zeros(0, int)}, "test_labels is empty"),
        ({"test_labels": np.array([0, 1])}, "5 entries for 2 labels"),
        ({"test_offsets": np.array([0, 5, 4, 6, 7])}, "does not divide"),
        ({"test_offsets": np.array([0, 5, 6, 7, 10**6])}, "does not divide"),
        ({"test_bytes": np.arange(4, dtype=np.uint8), "test_offsets": np.arange(5)}, "test image 0 cannot be decoded"),
    ],
)
def test_inconsistent_packs_name_the_array(pack, changes, message):
    rewrite(pack, **changes)
    with pytest.raises(DataError, match=message):
        load_packed(pack)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_pixels": None}, "lacks the four-dimensional array test_pixels of bytes"),
        ({"test_pixels": np.zeros((4, 6, 5), np.uint8)}, "lacks the four-dimensional array test_pixels of bytes"),
        ({"test_pixels": np.zeros((4, 3, 6, 5))}, "lacks the four-dimensional array test_pixels of bytes"),
        ({"test_pixels": np.zeros((3, 3, 6, 5), np.uint8)}, "test_pixels and test_labels are not equally many"),
        (
            {"test_pixels": np.zeros((4, 3, 7, 5), np.uint8)},
            r"test images of tiny have shape \(3, 7, 5\); .* \(3, 6, 5\)",
        ),
    ],
)
def test_inconsistent_packs_of_pixels_name_the_array(tmp_path, changes, message):
    path = pixel_pack(tmp_path / "tiny.npz")
    rewrite(path, **changes)
    with pytest.raises(DataError, match=message):
        load_packed(path)


def test_a_compressed_pack_of_pixels_cannot_be_mapped(tmp_path):
    path = pixel_pack(tmp_path / "tiny.npz")
    with np.load(path) as stored:
        np.savez_compressed(path, **{name: stored[name] for name in stored.files})
    with pytest.raises(DataError, match="is not a pack of images, or it is damaged"):
        load_packed(path)


def test_images_of_another_size_are_refused(pack):
    with np.load(pack) as stored:
        offsets, content = stored["test_offsets"], stored["test_bytes"]
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((7, 5, 3), np.uint8)).save(buffer, "PNG")
    other = np.frombuffer(buffer.getvalue(), np.uint8)
    rewrite(
        pack,
        test_bytes=np.concatenate([content[: offsets[3]], other]),
        test_offsets=np.array([*offsets[:4], offsets[3] + len(other)]),
    )
    with pytest.raises(DataError, match=r"test image 3 has 5x7 pixels; the first image has 5x6"):
        load_packed(pack)


def test_a_pack_that_cannot_be_written_leaves_the_old_one(pack, monkeypatch):
    before = pack.read_bytes()

    def broken():
        yield bytes(90)
        raise DataError("image 1 cannot be decoded")

    with pytest.raises(DataError, match="image 1"):
        write_pack(pack, {"train_pixels": Streamed((20, 3, 6, 5), broken())})
    assert pack.read_bytes() == before
    assert os.listdir(pack.parent) == [pack.name]
