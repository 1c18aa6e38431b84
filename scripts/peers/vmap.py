#!/usr/bin/env python3
"""All trials as one network: torch.func's vmap over stacked weights. The trials share a seed, so they see the same images."""

import common
import torch
import torch.nn.functional as F
from torch.func import functional_call, grad_and_value, stack_module_state, vmap


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--compile", action="store_true", help="torch.compile the whole step")
    args = common.parse(parser)
    configs = common.configurations(args)
    config = configs[0]
    images = common.Images(config, args.data, args.device)
    models = [common.make_model(config, args) for config in configs]
    model = models[0]
    weights, buffers = stack_module_state(models)
    momenta = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    rates = torch.tensor([config["optimizer"]["lr"] for config in configs], device=args.device)
    rates = {name: rates.view(-1, *[1] * (weight.dim() - 1)) for name, weight in weights.items()}

    def loss_of(weights, buffers, x, y):
        logits = functional_call(model, (weights, buffers), (x,))
        return F.cross_entropy(logits, y), logits.detach()

    gradients_of = vmap(grad_and_value(loss_of, has_aux=True), (0, 0, None, None), randomness="different")

    @torch.no_grad()
    def step(x, y):
        """SGD with momentum, each trial at its own rate -> losses [K] and right answers [K]."""
        gradients, (losses, logits) = gradients_of(weights, buffers, x, y)
        for name, weight in weights.items():
            momenta[name].mul_(config["optimizer"]["momentum"]).add_(gradients[name])
            weight.addcmul_(momenta[name], rates[name], value=-1)
        return losses, (logits.argmax(-1) == y).sum(-1)

    def forward(x):
        one = lambda weights, buffers, x: functional_call(model, (weights, buffers), (x,))  # noqa: E731
        return vmap(one, (0, 0, None))(weights, buffers, x.contiguous(memory_format=common.layout(args)))

    step = torch.compile(step) if args.compile else step
    meter = common.Meter(args, members=len(configs))
    for _ in range(config["epochs"]):
        model.train()
        loss_sum = correct = 0
        for x, y in images.batches(config["batch_size"]):
            losses, right = step(x.contiguous(memory_format=common.layout(args)), y)
            loss_sum += losses * len(y)
            correct += right
            meter.step(losses[-1])
        model.eval()
        images.validate(forward)
    scores = images.scores(forward)
    pick = lambda k: {part: {name: value[k] for name, value in both.items()} for part, both in scores.items()}  # noqa: E731
    common.say({"scores": [pick(k) for k in range(len(configs))]})


if __name__ == "__main__":
    main()
