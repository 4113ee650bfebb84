# Ingest, quality and normalisation: one job a sample.
if STUDY.simulate is not None:

    # The study's files are simulated on the spot: the demo needs no download.
    rule simulate:
        output:
            files=[path for path in SHEET["file"]],
        log:
            results("logs", "simulate.log"),
        benchmark:
            results("benchmarks", "simulate.tsv")
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=lambda wildcards, attempt: prepare_need(simulated_size(STUDY.simulate), STUDY.modality).mem_mb
            * attempt,
            runtime=lambda wildcards, attempt: (10 + len(SAMPLES)) * attempt,
        params:
            simulate=STUDY.simulate,
            code=code_hash("treset.jobs.simulate"),
        script:
            "../scripts/simulate.py"


rule prepare:
    input:
        file=lambda wildcards: SHEET.loc[wildcards.sample, "file"],
        spillover=spillover_file(),
    output:
        cells=results("samples", "{sample}", "recorded.h5ad" if LEVELLED else "prepared.h5ad"),
        quality=results("samples", "{sample}", "quality.tsv"),
        clean=results("samples", "{sample}", "clean.tsv"),
        record=results("samples", "{sample}", "input.json"),
    log:
        results("logs", "prepare", "{sample}.log"),
    benchmark:
        results("benchmarks", "prepare", "{sample}.tsv")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(sample_need("prepare"), "mem_mb"),
        runtime=growing(sample_need("prepare"), "runtime"),
    params:
        batch=lambda wildcards: SHEET.loc[wildcards.sample, "batch"],
        settings={
            "modality": STUDY.modality,
            "panel": PANEL,
            "aliases": to_plain(STUDY.aliases),
            "quality": to_plain(STUDY.quality),
            "normalise": to_plain(STUDY.normalise),
            "seed": STUDY.seed,
            "clean": to_plain(STUDY.clean),
        },
        code=code_hash("treset.jobs.prepare"),
    script:
        "../scripts/prepare.py"


if LEVELLED:

    # What the anchors (one control in every batch), or all samples, tell of the batches, and what it does to each marker.
    rule batches:
        input:
            samples=[results("samples", sample, "recorded.h5ad") for sample in TEACHING],
        output:
            model=results("cohort", "levelling.npz"),
            table=results("cohort", "batches.tsv"),
        log:
            results("logs", "batches.log"),
        benchmark:
            results("benchmarks", "batches.tsv")
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=growing(cohort_needs, "mem_mb"),
            runtime=growing(cohort_needs, "runtime"),
        params:
            seed=STUDY.seed,
            method=STUDY.clean.batch,
            patients=[str(SHEET.loc[sample, "patient"]) for sample in TEACHING],
            code=code_hash("treset.jobs.batches"),
        script:
            "../scripts/batches.py"

    # Each sample brought to the common goal of the batches.
    rule level:
        input:
            cells=results("samples", "{sample}", "recorded.h5ad"),
            model=results("cohort", "levelling.npz"),
        output:
            cells=results("samples", "{sample}", "prepared.h5ad"),
        log:
            results("logs", "level", "{sample}.log"),
        benchmark:
            results("benchmarks", "level", "{sample}.tsv")
        conda:
            ENVIRONMENT
        threads: 1
        resources:
            mem_mb=growing(sample_need("map"), "mem_mb"),
            runtime=growing(sample_need("map"), "runtime"),
        params:
            code=code_hash("treset.jobs.batches"),
        script:
            "../scripts/level.py"
