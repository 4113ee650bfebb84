"""What a run was made of, written so that it can be run again."""

from treset.provenance.crate import write_crate
from treset.provenance.record import write_record

__all__ = ["write_crate", "write_record"]
