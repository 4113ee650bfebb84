"""Full and read-only disks, files that are cut short, flipped, changed, unreadable or dated wrongly."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from tests.faults.conftest import results, treset_run
from treset.cli.commands import app
from treset.cli.lock import run_lock
from treset.cli.workflow import run_workflow
from treset.errors import TresetError
from treset.io import read_sample
from treset.io.checksum import read_record, record, unchanged
from treset.io.fcs import read_fcs
from treset.io.fcs_write import write_fcs
from treset.io.files import atomic
from treset.io.h5ad import read_h5ad, write_h5ad
from treset.io.table import write_tsv
from treset.jobs import logged
from treset.study import check_files, read_study
from treset.study.inputs import changed_inputs, dated_ahead, record_file

Saw = Callable[[str, str, str], None]


def _big() -> anndata.AnnData:
    return anndata.AnnData(np.random.default_rng(0).normal(size=(4000, 60)).astype("f4"))


WRITERS: dict[str, Callable[[Path], object]] = {
    "h5ad": lambda path: write_h5ad(_big(), path),
    "tsv": lambda path: write_tsv(pd.DataFrame(np.random.default_rng(0).normal(size=(9000, 8))), path),
}


@pytest.mark.parametrize("suffix", ["h5ad", "tsv"])
def test_a_full_disk_keeps_the_old_file_whole(
    small_disk: Path, saw: Saw, capfd: pytest.CaptureFixture[str], suffix: str
) -> None:
    path = small_disk / f"cells.{suffix}"
    path.write_text("what was there")
    with pytest.raises(SystemExit), logged(str(small_disk / "job.log")):
        WRITERS[suffix](path)
    said = capfd.readouterr().err
    assert said.count("error:") == 1 and "no space is left on the disk" in said and "Traceback" not in said
    assert path.read_text() == "what was there"
    assert [part.name for part in small_disk.iterdir() if part.name.startswith(".")] == []
    saw(
        f"a full disk (ENOSPC) while {suffix} is written",
        "the old file stays whole, nothing is left",
        "one sentence; old file kept, temporary file gone",
    )


def test_a_full_disk_that_takes_no_log_either_still_says_so(
    small_disk: Path, saw: Saw, capfd: pytest.CaptureFixture[str]
) -> None:
    try:
        (small_disk / "filler").write_bytes(b"x" * 1_000_000)
    except OSError as error:
        assert error.errno == errno.ENOSPC
    with pytest.raises(SystemExit), logged(str(small_disk / "job.log")):
        print("x" * 100_000)
        write_tsv(pd.DataFrame({"a": [1]}), small_disk / "a.tsv")
    said = capfd.readouterr().err
    assert "no space is left on the disk" in said and "Traceback" not in said
    saw("a disk so full that no log can be written", "one sentence on the terminal", "one sentence")


def test_a_results_folder_that_is_read_only_is_refused_before_the_run(copy: Path, small_disk: Path, saw: Saw) -> None:
    config = copy / "config.yaml"
    config.write_text(config.read_text() + f"results: {small_disk}\n")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = CliRunner().invoke(app, ["run", str(copy)])
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert isinstance(done.exception, TresetError)
    assert "the folder of the results cannot be written (Read-only file system): " in str(done.exception)
    saw("a read-only results folder", "refused before the run, by its name", "one sentence, no job started")


def test_a_study_folder_that_is_read_only_is_refused(small_disk: Path, saw: Saw) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(TresetError, match=r"the study's folder cannot be written \(Read-only file system\)"):
        run_lock(small_disk).__enter__()
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    saw("a read-only study folder", "refused before the run", "one sentence")


def test_a_file_that_may_not_be_read_is_named(copy: Path, nobody: Callable[[], None], saw: Saw) -> None:
    study = read_study(copy / "config.yaml")
    file = copy / "data" / "P01_D8.fcs"
    check_files(study)
    for folder in (copy, *copy.parents):
        if "pytest-of" in str(folder):
            folder.chmod(0o755)
    file.chmod(0)
    nobody()
    with pytest.raises(TresetError) as error:
        check_files(study)
    assert "P01_D8" in str(error.value) and "Permission denied" in str(error.value)
    assert "P01_D0" not in str(error.value)
    saw("an input without permission to read", "named before the run", "one sentence with sample and file")


def test_a_folder_that_may_not_be_entered_is_named(copy: Path, nobody: Callable[[], None]) -> None:
    study = read_study(copy / "config.yaml")
    check_files(study)
    copy.chmod(0)
    nobody()
    with pytest.raises(TresetError, match=r"P01_D0\.fcs: cannot be read \(Permission denied\)"):
        check_files(study)


def test_a_truncated_input_is_refused_wherever_it_is_cut(copy: Path, saw: Saw) -> None:
    file = copy / "data" / "P01_D0.fcs"
    whole = file.read_bytes()
    for length in (0, 3, 57, 300, len(whole) // 2, len(whole) - 400, len(whole) - 100):
        file.write_bytes(whole[:length])
        with pytest.raises(TresetError, match=r"P01_D0\.fcs"):
            read_sample(file, "mass_cytometry")
    saw("an input cut short, at 7 places", "refused, nothing computed from it", "one sentence each")


def test_flipped_bits_in_a_header_are_refused_or_harmless_never_a_crash(copy: Path, saw: Saw) -> None:
    file = copy / "data" / "P01_D0.fcs"
    whole = file.read_bytes()
    before = read_sample(file, "mass_cytometry")
    positions = np.random.default_rng(1).integers(0, 3000, 150)
    refused = 0
    for position in positions:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(position % 8)
        file.write_bytes(flipped)
        try:
            found = read_sample(file, "mass_cytometry")
        except TresetError as error:
            assert "P01_D0.fcs" in str(error)
            refused += 1
            continue
        assert found.shape[0] == before.shape[0]
    assert refused > 0
    saw(
        "150 single flipped bits in an FCS header",
        "refused, or the same number of events; never a traceback",
        "held",
    )


def test_a_flipped_bit_in_the_data_is_named_by_its_checksum(copy: Path, saw: Saw) -> None:
    file, study = copy / "data" / "P01_D0.fcs", read_study(copy / "config.yaml")
    status, data = file.stat(), bytearray(file.read_bytes())
    data[-500] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    # the same size and time: only reading the whole file can tell
    assert changed_inputs(study) == []
    assert [one.sample for one in changed_inputs(study, whole=True)] == ["P01_D0"]
    done = CliRunner().invoke(app, ["check", str(copy), "--checksums"])
    assert isinstance(done.exception, TresetError) and "sample 'P01_D0'" in str(done.exception)
    saw(
        "a flipped bit in the data of an analysed file, its time unchanged",
        "`treset check --checksums` names the sample",
        "named",
    )


def test_a_changed_input_is_named_and_runs_again_even_when_its_date_is_old(copy: Path, saw: Saw) -> None:
    file = copy / "data" / "P01_D8.fcs"
    header, events = read_fcs(file)
    write_fcs(file, events[:-5], header.channels, header.markers)
    os.utime(file, ns=(10**18, 10**18))
    ended = treset_run(copy, "-n", "--quiet", "host")
    assert ended.code == 0, ended.said
    assert re.search(r"changed: sample 'P01_D8': .*P01_D8\.fcs is not the file that was analysed", ended.said)
    jobs = re.findall(r"rule prepare:.*?wildcards: sample=(\S+)", ended.said, flags=re.DOTALL)
    assert jobs == ["P01_D8"]
    saw(
        "an input replaced by another with an old date",
        "reported by name before the run; it and what depends on it run again",
        "named; planned again",
    )


def test_a_file_with_a_new_date_and_the_old_bytes_is_not_called_changed(copy: Path) -> None:
    (copy / "data" / "P01_D8.fcs").touch()
    assert changed_inputs(read_study(copy / "config.yaml")) == []


def test_an_input_that_changes_while_it_is_read_is_refused(copy: Path, saw: Saw) -> None:
    file = copy / "data" / "P01_D8.fcs"
    with pytest.raises(TresetError, match=r"P01_D8\.fcs: the file of sample 'P01_D8' changed while it was read"):  # noqa: SIM117
        with unchanged(file, "P01_D8"):
            file.write_bytes(file.read_bytes() + b" ")
    saw("an input that changes while it is read", "the job ends, nothing is written", "one sentence")


def test_an_input_that_is_gone_when_its_job_starts_is_named(copy: Path, saw: Saw) -> None:
    file = copy / "data" / "P01_D8.fcs"
    file.unlink()
    with pytest.raises(TresetError, match=r"P01_D8\.fcs: cannot be read \(No such file or directory\)"):
        record(file)
    saw("an input deleted after the check", "the job ends, by its name", "one sentence")


def test_the_record_says_what_was_analysed(copy: Path) -> None:
    study = read_study(copy / "config.yaml")
    table = pd.read_csv(results(copy) / "provenance" / "inputs.tsv", sep="\t")
    for sample, file in zip(study.included["sample"], study.included["file"], strict=True):
        known = read_record(record_file(study, sample))
        told = table[table["sample"] == sample].iloc[0]
        digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
        assert known is not None and known.sha256 == told["sha256"] == digest
        assert known.bytes == told["bytes"] == Path(file).stat().st_size


def test_a_clock_that_runs_ahead_is_told(copy: Path, saw: Saw) -> None:
    file = copy / "data" / "P01_D0.fcs"
    ahead = file.stat().st_mtime_ns + 10**9 * 86_400
    os.utime(file, ns=(ahead, ahead))
    study = read_study(copy / "config.yaml")
    told = dated_ahead(study)
    assert len(told) == 1 and "sample 'P01_D0'" in told[0] and "dated in the future" in told[0]
    assert changed_inputs(study) == []
    saw("clock skew: an input dated a day ahead", "told before the run; its content is what counts", "one warning")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_results_cut_short_by_the_disk_are_refused(copy: Path, saw: Saw, share: float) -> None:
    file = results(copy) / "samples" / "P01_D0" / "prepared.h5ad"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(TresetError, match=r"prepared\.h5ad"):
        read_h5ad(file)
    saw("a result of an earlier job cut short on the disk", "the next job refuses it", "one sentence with its name")


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, saw: Saw) -> None:
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "a.tsv") as path:
        path.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    saw("Ctrl-C while a file is written", "nothing is left", "nothing is left")


def test_an_unknown_profile_is_refused_before_anything_is_touched(copy: Path) -> None:
    from rich.console import Console

    with pytest.raises(TresetError, match="shipped are default, slurm, workstation"):
        run_workflow(copy / "config.yaml", "slrum", [], Console())
