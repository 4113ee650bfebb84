# Every cell gets cluster, population and place: one job a sample.
rule map:
    input:
        prepared=results("samples", "{sample}", "prepared.h5ad"),
        sketch=results("cohort", "sketch.h5ad"),
        clusters=results("cohort", "clusters.tsv"),
        thresholds=results("cohort", "thresholds.tsv"),
    output:
        cells=results("samples", "{sample}", "cells.h5ad"),
        profile=results("samples", "{sample}", "profile.parquet"),
        thresholds=results("samples", "{sample}", "thresholds.tsv"),
        mapping=results("samples", "{sample}", "mapping.tsv"),
    log:
        results("logs", "map", "{sample}.log"),
    benchmark:
        results("benchmarks", "map", "{sample}.tsv")
    conda:
        ENVIRONMENT
    threads: lambda wildcards: sample_need("map")(wildcards.sample).threads
    resources:
        mem_mb=growing(sample_need("map"), "mem_mb"),
        runtime=growing(sample_need("map"), "runtime"),
    params:
        settings={
            "modality": STUDY.modality,
            "populations": to_plain(STUDY.populations),
            "signatures": to_plain(STUDY.signatures),
            "map_neighbors": STUDY.cohort.map_neighbors,
            "neighbors": STUDY.cohort.neighbors,
            "backend": STUDY.backend,
            "seed": STUDY.seed,
            "per_sample": STUDY.gates.per_sample,
        },
        code=code_hash("treset.jobs.map"),
    script:
        "../scripts/map.py"
