from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.map import MapSettings, map_sample
    from treset.plain import from_plain

    settings = from_plain(MapSettings, snakemake.params.settings)
    cohort, out = Path(snakemake.input.sketch).parent, snakemake.output
    map_sample(
        Path(snakemake.input.prepared), cohort, settings, Path(out.cells), Path(out.profile), Path(out.thresholds),
        Path(out.mapping),
    )  # fmt: skip
