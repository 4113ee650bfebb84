from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    import pandas as pd

    from treset.jobs.profiles import gather, gather_text

    samples, given, out = snakemake.params.samples, snakemake.input, snakemake.output
    rows = dict(zip(samples, map(Path, given.rows), strict=True))
    quality = dict(zip(samples, map(Path, given.quality), strict=True))
    gather(rows, quality, pd.DataFrame(snakemake.params.sheet), Path(out.profiles), Path(out.tsv), Path(out.quality))
    gather_text([Path(path) for path in given.clean], Path(out.clean))
    gather_text([Path(path) for path in given.mapping], Path(out.mapping))
