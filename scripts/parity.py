#!/usr/bin/env python3
"""The same training in plain PyTorch: what `runner` must equal to the last bit on the CPU with one thread.

    parity.py TRIAL/config.json --data data --out DIR              a stored trial's configuration
    parity.py --cases CASES.jsonl --data data                      many trials in one process

Configurations are those that `runner` stores: every default is filled in. `runner train EXPERIMENT.yaml` leaves that of the
experiment's base in results/NAME-train/trials/ID/config.json, and `runner parity EXPERIMENT.yaml` runs all of its trials
here. A line of CASES.jsonl is {"name": ..., "config": {...}, "seed": ..., "max_steps": null or N, "out": DIR}; "threads",
"channels_last", "test_images" (score only the first N of the test set) and "weights" (the file of `start`) may be added.

DIR receives
    steps.csv            step,lr,loss,loss_hex,weights: each training batch's cross-entropy, without penalties, and the
                         digest of the state dict after the step
    history.csv          epoch,lr,train_loss,train_accuracy,penalty,val_loss,val_accuracy
    initial.safetensors  the state dict before the first step; final, after the last; best, of the selected epoch
    result.json          best epoch; losses and accuracies there; the test set's confusion matrix (rows: true classes)

A run cut short by --max-steps validates only the epochs it finished. Written for torch 2.11.0.
"""

import argparse
import collections
import csv
import functools
import hashlib
import itertools
import json
import math
import pathlib
import struct
import sys
import traceback


def parse_arguments():
    parser = argparse.ArgumentParser(description="Train one trial, or a list of them, in plain PyTorch.")
    parser.add_argument("config", nargs="?", metavar="CONFIG.json", help="a stored trial's config.json")
    parser.add_argument("--cases", metavar="JSONL", help="run many trials in this process instead")
    parser.add_argument("--seed", type=int, help="default: the trial's own, otherwise 0")
    parser.add_argument("--data", default="data", metavar="DIR", help="holds cifar-10-batches-bin/")
    parser.add_argument("--dataset-file", metavar="FILE",
                        help="read this instead: labels, then pixels, of the training and then of the test images")
    parser.add_argument("--weights", metavar="FILE", help="the safetensors file of a configuration with `start`")
    parser.add_argument("--out", metavar="DIR")
    parser.add_argument("--max-steps", type=int, metavar="N")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if bool(args.config) == bool(args.cases):
        parser.error("give either a configuration or --cases")
    if args.config and args.out is None:
        parser.error("--out is required")
    return args


if __name__ == "__main__":
    parse_arguments()   # before torch is imported: help and mistakes need none of it

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, Subset, random_split

EVAL_BATCH = 500
FILES = ["steps.csv", "history.csv", "initial.safetensors", "best.safetensors", "final.safetensors", "result.json"]


# ---- Configuration ---------------------------------------------------------------------------------------------------

COUNTS = {"cifar10": (50000, 10000), "synthetic": (5000, 1000)}    # training and test images



def is_imported(dataset):
    """Images of the user's own are described, not named: name, sha256, train, test, classes."""
    return isinstance(dataset, dict)


def counts(dataset):
    """-> how many training and test images."""
    return (dataset["train"], dataset["test"]) if is_imported(dataset) else COUNTS[dataset]


def class_count(config):
    dataset = config["data"]["dataset"]
    return len(dataset["classes"]) if is_imported(dataset) else 10


KEYS = {"mode", "data", "select", "model", "activation", "init", "epochs", "batch_size", "optimizer", "schedule", "warmup",
        "regularization", "augment", "label_smoothing", "clip", "early_stopping"}
OPTIONAL = {"pool", "start", "freeze"}    # pool is absent where it is the network's own


def read_config(path):
    """A stored trial, or its configuration alone -> (configuration, its seed or None)."""
    document = json.loads(pathlib.Path(path).read_text())
    return checked(document.get("config", document)), document.get("seed")


def checked(config):
    """Refuses what `runner` did not resolve, and what this script knows nothing of."""
    if missing := KEYS - config.keys():
        raise ValueError(f"not a resolved configuration; missing keys: {', '.join(sorted(missing))}")
    if unknown := config.keys() - KEYS - OPTIONAL:
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
    return config


# ---- Data ------------------------------------------------------------------------------------------------------------

class Images(Dataset):
    """Images kept as bytes; an item is a float32 image [3, 32, 32] and its label, several items are one batch."""

    def __init__(self, labels, pixels):
        self.labels = torch.from_numpy(labels.astype(np.int64))
        self.pixels = torch.from_numpy(pixels.reshape(-1, 3, 32, 32))
        self.mean = self.std = None

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.scaled(self.pixels[index]), self.labels[index]

    def __getitems__(self, indices):
        indices = torch.tensor(indices)
        return self.scaled(self.pixels[indices]), self.labels[indices]

    def scaled(self, pixels):
        x = pixels.float().div(255)
        return x if self.mean is None else (x - self.mean) / self.std


@functools.lru_cache(maxsize=2)
def read_bytes(name, counts, data_dir, dataset_file):
    """-> ((train labels, train pixels), (test labels, test pixels)), uint8 arrays."""
    if dataset_file is not None:
        raw, parts = np.fromfile(dataset_file, np.uint8), []
        if len(raw) != sum(counts) * 3073:
            raise ValueError(f"{dataset_file}: {len(raw)} bytes, expected {sum(counts) * 3073}")
        for count in counts:
            parts.append((raw[:count], raw[count:count * 3073]))
            raw = raw[count * 3073:]
        return tuple(parts)
    if name == "synthetic":
        raise ValueError("the synthetic data set is drawn by runner: give its dump with --dataset-file")

    folder = pathlib.Path(data_dir)

    def read(*names):
        records = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, 3073) for name in names])
        return records[:, 0], np.ascontiguousarray(records[:, 1:])

    if name != "cifar10":    # an import's folder
        return read("train.bin"), read("test.bin")
    folder = folder / "cifar-10-batches-bin"
    return read(*(f"data_batch_{i}.bin" for i in range(1, 6))), read("test_batch.bin")


def make_splits(config, data_dir, dataset_file=None):
    """-> the training, validation and test parts, scaled alike."""
    data = config["data"]
    dataset = data["dataset"]
    name = dataset["name"] if is_imported(dataset) else dataset
    train_bytes, test_bytes = read_bytes(name, counts(dataset), data_dir, dataset_file)
    images, test = Images(*train_bytes), Images(*test_bytes)

    generator = torch.Generator().manual_seed(data["split_seed"])
    train, val = random_split(images, [len(images) - data["val"], data["val"]], generator=generator)
    if data["train"] is not None:
        train = Subset(images, train.indices[:data["train"]])

    if data["scale"] == "symmetric":
        images.mean = images.std = test.mean = test.std = 0.5
    elif data["scale"] == "standardize":
        images.mean, images.std = test.mean, test.std = channel_statistics(images.pixels[train.indices])
    return train, val, test


def channel_statistics(pixels):
    """Mean and population standard deviation of each channel of x / 255: float64 from the bytes, then float32."""
    means, stds = [], []
    for channel in range(3):
        counts = torch.bincount(pixels[:, channel].flatten(), minlength=256).tolist()
        n = sum(counts)
        mean = sum(byte * count for byte, count in enumerate(counts)) / n
        mean_square = sum(byte * byte * count for byte, count in enumerate(counts)) / n
        means.append(mean / 255)
        stds.append(math.sqrt(mean_square - mean * mean) / 255)
    return torch.tensor(means).view(3, 1, 1), torch.tensor(stds).view(3, 1, 1)


def make_loader(dataset, batch_size, shuffle=False):
    return DataLoader(dataset, batch_size=batch_size, shuffle=shuffle, collate_fn=lambda batch: batch)


# ---- Models ----------------------------------------------------------------------------------------------------------

class Net(nn.Module):
    """What the five networks share: the activation, the pooling, numbered layers, and the dense layers, of which the last is to the classes."""

    own_pool = "max"

    def __init__(self, act, dropout):
        super().__init__()
        self.act = act
        self.dropout = nn.Dropout(dropout) if dropout > 0 else nn.Identity()

    def add(self, kind, layer):
        """Registers a layer as conv1, conv2, ... and so on for every kind."""
        number = 1 + sum(name.startswith(kind) for name, _ in self.named_children())
        self.add_module(f"{kind}{number}", layer)
        return layer

    def add_dense(self, inputs, dense):
        widths = [inputs, *dense]
        self.dense = [self.add("fc", nn.Linear(*pair)) for pair in zip(widths, widths[1:])]

    def classify(self, x):
        x = torch.flatten(x, 1)
        for layer in self.dense[:-1]:
            x = self.dropout(self.act(layer(x)))
        return self.dense[-1](x)


class LeNet5(Net):
    """[N, 3, 32, 32] -> logits [N, 10]. LeCun et al. 1998."""

    def __init__(self, act, dropout, channels, dense):
        super().__init__(act, dropout)
        widths, side = [3, *channels], 32
        self.convs = []
        for inputs, outputs in zip(widths, widths[1:]):
            self.convs.append(self.add("conv", nn.Conv2d(inputs, outputs, 5)))
            side = (side - 4) // 2
        self.add_dense(widths[-1] * side * side, dense)

    own_pool = "avg"

    def forward(self, x):
        for conv in self.convs:
            x = self.pool(self.act(conv(x)))
        return self.classify(x)


class LeNet5Dropout(LeNet5):
    """LeNet-5 with maximum pooling."""

    own_pool = "max"


class KerasCnn(Net):
    def __init__(self, act, dropout, channels, dense):
        super().__init__(act, dropout)
        first, second, third = channels
        self.conv1 = nn.Conv2d(3, first, 3)
        self.conv2 = nn.Conv2d(first, second, 3)
        self.conv3 = nn.Conv2d(second, third, 3)
        self.add_dense(third * 5 * 5, dense)

    def forward(self, x):
        x = self.pool(self.act(self.conv1(x)))
        x = self.act(self.conv2(x))
        x = self.pool(self.act(self.conv3(x)))
        return self.classify(x)


class LeakyCnn(Net):
    def __init__(self, act, dropout, channels, convs_per_block, dense):
        super().__init__(act, dropout)
        inputs, side = 3, 32
        self.blocks = []
        for outputs in channels:
            block = []
            for _ in range(convs_per_block):
                block.append(self.add("conv", nn.Conv2d(inputs, outputs, 3, padding=1)))
                inputs = outputs
            self.blocks.append(block)
            side //= 2
        self.add_dense(inputs * side * side, dense)

    def forward(self, x):
        for block in self.blocks:
            for conv in block:
                x = self.act(conv(x))
            x = self.pool(x)
        return self.classify(x)


class ResNet(Net):
    """Five stages; from the second on, each also sees the input image, pooled to its size."""

    def __init__(self, act, dropout, channels, dense):
        super().__init__(act, dropout)
        inputs = 3
        self.stages = []
        for stage, (outputs, depth) in enumerate(zip(channels, (2, 2, 3, 3, 3))):
            widths = [inputs] + [outputs] * depth
            convs = [self.add("conv", nn.Conv2d(a, b, 3, padding=1)) for a, b in zip(widths, widths[1:])]
            skip_x = self.add("skip", nn.Conv2d(3, outputs, 1))
            skip_h = self.add("skip", nn.Conv2d(inputs, outputs, 1)) if stage > 0 else None
            norm = self.add("bn", nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01))
            self.stages.append((convs, skip_x, skip_h, norm))
            inputs = outputs
        self.add_dense(inputs, dense)

    def forward(self, x):
        h = x
        for stage, (convs, skip_x, skip_h, norm) in enumerate(self.stages):
            y = h
            for conv in convs:
                y = self.act(conv(y))
            if stage == 0:
                y = y + skip_x(x)
            else:
                y = y + (skip_x(F.avg_pool2d(x, 2 ** stage)) + skip_h(h))
            h = self.pool(norm(y))
        return self.classify(h)


class OwnNet(nn.Module):
    """A user's own layers, one after another; they lie side by side in the state dict, whatever is in what."""

    def __init__(self, act, dropout, layers):
        super().__init__()
        self._act, self._dropout, self._counts = act, dropout, collections.Counter()
        with torch.no_grad():
            self._path, _ = self._build(layers, torch.zeros(1, 3, 32, 32))

    def forward(self, x):
        return through(self._path, x)

    def _build(self, layers, x):
        """-> what is called one after another, and what it makes of x."""
        path = []
        for layer in layers:
            (kind, options), = ({layer: None} if isinstance(layer, str) else layer).items()
            path.append(self._make(kind, options, x))
            x = path[-1](x)
        return path, x

    def _make(self, kind, options, x):
        inputs = x.shape[1]
        if kind == "residual":
            (main, _), (shortcut, _) = (self._build(options.get(way, []), x) for way in ("main", "shortcut"))
            return lambda x: through(main, x) + through(shortcut, x)
        if kind == "conv":
            sizes = [options[key] for key in ("out", "kernel", "stride", "padding")]
            conv = nn.Conv2d(inputs, *sizes, groups=options["groups"], bias=options["bias"])
            return self._add("conv", conv, options.get("name"))
        if kind == "dense":
            return self._add("fc", nn.Linear(inputs, options["out"], options["bias"]), options.get("name"))
        if kind == "batch_norm":
            norm = nn.BatchNorm2d if x.dim() == 4 else nn.BatchNorm1d
            return self._add("bn", norm(inputs, options["eps"], options["momentum"]), options.get("name"))
        p = self._dropout if options is None else options
        return self._add("_", {
            "act": lambda: self._act if options is None else make_activation(options),
            "max_pool": lambda: nn.MaxPool2d(options["kernel"], options["stride"], options["padding"]),
            "avg_pool": lambda: nn.AvgPool2d(options["kernel"], options["stride"], options["padding"]),
            "global_avg_pool": lambda: nn.AdaptiveAvgPool2d(1),
            "adaptive_avg_pool": lambda: nn.AdaptiveAvgPool2d(options["out"]),
            "flatten": nn.Flatten,
            "dropout": lambda: nn.Dropout(p) if p > 0 else nn.Identity(),
        }[kind]())

    def _add(self, kind, layer, name=None):
        """Registers a layer by its name, or as conv1, conv2, ... and so on for every kind."""
        if name is None:
            self._counts[kind] += 1
            name = f"{kind}{self._counts[kind]}"
        owner, (*groups, last) = self, name.split(".")
        for group in groups:
            if group not in owner._modules:
                owner.add_module(group, nn.Module())
            owner = owner._modules[group]
        owner.add_module(last, layer)
        return layer.eval()


def through(path, x):
    return functools.reduce(lambda x, layer: layer(x), path, x)


MODELS = {"lenet5": LeNet5, "lenet5_dropout": LeNet5Dropout, "keras_cnn": KerasCnn, "leaky_cnn": LeakyCnn,
          "resnet": ResNet}
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "elu": nn.ELU, "gelu": nn.GELU,
               "silu": nn.SiLU}


def make_activation(act):
    return nn.LeakyReLU(act["slope"]) if act["name"] == "leaky_relu" else ACTIVATIONS[act["name"]]()


def make_model(config):
    act = make_activation(config["activation"])
    widths = dict(config["model"])
    if "layers" in widths:
        return OwnNet(act, config["regularization"]["dropout"], widths["layers"])
    widths["dense"] = [*widths["dense"], class_count(config)]
    model = MODELS[widths.pop("name")](act, config["regularization"]["dropout"], **widths)
    pools = {"avg": F.avg_pool2d, "max": F.max_pool2d}
    model.pool = functools.partial(pools[config.get("pool") or model.own_pool], kernel_size=2)
    return model


# ---- Augmentation ----------------------------------------------------------------------------------------------------

def augment(x, flip, rotation, shift, crop, cutout):
    """A batch [B, 3, 32, 32] -> another; every image is changed on its own."""
    if rotation > 0 or shift > 0:
        x = warp(x, flip, rotation, shift)
    elif flip:
        mirrored = torch.rand(len(x)) < 0.5
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if crop > 0:
        x = padded_crop(x, crop)
    if cutout > 0:
        x = cut_out(x, cutout)
    return x


def warp(x, flip, rotation, shift):
    """Mirrors, rotates (degrees) and shifts (parts of a side) by one bilinear sampling; edges are repeated."""
    batch = len(x)
    f, angle, dx, dy = torch.ones(batch), torch.zeros(batch), torch.zeros(batch), torch.zeros(batch)
    if flip:
        f = 1 - 2 * (torch.rand(batch) < 0.5).float()
    if rotation > 0:
        angle = (torch.rand(batch) * 2 - 1) * (rotation * math.pi / 180)
    if shift > 0:
        dx = (torch.rand(batch) * 2 - 1) * (2 * shift)
        dy = (torch.rand(batch) * 2 - 1) * (2 * shift)
    c, s = torch.cos(angle), torch.sin(angle)
    theta = torch.stack([torch.stack([c * f, -s, dx], 1), torch.stack([s * f, c, dy], 1)], 1)
    grid = F.affine_grid(theta, x.shape, align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def padded_crop(x, crop):
    oy = torch.randint(0, 2 * crop + 1, (len(x),))
    ox = torch.randint(0, 2 * crop + 1, (len(x),))
    image = torch.arange(len(x))[:, None, None, None]
    channel = torch.arange(3)[None, :, None, None]
    row = oy[:, None, None, None] + torch.arange(32)[None, None, :, None]
    column = ox[:, None, None, None] + torch.arange(32)[None, None, None, :]
    return F.pad(x, [crop] * 4)[image, channel, row, column]


def cut_out(x, side):
    """DeVries and Taylor 2017: a square of zeros around a random pixel, cut off at the image's edge."""
    cy = torch.randint(0, 32, (len(x),))
    cx = torch.randint(0, 32, (len(x),))

    def covered(centre):
        offset = torch.arange(32) - (centre[:, None] - side // 2)
        return (offset >= 0) & (offset < side)

    square = covered(cy)[:, None, :, None] & covered(cx)[:, None, None, :]
    return x.masked_fill(square, 0.0)


# ---- Recipe ----------------------------------------------------------------------------------------------------------

def kernel_layers(model):
    return [layer for layer in model.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def initialize(model, config):
    """Redraws the kernels that PyTorch's constructors have drawn, layer by layer."""
    activation = config["activation"]
    if activation["name"] == "leaky_relu":
        kaiming = {"a": activation["slope"], "nonlinearity": "leaky_relu"}
    else:
        kaiming = {"nonlinearity": "relu"}
    redraw = {
        "pytorch": lambda w: w,
        "xavier_uniform": nn.init.xavier_uniform_,
        "xavier_normal": nn.init.xavier_normal_,
        "kaiming_uniform": functools.partial(nn.init.kaiming_uniform_, **kaiming),
        "kaiming_normal": functools.partial(nn.init.kaiming_normal_, **kaiming),
        "orthogonal": nn.init.orthogonal_,
        "keras": nn.init.xavier_uniform_,
    }[config["init"]]
    for layer in kernel_layers(model):
        redraw(layer.weight)
        if config["init"] == "keras" and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def is_in(name, groups):
    return any(name == group or name.startswith(f"{group}.") for group in groups)


@torch.no_grad()
def start_from(model, start, file):
    """Takes what has the same name and shape in a file, but for the exceptions."""
    theirs = load_file(file)
    for name, tensor in model.state_dict().items():
        if name in theirs and theirs[name].shape == tensor.shape and not is_in(name, start["except"]):
            tensor.copy_(theirs[name])


def freeze(model, groups):
    """-> the BatchNorms whose statistics stay as they are."""
    frozen = [module for name, module in model.named_modules() if is_in(name, groups)]
    for module in frozen:
        module.requires_grad_(False)
    return [module for module in frozen if isinstance(module, nn.modules.batchnorm._BatchNorm)]


OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
              "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}


def make_optimizer(model, config, lr=None):
    options = dict(config["optimizer"])
    make = OPTIMIZERS[options.pop("name")]
    if lr is not None:
        options["lr"] = lr
    return make([parameter for parameter in model.parameters() if parameter.requires_grad], **options)


def make_scheduler(optimizer, config, steps_per_epoch):
    schedule, warmup, epochs = dict(config["schedule"]), config["warmup"], config["epochs"]
    name = schedule.pop("name")
    if name in ("one_cycle", "plateau", "staged") and warmup:
        raise ValueError(f"schedule {name} takes no warm-up")
    if name == "staged" or (name == "constant" and not warmup):
        return None
    if name == "one_cycle":
        return lr_scheduler.OneCycleLR(optimizer, max_lr=optimizer.defaults["lr"], total_steps=epochs * steps_per_epoch,
                                       cycle_momentum=False, **schedule)
    if name == "plateau":
        return lr_scheduler.ReduceLROnPlateau(optimizer, mode="min", **schedule)

    first = warmup and lr_scheduler.LinearLR(optimizer, start_factor=warmup["start_factor"],
                                             total_iters=warmup["epochs"])
    if name == "constant":
        main = lr_scheduler.ConstantLR(optimizer, factor=1)
    elif name == "step":
        main = lr_scheduler.StepLR(optimizer, step_size=schedule["every"], gamma=schedule["factor"])
    elif name == "exponential":
        main = lr_scheduler.ExponentialLR(optimizer, gamma=schedule["factor"])
    elif name == "cosine":
        main = lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs - (warmup["epochs"] if warmup else 0),
                                              eta_min=schedule["min_lr"])
    else:
        raise ValueError(f"unknown schedule {name}")
    return lr_scheduler.SequentialLR(optimizer, [first, main], milestones=[warmup["epochs"]]) if warmup else main


def stage_lr(config, epoch):
    """The learning rate of the stage that starts with this epoch (from 1), or None."""
    start = 1
    for stage in config["schedule"].get("stages", []):
        if epoch == start:
            return stage["lr"]
        start += stage["epochs"]
    return None


def penalized_kernels(model, on):
    layers = kernel_layers(model)
    if on == "conv":
        layers = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    elif on == "conv3x3":
        layers = [layer for layer in layers if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]
    elif on == "dense":
        layers = [layer for layer in layers if isinstance(layer, nn.Linear)]
    layers = [layer for layer in layers if layer.weight.requires_grad]
    if not layers:
        raise ValueError(f"regularization: the model has no {on} kernels")
    return [layer.weight for layer in layers]


def penalties(kernels, l1, l2):
    """The terms that are switched on: l1 times the sum of |w|, l2 times the sum of w², kernel by kernel."""
    terms = []
    if l1 > 0:
        total = kernels[0].abs().sum()
        for w in kernels[1:]:
            total = total + w.abs().sum()
        terms.append(l1 * total)
    if l2 > 0:
        total = kernels[0].square().sum()
        for w in kernels[1:]:
            total = total + w.square().sum()
        terms.append(l2 * total)
    return terms


# ---- Training --------------------------------------------------------------------------------------------------------

def digest(state):
    """The SHA-256 of all tensors' bytes, row-major, in the order of their names; its first 16 hex digits."""
    sha256 = hashlib.sha256()
    for _, tensor in sorted(state.items()):
        sha256.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha256.hexdigest()[:16]


class Diverged(Exception):
    """A loss is NaN or infinite."""


class Trial:
    """One configuration trained with one seed; global state (threads, generator) belongs to it while it runs."""

    def __init__(self, config, seed, data_dir, dataset_file=None, threads=1, device="cpu", channels_last=False,
                 test_images=None, weights=None):
        torch.set_num_threads(threads)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.classes = class_count(config)
        self.config, self.placed = config, {"device": torch.device(device), "memory_format": layout}
        if self.placed["device"].type == "cuda":
            torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

        train, val, test = make_splits(config, data_dir, dataset_file)
        if test_images is not None:
            test = Subset(test, range(test_images))
        torch.manual_seed(seed)
        self.model = make_model(config)
        initialize(self.model, config)
        if "start" in config:
            start_from(self.model, config["start"], weights)
        self.frozen_norms = freeze(self.model, config.get("freeze", []))
        self.model.to(**self.placed)

        self.train_loader = make_loader(train, config["batch_size"], shuffle=True)
        self.eval_loaders = {"train": make_loader(train, EVAL_BATCH), "val": make_loader(val, EVAL_BATCH),
                             "test": make_loader(test, EVAL_BATCH)}
        self.optimizer = make_optimizer(self.model, config, stage_lr(config, epoch=1))
        self.scheduler = make_scheduler(self.optimizer, config, len(self.train_loader))
        self.clip = {} if config["clip"] == "none" else config["clip"]
        self.kernels = []
        if config["regularization"]["l1"] > 0 or config["regularization"]["l2"] > 0:
            self.kernels = penalized_kernels(self.model, config["regularization"]["on"])

        self.steps = []      # (step, lr, loss, loss_hex)
        self.digests = []    # of the weights after each step
        self.history = []    # (epoch, lr, train_loss, train_accuracy, penalty, val_loss, val_accuracy)
        self.best_epoch = self.best_state = None

    def lr(self):
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, x, y):
        """One batch -> its cross-entropy, the number of right answers before the step, the penalty."""
        reg, clip = self.config["regularization"], self.clip
        self.optimizer.zero_grad()
        logits = self.model(x)
        loss = F.cross_entropy(logits, y, label_smoothing=self.config["label_smoothing"])
        terms = penalties(self.kernels, reg["l1"], reg["l2"])
        total = loss
        for term in terms:
            total = total + term

        self.steps.append((len(self.steps) + 1, self.lr(), loss.item(), struct.pack(">f", loss.item()).hex()))
        if not math.isfinite(total.item()):
            raise Diverged(f"step {len(self.steps)}: the training loss is {total.item()}")
        total.backward()
        if "norm" in clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip["norm"])
        if "value" in clip:
            nn.utils.clip_grad_value_(self.model.parameters(), clip["value"])
        self.optimizer.step()
        self.digests.append(digest(self.model.state_dict()))
        if isinstance(self.scheduler, lr_scheduler.OneCycleLR):
            self.scheduler.step()

        correct = (logits.argmax(1) == y).sum().item()
        penalty = sum(term.detach() for term in terms).item() if terms else 0.0
        return loss.item(), correct, penalty

    def train_epoch(self, max_steps):
        """-> mean loss, accuracy and mean penalty over the epoch's images, or None where max_steps ended it early."""
        self.model.train()
        for norm in self.frozen_norms:
            norm.eval()
        loss_sum, penalty_sum, correct, seen = 0.0, 0.0, 0, 0
        for x, y in self.train_loader:
            if len(self.steps) == max_steps:
                return None
            x = augment(x, **self.config["augment"])
            loss, right, penalty = self.step(x.to(**self.placed), y.to(self.placed["device"]))
            loss_sum += loss * len(y)
            penalty_sum += penalty * len(y)
            correct += right
            seen += len(y)
        return loss_sum / seen, correct / seen, penalty_sum / seen

    @torch.no_grad()
    def evaluate(self, split):
        """-> mean cross-entropy, accuracy, confusion matrix with a row for each true class."""
        self.model.eval()
        loss_sum, confusion = 0.0, torch.zeros(self.classes, self.classes, dtype=torch.int64)
        for x, y in self.eval_loaders[split]:
            logits = self.model(x.to(**self.placed)).cpu()
            loss_sum += F.cross_entropy(logits, y).item() * len(y)
            cells = torch.bincount(y * self.classes + logits.argmax(1), minlength=self.classes ** 2)
            confusion += cells.view_as(confusion)
        count = confusion.sum().item()
        return loss_sum / count, confusion.trace().item() / count, confusion.tolist()

    def state(self):
        return {name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, tensor in self.model.state_dict().items()}

    def fit(self, max_steps=None):
        stopping = self.config["early_stopping"]
        sign = 1 if self.config["select"] == "val_loss" else -1
        best, stopper_best, bad_epochs = math.inf, math.inf, 0

        for epoch in range(1, self.config["epochs"] + 1):
            if len(self.steps) == max_steps:
                return
            if epoch > 1 and stage_lr(self.config, epoch) is not None:
                self.optimizer = make_optimizer(self.model, self.config, stage_lr(self.config, epoch))
            lr = self.lr()
            trained = self.train_epoch(max_steps)
            if trained is None:
                return
            val_loss, val_accuracy, _ = self.evaluate("val")
            self.history.append((epoch, lr, *trained, val_loss, val_accuracy))
            if not math.isfinite(val_loss):
                raise Diverged(f"epoch {epoch}: the validation loss is {val_loss}")

            score = sign * (val_loss if self.config["select"] == "val_loss" else val_accuracy)
            if score < best:
                best, self.best_epoch, self.best_state = score, epoch, self.state()

            if isinstance(self.scheduler, lr_scheduler.ReduceLROnPlateau):
                self.scheduler.step(val_loss)
            elif self.scheduler is not None and not isinstance(self.scheduler, lr_scheduler.OneCycleLR):
                self.scheduler.step()

            if stopping:
                if score < stopper_best - stopping["min_delta"]:
                    stopper_best, bad_epochs = score, 0
                else:
                    bad_epochs += 1
                if bad_epochs >= stopping["patience"]:
                    return


def run(config, seed, out, max_steps=None, **options):
    """Trains one trial and writes its files; returns what result.json holds."""
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (out / name).unlink(missing_ok=True)
    trial = Trial(config, seed, **options)
    save_file(trial.state(), out / "initial.safetensors")
    result = {"status": "done", "error": None}
    try:
        trial.fit(max_steps)
    except Diverged as error:
        result = {"status": "diverged", "error": str(error)}
    save_file(trial.state(), out / "final.safetensors")

    result |= {"seed": seed, "torch": torch.__version__, "threads": torch.get_num_threads(), "steps": len(trial.steps),
               "epochs": len(trial.history), "best_epoch": trial.best_epoch}
    if trial.best_epoch is not None:
        save_file(trial.best_state, out / "best.safetensors")
        trial.model.load_state_dict(trial.best_state)
        for split in ("train", "val", "test"):
            result[f"{split}_loss"], result[f"{split}_accuracy"], confusion = trial.evaluate(split)
        result["confusion"] = confusion

    write_csv(out / "steps.csv", ["step", "lr", "loss", "loss_hex", "weights"],
              [(*step, weights) for step, weights in itertools.zip_longest(trial.steps, trial.digests, fillvalue="")])
    write_csv(out / "history.csv",
              ["epoch", "lr", "train_loss", "train_accuracy", "penalty", "val_loss", "val_accuracy"], trial.history)
    write_json(out / "result.json", result)
    return result


def write_json(path, value):
    path.write_text(json.dumps(value) + "\n")


def write_csv(path, header, rows):
    """Floats appear as Python's repr: the shortest decimal that reads back as the same float64."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


# ---- Command line ----------------------------------------------------------------------------------------------------

def run_cases(path, options):
    """-> whether every case ran to its end; a case that raises is reported and does not stop the others."""
    all_ran = True
    for line in pathlib.Path(path).read_text().splitlines():
        if not line.strip():
            continue
        case = json.loads(line)
        own = options | {key: case[key] for key in ("threads", "channels_last", "test_images", "weights") if key in case}
        try:
            result = run(checked(case["config"]), case["seed"], case["out"], case.get("max_steps"), **own)
            print(f"{case['name']}: {result['status']}, {result['steps']} steps", flush=True)
        except Exception as error:
            all_ran = False
            traceback.print_exc()
            out = pathlib.Path(case["out"])
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / "result.json", {"status": "failed", "error": f"{type(error).__name__}: {error}"})
            print(f"{case['name']}: failed: {type(error).__name__}: {error}", flush=True)
    return all_ran


def main():
    args = parse_arguments()
    options = {"data_dir": args.data, "dataset_file": args.dataset_file, "threads": args.threads, "device": args.device,
               "weights": args.weights}
    if args.cases:
        return 0 if run_cases(args.cases, options) else 1

    config, seed = read_config(args.config)
    seed = args.seed if args.seed is not None else seed if seed is not None else 0
    result = run(config, seed, args.out, args.max_steps, **options)
    print(f"{result['status']}: {result['steps']} steps, best epoch {result['best_epoch']}, "
          f"test accuracy {result.get('test_accuracy')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
