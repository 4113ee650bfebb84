# The report and its provenance.
rule report:
    input:
        profiles=results("profiles.parquet"),
        quality=results("quality.tsv"),
        sketch=results("cohort", "sketch.h5ad"),
        monitors=expand(results("monitors", "{monitor}", "summary.json"), monitor=MONITORS),
        samples=inside(STUDY.samples_file),
    output:
        report=results("report.html"),
        run=results("provenance", "run.json"),
        crate=results("provenance", "ro-crate-metadata.json"),
    log:
        results("logs", "report.log"),
    benchmark:
        results("benchmarks", "report.tsv")
    threads: 1
    resources:
        mem_mb=megabytes(1000, 20),
    params:
        config_file=inside(CONFIG_FILE),
        config=config,
        code=code_hash("treset.jobs.report"),
    script:
        "../scripts/report.py"
