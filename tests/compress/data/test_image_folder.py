from __future__ import annotations

import io
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tritforge.compress.data.image_files import Cut, encode, open_image, pixels_of
from tritforge.compress.data.image_folder import list_images
from tritforge.compress.data.packed_images import load_packed
from tritforge.compress.data.packing import pack_dataset, pack_folder
from tritforge.compress.data.sources import load_dataset
from tritforge.errors import DataError

SHAPE = (8, 6)


def picture(seed: int, shape=SHAPE, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (*shape, channels), dtype=np.uint8)
    return pixels if channels == 3 else pixels[:, :, 0]


def save(path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    """Six training and two test images of each of two classes, in the lossless formats, and a file that is no image."""
    for part, count in (("train", 6), ("test", 2)):
        for label, name in enumerate(("cat", "dog")):
            for index in range(count):
                suffix = ("png", "bmp")[index % 2]
                save(tmp_path / part / name / f"{index}.{suffix}", picture(100 * label + 10 * count + index))
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def test_a_folder_gives_its_pixels_in_the_order_of_names(photos):
    data = load_dataset("folder", photos, 0.0)
    assert (data.name, data.classes, data.class_names) == (photos.name, 2, ("cat", "dog"))
    assert data.image_shape == (3, *SHAPE)
    assert data.train.labels.tolist() == [0] * 6 + [1] * 6
    assert np.array_equal(data.train.images[1], picture(61).transpose(2, 0, 1))
    assert np.array_equal(data.test.images[2], picture(120).transpose(2, 0, 1))


def test_val_is_the_test_part_where_there_is_no_test(photos):
    digest = load_dataset("folder", photos).digest()
    (photos / "test").rename(photos / "val")
    assert load_dataset("folder", photos).digest() == digest
    shutil.copytree(photos / "val", photos / "test")
    with pytest.raises(DataError, match="has both test and val"):
        load_dataset("folder", photos)


def test_jpeg_and_webp_are_read_too(photos):
    for part in ("train", "test"):
        for path in (photos / part).rglob("*.png"):
            with Image.open(path) as image:
                image.save(path.with_suffix(".JPEG"))
                image.save(path.with_suffix(".webp"), lossless=True)
    assert len(load_dataset("folder", photos, 0.0).train) == 24


def test_grey_images_stay_grey(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / part / "a" / "0.png", picture(0, channels=1))
    assert load_dataset("folder", tmp_path, 0.0).image_shape == (1, *SHAPE)


def fault_missing_class(root):
    shutil.rmtree(root / "test" / "dog")


def fault_extra_class(root):
    save(root / "test" / "bird" / "0.png", picture(0))


def fault_empty_class(root):
    shutil.rmtree(root / "train" / "dog")
    (root / "train" / "dog").mkdir()


def fault_no_classes(root):
    shutil.rmtree(root / "test")
    (root / "test").mkdir()


def fault_no_parts(root):
    shutil.rmtree(root / "test")


def fault_other_size(root):
    save(root / "test" / "dog" / "1.png", picture(0, (8, 7)))


def fault_unreadable(root):
    path = root / "train" / "dog" / "2.png"
    path.write_bytes(path.read_bytes()[:-60])


def fault_other_format(root):
    (root / "train" / "dog" / "2.png").write_text("no image")


def fault_deep_pixels(root):
    save(root / "train" / "cat" / "0.png", np.zeros(SHAPE, np.uint16))


FAULTS = [
    (fault_missing_class, "the class dog is in train but not in test"),
    (fault_extra_class, "the class bird is in test but not in train"),
    (fault_empty_class, "train/dog holds no images; they end in .png"),
    (fault_no_classes, "test holds no class folders"),
    (fault_no_parts, "needs a folder train and a folder test or val"),
    (fault_other_size, "test/dog/1.png has 7x8 pixels; the first image has 6x8"),
    (fault_unreadable, "train/dog/2.png cannot be decoded"),
    (fault_other_format, "train/dog/2.png cannot be decoded"),
    (fault_deep_pixels, "train/cat/0.png has pixels of mode I;16; 8 bits a channel are expected"),
]


@pytest.mark.parametrize(("fault", "sentence"), FAULTS)
@pytest.mark.parametrize("pixels", [False, True])
def test_faults_of_a_folder_are_refused_in_reading_and_packing(photos, tmp_path, fault, sentence, pixels):
    fault(photos)
    with pytest.raises(DataError) as caught:
        load_dataset("folder", photos)
    assert sentence in str(caught.value)
    with pytest.raises(DataError) as caught:
        pack_folder(tmp_path / "out.npz", list_images(photos), pixels=pixels)
    assert sentence in str(caught.value)
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("pixels", [False, True])
def test_a_pack_of_a_folder_is_the_same_data_set_and_always_the_same_file(photos, tmp_path, pixels):
    (photos / "train" / "cat" / "0.png").unlink()
    save(photos / "train" / "cat" / "0.png", picture(5, channels=1))  # grey and first
    done = []
    pack_folder(tmp_path / "one.npz", list_images(photos), pixels=pixels, advance=done.append)
    pack_folder(tmp_path / "two.npz", list_images(photos), pixels=pixels)
    assert sum(done) == 16
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    packed = load_packed(tmp_path / "one.npz")
    assert packed.digest() == load_dataset("folder", photos).digest()
    assert packed.class_names == ("cat", "dog")


@pytest.mark.parametrize("pixels", [False, True])
def test_a_data_set_packs_without_loss(tmp_path, pixels):
    digits = load_dataset("digits", validation_fraction=0.0)
    pack_dataset(tmp_path / "digits.npz", digits, pixels)
    packed = load_packed(tmp_path / "digits.npz", 0.0)
    assert packed.digest() == digits.digest()
    assert packed.class_names == tuple("0123456789")


@pytest.mark.parametrize("jpeg", [0, 90])
def test_cut_images_have_one_size(photos, tmp_path, jpeg):
    save(photos / "train" / "dog" / "9.png", picture(0, (40, 23)))
    pack_folder(tmp_path / "cut.npz", list_images(photos), Cut(4, 6, jpeg))
    assert load_packed(tmp_path / "cut.npz", 0.0).train.images.shape == (13, 3, 4, 4)


@settings(deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 24), more=st.integers(0, 16))
def test_a_cut_keeps_the_centre_square_of_the_resized_image(height, width, size, more):
    image = Image.fromarray(picture(height, (height, width)))
    cut = Cut(size, size + more).apply(image)
    assert cut.size == (size, size)
    if min(height, width) == size + more:  # nothing is resized
        top, left = (height - size) // 2, (width - size) // 2
        assert np.array_equal(np.asarray(cut), np.asarray(image)[top : top + size, left : left + size])


def test_cuts_that_cannot_be_made_are_refused():
    with pytest.raises(DataError, match="cannot be resized to 3 pixels and then cut to 4"):
        Cut(4, 3)
    with pytest.raises(DataError, match="quality of 101 does not exist"):
        Cut(4, 4, 101)


def test_a_folder_without_parts_is_split_by_class(photos):
    shutil.rmtree(photos / "test")
    listed = list_images(photos / "train", 0.5)
    assert [label for _, label in listed.train] == [0] * 3 + [1] * 3
    assert [label for _, label in listed.test] == [0] * 3 + [1] * 3
    assert not set(listed.train) & set(listed.test)
    assert listed == list_images(photos / "train", 0.5)


def test_a_folder_with_parts_is_not_split_again(photos):
    with pytest.raises(DataError, match="has the parts train and test already"):
        list_images(photos, 0.5)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_damaged_image_is_refused_or_decoded(data):
    form = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "WEBP"]))
    buffer = io.BytesIO()
    Image.fromarray(picture(0)).save(buffer, form)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = open_image(bytes(content[: data.draw(st.integers(0, len(content)))]), "that image")
    except DataError as error:
        assert str(error).startswith("that image ")
    else:
        assert pixels_of(image).dtype == np.uint8


@pytest.mark.parametrize("channels", [1, 3])
def test_an_encoded_image_is_decoded_to_its_pixels(channels):
    image = Image.fromarray(picture(0, channels=channels))
    assert np.array_equal(np.asarray(open_image(encode(image), "x")), np.asarray(image))
