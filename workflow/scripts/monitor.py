from pathlib import Path

from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.monitor import monitor
    from treset.study import read_study

    study = read_study(Path(snakemake.params.config_file), snakemake.params.config, files=False)
    profiles, folder = Path(snakemake.input.profiles), Path(snakemake.output.effects).parent
    monitor(snakemake.wildcards.monitor, profiles, study, folder, snakemake.params.markers)
