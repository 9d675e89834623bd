"""What users of the field's other tools type, and which option means the same here."""

from collections.abc import Collection

# By meaning, not by spelling: options that say the same, the likeliest first. Names have
# underscores, and dots where they lie in a section of a training.
HABITS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("gpu", "gpus", "gpu_id", "gpu_ids", "cuda", "cpu", "use_cuda"), ("device",)),
    **dict.fromkeys(
        ("magnification", "mag", "objective", "objective_power", "power", "zoom"),
        ("mpp", "source_power", "data.mpp", "data.source_power"),
    ),
    **dict.fromkeys(("resolution", "microns", "um_per_pixel", "pixel_size"), ("mpp", "data.mpp")),
    **dict.fromkeys(
        ("output_dir", "output_folder", "output_path", "out", "out_dir", "outdir", "save_dir",
         "save_path", "results_dir", "result_dir", "dest", "destination", "checkpoints_dir"),
        ("output",),
    ),
    **dict.fromkeys(("batch_size", "batchsize", "bs", "minibatch"), ("batch",)),
    **dict.fromkeys(
        ("num_workers", "n_workers", "num_threads", "n_threads", "threads", "jobs", "n_jobs",
         "nthreads", "cores", "num_cpus"),
        ("workers", "data.workers"),
    ),
    **dict.fromkeys(
        ("patch_size", "crop_size", "load_size", "image_size", "img_size", "input_size"),
        ("cell", "size", "patch", "data.patch"),
    ),
    **dict.fromkeys(("tile_size", "window_size", "chunk_size"), ("tile", "size", "data.patch")),
    **dict.fromkeys(("stride", "step_size"), ("overlap",)),
    **dict.fromkeys(
        ("weights", "checkpoint", "ckpt", "checkpoint_path", "ckpt_path", "model_path",
         "model_name", "load_path", "pretrained"),
        ("model",),
    ),
    **dict.fromkeys(
        ("normalization", "norm_type", "norm_layer", "inference_mode", "normalizer"), ("norm",)
    ),
    **dict.fromkeys(("kernel_size", "ksize"), ("kernel",)),
    **dict.fromkeys(("padding", "padding_type", "pad_mode", "border"), ("pad", "halo")),
    **dict.fromkeys(("half", "fp16", "bf16", "amp", "dtype", "mixed_precision"), ("precision",)),
    **dict.fromkeys(("force", "replace", "clobber"), ("overwrite",)),
    **dict.fromkeys(("skip", "no_clobber", "skip_done"), ("skip_existing",)),
    **dict.fromkeys(("continue", "continue_train", "restart"), ("resume",)),
    **dict.fromkeys(("verbose", "traceback"), ("debug",)),
    **dict.fromkeys(("silent", "no_progress"), ("quiet",)),
    **dict.fromkeys(("roi", "bbox", "crop", "box", "rect"), ("region",)),
    **dict.fromkeys(("tissue_mask", "mask_path", "otsu", "segmentation"), ("mask",)),
    **dict.fromkeys(("csv", "file_list", "filelist", "list", "slide_list"), ("manifest",)),
    **dict.fromkeys(("yaml", "cfg", "config_file", "opt", "options"), ("config",)),
    **dict.fromkeys(("image_format", "ext", "output_format", "suffix"), ("format",)),
    **dict.fromkeys(("jpeg_quality", "q_factor"), ("quality",)),
    **dict.fromkeys(("template", "reference_image", "target_image"), ("target", "reference")),
    **dict.fromkeys(("gt", "ground_truth", "real"), ("truth", "reference")),
    **dict.fromkeys(("random_seed", "manual_seed"), ("seed",)),
    **dict.fromkeys(("n_epochs", "num_epochs", "niter"), ("epochs",)),
    **dict.fromkeys(("n_epochs_decay", "niter_decay", "lr_decay"), ("decay",)),
    **dict.fromkeys(("learning_rate", "lr_g", "base_lr"), ("lr",)),
    **dict.fromkeys(("beta1", "beta2"), ("betas",)),
    **dict.fromkeys(("save_epoch_freq", "save_freq", "save_every"), ("checkpoint",)),
    **dict.fromkeys(("save_latest_freq", "save_steps"), ("checkpoint_steps",)),
    **dict.fromkeys(("print_freq", "log_every"), ("log",)),
    **dict.fromkeys(("netg", "architecture", "backbone"), ("generator.architecture",)),
    **dict.fromkeys(("n_blocks", "num_blocks", "blocks"), ("generator.blocks", "blocks")),
    **dict.fromkeys(("ngf",), ("generator.ngf",)),
    **dict.fromkeys(("ndf",), ("discriminator.ndf",)),
    **dict.fromkeys(("dataroot", "data_path", "data_dir", "dataset", "train_dir"), ("data",)),
    **dict.fromkeys(("nce_layers",), ("layers",)),
    **dict.fromkeys(("lambda_nce",), ("nce",)),
    **dict.fromkeys(("lambda_l1",), ("l1",)),
    **dict.fromkeys(("lambda_a", "lambda_b", "lambda_cycle"), ("cycle",)),
    **dict.fromkeys(("lambda_identity", "lambda_idt"), ("identity",)),
    **dict.fromkeys(("num_patches",), ("patches",)),
    **dict.fromkeys(("pool_size",), ("pool",)),
}  # fmt: skip
# What people give without a name.
POSITIONAL = {
    "input", "inputs", "input_dir", "input_path", "input_folder", "image", "images", "slide",
    "slides", "source", "src", "wsi", "wsi_path", "files",
}  # fmt: skip
# Values that are written differently, too.
_EXAMPLES = {
    "device": "device cuda:0",
    "mpp": "mpp 0.5 (20x is about 0.5 um/px, 40x 0.25)",
    "source_power": "source-power 20 (what the slide has)",
}


def meant(name: str, offered: Collection[str]) -> list[str]:
    """Options that mean what somebody typed, of those that there are; the likeliest first.

    Args:
        name: as typed, with - or _.
        offered: names of options, with underscores.
    """
    plain = name.lstrip("-").replace("-", "_").lower()
    return [one for one in HABITS.get(plain, ()) if one in offered]


def as_flag(option: str) -> str:
    """An option as it is typed on the command line, with a value where that is not obvious."""
    return f"--{_EXAMPLES.get(option, option.replace('_', '-'))}"
