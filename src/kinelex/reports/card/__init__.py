"""The data-set card: what is in a store, drawn and counted, and what is odd about it."""

from kinelex.reports.card.scan import Findings, Jump, Scale, scan_store
from kinelex.reports.card.warn import Warn, warnings_of
from kinelex.reports.card.write import write_card

__all__ = ["Findings", "Jump", "Scale", "Warn", "scan_store", "warnings_of", "write_card"]
