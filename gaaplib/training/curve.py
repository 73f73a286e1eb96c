"""The end of a training in words: accuracies beside chance, and whether more epochs would help."""

import numpy as np
from scipy import stats

CHANCE_LEVEL = 0.05
"""At chance: random guesses are right as often as the network in more than this share of cases."""

AT_CHANCE = "Validation stays at chance"
ADVICE = "the network has not learnt to recognise them. Give it more images or more epochs, or weights to start from"


def epoch_line(row, epochs=None):
    """Return one epoch in a line: losses and accuracies, and the seconds so far.

    Args:
        row: of the history, with the name of a column as the key.
        epochs: how many there will be, if that is known.

    Example:
        >>> epoch_line({"epoch": 2, "loss": 0.51234, "learning_rate": 0.001, "seconds": 61.4}, 30)
        'epoch 2/30  loss 0.512  61 s'
    """
    scores = "  ".join(f"{name} {row[name]:.3f}" for name in row if name.endswith(("loss", "accuracy")))
    of = f"/{epochs}" if epochs else ""
    return f"epoch {row['epoch']:.0f}{of}  {scores}  {row['seconds']:.0f} s"


def in_words(history, identities, images):
    """Return sentences on the end of a training: accuracies, whether validation is above chance, and its trend.

    Args:
        history: DataFrame with one row per epoch and the columns ``epoch``, ``accuracy`` and, if there are validation
            images, ``val_accuracy``, as of :func:`gaaplib.training.fit.fit`. With several losses Keras names the
            accuracies ``logits_accuracy`` and ``val_logits_accuracy``.
        identities: number of identities that the network tells apart.
        images: number of validation images.

    Returns:
        A list of sentences; empty if the history has no accuracy.

    Example:
        >>> import pandas as pd
        >>> history = pd.DataFrame({"epoch": [1, 2], "accuracy": [0.5, 0.9], "val_accuracy": [0.4, 0.6]})
        >>> print("\\n".join(in_words(history, identities=10, images=50)))
        after 2 epochs: accuracy 0.90 in training, 0.60 in validation, 0.10 by chance
    """
    history = history.rename(columns=lambda name: name.replace("logits_accuracy", "accuracy"))
    if "accuracy" not in history or history.empty:
        return []
    last = history.iloc[-1]
    words = f"after {len(history)} epochs: accuracy {last.accuracy:.2f} in training"
    if "val_accuracy" not in history or not images:
        return [f"{words}, {1 / identities:.2g} by chance"]
    sentences = [f"{words}, {last.val_accuracy:.2f} in validation, {1 / identities:.2f} by chance"]
    if is_at_chance(last.val_accuracy, identities, images):
        sentences.append(f"{AT_CHANCE} ({images} images of {identities} identities): {ADVICE}")
    elif _rises(history.val_accuracy.to_numpy()):
        sentences.append("Validation was still rising at the end: more epochs would probably help")
    return sentences


def is_at_chance(accuracy, identities, images):
    """Return whether guesses among so many identities would often be right for as many of the images."""
    right = round(accuracy * images)
    return stats.binom.sf(right - 1, images, 1 / identities) > CHANCE_LEVEL


def _rises(values):
    """Whether the last quarter of the epochs is above the quarter before it, by more than these vary."""
    quarter = len(values) // 4
    if quarter < 2:
        return False
    late, before = values[-quarter:], values[-2 * quarter : -quarter]
    return late.mean() - before.mean() > np.hypot(late.std(), before.std())
