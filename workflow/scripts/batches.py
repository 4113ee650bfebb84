from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.batches import learn

    out = snakemake.output
    learn([Path(path) for path in snakemake.input.anchors], snakemake.params.seed, Path(out.model), Path(out.table))
