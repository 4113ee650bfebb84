from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.prepare import PrepareSettings, prepare
    from treset.plain import from_plain

    settings = from_plain(PrepareSettings, snakemake.params.settings)
    out = map(Path, (snakemake.output.cells, snakemake.output.quality, snakemake.output.record))
    prepare(snakemake.wildcards.sample, snakemake.params.batch, Path(snakemake.input.file), settings, *out)
