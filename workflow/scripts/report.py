from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.report import report
    from treset.study import read_study

    study = read_study(Path(snakemake.params.config_file), snakemake.params.config, files=False)
    report(study, Path(snakemake.output.report).parent, snakemake.params.config)
