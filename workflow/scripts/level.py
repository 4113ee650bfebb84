from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.batches import apply

    given = snakemake.input
    apply(Path(given.cells), Path(given.model), Path(snakemake.output.cells))
