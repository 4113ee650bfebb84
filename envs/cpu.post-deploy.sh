#!/usr/bin/env bash
# Run by Snakemake in the environment it has just made: treset itself, from the checkout that `treset run` names.
set -euo pipefail
python -m pip install --no-deps "${TRESET_SOURCE:-treset}"
