"""The parts of scripts/gpu_check."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

from benchmark.cases import PEERS, Bench
from benchmark.contenders import Contender, Failed, last_words

NETWORKS = ("lenet5", "lenet5_dropout", "keras_cnn", "leaky_cnn", "resnet")
# Of the loss, relative, over the first steps. Convolutions on a GPU sum in another order, and rounding grows with the steps.
TOLERANCES = {"exact": 1e-2, "fast": 1e-2, "fast-tf32": 5e-2, "fast-bf16": 2e-1}
INTERRUPTED = 130           # the program's exit code
MPS = "nvidia-cuda-mps-control"


class TooLong(Exception):
    """A part has used up its time."""


class Check:
    """Where everything is, and what has failed."""

    def __init__(self, args):
        self.args, self.quick, self.device, self.out = args, args.quick, args.device, args.out
        self.on_gpu = args.device != "cpu"
        self.until, self.failed = 0.0, []
        folder = args.out / "experiments"
        folder.mkdir()
        self.bench = Bench(args.runner, args.steps, sys.executable, args.data, args.device, args.quick, folder, os.cpu_count())

    def say(self, line):
        print(line, flush=True)

    def judge(self, name, passed, text):
        self.say(f"- {name}: {'ok' if passed else '**FAILED**'}: {text}")
        if not passed:
            self.failed.append(name)

    def left(self):
        seconds = self.until - time.perf_counter()
        if seconds <= 0:
            raise TooLong("not done in time")
        return seconds

    def run(self, name, command, **environment):
        """-> exit code, what was printed (also in OUT/NAME.log), seconds"""
        began, path = time.perf_counter(), self.out / f"{name}.log"
        with open(path, "w") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, cwd=self.out,
                                       env={**os.environ, **environment}, start_new_session=True)
            try:
                code = process.wait(self.left())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise TooLong(f"{name} was not done in time") from None
        return code, path.read_text(errors="replace"), time.perf_counter() - began

    def experiment(self, name, base, blocks=(), **data):
        data = {"dataset": "synthetic" if self.quick else "cifar10", "val": 500, **data}
        document = {"schema": 1, "name": name, "data": data, "seeds": [0], "base": base, "blocks": list(blocks)}
        path = self.bench.folder / f"{name}.json"
        path.write_text(json.dumps(document))
        return path

    def program(self, command, path, out, device, mode, *flags):
        return [self.args.runner, command, path, "--out", out, "--data", self.args.data, "--device", device, "--mode", mode,
                "--no-progress", *flags]

    def train(self, name, command, path, device, mode, *flags, **environment):
        """-> the folder of results, or none if it failed"""
        out = self.out / name
        code, _, _ = self.run(name, self.program(command, path, out, device, mode, *flags), **environment)
        if code != 0:
            self.judge(name, False, f"exit code {code}: {last_words(self.out / f'{name}.log', code)}")
            return None
        return out

    def timed(self, name, command, rounds=2):
        """-> milliseconds of one step of all networks together, the least of some rounds; none if it failed"""
        contender = Contender([str(word) for word in command], self.out / f"{name}.log")
        watch = threading.Timer(self.left(), contender.process.kill)
        watch.start()
        try:
            contender.first_step()
            lines = [contender.round() for _ in range(rounds)]
            return min(1e3 * line["seconds"] / line["steps"] for line in lines)
        except (Failed, BrokenPipeError, TypeError) as failure:
            self.judge(name, False, str(failure))
            return None
        finally:
            watch.cancel()
            contender.close()


def losses(out):
    """{id: the loss of every step}"""
    found = {}
    for steps in sorted((out / "trials").glob("*/steps.csv")):
        with open(steps, newline="") as file:
            found[steps.parent.name] = [float(row["loss"]) for row in csv.DictReader(file)]
    return found


def named(out, column):
    """{the column of trials.csv, in which no two trials are alike: the loss of every step}"""
    with open(out / "trials.csv", newline="") as file:
        names = {row["id"]: row[column] for row in csv.DictReader(file)}
    if len(set(names.values())) < len(names):
        raise ValueError(f"{out}: two trials have one {column}")
    return {names[trial]: steps for trial, steps in losses(out).items()}


def apart(measured, expected):
    """The largest relative difference of one step's losses."""
    return max(abs(one - other) / abs(other) for one, other in zip(measured, expected, strict=True))


# Not Adam: where a gradient is almost zero it moves by the sign of what is only rounding.
SGD = {"name": "sgd", "lr": 0.01, "momentum": 0.9}


def doctor(check):
    code, text, _ = check.run("doctor", [check.args.runner, "doctor", "--data", check.args.data])
    check.judge("doctor", code == 0, "\n" + text)


def graphs(check):
    """LeNet with and without graphs: a pack with penalties, slopes and a smaller last batch, and one with dropout."""
    # Dropout draws by the size of packs, which is measured anew, so that one is alone.
    members = [{"optimizer.lr": 0.02}, {"regularization.l2": 0.001}, {"activation": {"name": "leaky_relu", "slope": 0.3}}]
    for model, include in (("lenet5", members), ("lenet5_dropout", [])):
        epochs, batches = (1, 5) if check.quick else (2, 20)
        base = {"model": model, "epochs": epochs, "batch_size": 64, "optimizer": SGD, "activation": "leaky_relu"}
        blocks = [{"id": "members", "include": include}] if include else []
        path = check.experiment(f"graph_{model}", base, blocks, train=64 * batches + 7)
        outs = [check.train(f"graph_{model}_{off}", "sweep", path, check.device, "fast", "--trace", RUNNER_NO_GRAPH=off)
                for off in ("0", "1")]
        if None in outs:
            continue
        recorded, plain = map(losses, outs)
        worst = max(apart(recorded[trial], plain[trial]) for trial in plain)
        count = sum(map(len, plain.values()))
        complete = len(plain) == len(include) + 1
        check.judge(model, worst <= 1e-5 and complete, f"{count} losses of {len(plain)} trials, recorded and not, within {worst:.1e}")


def agreement(check):
    """The first steps of every network and mode against the CPU's in exact mode. Dropout draws other numbers, so it is off."""
    first, *others = NETWORKS[:2] if check.quick else NETWORKS
    slower = {"resnet": {"optimizer.lr": 0.0005}}
    block = {"id": "models", "include": [{"model": model, **slower.get(model, {})} for model in others]}
    base = {"model": first, "epochs": 1, "batch_size": 64, "optimizer": {**SGD, "lr": 0.02}}
    # Of the drawn images fewer are there to test on, which takes the CPU longer than all the steps.
    path = check.experiment("agree", base, [block], dataset="synthetic", train=64 * 8, val=64)
    flags = ["--trace", "--set", "regularization.dropout=0"]
    reference = check.train("agree_cpu", "sweep", path, "cpu", "exact", *flags)
    if reference is None:
        return
    expected = named(reference, "model.name")
    for mode, tolerance in TOLERANCES.items():
        if mode == "fast-tf32" and not check.on_gpu:
            continue
        out = check.train(f"agree_{mode}", "sweep", path, check.device, mode, *flags)
        if out is None:
            continue
        worst = {name: apart(steps, expected[name]) for name, steps in named(out, "model.name").items()}
        texts = [f"{name} {value:.1e}" for name, value in worst.items()]
        check.judge(mode, max(worst.values()) <= tolerance and len(worst) == len(expected), "; ".join(texts))


def convolutions(check):
    members = ["1", "2"] if check.quick else ["1", "8", "32", "128"]
    precisions = ["fp32", "tf32", "bf16"] if check.on_gpu else ["fp32"]
    seconds = min(check.left() - 5, 3 if check.quick else 60)
    command = [sys.executable, PEERS / "convolutions.py", "--device", check.device, "--members", *members, "--precisions", *precisions,
               "--seconds", seconds, *(["--batch", "4"] if check.quick else [])]
    code, text, _ = check.run("convolutions", command)
    check.say("| layer | networks | precision | way | ms, forward and backward | longest kernel |\n|---|---|---|---|---|---|")
    check.say(text)
    if code != 0:
        check.judge("convolutions", False, f"exit code {code}")


def steps(check):
    """A step by the number of networks computed together."""
    warmup, count = (1, 3) if check.quick else (10, 100)
    rounds = ["--warmup", str(warmup), "--steps", str(count)]    # on a GPU rounded up to whole bursts of 32
    modes = {"fast": (1, 8, 32, 64, 128), "fast-tf32": (32, 128), "fast-bf16": (32, 128)}
    if check.quick:
        modes = {"fast": (1, 2)}
    check.say("| networks | mode | batch | ms a step of all | network steps a second |\n|---|---|---|---|---|")
    for mode, sizes in modes.items():
        for size in sizes:
            path = check.bench.experiment(f"step_{size}", "lenet5", 64, trials=size)
            milliseconds = check.timed(f"step_{mode}_{size}", check.bench.ours(mode, path, *rounds))
            if milliseconds:
                check.say(f"| {size} lenet5 | {mode} | 64 | {milliseconds:.3f} | {1e3 * size / milliseconds:.0f} |")
    for model, mode in [] if check.quick else [("leaky_cnn", "fast"), ("leaky_cnn", "fast-bf16"), ("resnet", "fast-bf16")]:
        path = check.bench.experiment(f"step_{model}", model, 64)
        milliseconds = check.timed(f"step_{model}_{mode}", check.bench.ours(mode, path, "--warmup", "32", "--steps", "64"))
        if milliseconds:
            check.say(f"| 1 {model} | {mode} | 64 | {milliseconds:.3f} | {1e3 / milliseconds:.0f} |")


def sweep(check):
    """Where the seconds of a sweep go."""
    trials, epochs, images, val = (4, 1, 640, 500) if check.quick else (64, 3, 45_000, 5000)
    rates = [round(0.01 * (1 + 0.02 * k), 6) for k in range(1, trials)]
    base = {"model": "lenet5", "epochs": epochs, "batch_size": 64, "optimizer": SGD}
    path = check.experiment("many", base, [{"id": "rates", "axes": {"optimizer.lr": rates}}], train=images, val=val)
    out = check.out / "many"
    with most_memory(check) as most:
        code, text, wall = check.run("many", check.program("sweep", path, out, check.device, "fast", "--jobs", "1"))
    stored = list((out / "trials").glob("*/result.json"))
    check.judge(f"sweep of {trials}", code == 0 and len(stored) == trials, f"{len(stored)} trials in {wall:.1f} s")
    logs = [log.read_text() for log in (out / "trials").glob("*/log.txt")]
    history = [row for path in (out / "trials").glob("*/history.csv") for row in csv.DictReader(open(path, newline=""))]
    training = sum(float(row["train_seconds"]) for row in history)
    parts = {
        "the search for the size of packs": sum(numbers(r"measured in ([\d.]+) s", logs)),
        "training": training,
        "validation": sum(float(row["seconds"]) for row in history) - training,
        "checkpoints": sum(numbers(r"checkpoints took ([\d.]+) s", logs)),
    }
    parts["start, test scores, tables and plots"] = wall - sum(parts.values())
    for name, seconds in parts.items():
        check.say(f"- {name}: {seconds:.1f} s")
    check.say(f"- network steps a second in training: {trials * epochs * -(-images // 64) / training:.0f}")
    if check.on_gpu:
        check.say(f"- GPU memory at most: {most[0]} MiB")


def numbers(pattern, texts):
    return [float(found) for text in texts for found in re.findall(pattern, text)]


@contextlib.contextmanager
def most_memory(check):
    """Looks at the GPU's used memory while the body runs; afterwards the list holds the most, in MiB."""
    most, done = [0], threading.Event()

    def look():
        while not done.wait(0.5):
            said = subprocess.run(["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"], capture_output=True, text=True)
            most[0] = max([most[0], *map(int, said.stdout.split())])

    thread = threading.Thread(target=look, daemon=True)
    if check.on_gpu and shutil.which("nvidia-smi"):
        thread.start()
    yield most
    done.set()


def repeated(check):
    """The same trial twice has the same bits in exact mode."""
    path = check.experiment("twice", {"model": "lenet5", "epochs": 1, "batch_size": 64, "optimizer": SGD}, train=64 * 50)
    outs = [check.train(f"twice_{number}", "train", path, check.device, "exact", "--trace") for number in (1, 2)]
    same = None not in outs and losses(outs[0]) == losses(outs[1])
    check.judge("exact twice", same, "the same bits" if same else "other bits or failed")


def resumed(check):
    """Trials with dropout that are stopped and go on, which needs the GPU's generator to be as it was."""
    epochs = 3 if check.quick else 20
    base = {"model": "lenet5_dropout", "epochs": epochs, "batch_size": 64, "optimizer": SGD}
    path = check.experiment("resumed", base, train=64 * 50)
    whole = check.train("resumed_never", "train", path, check.device, "exact", "--trace")
    command = check.program("train", path, check.out / "resumed_once", check.device, "exact", "--trace")
    first = subprocess.Popen([str(word) for word in command], cwd=check.out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while first.poll() is None and not list((check.out / "resumed_once" / "work").glob("*/last.safetensors")):
        time.sleep(0.01)
        check.left()
    first.send_signal(signal.SIGINT)
    stopped = first.wait() == INTERRUPTED
    again = check.train("resumed_once", "train", path, check.device, "exact", "--trace")
    same = None not in (whole, again) and losses(whole) == losses(again)
    check.judge("stopped and resumed", same and stopped, f"{'the same' if same else 'other'} bits" + ("" if stopped else ", but it was not stopped in time"))


def peers(check):
    """The same networks by PyTorch in other ways."""
    bench, count = check.bench, (3 if check.quick else 100)
    rounds = ["--warmup", "1" if check.quick else "10", "--steps", str(count)]
    one = bench.experiment("peer_1", "lenet5", 64)
    many = 2 if check.quick else 64
    several = bench.experiment(f"peer_{many}", "lenet5", 64, trials=many)
    ways = {"runner fast": (1, bench.ours("fast", one, *rounds)), "eager, fused SGD": (1, bench.peer("resident.py", one, *rounds, "--fused"))}
    if check.on_gpu:
        ways["CUDA graph"] = (1, bench.peer("cuda_graph.py", one, *rounds))
    ways[f"runner fast x{many}"] = (many, bench.ours("fast", several, *rounds))
    ways[f"vmap x{many}, eager"] = (many, bench.peer("vmap.py", several, *rounds))
    check.say("| way | networks | ms a step of all | network steps a second |\n|---|---|---|---|")
    for name, (members, command) in ways.items():
        milliseconds = check.timed(f"peer {name}", command)
        if milliseconds:
            check.say(f"| {name} | {members} | {milliseconds:.3f} | {1e3 * members / milliseconds:.0f} |")
    processes(check, one, rounds)


def processes(check, experiment, rounds):
    """As many processes as cores share the GPU, by NVIDIA's MPS where there is one."""
    count = 2 if check.quick else min(8, os.cpu_count())
    folder = check.out / "mps"
    folder.mkdir()
    environment = {"CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder)}
    has_mps = check.on_gpu and shutil.which(MPS) and subprocess.run([MPS, "-d"], env={**os.environ, **environment}).returncode == 0
    name = f"{count} processes" + (" under MPS" if has_mps else ", no MPS")
    script = "cuda_graph.py" if check.on_gpu else "resident.py"
    contenders = []
    try:
        command = [str(word) for word in check.bench.peer(script, experiment, *rounds)]
        if has_mps:
            command = ["env", *(f"{key}={value}" for key, value in environment.items()), *command]
        contenders = [Contender(command, check.out / f"process_{number}.log") for number in range(count)]
        for contender in contenders:
            contender.first_step()
        threads = [threading.Thread(target=contender.round) for contender in contenders]
        began = time.perf_counter()
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        milliseconds = 1e3 * (time.perf_counter() - began) / (int(rounds[1]) + int(rounds[3]))
        check.say(f"| {name}, {script} | {count} | {milliseconds:.3f} | {1e3 * count / milliseconds:.0f} |")
    except Failed as failure:
        check.say(f"| {name}, {script} | {count} | - | {failure} |")
    finally:
        for contender in contenders:
            contender.close()
        if has_mps:
            subprocess.run([MPS], input="quit\n", text=True, env={**os.environ, **environment}, timeout=20)


# Each with the seconds that it may take.
PARTS = {
    "doctor": (20, doctor),
    "graphs": (60, graphs),
    "agreement": (120, agreement),
    "convolutions": (80, convolutions),
    "steps": (90, steps),
    "sweep": (90, sweep),
    "exact twice": (30, repeated),
    "stop and resume": (40, resumed),
    "peers": (90, peers),
}
