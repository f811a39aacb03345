from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tritforge.compress.data.cifar import _read_pickle, load_cifar
from tritforge.compress.data.sources import load_dataset
from tritforge.errors import DataError


@pytest.fixture
def batches():
    """Six batches of 20 images: ``(pixels (20, 3072), labels)``."""
    generator = np.random.default_rng(0)
    return [(generator.integers(0, 256, (20, 3072), dtype=np.uint8), np.arange(20) % 10) for _ in range(6)]


NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def write_binary(folder: Path, batches) -> None:
    for name, (pixels, labels) in zip(NAMES, batches, strict=True):
        (folder / f"{name}.bin").write_bytes(np.column_stack([labels.astype(np.uint8), pixels]).tobytes())


def write_python(folder: Path, batches) -> None:
    for name, (pixels, labels) in zip(NAMES, batches, strict=True):
        content = {b"data": pixels, b"labels": labels.tolist(), b"batch_label": b"x"}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))


def write_columns_first(folder: Path, batches) -> None:
    write_python(folder, [(np.asfortranarray(pixels), labels) for pixels, labels in batches])


@pytest.mark.parametrize("write", [write_binary, write_python, write_columns_first])
def test_both_archives_give_the_same_pixels(tmp_path, batches, write):
    write(tmp_path, batches)
    data = load_dataset("cifar10", tmp_path, 0.2)
    assert (len(data.train), len(data.validation), data.classes) == (80, 20, 10)
    assert np.array_equal(data.test.images, batches[5][0].reshape(20, 3, 32, 32))
    assert np.array_equal(data.test.labels, batches[5][1])


def test_cifar_100_takes_fine_labels_after_the_coarse_ones(tmp_path, batches):
    pixels = np.concatenate([pixels for pixels, _ in batches])[:100]
    for name in ("train", "test"):
        rows = np.column_stack([np.full(100, 7, np.uint8), np.arange(100, dtype=np.uint8) // 2, pixels])
        (tmp_path / f"{name}.bin").write_bytes(rows.tobytes())
    data = load_cifar(tmp_path, 100, 0.5)
    assert data.test.labels.tolist() == (np.arange(100) // 2).tolist()
    assert np.array_equal(data.test.images.reshape(100, -1), pixels)


def test_class_names_come_from_the_list_of_the_binary_archive(tmp_path, batches):
    write_binary(tmp_path, batches)
    (tmp_path / "batches.meta.txt").write_text("".join(f"name{index}\n" for index in range(10)) + "\n")
    assert load_cifar(tmp_path, 10, 0.2).class_names == tuple(f"name{index}" for index in range(10))
    (tmp_path / "batches.meta.txt").write_text("one\n")
    assert load_cifar(tmp_path, 10, 0.2).class_names == ()


def test_missing_truncated_and_wrong_files_are_told(tmp_path, batches, monkeypatch):
    monkeypatch.delenv("TRITFORGE_DATA", raising=False)
    with pytest.raises(DataError, match="needs data_folder"):
        load_dataset("cifar10")
    with pytest.raises(DataError, match="does not exist"):
        load_cifar(tmp_path / "nowhere", 10)
    with pytest.raises(DataError, match=r"lacks data_batch_1\.bin"):
        load_cifar(tmp_path, 10)
    write_binary(tmp_path, batches)
    path = tmp_path / "test_batch.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="61459 bytes; a whole number of records of 3073"):
        load_cifar(tmp_path, 10, 0.2)
    path.write_bytes(b"\x0a" + content[1:])
    with pytest.raises(DataError, match="holds the label 10; allowed are 0 to 9"):
        load_cifar(tmp_path, 10, 0.2)


def test_a_python_batch_that_would_run_code_is_refused(tmp_path, batches):
    class Malicious:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    write_python(tmp_path, batches)
    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Malicious()}))
    with pytest.raises(DataError, match="not a batch of a CIFAR python archive"):
        load_cifar(tmp_path, 10, 0.2)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        {b"data": np.zeros((2, 3071), np.uint8), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.int64), b"labels": [0, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": [0.5, 1]},
        {b"data": np.zeros((2, 3072), np.uint8), b"labels": ["cat", "dog"]},
        {b"data": np.zeros((0, 3072), np.uint8), b"labels": []},
        {b"data": 7, b"labels": 7},
        {b"data": np.zeros((2, 3072), np.uint8)},
        [1, 2],
    ],
)
def test_other_content_in_a_python_batch_is_refused(tmp_path, batches, content):
    write_python(tmp_path, batches)
    (tmp_path / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match=f"{tmp_path}/test_batch "):
        load_cifar(tmp_path, 10, 0.2)


@pytest.mark.parametrize("label", [-1, 10])
def test_a_label_out_of_range_is_named(tmp_path, batches, label):
    batches[5][1][3] = label
    write_python(tmp_path, batches)
    with pytest.raises(DataError, match=f"test_batch holds the label {label}; allowed are 0 to 9"):
        load_cifar(tmp_path, 10, 0.2)


@pytest.fixture(scope="module")
def small_batch(tmp_path_factory):
    """A folder for a damaged batch, and the content of a whole one of two images."""
    content = {b"data": np.arange(2 * 3072).astype(np.uint8).reshape(2, 3072), b"labels": [3, 4]}
    return tmp_path_factory.mktemp("batch"), pickle.dumps(content, protocol=2)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_damaged_python_batch_is_refused_or_still_whole(small_batch, data):
    folder, whole = small_batch
    content = bytearray(whole)
    # The head and the tail of the file hold its structure, the middle holds pixels.
    near = st.integers(0, 250) | st.integers(len(content) - 150, len(content) - 1)
    if data.draw(st.booleans()):
        content = content[: data.draw(near)]
    else:
        content[data.draw(near)] ^= data.draw(st.integers(1, 255))
    path = folder / "test_batch"
    path.write_bytes(content)
    try:
        images, labels = _read_pickle(path, 10)
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert images.shape == (len(labels), 3072) and 0 <= labels.min() <= labels.max() < 10
