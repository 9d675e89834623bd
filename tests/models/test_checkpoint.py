"""Checkpoints as people have them: wrapped, prefixed, old, several in one, and broken."""

import contextlib
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models import ResnetGenerator
from uhrtranslate.models import checkpoint as module_under_test
from uhrtranslate.models.checkpoint import load_checkpoint
from uhrtranslate.models.unwrap import unwrap


def prefixed(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


def discriminator():
    return {
        "model.0.weight": torch.zeros(8, 3, 4, 4),
        "model.2.weight": torch.zeros(16, 8, 4, 4),
        "model.5.weight": torch.zeros(1, 16, 4, 4),
    }


WRAPPERS = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "model": lambda s: {"model": s, "optimizer": {"state": {0: {"step": 1}}, "param_groups": []}},
    "G": lambda s: {"G": s, "D": discriminator()},
    "netG": lambda s: {"netG": s, "netD": discriminator()},
    "G_X2Y": lambda s: {"G_X2Y": s},
    "generator in state_dict": lambda s: {"state_dict": {"generator": s}},
    "DataParallel": lambda s: prefixed("module.", s),
    "compiled": lambda s: prefixed("_orig_mod.", s),
    "compiled DataParallel": lambda s: {"state_dict": prefixed("module._orig_mod.", s)},
    "Lightning": lambda s: {
        "state_dict": {**prefixed("netG.", s), **prefixed("netD.", discriminator())},
        "pytorch-lightning_version": "2.4.0",
        "optimizer_states": [{"state": {}}],
    },
    "Lightning, one deeper": lambda s: {"state_dict": prefixed("generator.net.", s)},
}


@pytest.mark.parametrize("family", ["resnet", "kaminyou", "unet"])
@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_wrapped_weights_are_found(wrap, family, make, tmp_path):
    small = {"n_downs": 5} if family == "unet" else {"n_blocks": 1}
    state = make(family, ngf=2, **small).state_dict()
    torch.save(wrap(dict(state)), tmp_path / "latest.pth")
    module, info = load_checkpoint(tmp_path / "latest.pth")
    assert info.architecture == family
    assert all(torch.equal(t, state[k]) for k, t in module.state_dict().items())


def test_unwrapping_changes_nothing(make):
    tree = {"state_dict": prefixed("module.netG.", make().state_dict())}
    keys = list(tree["state_dict"])
    found = unwrap(tree)
    assert list(tree["state_dict"]) == keys
    assert found.part == "state_dict.netG"


def test_the_old_file_format_is_read(make, tmp_path):
    torch.save(make().state_dict(), tmp_path / "g.pth", _use_new_zipfile_serialization=False)
    assert load_checkpoint(tmp_path / "g.pth")[1].arguments["n_blocks"] == 1


def test_running_statistics_of_old_instance_norms_are_ignored(make, tmp_path):
    module = make()
    state = dict(module.state_dict())
    for norm, channels in (("2", 2), ("5", 4), ("10.conv_block.2", 8)):
        state[f"model.{norm}.running_mean"] = torch.ones(channels)
        state[f"model.{norm}.running_var"] = torch.ones(channels)
        state[f"model.{norm}.num_batches_tracked"] = torch.tensor(1)
    torch.save(state, tmp_path / "g.pth")
    loaded, info = load_checkpoint(tmp_path / "g.pth")
    assert info.arguments["norm"] == "instance"
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded(x), module(x))


def test_batch_norm_without_counter_is_read(make, tmp_path):
    state = dict(make(norm="batch", bias=False).state_dict())
    state = {k: t for k, t in state.items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "g.pth")
    assert load_checkpoint(tmp_path / "g.pth")[1].arguments["norm"] == "batch"


@pytest.mark.parametrize("family", ["resnet", "kaminyou"])
def test_affine_weights_of_four_dimensions_are_reshaped(family, make, tmp_path):
    module = make(family, ngf=2, n_blocks=1, affine=True)
    norms = {k for k, m in module.named_modules() if isinstance(m, nn.InstanceNorm2d)}
    state = {
        k: t[None, :, None, None] if k.rpartition(".")[0] in norms else t
        for k, t in module.state_dict().items()
    }
    torch.save(state, tmp_path / "g.pth")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(load_checkpoint(tmp_path / "g.pth")[0](x), module(x))


def test_half_precision_weights_load_as_float32(make, tmp_path):
    torch.save({k: t.half() for k, t in make().state_dict().items()}, tmp_path / "g.pth")
    module = load_checkpoint(tmp_path / "g.pth")[0]
    assert {p.dtype for p in module.parameters()} == {torch.float32}


@pytest.mark.parametrize("prefix", [False, True])
def test_one_of_several_generators_is_chosen_by_its_name(prefix, make, tmp_path):
    a, b = make(seed=1).state_dict(), make(seed=2).state_dict()
    if prefix:
        tree = {"state_dict": {**prefixed("netG_A.", a), **prefixed("netG_B.", b)}}
        part = "netG_B"
    else:
        tree, part = {"G_A": a, "G_B": b}, "G_B"
    torch.save(tree, tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match=r"several generators: .*G_A, .*G_B"):
        load_checkpoint(tmp_path / "both.pth")
    module = load_checkpoint(tmp_path / "both.pth", part)[0]
    assert torch.equal(module.state_dict()["model.1.weight"], b["model.1.weight"])
    with pytest.raises(CheckpointError, match=r"no G_C, but these generators: .*G_A"):
        load_checkpoint(tmp_path / "both.pth", "G_C")


AVERAGES = [
    ("params", "params_ema"), ("G", "ema"), ("netG", "ema_netG"), ("state_dict", "state_dict_ema"),
    ("trans_state_dict", "trans_ema_state_dict"), ("netG", "netG_EMA"), ("model", "ema_model"),
    ("model", "averaged_model"), ("model", "swa_model"),
]  # fmt: skip


@pytest.mark.parametrize("names", AVERAGES)
def test_averaged_weights_are_preferred(names, make, tmp_path):
    plain, averaged = make(seed=1).state_dict(), make(seed=2).state_dict()
    torch.save(dict(zip(names, (plain, averaged), strict=True)), tmp_path / "g.pth")
    module, info = load_checkpoint(tmp_path / "g.pth")
    assert torch.equal(module.state_dict()["model.1.weight"], averaged["model.1.weight"])
    assert info.description == f"Averaged weights, {names[1]}; the file also holds {names[0]}."
    module, info = load_checkpoint(tmp_path / "g.pth", names[0])
    assert torch.equal(module.state_dict()["model.1.weight"], plain["model.1.weight"])
    assert info.description == ""


def test_what_only_sounds_like_an_average_is_none(make, tmp_path):
    torch.save({"schema": make(seed=1).state_dict()}, tmp_path / "g.pth")
    assert load_checkpoint(tmp_path / "g.pth")[1].description == ""


def test_keys_that_do_not_fit_are_named(make, tmp_path):
    state = dict(make().state_dict())
    state["model.10.attention.weight"] = torch.zeros(2)
    del state["model.7.bias"]
    state["model.4.bias"] = torch.zeros(9)
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(
        CheckpointError,
        match=r"resnet generator, but .* missing: model\.7\.bias; .*not expected: "
        r"model\.10\.attention\.weight; .*model\.4\.bias \(9,\) instead of \(4,\)",
    ):
        load_checkpoint(tmp_path / "g.pth")


TREES = {
    "a tensor": (torch.zeros(3), "no weights under names"),
    "a list": ([1, 2], "no weights under names"),
    "no tensors": ({"epoch": 3}, "no weights under names"),
    "unknown": ({"encoder.0.weight": torch.zeros(2, 2)}, "they begin encoder.0.weight"),
    "discriminator": (discriminator(), "looks like a discriminator"),
    "feature network": ({"mlp_0.0.weight": torch.zeros(2, 2)}, "CUT's feature network"),
    "a backbone": (
        {
            "encoder.vit.blocks.0.attn.qkv.weight": torch.zeros(9, 3),
            "decoder.0.weight": torch.zeros(8, 3, 3, 3),
        },
        r"a transformer \(encoder\.vit\..*\), a backbone whose code is not here",
    ),
    "too many": ({f"w{i}": torch.zeros(0) for i in range(50_001)}, "more than 50000 tensors"),
    "escape": ({"\x1b[2J": torch.zeros(2)}, r"they begin \?\[2J"),
}


@pytest.mark.parametrize(("tree", "message"), TREES.values(), ids=TREES)
def test_what_is_no_generator_is_called_by_its_name(tree, message, tmp_path):
    path = tmp_path / "g.pth"
    if isinstance(tree, dict) and len(tree) > 1000:  # saving it would take seconds
        with pytest.raises(CheckpointError, match=message):
            unwrap(tree)
        return
    torch.save(tree, path)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_nested_and_self_referring_trees_end():
    tree: dict = {}
    tree["again"] = tree
    deep: dict = {}
    for _ in range(10_000):
        deep = {"": deep}
    for hostile in (tree, deep):
        with pytest.raises(CheckpointError, match="no weights"):
            unwrap(hostile)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new", [True, False])
def test_code_in_a_checkpoint_does_not_run(new, make, tmp_path):
    trace = tmp_path / "it_ran"
    tree = {"state_dict": make().state_dict(), "extra": Evil(trace)}
    torch.save(tree, tmp_path / "evil.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(CheckpointError, match=r"pickled Python objects \(.*mkdir\)"):
        load_checkpoint(tmp_path / "evil.pth")
    assert not trace.exists()


class Eval:
    def __reduce__(self):
        return eval, ("1 / 0",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", ["plain", "zip", "old", "bare zip"])
@pytest.mark.parametrize(("evil", "name"), [(Evil("/x"), r"\w+\.mkdir"), (Eval(), r"\w+\.eval")])
def test_code_is_named_and_not_called_damage(evil, name, kind, protocol, make, tmp_path):
    path = tmp_path / "evil.pth"
    tree = {"state_dict": make().state_dict(), "extra": [evil, evil]}
    if kind == "plain":
        path.write_bytes(pickle.dumps({"extra": evil}, protocol))
    elif kind == "bare zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x/data.pkl", pickle.dumps(evil, protocol))
    else:
        zipped = kind == "zip"
        torch.save(tree, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointError, match=rf"refused, .*\({name}\), which could run code"
    ) as told:
        load_checkpoint(path)
    assert "damaged" not in str(told.value)


def test_a_pickled_network_is_refused_with_the_remedy(make, tmp_path):
    torch.save(make(), tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match=r"ResnetGenerator.*torch\.save\(model\.state_dict"):
        load_checkpoint(tmp_path / "whole.pth")


def test_a_scripted_network_is_refused_with_the_remedy(tmp_path):
    with zipfile.ZipFile(tmp_path / "s.pt", "w") as archive:
        for name in ("s/data.pkl", "s/code/__torch__.py", "s/constants.pkl"):
            archive.writestr(name, "")
    with pytest.raises(CheckpointError, match=r"TorchScript.*state_dict"):
        load_checkpoint(tmp_path / "s.pt")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_an_error_at_any_length(suffix, make, tmp_path):
    path = tmp_path / f"g{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(make().state_dict(), path)
    content = path.read_bytes()
    for part in (0.01, 0.3, 0.6, 0.9, 0.999):
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(CheckpointError, match="damaged"):
            load_checkpoint(path)


def test_damaged_bytes_give_no_other_error(make, tmp_path):
    path = tmp_path / "g.pth"
    for new in (True, False):
        torch.save(make().state_dict(), path, _use_new_zipfile_serialization=new)
        content = path.read_bytes()
        for place in range(0, 1500, 37):
            path.write_bytes(content[:place] + b"\xff\x00\xff" + content[place + 3 :])
            with contextlib.suppress(CheckpointError):  # or it loads, where names were hit
                load_checkpoint(path)


OTHERS = {
    "empty": (b"", "empty"),
    "text": (b"version https://git-lfs.github.com/spec/v1\noid", "not a checkpoint"),
    "short": (b"\x00", "not a checkpoint"),
    "zip": (b"PK\x05\x06" + bytes(18), "zip file, but not a checkpoint"),
    "header too long": (b"\xff" * 7 + b"\x00{", "safetensors file is damaged"),
}


@pytest.mark.parametrize(("content", "message"), OTHERS.values(), ids=OTHERS)
def test_other_files_are_refused(content, message, tmp_path):
    (tmp_path / "g.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "g.pth")


@pytest.mark.parametrize("first", [b"\x80", b"PK"])
def test_a_safetensors_header_of_any_length_is_one(first, make, tmp_path):
    """The file begins with that length, which may look like the beginning of another kind."""
    path = tmp_path / "g.safetensors"
    save_file(make().state_dict(), path, {"note": ""})
    size = int.from_bytes(path.read_bytes()[:8], "little")
    wanted = int.from_bytes(first, "little") + (2048 if len(first) == 1 else 0)
    save_file(make().state_dict(), path, {"note": "x" * (wanted - size)})
    assert path.read_bytes().startswith(first)
    assert load_checkpoint(path)[1].arguments["n_blocks"] == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        load_checkpoint(tmp_path / "no.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(value, make, tmp_path):
    state = dict(make().state_dict())
    state["model.4.bias"][1] = value
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match=r"model\.4\.bias holds NaN or infinity"):
        load_checkpoint(tmp_path / "g.pth")


def test_integer_weights_are_refused(make, tmp_path):
    state = {key: tensor.to(torch.int8) for key, tensor in make().state_dict().items()}
    torch.save(state, tmp_path / "g.pth")
    with pytest.raises(CheckpointError, match="unquantised"):
        load_checkpoint(tmp_path / "g.pth")


def test_tensors_that_only_look_large_take_no_memory(make, tmp_path):
    with torch.device("meta"):
        network = ResnetGenerator(ngf=100_000, n_blocks=1)
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    state = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    torch.save(state, tmp_path / "bomb.pth")
    assert (tmp_path / "bomb.pth").stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="more bytes than the file has"):
        load_checkpoint(tmp_path / "bomb.pth")


@pytest.mark.parametrize("family", ["resnet", "kaminyou", "unet"])
def test_a_network_without_end_is_not_built(family, make, tmp_path):
    small = {"n_downs": 5} if family == "unet" else {"n_blocks": 1}
    state = dict(make(family, ngf=1, **small).state_dict())
    block = {
        "resnet": "model.{}.conv_block.1.weight",
        "kaminyou": "resnetblocks4.{}.model.1.weight",
    }
    for i in range(3000):
        key = f"model.model.1.model{'.3.model' * i}.1.weight"
        state[block.get(family, key).format(i)] = torch.zeros(1, 1, 1, 1)
    torch.save(state, tmp_path / "long.pth")
    with pytest.raises(CheckpointError):
        load_checkpoint(tmp_path / "long.pth")


def test_compressed_content_is_refused(make, tmp_path):
    torch.save(make().state_dict(), tmp_path / "g.pth")
    with (
        zipfile.ZipFile(tmp_path / "g.pth") as source,
        zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
        target.writestr("c/data/99", bytes(10_000_000))
    with pytest.raises(CheckpointError, match="compressed"):
        load_checkpoint(tmp_path / "c.pth")


def test_a_file_larger_than_memory_is_not_read(make, tmp_path, monkeypatch):
    torch.save(make().state_dict(), tmp_path / "g.pth")
    monkeypatch.setattr(module_under_test, "_memory", lambda: 1000.0)
    with pytest.raises(CheckpointError, match="more than this machine's memory"):
        load_checkpoint(tmp_path / "g.pth")


def nested_pair(as_key):
    """A pickle of 300 bytes: a pair of the same pair, sixty times over, in a dict."""
    twice = b"h\x01\x86q\x01"
    pair = b"K\x01K\x02\x86q\x01" + twice * 60
    return b"\x80\x02}q\x00" + (pair + b"K\x05s." if as_key else b"K\x05" + pair + b"s.")


@pytest.mark.parametrize("as_key", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_a_pickle_that_takes_for_ever_is_refused(as_key, old, make, tmp_path):
    path = tmp_path / "g.pth"
    if old:
        head = [0x1950A86A20F9469CFC6C, 1001, {}]
        path.write_bytes(b"".join(pickle.dumps(p, 2) for p in head) + nested_pair(as_key))
    else:
        torch.save(make().state_dict(), tmp_path / "whole.pth")
        with zipfile.ZipFile(tmp_path / "whole.pth") as whole, zipfile.ZipFile(path, "w") as bomb:
            for name in whole.namelist():
                content = nested_pair(as_key) if name.endswith("data.pkl") else whole.read(name)
                bomb.writestr(name, content)
    with pytest.raises(CheckpointError, match=r"g\.pth: .* builds more than 10,000,000 values"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "content", [b"\x80\x02.", b"\x80\x02(.", b"\x80\x02}K\x01s.", b"\x80\x02(K\x010."]
)
def test_pickles_that_take_from_an_empty_stack_are_refused(content, tmp_path):
    (tmp_path / "g.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "g.pth")
