"""Evaluation beyond :mod:`gaaplib.metrics`, in NumPy and SciPy, without Keras.

- Retrieval: :func:`evaluate_single_shot`, :func:`rerank`, :func:`expand_queries`.
- Decisions by a threshold: :func:`evaluate_verification`, :func:`evaluate_open_set`.
- Uncertainty: :func:`bootstrap_mean`, :func:`paired_difference`, :func:`sign_flip_test`, :func:`mean_and_spread`.
- Saved embeddings: :func:`read_npz`, :func:`read_mat`, and :func:`gaaplib.evaluation.embedding_scores.evaluate`.
"""

from importlib import import_module

_MODULES = {
    "embedding_files": ("read_mat", "read_npz"),
    "reranking": ("expand_queries", "rerank"),
    "single_shot": ("evaluate_single_shot",),
    "statistics": ("bootstrap_mean", "mean_and_spread", "paired_difference", "sign_flip_test"),
    "verification": ("evaluate_open_set", "evaluate_verification"),
}
__all__ = sorted(name for names in _MODULES.values() for name in names)


def __getattr__(name):
    """A public name, imported when it is asked for: some of the modules need SciPy, which takes long to import."""
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"gaaplib.evaluation.{module}"), name)
    raise AttributeError(f"module 'gaaplib.evaluation' has no attribute {name!r}")
