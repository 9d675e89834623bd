"""Sets of arguments for every family of generators."""

# What decides the keys; every set must survive build -> state dict -> recognise.
CASES = {
    "resnet-cyclegan": ("resnet", {"ngf": 4, "n_blocks": 2}),
    "resnet-cut": (
        "resnet",
        {"ngf": 4, "n_blocks": 3, "antialias": True, "antialias_up": True},
    ),
    "resnet-cut-no-antialias-up": ("resnet", {"ngf": 2, "n_blocks": 1, "antialias": True}),
    "resnet-blur-only-up": ("resnet", {"ngf": 2, "n_blocks": 1, "antialias_up": True}),
    "resnet-dropout": ("resnet", {"ngf": 2, "n_blocks": 2, "dropout": True}),
    "resnet-affine": ("resnet", {"ngf": 2, "n_blocks": 2, "affine": True}),
    "resnet-affine-dropout": (
        "resnet",
        {"ngf": 2, "n_blocks": 2, "affine": True, "dropout": True},
    ),
    "resnet-batch": ("resnet", {"ngf": 2, "n_blocks": 2, "norm": "batch", "bias": False}),
    "resnet-batch-bias": ("resnet", {"ngf": 2, "n_blocks": 2, "norm": "batch"}),
    "resnet-grey-to-rgb": ("resnet", {"in_channels": 1, "ngf": 2, "n_blocks": 0}),
    "resnet-zero": ("resnet", {"ngf": 2, "n_blocks": 2, "padding": "zero"}),
    "resnet-deepliif": (
        "resnet",
        {"ngf": 2, "n_blocks": 3, "padding": "zero", "norm": "batch", "bias": False}
        | {"dropout": True},
    ),
    "kaminyou": ("kaminyou", {"ngf": 4, "n_blocks": 2}),
    "kaminyou-affine": ("kaminyou", {"ngf": 2, "n_blocks": 3, "affine": True}),
    "kaminyou-to-grey": ("kaminyou", {"out_channels": 1, "ngf": 2, "n_blocks": 1}),
    "kaminyou-virtual-multiplexer": (
        "kaminyou",
        {"ngf": 2, "n_blocks": 2, "antialias": False, "antialias_up": False},
    ),
    "kaminyou-strided-up": ("kaminyou", {"ngf": 2, "n_blocks": 1, "antialias_up": False}),
    "colorizer": ("colorizer", {"in_channels": 1, "ngf": 2}),
    "colorizer-instance": (
        "colorizer",
        {"in_channels": 1, "ngf": 2, "norm": "instance", "bias": True, "affine": True},
    ),
    "unet": ("unet", {"ngf": 2, "n_downs": 5}),
    "unet-128": ("unet", {"ngf": 1, "n_downs": 7, "dropout": True}),
    "unet-512": ("unet", {"ngf": 1, "n_downs": 9}),
    "attention-unet": ("attention-unet", {"ngf": 2, "n_downs": 5}),
    "attention-unet-256": ("attention-unet", {"ngf": 2, "n_downs": 8, "out_channels": 1}),
    "histoplexer": ("histoplexer", {"ngf": 8, "depth": 4, "out_channels": 5}),
    "histoplexer-odd": ("histoplexer", {"ngf": 4, "depth": 5, "out_channels": 11}),
    "histoplexer-same-size": (
        "histoplexer",
        {"ngf": 4, "depth": 4, "out_channels": 2, "high_res": False},
    ),
    "histoplexer-pix2pix": (
        "histoplexer",
        {"ngf": 4, "depth": 4, "out_channels": 3, "multiscale": False},
    ),
    "unet-instance": (
        "unet",
        {"ngf": 2, "n_downs": 5, "norm": "instance", "bias": True, "out_channels": 1},
    ),
    "unet-instance-affine": (
        "unet",
        {"ngf": 2, "n_downs": 5, "norm": "instance", "bias": True, "affine": True},
    ),
    "swin-unet": (
        "swin-unet",
        {"width": 4, "depths": (2, 1, 1, 2), "up_depths": (1, 2, 1), "heads": (1, 2, 4, 2)}
        | {"window": 4},
    ),
    "swin-unet-colour": (
        "swin-unet",
        {"in_channels": 3, "out_channels": 1, "width": 2, "depths": (1, 1, 1, 1, 1)}
        | {"up_depths": (1, 0, 1, 1), "heads": (1, 1, 1, 1, 1), "window": 3, "mlp": 2}
        | {"drop_path": 0.0, "deep": False},
    ),
}
# Arguments that leave no trace in the keys.
UNSEEN = {"unet": {"dropout"}, "swin-unet": {"drop_path"}}
