"""Damaged files are read or refused in one sentence; nothing crashes, hangs or takes the memory."""

import pytest
from fuzzing.hunt import hunt
from fuzzing.mutations import mutated
from fuzzing.seeds import write_checkpoints, write_images


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folders = {}
    for kind, write in (("image", write_images), ("checkpoint", write_checkpoints)):
        folders[kind] = tmp_path_factory.mktemp(kind)
        write(folders[kind])
    return {kind: sorted(folder.iterdir()) for kind, folder in folders.items()}


def test_whole_files_are_read(files, tmp_path):
    from uhrtranslate.io import open_slide
    from uhrtranslate.models import load_generator

    for path in files["image"]:
        if path.name == "float.tif":  # refused, whole or not
            continue
        with open_slide(path) as slide:
            assert slide.read(0, 0, 8, 8).shape == (8, 8, 3)
    for path in files["checkpoint"]:
        assert load_generator(path).module is not None


@pytest.mark.parametrize("write", [write_images, write_checkpoints])
def test_whole_files_have_the_same_bytes_each_time(write, tmp_path):
    """So that a damaged file that does harm does it again, on any machine."""
    contents = []
    for name in ("once", "again"):
        folder = tmp_path / name
        folder.mkdir()
        write(folder)
        files = (path for path in folder.rglob("*") if path.is_file())
        contents.append({path.relative_to(folder): path.read_bytes() for path in files})
    assert contents[0] == contents[1]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "cases"), [("image", 20), ("checkpoint", 50)])
def test_damaged_files_do_no_harm(files, tmp_path, kind, cases):
    account = hunt(kind, files[kind], tmp_path, range(cases))
    count = cases * len(files[kind])
    assert account.failures == []
    assert sum(account.outcomes.values()) == count
    # The damage is such that both happen.
    assert account.outcomes["read"] > count / 50
    assert account.outcomes["refused"] > count / 10


def test_the_damage_depends_on_the_name_and_the_number_alone(files):
    content = files["image"][0].read_bytes()
    assert mutated(content, "a", 7) == mutated(content, "a", 7)
    different = {mutated(content, name, case) for name in "ab" for case in range(50)}
    assert len(different) > 80
