"""Person re-identification in Keras: a reproduction of Global Average Attention Pooling (GAAP).

Importing this package imports neither Keras nor TensorFlow; its modules are imported by name, as in
``from gaaplib import metrics``.
"""

from gaaplib import quiet, threads

__all__ = ["__version__"]
__version__ = "0.2.0"

threads.fix()
if not quiet.is_verbose():
    quiet.silence_tensorflow()
