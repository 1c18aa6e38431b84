#!/usr/bin/env python3
"""PyTorch Lightning's Trainer in its barebones mode, without whatever costs time, fed from a resident tensor."""

import common
import lightning
import torch.nn.functional as F
from common import parity


class Classifier(lightning.LightningModule):
    def __init__(self, config, args):
        super().__init__()
        self.config, self.args = config, args
        self.model = common.make_model(config, args)
        self.meter = common.Meter(args)
        self.loss_sum = self.correct = 0

    def training_step(self, batch, _):
        x, y = batch
        logits = self.model(x.contiguous(memory_format=common.layout(self.args)))
        loss = F.cross_entropy(logits, y)
        self.loss_sum += loss.detach() * len(y)
        self.correct += (logits.argmax(1) == y).sum()
        return loss

    def on_train_batch_end(self, outputs, batch, index):
        self.meter.step(outputs["loss"])

    def configure_optimizers(self):
        return parity.make_optimizer(self.model, self.config)


class Batches:
    def __init__(self, images, size):
        self.images, self.size = images, size

    def __iter__(self):
        return self.images.batches(self.size)


def main():
    args = common.parse(common.arguments(__doc__))
    config = common.configurations(args)[0]
    images = common.Images(config, args.data, args.device)
    accelerator = "cpu" if args.device == "cpu" else "gpu"
    trainer = lightning.Trainer(accelerator=accelerator, devices=1, max_epochs=config["epochs"], barebones=True)
    trainer.fit(Classifier(config, args), Batches(images, config["batch_size"]))


if __name__ == "__main__":
    main()
