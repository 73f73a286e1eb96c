"""The methods: one file each, all subclasses of :class:`gaaplib.methods.method.Method`."""

from gaaplib.methods.agw import Agw
from gaaplib.methods.bot import Bot
from gaaplib.methods.external import External
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.histogram import Histogram
from gaaplib.methods.triplet import Triplet

METHODS = {
    "gaap": Gaap,
    "triplet": Triplet,
    "bot": Bot,
    "agw": Agw,
    "histogram": Histogram,
    "external": External,
}
