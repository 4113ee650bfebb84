"""Raw cytometry made clean: spillover, beads, barcodes, time, batches. Pure functions on arrays.

Light at import (numpy only): the prepare job imports a step when the study asks for it.
"""
