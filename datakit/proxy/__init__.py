"""A small classifier of texts and pictures that needs no GPU: a second opinion on labels, and a first guess.

It stands in for a trained model where none is at hand: `out_of_fold` says what the other records make of each
record's label, `fit` what the labelled records make of others.
"""

from datakit.proxy.data import Predicted as Predicted
from datakit.proxy.data import ProxyData as ProxyData
from datakit.proxy.model import FittedProxy as FittedProxy
from datakit.proxy.model import fit as fit
from datakit.proxy.model import out_of_fold as out_of_fold
