"""Files appear under their name when they are whole, and not before."""

import errno
import os
import stat

import pytest

from uhrtranslate.replace import replace_file, replacing


def test_a_file_is_there_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / ("a" * 250 + ".json")  # as long as a name can be
    path.write_text("old")
    with replacing(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("old")

    def write():
        with replacing(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises((KeyboardInterrupt, OSError)):
        write()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_rename_that_fails_leaves_nothing(tmp_path):
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        replace_file(tmp_path / "folder", "text")
    assert os.listdir(tmp_path) == ["folder"]


def test_text_is_utf_8_whatever_the_names_in_it(tmp_path):
    path = tmp_path / "a.json"
    replace_file(path, "µm \udcff.tif")  # a file name that is no UTF-8
    assert path.read_bytes() == "µm ?.tif".encode()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_others_may_read_what_the_umask_lets_them(tmp_path):
    before = os.umask(0o022)
    try:
        replace_file(tmp_path / "a.json", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o644
