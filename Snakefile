# treset: from raw single-cell files and a sample sheet to a trial's report. The rules are in workflow/rules.
from snakemake.utils import min_version

min_version("9.8")


# With --configfile the default study (the demo) is not read, so that none of its keys leak into another study.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


# One image for every rule, built from envs/treset.def; used with --software-deployment-method apptainer only.
container: "treset.sif"


include: "workflow/rules/common.smk"


workdir: str(STUDY.root)


include: "workflow/rules/prepare.smk"
include: "workflow/rules/cohort.smk"
include: "workflow/rules/map.smk"
include: "workflow/rules/monitor.smk"
include: "workflow/rules/report.smk"


localrules:
    all,


rule all:
    default_target: True
    input:
        results("report.html"),
