# The report and its provenance.
rule report:
    input:
        profiles=results("profiles.parquet"),
        quality=results("quality.tsv"),
        clean=results("clean.tsv"),
        mapping=results("mapping.tsv"),
        sketch=results("cohort", "sketch.h5ad"),
        monitors=expand(results("monitors", "{monitor}", "summary.json"), monitor=MONITORS),
        samples=inside(STUDY.samples_file),
        # there where treset parity --report was asked for
        parity=[path for path in [results("parity.json")] if (STUDY.root / path).exists()],
        records=sample_files("input.json"),
    output:
        report=results("report.html"),
        timings=results("timings.tsv"),
        run=results("provenance", "run.json"),
        inputs=results("provenance", "inputs.tsv"),
        crate=results("provenance", "ro-crate-metadata.json"),
    log:
        results("logs", "report.log"),
    benchmark:
        results("benchmarks", "report.tsv")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(tables(1000, 3), "mem_mb"),
        runtime=growing(tables(1000, 3), "runtime"),
    params:
        config_file=inside(CONFIG_FILE),
        config=config,
        code=code_hash("treset.jobs.report"),
    script:
        "../scripts/report.py"
