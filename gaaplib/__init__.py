"""Person re-identification in Keras: a reproduction of Global Average Attention Pooling (GAAP).

Importing this package imports neither Keras nor TensorFlow; its modules are imported by name, as in
``from gaaplib import metrics``.
"""

import os

# TensorFlow's native part greets on import and reports a missing GPU as an error; set 0 to see it all.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__all__ = ["__version__"]
__version__ = "0.1.0"
