#!/usr/bin/env python3
"""Trains lenet5_dropout as its project's code does, in plain PyTorch, to ask what two habits of that code cost.

usage: scripts/lenet5_dropout_original.py DATA OUT.csv [SEED...]

The code passes its network's Softmax to a cross-entropy that takes logits and so applies a second one, and never calls eval(), so
that dropout is on in validation and test. The runner has neither as an option: nobody else would want them. Each seed (0, 1, 2
if none is given) is trained with one softmax and with two, and each training is validated and tested with dropout off and on; the
epoch is the one with the least validation loss of the same kind. Adds a row for each of these to OUT.csv, and leaves out what is
there. Needs the Python environment of scripts/setup --whole. A training takes some minutes of one core.
"""

import csv
import pathlib
import sys

import parity
import torch
from torch import nn

IMAGES = (-1, 3, 32, 32)
VALIDATION = 5000
BATCH, EPOCHS, RATE, MOMENTUM = 4, 20, 0.001, 0.9
NETWORK = {
    "data": {"dataset": "cifar10"}, "activation": {"name": "relu"}, "regularization": {"dropout": 0.2},
    "model": {"name": "lenet5_dropout", "channels": [6, 16], "dense": [120, 84]},
}
COLUMNS = ["softmaxes", "dropout_in_evaluation", "seed", "epoch", "val_loss", "val_accuracy", "test_accuracy", "torch"]


def main():
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    data, out = map(pathlib.Path, sys.argv[1:3])
    seeds = [int(seed) for seed in sys.argv[3:]] or [0, 1, 2]
    torch.set_num_threads(1)
    train, test = map(scaled, parity.read_bytes("cifar10", None, data, None))
    for seed in seeds:
        for softmaxes in (1, 2):
            if not is_there(out, seed, softmaxes):
                add(out, train_one(train, test, seed, softmaxes))


def scaled(part):
    """-> images of [N, 3, 32, 32] between -1 and 1, labels of [N]"""
    labels, pixels = map(torch.from_numpy, part)
    return (pixels.view(IMAGES).float() / 255 - 0.5) / 0.5, labels.long()


def network(softmaxes):
    """What it gives goes to the cross-entropy, which applies one softmax of its own."""
    return nn.Sequential(parity.make_model(NETWORK), *[nn.Softmax(dim=1)] * (softmaxes - 1))


def train_one(train, test, seed, softmaxes):
    """-> the selected epoch's row with dropout off in evaluation, and that with it on"""
    torch.manual_seed(seed)
    order = torch.randperm(len(train[1]))
    held, own = order[:VALIDATION], order[VALIDATION:]
    model = network(softmaxes)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=True)
    best = {}
    for epoch in range(1, EPOCHS + 1):
        model.train()
        for batch in own[torch.randperm(len(own))].split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(train[0][batch]), train[1][batch]).backward()
            optimizer.step()
        for dropout in (False, True):
            model.train(dropout)
            loss, accuracy = evaluate(model, train[0][held], train[1][held])
            if dropout not in best or loss < best[dropout]["val_loss"]:
                found = [softmaxes, dropout, seed, epoch, loss, accuracy, evaluate(model, *test)[1], torch.__version__]
                best[dropout] = dict(zip(COLUMNS, found))
        print(f"seed {seed}, {softmaxes} softmax, epoch {epoch}: {best[False]['test_accuracy']:.4f}, "
              f"with dropout {best[True]['test_accuracy']:.4f}", flush=True)
    return list(best.values())


@torch.no_grad()
def evaluate(model, images, labels):
    """-> the mean loss, the share of images that are classified right"""
    outputs = torch.cat([model(part) for part in images.split(500)])
    return nn.functional.cross_entropy(outputs, labels).item(), (outputs.argmax(1) == labels).double().mean().item()


def is_there(out, seed, softmaxes):
    if not out.exists():
        return False
    with open(out, newline="") as file:
        return any((row["seed"], row["softmaxes"]) == (str(seed), str(softmaxes)) for row in csv.DictReader(file))


def add(out, rows):
    is_new = not out.exists()
    with open(out, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
