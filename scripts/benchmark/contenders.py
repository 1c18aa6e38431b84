"""Processes under measurement: some wait for their turn, others run from start to end."""

import collections
import json
import os
import queue
import resource
import signal
import subprocess
import threading
import time

START_SECONDS = 900     # compilation included
ROUND_SECONDS = 300
RUN_SECONDS = 900
POLL_SECONDS = 0.002
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}

# One number: `value` is of `quantity` in `unit`. What could not be measured has the quantity "failed" and says why in `unit`.
Row = collections.namedtuple("Row", "case contender repeat quantity value unit")


class Failed(Exception):
    """A contender that is not installed, died or took too long."""


class Contender:
    """A process that measures a round whenever it is told to. scripts/peers/common.py has the protocol."""

    def __init__(self, command, log):
        self.log, self.lines, self.began = log, queue.Queue(), time.perf_counter()
        self.process = start(command, log, stdin=subprocess.PIPE)
        self.reader = threading.Thread(target=self.read_lines, daemon=True)
        self.reader.start()

    def read_lines(self):
        for line in self.process.stdout:
            if line.startswith("{"):
                self.lines.put({"at": time.perf_counter(), **json.loads(line)})
        self.lines.put(None)

    def next_line(self, seconds):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f"no answer within {seconds} s") from None
        if line is None:
            self.process.wait()
            raise Failed(last_words(self.log, self.process.returncode))
        return line

    def first_step(self):
        """Seconds from its start."""
        return self.next_line(START_SECONDS)["at"] - self.began

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.next_line(ROUND_SECONDS)

    def close(self):
        end(self.process)


def start(command, log, **options):
    """In a group of its own, so that what it starts can be ended with it."""
    with open(log, "w") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
                                env={**os.environ, **ONE_THREAD}, **options)


def end(process):
    """A contender that has ended by itself leaves nothing behind in its group, or something that should not be there."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run(command, log):
    """From start to end -> wall seconds, processor seconds of it and the children it waited for, its last JSON line."""
    before = used_seconds()
    began = time.perf_counter()
    process = start(command, log, stdin=subprocess.DEVNULL)
    try:
        output, _ = process.communicate(timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done within {RUN_SECONDS} s") from None
    finally:
        end(process)
    wall = time.perf_counter() - began
    if process.returncode != 0:
        raise Failed(last_words(log, process.returncode))
    lines = [line for line in output.splitlines() if line.startswith("{")]
    return wall, used_seconds() - before, json.loads(lines[-1]) if lines else None


def seconds_until(command, log, happened):
    """From the start of `command` until `happened(process)`; it is then ended."""
    began = time.perf_counter()
    process = start(command, log, stdin=subprocess.DEVNULL)
    try:
        while not happened():
            if process.poll() is not None:
                raise Failed(last_words(log, process.returncode))
            if time.perf_counter() - began > START_SECONDS:
                raise Failed(f"nothing within {START_SECONDS} s")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - began
    finally:
        end(process)


def used_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def last_words(log, code):
    """Rust says what is wrong in a line that starts with "error", Python in its last one."""
    lines = [line.strip() for line in open(log, errors="replace") if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines[-1:] or [f"exit code {code}"])[0][:300]
