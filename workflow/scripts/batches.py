from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.batches import learn

    out, params = snakemake.output, snakemake.params
    samples = [Path(path) for path in snakemake.input.samples]
    learn(samples, params.seed, Path(out.model), Path(out.table), params.method, params.patients)
