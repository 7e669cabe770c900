"""Folders and zip files of one's own images: what is found, how it is decoded, and each refusal's sentence."""

from __future__ import annotations

import io
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifar_lab import data as images
from cifar_lab.config import ImageFolder
from cifar_lab.core.errors import DataError
from cifar_lab.data import decoding, file_tree

from .conftest import draw_folder, zip_folder


def settings(root: Path) -> ImageFolder:
    return ImageFolder(dataset="imagefolder", root=str(root))


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        images.prepare(settings(root))
    assert caught.value.exit_code == 3
    return str(caught.value)


def save(picture: Image.Image, root: Path, name: str = "pics/train/ant/00.png", **options) -> np.ndarray:
    """Put a picture in the place of the first training image and give back what is read for it."""
    (root / "pics/train/ant/00.png").unlink()
    picture.save(root / name, **options)
    return images.load_train(settings(root)).images[0]


@pytest.fixture
def root(tmp_path):
    return draw_folder(tmp_path / "source")


def test_order_is_by_class_and_file_name(root):
    train = images.load_train(settings(root))
    assert images.prepare(settings(root)).classes == ("ant", "bee", "cow")
    assert train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    files = sorted((root / "pics/train").rglob("*.png"))
    expected = np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1) for file in files])
    np.testing.assert_array_equal(train.images, expected)


def test_a_zip_and_its_folder_have_one_fingerprint(root, tmp_path):
    path = zip_folder(root, tmp_path / "source.zip")
    assert images.prepare(settings(path)).fingerprint == images.prepare(settings(root)).fingerprint


@pytest.mark.parametrize("below", ["", "a/b/c"])
def test_splits_lie_anywhere(root, tmp_path, below):
    target = tmp_path / "moved" / below
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(root / "pics", target)
    assert images.prepare(settings(tmp_path / "moved")).train_size == 9


def test_what_desktops_leave_is_passed_over(root):
    for name in (".DS_Store", "pics/train/Thumbs.db", "pics/train/ant/Thumbs.db", "pics/train/ant/.hidden.png"):
        (root / name).write_bytes(b"junk")
    (root / "__MACOSX/pics/train/ant").mkdir(parents=True)
    (root / "__MACOSX/pics/train/ant/._00.png").write_bytes(b"junk")
    (root / "pics/train/README.txt").write_text("beside the classes")
    assert images.prepare(settings(root)).train_size == 9


def test_folders_inside_a_class_belong_to_it(root):
    (root / "pics/train/ant/more").mkdir()
    shutil.move(root / "pics/train/ant/02.png", root / "pics/train/ant/more/02.png")
    assert images.load_train(settings(root)).labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_file_added_to_the_folder_is_seen(root):
    before = images.prepare(settings(root))
    shutil.copy(root / "pics/train/ant/00.png", root / "pics/train/ant/99.png")
    assert images.known(settings(root)) is None
    assert images.prepare(settings(root)).train_size == before.train_size + 1


def test_relative_and_absolute_paths_share_a_cache(root, monkeypatch):
    info = images.prepare(settings(root))
    monkeypatch.chdir(root.parent)
    assert images.known(settings(Path("source"))) == info


# --- decoding


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


def test_other_sizes_are_resized_with_antialias(root):
    read = save(gradient(200, 80), root)
    expected = gradient(200, 80).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(read, np.asarray(expected).transpose(2, 0, 1))


def test_fine_stripes_shrink_to_grey(root):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    read = save(Image.fromarray(stripes), root)
    assert np.abs(read.astype(int) - 128).max() < 8


@pytest.mark.parametrize("mode", ["L", "1", "LA", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(root, mode):
    picture = gradient(32, 32).convert(mode)
    name = "pics/train/ant/00.tif" if mode == "CMYK" else "pics/train/ant/00.png"
    read = save(picture, root, name)
    np.testing.assert_array_equal(read, np.asarray(picture.convert("RGB")).transpose(2, 0, 1))


def test_a_palette_with_transparency_is_laid_on_white(root):
    picture = gradient(32, 32).quantize(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = save(picture, root, transparency=bytes([0, 100, 255]))
    picture.info["transparency"] = bytes([0, 100, 255])
    expected = Image.alpha_composite(Image.new("RGBA", (32, 32), "white"), picture.convert("RGBA")).convert("RGB")
    np.testing.assert_array_equal(read, np.asarray(expected).transpose(2, 0, 1))


# --- refusals


def test_nothing_there(tmp_path):
    assert refusal(tmp_path / "none") == f"{tmp_path / 'none'}: no such folder or archive; check data.root"


def test_not_a_zip(tmp_path):
    (tmp_path / "x.zip").write_text("<html>not found</html>")
    assert refusal(tmp_path / "x.zip") == (
        f"{tmp_path / 'x.zip'}: not a zip or tar archive, or a damaged one (File is not a zip file); "
        "set data.root to a folder or a zip file"
    )


def test_half_a_zip(root, tmp_path):
    path = zip_folder(root, tmp_path / "x.zip")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert refusal(path).startswith(f"{path}: not a zip or tar archive, or a damaged one (")


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (
            "test",
            "no test/ folder; found kept.txt, pics/; expected train/<class>/… and test/<class>/… side by side, or set "
            "data.test_share (0.2, say) to cut a test split from these images",
        ),
        ("train", "no train/ folder; found kept.txt, pics/; expected train/<class>/… and test/<class>/… side by side"),
        ("", "no train/ and no test/ folder; found kept.txt; expected train/<class>/… and test/<class>/… side by side"),
        ("test/bee", "class 'bee' is in train/ but not in test/; both need the same classes"),
        ("train/bee", "class 'bee' is in test/ but not in train/; both need the same classes"),
    ],
)
def test_what_is_missing(root, tmp_path, remove, message):
    shutil.rmtree(root / "pics" / remove)
    (root / "kept.txt").write_text("so that the root is not empty")
    assert refusal(root) == f"{root}: {message}"
    path = zip_folder(root, tmp_path / "x.zip")
    assert refusal(path) == f"{path}: {message}"


def test_splits_apart(root):
    shutil.move(root / "pics/test", root / "test")
    assert refusal(root) == (
        f"{root}: train/ and test/ are not in one folder; found pics/, test/; expected "
        "train/<class>/… and test/<class>/… side by side"
    )


def test_two_pairs_of_splits(root):
    shutil.copytree(root / "pics", root / "copy")
    assert refusal(root) == f"{root}: train/ and test/ both in copy and pics; set data.root to one of them"


def test_an_empty_class(root, tmp_path):
    for file in (root / "pics/test/cow").iterdir():
        file.unlink()
    message = "class 'cow' has no images in test/; add images or remove the folder"
    assert refusal(root) == f"{root}: {message}"
    path = zip_folder(root, tmp_path / "x.zip")
    assert refusal(path) == f"{path}: {message}"


def test_one_class(tmp_path):
    root = draw_folder(tmp_path / "source", classes=("ant",))
    assert refusal(root) == f"{root}: 1 class found; at least two classes are needed"


def test_an_image_without_a_class(root):
    shutil.copy(root / "pics/train/ant/00.png", root / "pics/train/00.png")
    assert refusal(root) == f"{root}: pics/train/00.png belongs to no class; move it to a folder <class>/ beside it"


def test_a_file_that_is_no_image(root):
    (root / "pics/train/ant/photo.heic").write_text("hello")
    assert refusal(root) == (
        f"{root}: pics/train/ant/photo.heic is not an image file (.bmp, .gif, .jpeg, .jpg, .pbm, .pgm, .png, .ppm, "
        ".tif, .tiff, .webp); remove it"
    )


def test_notes_and_annotations_are_left_aside_and_said(root, caplog):
    (root / "pics/train/ant/notes.txt").write_text("hello")
    assert images.prepare(settings(root)).train_size == 9
    assert [record.getMessage() for record in caplog.records] == [
        f"note: {root}: pics/train/ant/notes.txt is not an image and is ignored"
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty; fetch it again or remove it"),
        (b"\n<HTML>", "is a web page and not an image; fetch it again"),
        (b"<!DOCTYPE html>\n<title>404</title>", "is a web page and not an image; fetch it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid x", "is a pointer of Git LFS; fetch the image with git lfs"),
        (b"words", r"is damaged \(not an image of a known format\); repair or remove it$"),
        (None, r"is damaged \(.*truncated.*\); repair or remove it$"),
    ],
)
def test_a_broken_image_is_named(root, tmp_path, content, reason):
    file = root / "pics/train/bee/01.png"
    if content is None:
        buffer = io.BytesIO()
        gradient(64, 64).save(buffer, "JPEG")
        content = buffer.getvalue()[:-300]
    file.write_bytes(content)
    pattern = rf": pics/train/bee/01.png {reason}"
    with pytest.raises(DataError, match=pattern):
        images.prepare(settings(root))
    with pytest.raises(DataError, match=pattern):
        images.prepare(settings(zip_folder(root, tmp_path / "x.zip")))


def test_other_decoders_of_pil_stay_shut(root):
    gradient(32, 32).save(root / "pics/train/bee/01.png", format="SGI")
    assert refusal(root) == (
        f"{root}: pics/train/bee/01.png is damaged (not an image of a known format); repair or remove it"
    )


def test_a_flipped_bit_in_a_zip_names_the_member(root, tmp_path):
    path = zip_folder(root, tmp_path / "x.zip")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("pics/test/cow/01.png")
    content = bytearray(path.read_bytes())
    content[info.header_offset + 30 + len(info.filename) + 500] ^= 1
    path.write_bytes(content)
    assert refusal(path) == (
        f"{path}: pics/test/cow/01.png cannot be unpacked (Bad CRC-32 for file 'pics/test/cow/01.png'); "
        "create the archive again"
    )


def test_a_member_twice(root, tmp_path):
    path = zip_folder(root, tmp_path / "x.zip")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("pics/test/cow/01.png", b"another")
    assert refusal(path) == f"{path}: contains pics/test/cow/01.png twice; create the zip file again"


def test_too_many_pixels_are_refused_before_they_are_unpacked(root):
    Image.new("1", (20_000, 2_001)).save(root / "pics/train/ant/00.png")  # 5 KB that would unpack to 120 MB
    assert refusal(root) == (
        f"{root}: pics/train/ant/00.png has 20000 × 2001 pixels, at most {decoding.MAX_PIXELS:,} are read; remove it "
        "or save it smaller"
    )


def test_an_image_bomb_beyond_the_limit_of_pil(root):
    Image.new("1", (20_000, 10_000)).save(root / "pics/train/ant/00.png")
    assert refusal(root).startswith(f"{root}: pics/train/ant/00.png has 200,000,000 pixels, at most")


def test_a_zip_bomb_is_refused_by_its_size(root, tmp_path):
    path = zip_folder(root, tmp_path / "x.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pics/test/cow/zz.png", b"\0" * (file_tree.MAX_FILE_BYTES + 1))
    assert refusal(path) == f"{path}: pics/test/cow/zz.png has 67,108,865 bytes, at most 67,108,864 are read; remove it"


def test_a_loop_of_links(root):
    (root / "pics/train/ant/loop").symlink_to(root / "pics")
    assert refusal(root) == f"{root}: pics/train/ant/loop is a link to a folder above it; remove it"


def test_a_link_to_nowhere(root):
    (root / "pics/train/ant/link.png").symlink_to(root / "gone.png")
    assert refusal(root) == (
        f"{root}: pics/train/ant/link.png cannot be read (No such file or directory); check the folder of data.root"
    )
