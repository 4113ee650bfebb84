from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.cohort import CohortSettings
    from treset.jobs.frozen import take
    from treset.plain import from_plain

    samples = dict(zip(snakemake.params.samples, map(Path, snakemake.input.cells), strict=True))
    settings = from_plain(CohortSettings, snakemake.params.settings)
    take(samples, Path(snakemake.input.frozen[0]).parent, settings, Path(snakemake.output.sketch).parent)
