# The waist, and the monitors that read nothing else.
rule profiles:
    input:
        rows=sample_files("profile.parquet"),
        quality=sample_files("quality.tsv"),
        clean=sample_files("clean.tsv"),
        mapping=sample_files("mapping.tsv"),
    output:
        profiles=results("profiles.parquet"),
        tsv=results("profiles.tsv"),
        quality=results("quality.tsv"),
        clean=results("clean.tsv"),
        mapping=results("mapping.tsv"),
    log:
        results("logs", "profiles.log"),
    benchmark:
        results("benchmarks", "profiles.tsv")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(gathering, "mem_mb"),
        runtime=growing(gathering, "runtime"),
    params:
        samples=SAMPLES,
        sheet=sheet_rows(
            ["sample", "patient", "visit", "day", "arm", "disease", "batch", "stimulus", "dose"]
            + ["cells_per_ul", "counted_population"]
        ),
        code=code_hash("treset.jobs.profiles"),
    script:
        "../scripts/profiles.py"


rule monitor:
    input:
        profiles=results("profiles.parquet"),
        samples=inside(STUDY.samples_file),
        clinical=clinical_file,
    output:
        effects=results("monitors", "{monitor}", "effects.tsv"),
        patients=results("monitors", "{monitor}", "patients.tsv"),
        summary=results("monitors", "{monitor}", "summary.json"),
    log:
        results("logs", "monitor", "{monitor}.log"),
    benchmark:
        results("benchmarks", "monitor", "{monitor}.tsv")
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=growing(tables(800, 3), "mem_mb"),
        runtime=growing(tables(800, 3), "runtime"),
    params:
        config_file=inside(CONFIG_FILE),
        config=config,
        monitors=lambda wildcards: to_plain(getattr(STUDY.monitors, wildcards.monitor)),
        markers=STATE_MARKERS,
        code=code_hash("treset.jobs.monitor"),
    script:
        "../scripts/monitor.py"
