# The one job that sees the whole cohort, through the sketch: it runs where the GPU is.
rule cohort:
    input:
        cells=sample_files("prepared.h5ad"),
    output:
        sketch=results("cohort", "sketch.h5ad"),
        clusters=results("cohort", "clusters.tsv"),
        populations=results("cohort", "populations.tsv"),
        thresholds=results("cohort", "thresholds.tsv"),
        panel=results("cohort", "panel.tsv"),
    log:
        results("logs", "cohort.log"),
    benchmark:
        results("benchmarks", "cohort.tsv")
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: int((2000 + 0.05 * STUDY.cohort.sketch_cells) * attempt),
    params:
        samples=SAMPLES,
        settings={
            "modality": STUDY.modality,
            "cohort": to_plain(STUDY.cohort),
            "populations": to_plain(STUDY.populations),
            "n_top_genes": STUDY.normalise.n_top_genes,
            "backend": STUDY.backend,
            "seed": STUDY.seed,
            "gates": to_plain(STUDY.gates),
        },
        code=code_hash("treset.jobs.cohort"),
    script:
        "../scripts/cohort.py"
