# The one job that sees the whole cohort, through the sketch: it runs where the GPU is.
if STUDY.cohort.frozen is None:

    rule cohort:
        input:
            cells=sample_files("prepared.h5ad"),
        output:
            sketch=results("cohort", "sketch.h5ad"),
            clusters=results("cohort", "clusters.tsv"),
            stability=results("cohort", "stability.tsv"),
            concordance=results("cohort", "concordance.tsv"),
            populations=results("cohort", "populations.tsv"),
            thresholds=results("cohort", "thresholds.tsv"),
            panel=results("cohort", "panel.tsv"),
        log:
            results("logs", "cohort.log"),
        benchmark:
            results("benchmarks", "cohort.tsv")
        conda:
            ENVIRONMENT
        threads: lambda wildcards: cohort_needs().threads
        resources:
            mem_mb=growing(cohort_needs, "mem_mb"),
            runtime=growing(cohort_needs, "runtime"),
            # counted where a profile says how many there are (workstation), asked of the scheduler on a cluster
            gpu=0 if STUDY.backend == "cpu" else 1,
        params:
            samples=SAMPLES,
            settings=cohort_settings(),
            code=code_hash("treset.jobs.cohort"),
        script:
            "../scripts/cohort.py"

else:

    # Nothing is clustered: a finished cohort is checked against the samples and copied.
    rule frozen:
        input:
            cells=sample_files("prepared.h5ad"),
            frozen=[inside(Path(normpath(STUDY.root / STUDY.cohort.frozen)) / name) for name in FROZEN_FILES],
        output:
            sketch=results("cohort", "sketch.h5ad"),
            clusters=results("cohort", "clusters.tsv"),
            stability=results("cohort", "stability.tsv"),
            concordance=results("cohort", "concordance.tsv"),
            populations=results("cohort", "populations.tsv"),
            thresholds=results("cohort", "thresholds.tsv"),
            panel=results("cohort", "panel.tsv"),
        log:
            results("logs", "cohort.log"),
        benchmark:
            results("benchmarks", "cohort.tsv")
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=growing(tables(800, 3), "mem_mb"),
            runtime=growing(tables(800, 3), "runtime"),
        params:
            samples=SAMPLES,
            settings=cohort_settings(),
            code=code_hash("treset.jobs.frozen"),
        script:
            "../scripts/frozen.py"
