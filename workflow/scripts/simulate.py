from treset.jobs import logged

with logged(snakemake.log[0]):
    from treset.jobs.simulate import simulate

    simulate(snakemake.params.simulate, snakemake.output.files)
