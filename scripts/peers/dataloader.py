#!/usr/bin/env python3
"""The usual script: a Dataset of images, torchvision's ToTensor, a DataLoader."""

import common
import torch.nn.functional as F
from common import parity
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


class Cifar10(Dataset):
    """torchvision.datasets.CIFAR10 over the binary layout: an item is a PIL image, transformed, and its label."""

    def __init__(self, subset, transform):
        pixels = subset.dataset.pixels.permute(0, 2, 3, 1)
        self.data, self.targets = pixels[subset.indices].numpy(), subset.dataset.labels[subset.indices].tolist()
        self.transform = transform

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.data[index])), self.targets[index]


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--workers", type=int, default=0, metavar="N")
    args = common.parse(parser)
    config = common.configurations(args)[0]
    dataset = Cifar10(parity.make_splits(config, args.data)[0], transforms.ToTensor())

    model = common.make_model(config, args)
    optimizer = parity.make_optimizer(model, config)
    meter = common.Meter(args)
    loader = DataLoader(dataset, batch_size=config["batch_size"], shuffle=True, num_workers=args.workers,
                        pin_memory=args.device != "cpu")
    model.train()
    loss_sum = correct = 0
    for x, y in loader:
        x = x.to(device=args.device, memory_format=common.layout(args), non_blocking=True)
        y = y.to(args.device, non_blocking=True)
        optimizer.zero_grad()
        logits = model(x)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(y)
        correct += (logits.argmax(1) == y).sum()
        meter.step(loss)


if __name__ == "__main__":
    main()
