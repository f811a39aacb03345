from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tritforge.compress.data import load_dataset
from tritforge.compress.packed_images import load_packed, pack_files
from tritforge.errors import DataError


@pytest.fixture
def pack(tmp_path):
    """Twenty training and four test images of three classes, PNG, and the pixels that went in."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (24, 6, 5, 3), dtype=np.uint8)
    entries = []
    for index, image in enumerate(pixels):
        path = tmp_path / f"{index}.png"
        Image.fromarray(image).save(path)
        entries.append((path, index % 2))
    target = tmp_path / "tiny.npz"
    pack_files(target, entries[:20], entries[20:], ["cat", "dog", "bird"])
    return target, pixels


def rewrite(path, **changes):
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    np.savez(path, **{name: value for name, value in (arrays | changes).items() if value is not None})


def test_a_pack_gives_back_the_pixels_channels_first(pack):
    path, pixels = pack
    data = load_dataset("packed", path)
    assert (data.name, data.classes, data.image_shape) == ("tiny", 3, (3, 6, 5))
    assert len(data.train) == 18
    assert np.array_equal(data.test.images, pixels[20:].transpose(0, 3, 1, 2))
    assert data.test.labels.tolist() == [0, 1, 0, 1]


def test_damaged_packs_are_told(pack, tmp_path):
    path, _ = pack
    with pytest.raises(DataError, match="cannot read"):
        load_packed(tmp_path / "missing.npz")
    with pytest.raises(DataError, match="needs data_folder"):
        load_dataset("packed")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not a pack of images, or it is damaged"):
        load_packed(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "lacks the one-dimensional array test_labels"),
        ({"test_labels": np.array([0, 1, 2, 3])}, "test_labels run from 0 to 3; there are 3 classes"),
        ({"test_labels": np.array([0, 1])}, "5 entries for 2 labels"),
        ({"test_offsets": np.array([0, 5, 4, 6, 7])}, "does not divide"),
        ({"test_bytes": np.arange(4, dtype=np.uint8), "test_offsets": np.arange(5)}, "test image 0 cannot be decoded"),
    ],
)
def test_inconsistent_packs_name_the_array(pack, changes, message):
    path, _ = pack
    rewrite(path, **changes)
    with pytest.raises(DataError, match=message):
        load_packed(path)


def test_images_of_another_size_are_refused(pack):
    path, _ = pack
    with np.load(path) as stored:
        offsets, content = stored["test_offsets"], stored["test_bytes"]
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((7, 5, 3), np.uint8)).save(buffer, "PNG")
    other = np.frombuffer(buffer.getvalue(), np.uint8)
    rewrite(
        path,
        test_bytes=np.concatenate([content[: offsets[3]], other]),
        test_offsets=np.array([*offsets[:4], offsets[3] + len(other)]),
    )
    with pytest.raises(DataError, match=r"test image 3 has shape \(3, 7, 5\); the first has \(3, 6, 5\)"):
        load_packed(path)
