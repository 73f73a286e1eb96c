"""Runs side by side: what tells them apart, their scores, and paired differences with intervals and counts.

Runs that differ in seed or fold alone are one *variant*. The folds of a seed are pooled: where each fold tests other
people, five folds test everybody once. Seeds are compared pair by pair, and their differences have a mean with
Student's t interval.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib.evaluation import statistics
from gaaplib.runs import scores
from gaaplib.runs.content import WITHOUT_SCORES

REPEATED = ("seed", "fold")
TITLES = ("mAP", "CMC(1)")
MOST = 3
"""A variant is named by its settings if it differs in so many, and by its model otherwise."""


@dataclass(frozen=True)
class Comparison:
    """Finished runs of at least two variants on the same queries; the first variant is what others are compared with.

    Attributes:
        variants: ``{name: {seed: [Run, ...]}}``, the runs of a seed in the order of their folds; the same seeds and
            folds for each variant.
        without: ``{name: reason}`` of variants that are left out, because a run has no scores.
    """

    variants: dict
    without: dict

    @property
    def baseline(self):
        """The name of the first variant."""
        return next(iter(self.variants))

    @property
    def others(self):
        """The names of the other variants that have scores."""
        return list(self.variants)[1:]

    @property
    def is_synthetic(self):
        """Whether images are synthetic."""
        return self._first(self.baseline).config.is_synthetic

    def first_runs(self):
        """``{name: Run}`` of the first seed and fold: one of each variant, for pictures."""
        return {name: self._first(name) for name in self.variants}

    def _first(self, name):
        return next(iter(self.variants[name].values()))[0]

    def scores(self):
        """Retrieval scores as text: a row for chance and for each variant and seed, with 95 % intervals."""
        many = len(self.variants[self.baseline]) > 1
        rows = {"chance": self._chance()}
        for name, seeds in self.variants.items():
            for seed, found in seeds.items():
                row = {title: str(statistics.bootstrap_mean(*_pooled(found, title))) for title in scores.MEASURES}
                rows[f"{name}, seed {seed}" if many else name] = row
        return pd.DataFrame(rows).T

    def _chance(self):
        """Chance of the first variant's runs, weighted by their queries, as all variants have the same."""
        runs = [run for found in self.variants[self.baseline].values() for run in found]
        weights = [run.per_query["valid"].sum() for run in runs]
        return {
            title: f"{np.average([run.metrics['retrieval']['chance'][key] for run in runs], weights=weights):.3f}"
            for title, (key, _) in scores.MEASURES.items()
        }

    def differences(self):
        """Each other variant minus the first, for each seed: paired over the same queries.

        Returns:
            A DataFrame with one row per variant, measure and seed: ``variant``, ``measure``, ``seed``, ``interval``
            (:class:`gaaplib.evaluation.statistics.Interval`), and the numbers of queries that are ranked ``better``,
            ``worse`` and ``equal``.
        """
        rows = []
        for name in self.others:
            for title in TITLES:
                for seed, found in self.variants[name].items():
                    rows.append((name, title, seed, *_paired(found, self.variants[self.baseline][seed], title)))
        return pd.DataFrame(rows, columns=["variant", "measure", "seed", "interval", "better", "worse", "equal"])

    def as_text(self):
        """:meth:`differences` as a table of words, with the mean over seeds if there are several."""
        rows = []
        for (name, title), group in self.differences().groupby(["variant", "measure"], sort=False):
            pair = f"{name} \u2212 {self.baseline}"
            for row in group.itertuples():
                queries = row.better, row.worse, row.equal
                shown = statistics.signed(row.interval.estimate, row.interval.low, row.interval.high)
                rows.append((pair, title, f"seed {row.seed}", shown, row.interval.verdict, *queries))
            if len(group) > 1:
                mean = over_seeds(group)
                counted = group[["better", "worse", "equal"]].sum()
                shown = statistics.signed(mean.mean, mean.low, mean.high)
                rows.append((pair, title, "mean of seeds", shown, _verdict(group), *counted))
        names = ["compared", "measure", "repetition", "difference", "verdict", "better", "worse", "equal"]
        return pd.DataFrame(rows, columns=names).set_index(names[:3])

    def in_words(self):
        """What came out, one sentence for each other variant, on mAP; and one for each variant without scores."""
        found = self.differences()
        on_map = found[found.measure == "mAP"]
        sentences = [self._sentence(name, on_map[on_map.variant == name]) for name in self.others]
        sentences += [f"{name} has no scores to compare: {reason}." for name, reason in self.without.items()]
        return sentences

    def _sentence(self, name, group):
        better, worse, equal = group[["better", "worse", "equal"]].sum()
        queries = f"{better} of {better + worse + equal} queries are ranked better, {worse} worse, {equal} equally"
        verdict, identities = _verdict(group), group.interval.iloc[0].num_groups
        if verdict == statistics.TOO_FEW:
            return (
                f"{name} beside {self.baseline}: no verdict, because the test has {identities} identities and an "
                f"interval needs at least {statistics.MIN_GROUPS}. {queries}."
            )
        if len(group) > 1:
            spread = over_seeds(group)
            shown = statistics.signed(spread.mean, spread.low, spread.high)
            return f"{name} minus {self.baseline}, mAP: {shown}, {verdict} (mean of {len(group)} seeds; {queries})."
        found = group.interval.iloc[0]
        shown = statistics.signed(found.estimate, found.low, found.high)
        return f"{name} minus {self.baseline}, mAP: {shown}, {verdict} ({identities} identities; {queries})."

    def telling(self, count=3):
        """Queries that tell two variants apart: from the second's greatest gain over the first to its greatest loss.

        Args:
            count: number of queries, at most, at equal steps of the valid queries sorted by the gain.

        Returns:
            A DataFrame with ``query``, the index of a query of the first seed and fold, and a column with the AP of
            each of the two variants.
        """
        both = {name: self._first(name).per_query for name in list(self.variants)[:2]}
        valid = np.flatnonzero(both[self.baseline]["valid"])
        ap = {name: queries["ap"][valid] for name, queries in both.items()}
        one, *two = ap.values()
        order = np.argsort(-(two[0] - one if two else one), kind="stable")
        chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]
        return pd.DataFrame({"query": valid[chosen]} | {name: values[chosen] for name, values in ap.items()})


def of(found):
    """The :class:`Comparison` of some finished runs.

    Args:
        found: runs, those of the variant to compare with first.

    Raises:
        ValueError: all runs are of one variant; no seed and fold has all variants; the runs were scored on other
            queries; or no run has scores.
    """
    names = named(found)
    grouped, without = {}, {}
    for run, name in zip(found, names, strict=True):
        grouped.setdefault(name, {})[run.config.seed, run.config.fold] = run
        if run.metrics["status"] in WITHOUT_SCORES:
            without[name] = f"{run.metrics['status']} ({run.metrics['reason']})"
    if len(grouped) < 2:
        raise ValueError(f"all {len(found)} runs are of one variant ({names[0]}): give runs that differ in a setting")
    scored = {name: runs for name, runs in grouped.items() if name not in without}
    if not scored:
        raise ValueError(f"no run has scores: {'; '.join(f'{name} {reason}' for name, reason in without.items())}")
    shared = sorted(set.intersection(*(set(runs) for runs in scored.values())))
    if not shared:
        raise ValueError(f"no seed and fold has a run of each variant ({', '.join(scored)})")
    variants = {name: _by_seed(runs, shared) for name, runs in scored.items()}
    first, *rest = variants.values()
    for other in rest:
        for seed, runs in other.items():
            for one, two in zip(first[seed], runs, strict=True):
                scores.check_same(one, two, "retrieval")
    return Comparison(variants, without)


def named(found):
    """A name for each run: the settings in which the variants differ, such as ``attention=class``.

    Models from elsewhere have the names of their files. If variants differ in more than ``MOST`` settings, they have
    the names of their methods, backbones, attentions and poolings, and if that is not enough, of the run.
    """
    values = [_settings(run.config) for run in found]
    differing = [name for name in values[0] if len({str(each[name]) for each in values}) > 1]
    by_settings = [", ".join(f"{name}={each[name]}" for name in differing) or "all alike" for each in values]
    if len(differing) <= MOST:
        return by_settings
    by_model = [_model(run.config) for run in found]
    if len(set(by_model)) == len(set(by_settings)):
        return by_model
    return [run.folder.name for run in found]


def _settings(config):
    """The settings that make a variant, with a file in place of its whole path."""
    values = {name: value for name, value in config.to_dict().items() if name not in REPEATED}
    return values | {"weights": config.weights and Path(config.weights).name}


def _model(config):
    if config.method == "external":
        return Path(config.weights).stem
    return f"{config.method} {config.backbone}, attention={config.attention}, {config.pooling} pooling"


def _by_seed(runs, shared):
    seeds = {}
    for seed, fold in shared:
        seeds.setdefault(seed, []).append(runs[seed, fold])
    return seeds


def _pooled(found, title):
    """The values of all valid queries of some runs, and their identities."""
    values, groups = zip(*(scores.values(run, "retrieval", title) for run in found), strict=True)
    return np.concatenate(values).astype(float), np.concatenate(groups)


def _paired(found, others, title):
    """Interval of the mean difference, and the numbers of better, worse and equal queries."""
    (values, groups), (base, _) = _pooled(found, title), _pooled(others, title)
    interval = statistics.paired_difference(values, base, groups)
    return interval, int((values > base).sum()), int((values < base).sum()), int((values == base).sum())


def over_seeds(group):
    """The :class:`gaaplib.evaluation.statistics.Spread` of one variant's differences in a measure over its seeds."""
    return statistics.mean_and_spread([interval.estimate for interval in group.interval])


def _verdict(group):
    """The verdict on the rows of one variant and measure: of the one seed, or of the mean over seeds."""
    first = group.interval.iloc[0].verdict
    return first if len(group) == 1 or first == statistics.TOO_FEW else over_seeds(group).verdict
