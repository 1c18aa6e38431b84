"""What the peers share: arguments, the images as one tensor, the scores, the clock.

Networks, starting weights and optimizers are those of scripts/parity.py, so every peer does the same work.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import parity  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

SEED = 0
EVAL_BATCH = 500


def arguments(description):
    """A parser with what every peer takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("trials", help="JSON lines: configurations that differ in their learning rate, as runner resolves them")
    parser.add_argument("--data", default="data", metavar="DIR", help="holds cifar-10-batches-bin/")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--warmup", type=int, default=5, metavar="N", help="steps before each round that do not count")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of a round; without it whole trials are run")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--fused", action="store_true", help="the optimizer's fused implementation")
    return parser


def parse(parser):
    """-> the arguments; sets one thread, and on a GPU the precision of the other side."""
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.device.startswith("cuda"):
        torch.backends.cudnn.allow_tf32 = False
    return args


def layout(args):
    """Not kept in `args`: Ray's workers cannot unpickle it."""
    return torch.channels_last if args.channels_last else torch.contiguous_format


def configurations(args):
    """With the optimizer that was asked for."""
    configs = [json.loads(line) for line in pathlib.Path(args.trials).read_text().splitlines()]
    assert all(config["data"]["scale"] == "unit" for config in configs)
    if args.fused:
        for config in configs:
            config["optimizer"]["fused"] = True
    return configs


def make_model(config, args):
    torch.manual_seed(SEED)
    model = parity.make_model(config)
    parity.initialize(model, config)
    return model.to(device=args.device, memory_format=layout(args))


class Images:
    """The data set as bytes on the device, [N, 3, 32, 32], a batch one gather from it."""

    def __init__(self, config, data, device):
        train, val, test = parity.make_splits(config, data)
        self.pixels, self.labels = train.dataset.pixels.to(device), train.dataset.labels.to(device)
        self.test_pixels, self.test_labels = test.pixels.to(device), test.labels.to(device)
        self.train = torch.tensor(train.indices, device=device)
        self.val = torch.tensor(val.indices, device=device)

    def batches(self, size):
        """An epoch, in the order that DataLoader(shuffle=True) takes."""
        order = self.train[dataloader_order(len(self.train)).to(self.train.device)]
        yield from self.chosen(order, size)

    def chosen(self, index, size):
        for part in index.split(size):
            yield floats(self.pixels.index_select(0, part)), self.labels.index_select(0, part)

    def scores(self, forward):
        """Loss and accuracy on every part, as `runner` scores the selected weights."""
        parts = {"train": self.chosen(self.train, EVAL_BATCH), "val": self.chosen(self.val, EVAL_BATCH),
                 "test": zip(map(floats, self.test_pixels.split(EVAL_BATCH)), self.test_labels.split(EVAL_BATCH))}
        return {name: evaluate(forward, batches) for name, batches in parts.items()}

    def validate(self, forward):
        return evaluate(forward, self.chosen(self.val, EVAL_BATCH))


def dataloader_order(count):
    """It draws a base seed for workers, then the seed of the sampler's own generator."""
    torch.empty((), dtype=torch.int64).random_()
    seed = torch.empty((), dtype=torch.int64).random_().item()
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


def floats(pixels):
    return pixels.float().div_(255)


@torch.no_grad()
def evaluate(forward, batches):
    """Mean cross-entropy and accuracy; lists with one of each trial where `forward` gives logits [K, N, 10]."""
    loss_sum, correct, count = 0, 0, 0
    for x, y in batches:
        logits = forward(x)
        labels = y.expand(logits.shape[:-1])
        losses = F.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
        loss_sum = loss_sum + losses.view(labels.shape).sum(-1)
        correct = correct + (logits.argmax(-1) == y).sum(-1)
        count += len(y)
    return {"loss": (loss_sum / count).tolist(), "accuracy": (correct / count).tolist()}


class Meter:
    """Times rounds of steps. Contenders take turns: a line on standard input starts a round, its end ends the process.

    The first step is told when it is done: until then come start-up and compilation. A round is `warmup` steps that do
    not count and `steps` that do. Where --steps is not given nothing is timed. benches/steps.rs has the same.
    """

    def __init__(self, args, members=1):
        self.warmup, self.steps, self.members = args.warmup, args.steps, members
        self.device = torch.device(args.device)
        self.seen = 0

    def step(self, loss=float("nan")):
        """After each step; `loss` is a number or a tensor."""
        if self.steps is None:
            return
        self.seen += 1
        if self.seen == 1:
            say({"first_loss": number(loss)})
            self.await_turn()
        elif self.seen == self.start:
            self.synchronize()
            self.clock, self.cpu = time.perf_counter(), cpu_seconds()
        elif self.seen == self.start + self.steps:
            self.synchronize()
            seconds, cpu = time.perf_counter() - self.clock, cpu_seconds() - self.cpu
            say({"step": self.seen, "steps": self.steps, "members": self.members, "seconds": seconds,
                 "cpu_seconds": cpu, "loss": number(loss)})
            self.await_turn()

    def synchronize(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def await_turn(self):
        if not sys.stdin.readline():
            sys.exit()
        self.start = self.seen + self.warmup


def number(loss):
    """JSON has no NaN."""
    value = loss.item() if torch.is_tensor(loss) else loss
    return value if value == value else None


def say(document):
    print(json.dumps(document), flush=True)


def cpu_seconds():
    """Processor time of this process and of its living children, which load data."""
    ticks = 0
    for child in multiprocessing.active_children():
        fields = pathlib.Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
