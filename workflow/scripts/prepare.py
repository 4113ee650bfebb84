from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.prepare import PrepareSettings, prepare
    from treset.plain import from_plain

    settings = from_plain(PrepareSettings, snakemake.params.settings)
    out = snakemake.output
    sample, batch = snakemake.wildcards.sample, snakemake.params.batch
    written = map(Path, (out.cells, out.quality, out.clean, out.record))
    prepare(sample, batch, Path(snakemake.input.file), settings, *written)
