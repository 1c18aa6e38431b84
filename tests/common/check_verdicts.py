"""The rule of verdicts written a second time, with NumPy and SciPy, and held against what the program answers.

Each interval uses the setting's own spread, drawn towards the study's median spread as if that came from three more seeds. A
block's intervals hold together with 95 % confidence, over its settings and looks: wholly above zero is better, wholly below is
worse, wholly within the margin is equivalent; anything else is inconclusive.

Usage: check_verdicts.py STUDIES.json. Prints what differs and exits with 1 if anything does. The file is a list of studies:
`plan` (margin, max_seeds or null for fixed seeds, blocks of a base and its settings, all as places in `ends`), `ends` (for each
configuration and seed null, "diverged", "failed" or [accuracy in percent, whether that is at chance]) and the program's `answers`.
Stages of groups are compared where seeds are added.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from scipy import stats

LOOKS = (3, 4, 6, 9, 13, 20)
ERROR_RATE, PRIOR_SEEDS = 0.05, 3
# In points; less is rounding.
NO_SPREAD = 1e-9
TOLERANCE = 1e-9
COMPARED = (
    "verdict", "difference", "standard_error", "freedom", "critical", "low", "high", "p", "seeds", "base_seeds", "reason",
)


def group_spread(samples):
    """The median spread s0², the seeds d0 that it counts for and all degrees of freedom, of samples of at least two."""
    samples = [sample for sample in samples if len(sample) > 1]
    freedoms = np.array([len(sample) - 1 for sample in samples])
    variances = np.array([np.var(sample, ddof=1) for sample in samples])
    median = np.median(variances / (1 - 2 / (9 * freedoms)) ** 3) if samples else 0.0
    return median, min(PRIOR_SEEDS, (len(samples) - 1) / 2), freedoms.sum()


def moderated(sample, spread):
    """Variance of one trial and its degrees of freedom."""
    median, prior, freedoms = spread
    own = len(sample) - 1
    return (prior * median + own * np.var(sample, ddof=1)) / (prior + own), min(prior + own, freedoms)


def difference(setting, base, spread, planned, share):
    """Of two samples of at least two; None where nothing varies."""
    (variance, freedom), (base_variance, base_freedom) = moderated(setting, spread), moderated(base, spread)
    ours, theirs = variance / len(setting), base_variance / len(base)
    error, value = math.sqrt(ours + theirs), np.mean(setting) - np.mean(base)
    if error < NO_SPREAD:
        return None
    degrees = math.floor((ours + theirs) ** 2 / (ours**2 / freedom + theirs**2 / base_freedom) + 1e-9)
    critical = stats.t.isf(ERROR_RATE * share / (2 * planned), degrees)
    p = min(1, 2 * planned / share * stats.t.sf(abs(value) / error, degrees))
    low, high = value - critical * error, value + critical * error
    return {"difference": value, "standard_error": error, "freedom": degrees, "critical": critical, "low": low, "high": high, "p": p}


def verdict(low, high, margin):
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equivalent" if -margin <= low and high <= margin else "inconclusive"


def accuracies(ends):
    return [end[0] for end in ends if isinstance(end, list)]


def is_unstable(ends):
    """A diverged trial, or trials both at chance and above it."""
    return "diverged" in ends or len({end[1] for end in ends if isinstance(end, list)}) == 2


def looks(most):
    return [seeds for seeds in LOOKS if seeds < most] + [most]


class Group:
    """The configurations that share a base, in all blocks."""

    def __init__(self, plan, ends, base, answers):
        self.margin, self.ends, self.base, self.answers = plan["margin"], ends, base, answers
        self.blocks = {place: block["settings"] for place, block in enumerate(plan["blocks"]) if block["base"] == base}
        self.settings = list(dict.fromkeys(setting for block in self.blocks.values() for setting in block))
        self.base_times = 2 if len(self.settings) >= 3 else 1
        self.undecided = {(block, place) for block, settings in self.blocks.items() for place in range(len(settings))}
        self.out, self.held = set(), False
        self.seeds = dict.fromkeys(self.settings, 0)
        self.look = 0

    def leave_out(self, setting, answer):
        """A verdict that is reached stays."""
        for block, place in self.undecided:
            if self.blocks[block][place] == setting:
                self.answers["comparisons"][block][place] = answer
        self.out.add(setting)

    def open(self):
        undecided = {self.blocks[block][place] for block, place in self.undecided}
        return [setting for setting in self.settings if setting in undecided and setting not in self.out]

    def compare(self, samples, base, share):
        """Each undecided comparison of those that take part, from the accuracies of each setting and the base."""
        spread = group_spread([*samples.values(), base])
        for block, place in sorted(self.undecided):
            setting = self.blocks[block][place]
            if setting in self.out:
                continue
            sample, found = samples[setting], None
            if min(len(sample), len(base)) > 1:
                found = difference(sample, base, spread, len(self.blocks[block]), share)
            reason = "TooFew" if min(len(sample), len(base)) < 2 else None if found else "NothingVaries"
            word = verdict(found["low"], found["high"], self.margin) if found else "inconclusive"
            answer = {"verdict": word, "seeds": len(sample), "base_seeds": len(base), "reason": reason} | (found or {})
            self.answers["comparisons"][block][place] = answer
            if word != "inconclusive":
                self.undecided.discard((block, place))

    def judge_fixed(self):
        """Failed trials are left out; what has not ended may yet come."""
        seeds = {place: len(self.ends[place]) for place in [self.base, *self.settings]}
        for place, count in seeds.items():
            self.ask(place, count)
        self.leave_out_unstable(seeds)
        samples = {setting: accuracies(self.ends[setting]) for setting in self.settings if setting not in self.out}
        self.compare(samples, accuracies(self.ends[self.base]), 1.0)

    def ask(self, place, seeds):
        self.answers["asked"][place] = max(self.answers["asked"][place], seeds)

    def leave_out_unstable(self, seeds):
        """-> whether the base is, which ends all comparisons."""
        if is_unstable(first(self.ends[self.base], seeds[self.base])):
            for setting in self.open():
                self.leave_out(setting, without("inconclusive", "BaseUnstable", seeds[setting], seeds[self.base]))
            return True
        for setting in self.open():
            if is_unstable(first(self.ends[setting], seeds[setting])):
                self.leave_out(setting, without("unstable", "Unstable", seeds[setting], seeds[self.base]))
        return False

    def settle(self, most):
        """-> the stage."""
        for look in looks(most):
            stage = self.take_look(look, (look - self.look) / most)
            if stage:
                return stage
            if not self.open():
                return "Held" if self.held else "Settled"
        return "Held" if self.held else "Exhausted"

    def take_look(self, look, share):
        """-> the stage if the looks end here."""
        seeds = self.seeds
        seeds |= dict.fromkeys(self.open(), look)
        seeds[self.base] = self.base_times * look
        for place, count in seeds.items():
            self.ask(place, count)
        ends = {place: first(self.ends[place], count) for place, count in seeds.items()}
        if any(None in ends[place] for place in [self.base, *self.open()]):
            return f"Waiting({look})"
        if is_unstable(ends[self.base]):
            self.look = look
            self.leave_out_unstable(seeds)
            return "Ended"
        if "failed" in ends[self.base]:
            for setting in self.open():
                self.leave_out(setting, without("inconclusive", "BaseFailed", look, seeds[self.base]))
            return "Held"
        self.look = look
        self.leave_out_unstable(seeds)
        for setting in self.open():
            if "failed" in ends[setting]:
                self.held = True
                self.leave_out(setting, without("inconclusive", "Failed", look, seeds[self.base]))
        samples = {setting: accuracies(ends[setting]) for setting in self.settings if setting not in self.out}
        self.compare(samples, accuracies(ends[self.base]), share)
        return None


def without(word, reason, seeds, base_seeds):
    return {"verdict": word, "seeds": seeds, "base_seeds": base_seeds, "reason": reason}


def first(ends, seeds):
    """The ends of the seeds below a number; what is not there is pending."""
    return (ends + [None] * seeds)[:seeds]


def judge(plan, ends):
    """What the program should answer."""
    early = without("inconclusive", "TooEarly", 0, 0)
    comparisons = [[early] * len(block["settings"]) for block in plan["blocks"]]
    answers = {"comparisons": comparisons, "asked": [0] * len(ends), "groups": []}
    for base in sorted({block["base"] for block in plan["blocks"]}):
        group = Group(plan, ends, base, answers)
        if plan["max_seeds"] is None:
            group.judge_fixed()
        else:
            stage = group.settle(plan["max_seeds"])
            answers["groups"].append({"base": base, "settings": group.settings, "look": group.look, "stage": stage})
    return answers


def agree(ours, theirs):
    if isinstance(ours, float) or isinstance(theirs, float):
        return None not in (ours, theirs) and math.isclose(ours, theirs, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return ours == theirs


def complaints(study, counts):
    """What the program answers otherwise."""
    expected, answers = judge(study["plan"], study["ends"]), study["answers"]
    found = []

    def compare(place, ours, theirs):
        counts["numbers"] += 1
        if not agree(ours, theirs):
            found.append(f"{study['name']}, {place}: {theirs!r} instead of {ours!r}")

    for block, (ours, theirs) in enumerate(zip(expected["comparisons"], answers["comparisons"], strict=True)):
        for place, (own, other) in enumerate(zip(ours, theirs, strict=True)):
            counts[own["verdict"]] = counts.get(own["verdict"], 0) + 1
            for name in COMPARED:
                compare(f"block {block}, setting {place}, {name}", own.get(name), other[name])
    compare("asked", expected["asked"], answers["asked"])
    for own, other in zip(expected["groups"], answers["groups"], strict=True):
        counts[own["stage"]] = counts.get(own["stage"], 0) + 1
        for name, value in own.items():
            compare(f"group of {own['base']}, {name}", value, other[name])
    return found


def main():
    studies, counts = json.loads(Path(sys.argv[1]).read_text()), {"numbers": 0}
    found = [complaint for study in studies for complaint in complaints(study, counts)]
    said = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print("\n".join(found) or f"{len(studies)} studies are judged as they should be: {said}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
