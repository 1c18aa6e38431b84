"""Every number of a results folder's tables, computed again with NumPy, SciPy and scikit-learn from its stored trials.

Usage: check_statistics.py RESULTS_DIR. Prints what differs and exits with 1 if anything does.
"""

import csv
import functools
import json
import math
import sys
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn import metrics

# Sums in another order and another way to Student's t cost a few of a double's sixteen digits.
RELATIVE, ABSOLUTE = 1e-9, 1e-12
SIGNIFICANCE, POWER, MAX_SEEDS = 0.05, 0.8, 1000
# Columns whose cells are text whatever they look like: lists, and words beside numbers.
TEXT = {"id", "trial", "blocks", "data.train", "model.channels", "model.dense", "optimizer.betas", "schedule.stages", "error"}
HISTORY = {  # split and metric of history.csv: column of a trial's own history
    ("train", "loss"): "train_loss", ("train", "accuracy"): "train_accuracy", ("train", "penalty"): "penalty",
    ("train", "lr"): "lr", ("train", "seconds"): "train_seconds", ("val", "loss"): "val_loss",
    ("val", "accuracy"): "val_accuracy", ("all", "seconds"): "seconds",
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
        if len(kinds) > 1 and column not in TEXT:
            complaints.append(f"{name}.csv, {column}: {' and '.join(sorted(kinds))} in one column")


class Trial:
    """A stored trial and what follows from it."""

    def __init__(self, folder):
        self.identity, self.result = (json.loads((folder / name).read_text()) for name in ("config.json", "result.json"))
        with open(folder / "history.csv", newline="") as file:
            self.history = [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]
        self.id, self.seed, self.scores = self.identity["id"], self.identity["seed"], self.result["scores"]
        self.key = json.dumps(self.identity["config"], sort_keys=True)
        data = self.identity["config"]["data"]
        self.pair = (self.seed, data["train"], data["val"], data["split_seed"])

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


def holm(p_values):
    """Holm 1979: the smallest p times how many there are, the next times one less, and so on; never falling, at most 1."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.asarray(p_values)[order] * np.arange(len(order), 0, -1)))
    return adjusted


def power(seeds, effect, level):
    """Chance that a two-sided paired t-test at `level` finds a mean difference of `effect` standard deviations."""
    critical, shift = stats.t.isf(level / 2, seeds - 1), effect * math.sqrt(seeds)
    return stats.nct.sf(critical, seeds - 1, shift) + stats.nct.cdf(-critical, seeds - 1, shift)


def check_seeds_needed(cell, differences, comparisons, where):
    """The report's formula is within one seed of the noncentral t, or within 1 % where those are many."""
    if cell == "":
        return
    effect, level = abs(np.mean(differences)) / np.std(differences, ddof=1), SIGNIFICANCE / comparisons
    exact = next(seeds for seeds in range(2, 2 * MAX_SEEDS) if power(seeds, effect, level) >= POWER)
    exact = max(exact, len(differences) + 1)
    if abs(int(cell) - exact) > max(1, 0.01 * exact):
        complaints.append(f"{where}, seeds_needed: {cell} instead of about {exact}")


def check_spreads(row, done, where):
    measures = [trial.measures() for trial in done]
    for name in (column.removesuffix("_mean") for column in row if column.endswith("_mean")):
        if name == "difference":
            continue
        values = [found[name] for found in measures if found[name] is not None]
        same(row[f"{name}_n"], len(values), f"{where}, {name}_n")
        same(row[f"{name}_mean"], np.mean(values) if values else None, f"{where}, {name}_mean")
        same(row[f"{name}_std"], np.std(values, ddof=1) if len(values) > 1 else None, f"{where}, {name}_std")
        for part, expected in zip(("ci_low", "ci_high"), interval(values), strict=True):
            same(row[f"{name}_{part}"], expected, f"{where}, {name}_{part}")


def check_block(block, rows, by_key):
    """The rows of one block; the first is the base."""
    members = [[by_key[key] for key in variant if key in by_key] for variant in block]
    done = [[trial for trial in trials if trial.scores] for trials in members]
    base = {trial.pair: trial.scores["test"]["accuracy"] for trial in done[0]}
    pairs = [[(trial.scores["test"]["accuracy"], base[trial.pair]) for trial in row if trial.pair in base] for row in done]
    differences = [np.subtract(*zip(*pair)) if pair else np.array([]) for pair in pairs]
    tested = [place for place in range(1, len(rows)) if len(pairs[place]) > 1 and np.std(differences[place]) > ABSOLUTE]
    p_values = {place: stats.ttest_rel(*zip(*pairs[place])).pvalue for place in tested}
    # A comparison without a p-value counts all the same: it was planned.
    planned = range(1, len(rows))
    adjusted = dict(zip(planned, holm([p_values.get(place, 1.0) for place in planned]), strict=True))
    for place, row in enumerate(rows):
        where = f"summary.csv, {row['block']}, {row['label']}"
        for status in ("failed", "diverged"):
            same(row[status], sum(trial.result["status"] == status for trial in members[place]), f"{where}, {status}")
        same(row["n"], len(done[place]), f"{where}, n")
        same(row["parameters"], members[place][0].result["parameters"], f"{where}, parameters")
        check_spreads(row, done[place], where)
        compare = place > 0 and len(pairs[place]) > 0
        same(row["difference_pairs"], len(pairs[place]) if compare else None, f"{where}, difference_pairs")
        same(row["difference_mean"], np.mean(differences[place]) if compare else None, f"{where}, difference_mean")
        low_high = interval(differences[place]) if compare else (None, None)
        for part, expected in zip(("ci_low", "ci_high"), low_high, strict=True):
            same(row[f"difference_{part}"], expected, f"{where}, difference_{part}")
        same(row["p"], p_values.get(place), f"{where}, p")
        same(row["p_holm"], adjusted[place] if place in tested else None, f"{where}, p_holm")
        if place in tested:
            check_seeds_needed(row["seeds_needed"], differences[place], len(planned), where)
            clear = "better" if np.mean(differences[place]) > 0 else "worse"
            diverged = any(trial.result["status"] == "diverged" for trial in members[place] + members[0])
            if not diverged:
                same(row["verdict"], clear if adjusted[place] < SIGNIFICANCE else "inconclusive", f"{where}, verdict")


def main():
    trials = {trial.id: trial for trial in (Trial(folder.parent) for folder in ROOT.glob("trials/*/result.json"))}
    check_trials(trials)
    check_history(trials)
    planned = [row["id"] for row in table("plan")]
    same(str(len(set(planned))), len(planned), "plan.csv, ids that differ")
    by_key = {(trial.key, trial.seed): trial for trial in trials.values()}
    summary = table("summary")
    for block in EXPERIMENT["blocks"]:
        keys = [json.dumps(variant["config"], sort_keys=True) for variant in block["variants"]]
        variants = [[(key, seed) for seed in EXPERIMENT["seeds"]] for key in keys]
        rows = [row for row in summary if row["block"] == block["id"]]
        check_block(variants, rows, by_key)
    print("\n".join(complaints) or f"{compared} numbers of {len(trials)} trials are as they should be")
    sys.exit(1 if complaints else 0)


ROOT = Path(sys.argv[1])
EXPERIMENT = json.loads((ROOT / "manifest.json").read_text())["experiment"]
TARGETS = EXPERIMENT["targets"]
main()
