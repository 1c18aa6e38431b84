"""Every number of a results folder's tables, computed again with NumPy, SciPy and scikit-learn from its stored trials.

Usage: check_statistics.py RESULTS_DIR. Prints what differs and exits with 1 if anything does.
"""

import csv
import functools
import json
import math
import sys
from pathlib import Path

import check_verdicts
import numpy as np
from scipy import stats
from sklearn import metrics

# Sums in another order and another way to Student's t cost a few of a double's sixteen digits.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
SIGNIFICANCE = 0.05
FIRST_TUNING_SEED = 2**31
# Columns with words beside numbers.
MIXED = {"data.train"}
HISTORY = {  # split and metric of history.csv: column of a trial's own history
    ("train", "loss"): "train_loss", ("train", "accuracy"): "train_accuracy", ("train", "penalty"): "penalty",
    ("train", "lr"): "lr", ("train", "seconds"): "train_seconds", ("val", "loss"): "val_loss",
    ("val", "accuracy"): "val_accuracy", ("all", "seconds"): "seconds",
}
REASONS = {
    None: None,
    "TooEarly": "its trials are not all there",
    "TooFew": "one trial cannot tell a difference from chance",
    "NothingVaries": "nothing varies, so there is nothing to judge by",
    "Failed": "a trial failed; --rerun failed",
    "BaseFailed": "a trial of the base failed; --rerun failed",
    "Unstable": "trials diverged, or some are at chance and others not",
    "BaseUnstable": "the base is unstable",
}
complaints = []
compared = 0


def same(cell, expected, where):
    """A cell against a number, a text, or None for an empty cell."""
    global compared
    compared += 1
    if expected is None or isinstance(expected, str):
        right = cell == (expected or "")
    else:
        close = dict(rel_tol=RELATIVE, abs_tol=ABSOLUTE)
        right = cell != "" and (math.isclose(float(cell), expected, **close) or math.isnan(expected) and cell == "NaN")
    if not right:
        complaints.append(f"{where}: {cell!r} instead of {expected!r}")


def table(name):
    with open(ROOT / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    check_types(name, rows)
    return rows


def kind(cell):
    if cell in ("true", "false"):
        return "truth value"
    try:
        float(cell)
        return "number"
    except ValueError:
        return "text"


def check_types(name, rows):
    """Empty cells apart, a column is all numbers, all truth values or all text, which is how pandas finds its type."""
    for column in rows[0] if rows else ():
        kinds = {kind(row[column]) for row in rows if row[column] != ""}
        if column in ("id", "trial") and "number" in kinds:
            complaints.append(f"{name}.csv, {column}: an id looks like a number")
        if len(kinds) > 1 and column not in MIXED:
            complaints.append(f"{name}.csv, {column}: {' and '.join(sorted(kinds))} in one column")


class Trial:
    """A stored trial and what follows from it."""

    def __init__(self, folder):
        self.identity, self.result = (json.loads((folder / name).read_text()) for name in ("config.json", "result.json"))
        with open(folder / "history.csv", newline="") as file:
            self.history = [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]
        self.id, self.seed, self.scores = self.identity["id"], self.identity["seed"], self.result["scores"]
        self.key = key_of(self.identity["config"])

    def measures(self):
        """Each number of a trial that `summary.csv` has the mean of."""
        found = {}
        accuracies = [epoch["val_accuracy"] for epoch in self.history]
        for target in TARGETS:
            reached = next((place for place, accuracy in enumerate(accuracies) if accuracy >= target), None)
            seconds = None if reached is None else sum(epoch["seconds"] for epoch in self.history[: reached + 1])
            found[f"epochs_to_val_{target}"] = None if reached is None else reached + 1
            found[f"seconds_to_val_{target}"] = seconds
        if self.scores:
            train, val, test = (self.scores[split] for split in ("train", "val", "test"))
            # Older trials have neither.
            last, evidence = (self.scores.get(name, {}) for name in ("last_test", "evidence"))
            found |= {
                "test_accuracy": test["accuracy"], "test_loss": test["loss"],
                "val_accuracy": val["accuracy"], "val_loss": val["loss"], "best_epoch": self.scores["best_epoch"],
                "accuracy_gap": train["accuracy"] - test["accuracy"], "loss_gap": test["loss"] - train["loss"],
                "last_test_accuracy": last.get("accuracy"), "last_test_loss": last.get("loss"),
                "test_top3_accuracy": evidence.get("top3_accuracy"), "test_ece": evidence.get("ece"),
                "test_brier": evidence.get("brier"),
                **{f"macro_{name}": np.mean(scores) for name, scores in self.class_scores.items()},
                "val_loss_rise": self.history[-1]["val_loss"] - min(epoch["val_loss"] for epoch in self.history),
                "val_accuracy_peak": max(accuracies), "val_curve_area": np.mean(accuracies), "epochs_run": self.result["epochs"],
                "seconds": self.result["seconds"], "images_per_second": self.result["images_per_second"],
            }
        return found

    def answers(self):
        """The true and the predicted class of every test image, from the stored confusion matrix."""
        counts = np.array(self.scores["confusion"])
        truth, predicted = np.indices(counts.shape)
        return np.repeat(truth.ravel(), counts.ravel()), np.repeat(predicted.ravel(), counts.ravel())

    @functools.cached_property
    def class_scores(self):
        """Precision, recall, specificity and F1 of each class, by scikit-learn."""
        truth, predicted = self.answers()
        labels = range(len(self.scores["confusion"]))
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
        # The recall of "is of another class".
        specificity = [
            metrics.recall_score(truth == label, predicted == label, pos_label=False, zero_division=0) for label in labels
        ]
        return dict(precision=precision, recall=recall, specificity=specificity, f1=f1)


def check_trials(trials):
    rows = {row["id"]: row for row in table("trials")}
    classes, confusion = table("classes"), table("confusion")
    assert rows.keys() == trials.keys(), "trials.csv has other trials than are stored"
    for trial in trials.values():
        row, where = rows[trial.id], f"trials.csv, {trial.id}"
        same(row["status"], trial.result["status"], f"{where}, status")
        same(row["role"], "tuning" if trial.seed >= FIRST_TUNING_SEED else "comparison", f"{where}, role")
        for name, expected in trial.measures().items():
            if name in row:
                same(row[name], expected, f"{where}, {name}")
        if not trial.scores:
            continue
        for split in ("train", "val", "test"):
            same(row[f"{split}_loss"], trial.scores[split]["loss"], f"{where}, {split}_loss")
            same(row[f"{split}_accuracy"], trial.scores[split]["accuracy"], f"{where}, {split}_accuracy")
        check_classes(trial, row, [row for row in classes if row["trial"] == trial.id])
        counts = [int(row["count"]) for row in confusion if row["trial"] == trial.id]
        if counts != np.ravel(trial.scores["confusion"]).tolist():
            complaints.append(f"confusion.csv, {trial.id}: other counts than are stored")


def check_classes(trial, row, classes):
    """Accuracy, precision, recall, specificity and F1 of scikit-learn, per class and their plain mean."""
    truth, predicted = trial.answers()
    same(row["test_accuracy"], metrics.accuracy_score(truth, predicted), f"trials.csv, {trial.id}, accuracy")
    for name, scores in trial.class_scores.items():
        same(row[f"macro_{name}"], np.mean(scores), f"trials.csv, {trial.id}, macro_{name}")
        for one, score in zip(classes, scores, strict=True):
            same(one[name], score, f"classes.csv, {trial.id}, {one['class']}, {name}")
    support = np.bincount(truth, minlength=len(classes))
    for one, count in zip(classes, support, strict=True):
        same(one["support"], count, f"classes.csv, {trial.id}, {one['class']}, support")


def check_history(trials):
    rows = {(row["trial"], int(row["epoch"]), row["split"], row["metric"]): row["value"] for row in table("history")}
    for trial in trials.values():
        for epoch in trial.history:
            for (split, metric), column in HISTORY.items():
                where = (trial.id, int(epoch["epoch"]), split, metric)
                same(rows.pop(where, ""), epoch[column], f"history.csv, {where}")
    complaints.extend(f"history.csv: {where} is of no stored trial" for where in rows)


def interval(values):
    """95 %, of the mean; none where the values do not differ."""
    if len(values) < 2 or np.std(values) < ABSOLUTE:
        return None, None
    return stats.t.interval(1 - SIGNIFICANCE, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))


def check_spreads(row, done, where):
    measures = [trial.measures() for trial in done]
    for name in (column.removesuffix("_mean") for column in row if column.endswith("_mean")):
        values = [found[name] for found in measures if found[name] is not None]
        same(row[f"{name}_n"], len(values), f"{where}, {name}_n")
        same(row[f"{name}_mean"], np.mean(values) if values else None, f"{where}, {name}_mean")
        same(row[f"{name}_std"], np.std(values, ddof=1) if len(values) > 1 else None, f"{where}, {name}_std")
        for part, expected in zip(("ci_low", "ci_high"), interval(values), strict=True):
            same(row[f"{name}_{part}"], expected, f"{where}, {name}_{part}")


def at_chance(scores):
    """Whether always naming the largest class does as well, or at most three standard deviations worse than this."""
    counts = np.array(scores["confusion"])
    share, images = counts.sum(axis=1).max() / counts.sum(), counts.sum()
    return bool(scores["test"]["accuracy"] <= share + 3 * math.sqrt(share * (1 - share) / images))


class Configuration:
    """A variant as it is written, which blocks may share, and how its trials ended."""

    def __init__(self, variant, trials):
        self.own, self.candidates, self.trials = key_of(variant["config"]), variant.get("candidates", []), trials
        self.key, self.taken = self.tuned() if EXPERIMENT.get("tune") else (self.own, None)

    def tuned(self):
        """-> the key of the best values, None without any, and the cell that says which they are."""
        seeds = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + EXPERIMENT["tune"]["seeds"])
        tried = [[self.trials.get((key_of(candidate["config"]), seed)) for seed in seeds] for candidate in self.candidates]
        if any(trial is None for trials in tried for trial in trials):
            return None, "still tried"
        select = self.candidates[0]["config"]["select"].removeprefix("val_")
        sign = 1 if select == "loss" else -1
        means = {
            place: sign * np.mean([trial.scores["val"][select] for trial in trials])
            for place, trials in enumerate(tried) if all(trial.scores for trial in trials)
        }
        if not means:
            return None, "none"
        best = self.candidates[min(means, key=means.get)]
        return key_of(best["config"]), best["label"] + (" (at the edge)" if self.at_edge(best) else "")

    def at_edge(self, taken):
        """Whether one of its values is the first or the last that was tried of its key."""
        lists = [list(dict.fromkeys(values)) for values in zip(*(candidate["values"] for candidate in self.candidates))]
        return any(len(values) > 1 and value in (values[0], values[-1]) for value, values in zip(taken["values"], lists))

    def ends(self):
        """By seed, as the rule wants them."""
        if self.taken == "none":
            return ["diverged"] * len(EXPERIMENT["seeds"])
        if self.key is None:
            return []
        ended = [self.trials.get((self.key, seed)) for seed in EXPERIMENT["seeds"]]
        return [trial and (percent(trial) if trial.scores else trial.result["status"]) for trial in ended]

    def asked(self, count):
        """Its stored trials of the first so many seeds."""
        seeds = EXPERIMENT["seeds"][:count]
        return [self.trials[self.key, seed] for seed in seeds if (self.key, seed) in self.trials]


def percent(trial):
    return [100 * trial.scores["test"]["accuracy"], at_chance(trial.scores)]


def key_of(config):
    return json.dumps(config, sort_keys=True)


def check_summary(trials):
    """Every block by the rule of verdicts."""
    configurations = {}
    blocks = [[configurations.setdefault(key_of(variant["config"]), Configuration(variant, trials)) for variant in block["variants"]]
              for block in EXPERIMENT["blocks"]]
    known = list(configurations.values())
    places = [[known.index(configuration) for configuration in block] for block in blocks]
    plan = {
        "margin": EXPERIMENT.get("margin", 1.0),
        "max_seeds": EXPERIMENT["settle"]["max_seeds"] if EXPERIMENT.get("settle") else None,
        "blocks": [{"base": base, "settings": settings} for base, *settings in places],
    }
    answers = check_verdicts.judge(plan, [configuration.ends() for configuration in known])
    summary = table("summary")
    for block, own, comparisons in zip(EXPERIMENT["blocks"], places, answers["comparisons"], strict=True):
        rows = [row for row in summary if row["block"] == block["id"]]
        members = [known[place].asked(answers["asked"][place]) for place in own]
        for place, row, trials in zip(own, rows, members, strict=True):
            wanted = answers["asked"][place] if known[place].key else 0
            check_row(row, trials, wanted, known[place].taken)
        check_comparison(rows[0], None, None)
        for row, trials, comparison in zip(rows[1:], members[1:], comparisons, strict=True):
            check_comparison(row, comparison, shift(trials, members[0]))


def check_row(row, trials, wanted, taken):
    where = f"summary.csv, {row['block']}, {row['label']}"
    done = [trial for trial in trials if trial.scores]
    for status in ("failed", "diverged"):
        same(row[status], sum(trial.result["status"] == status for trial in trials), f"{where}, {status}")
    same(row["n"], len(done), f"{where}, n")
    same(row["pending"], wanted - len(trials), f"{where}, pending")
    if trials:
        same(row["parameters"], trials[0].result["parameters"], f"{where}, parameters")
    check_spreads(row, done, where)
    same(row["taken"], taken, f"{where}, taken")


def shift(trials, base):
    """Of all that is done on both sides, in points; None where one has nothing."""
    ours, theirs = ([percent(trial)[0] for trial in side if trial.scores] for side in (trials, base))
    return np.mean(ours) - np.mean(theirs) if ours and theirs else None


def check_comparison(row, comparison, shift):
    """The columns that say how a setting differs from its base; all are empty for the base itself."""
    comparison = comparison or dict.fromkeys(("verdict", "reason"))
    if "Unstable" in (comparison["reason"] or ""):
        shift = None
    expected = {
        "difference": comparison.get("difference", shift),
        "difference_ci_low": comparison.get("low"),
        "difference_ci_high": comparison.get("high"),
        "p": comparison.get("p"),
        "verdict": comparison["verdict"],
        "look": comparison.get("seeds") or None,
        "look_base": comparison.get("base_seeds") or None,
        "no_interval_because": REASONS[comparison["reason"]],
    }
    for column, value in expected.items():
        same(row[column], value, f"summary.csv, {row['block']}, {row['label']}, {column}")


def main():
    trials = {trial.id: trial for trial in (Trial(folder.parent) for folder in ROOT.glob("trials/*/result.json"))}
    check_trials(trials)
    check_history(trials)
    planned = [row["id"] for row in table("plan")]
    same(str(len(set(planned))), len(planned), "plan.csv, ids that differ")
    check_summary({(trial.key, trial.seed): trial for trial in trials.values()})
    print("\n".join(complaints) or f"{compared} numbers of {len(trials)} trials are as they should be")
    sys.exit(1 if complaints else 0)


ROOT = Path(sys.argv[1])
EXPERIMENT = json.loads((ROOT / "manifest.json").read_text())["experiment"]
TARGETS = EXPERIMENT["targets"]
main()
