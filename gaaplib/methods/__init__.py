"""The methods: one file each, all subclasses of :class:`gaaplib.methods.method.Method`."""

from gaaplib.methods.agw import Agw
from gaaplib.methods.bdb import Bdb
from gaaplib.methods.bot import Bot
from gaaplib.methods.external import External
from gaaplib.methods.fpr import Fpr
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.gml import Gml
from gaaplib.methods.han import Han
from gaaplib.methods.hct import Hct
from gaaplib.methods.histogram import Histogram
from gaaplib.methods.hmbn import Hmbn
from gaaplib.methods.horeid import Horeid
from gaaplib.methods.ianet import Ianet
from gaaplib.methods.mebnet import Mebnet
from gaaplib.methods.mgn import Mgn
from gaaplib.methods.pcb import Pcb
from gaaplib.methods.pgfa import Pgfa
from gaaplib.methods.pvpm import Pvpm
from gaaplib.methods.triplet import Triplet
from gaaplib.methods.udaml import Udaml
from gaaplib.methods.vpm import Vpm

METHODS = {
    "gaap": Gaap,
    "triplet": Triplet,
    "bot": Bot,
    "agw": Agw,
    "pcb": Pcb,
    "mgn": Mgn,
    "bdb": Bdb,
    "ianet": Ianet,
    "vpm": Vpm,
    "hmbn": Hmbn,
    "fpr": Fpr,
    "pgfa": Pgfa,
    "horeid": Horeid,
    "pvpm": Pvpm,
    "han": Han,
    "hct": Hct,
    "mebnet": Mebnet,
    "udaml": Udaml,
    "gml": Gml,
    "histogram": Histogram,
    "external": External,
}
