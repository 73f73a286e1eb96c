"""Evaluation beyond :mod:`gaaplib.metrics`, in NumPy and SciPy, without Keras.

- Retrieval: :func:`evaluate_single_shot`, :func:`rerank`, :func:`expand_queries`.
- Decisions by a threshold: :func:`evaluate_verification`, :func:`evaluate_open_set`.
- Uncertainty: :func:`bootstrap_mean`, :func:`paired_difference`, :func:`sign_flip_test`, :func:`mean_and_spread`.
- Saved embeddings: :func:`read_npz`, :func:`read_mat`; :func:`gaaplib.evaluation.embedding_files.evaluate` scores them.
"""

from gaaplib.evaluation.embedding_files import read_mat, read_npz
from gaaplib.evaluation.reranking import expand_queries, rerank
from gaaplib.evaluation.single_shot import evaluate_single_shot
from gaaplib.evaluation.statistics import bootstrap_mean, mean_and_spread, paired_difference, sign_flip_test
from gaaplib.evaluation.verification import evaluate_open_set, evaluate_verification

__all__ = [
    "bootstrap_mean",
    "evaluate_open_set",
    "evaluate_single_shot",
    "evaluate_verification",
    "expand_queries",
    "mean_and_spread",
    "paired_difference",
    "read_mat",
    "read_npz",
    "rerank",
    "sign_flip_test",
]
