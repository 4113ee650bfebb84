"""The study: config, sample sheet, panel, populations and signatures, read, checked and typed."""

from treset.study.files import check_files, panel_rows
from treset.study.model import Study
from treset.study.read import read_study
from treset.study.schema import load_schema, schema_folder

__all__ = ["Study", "check_files", "load_schema", "panel_rows", "read_study", "schema_folder"]
