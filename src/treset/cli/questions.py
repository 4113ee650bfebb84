"""What ``treset init`` asks a person at a terminal, each question with the answer proposed from the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import typer

from treset.cli.names import Guess, contrast

FLOW, MASS, RNA = "flow_cytometry", "mass_cytometry", "rna"


@dataclass(frozen=True)
class Answers:
    """What a new study's config says of its design.

    ``compared`` is column, reference and test of what discovery compares; None: nothing can be.
    """

    title: str
    modality: str
    baseline: str
    compared: tuple[str, str, str] | None
    blinded: bool = False


Ask = Callable[[Answers, Sequence[Guess]], Answers]


def proposed(title: str, modality: str, guesses: Sequence[Guess]) -> Answers:
    """Give the answers that the files' names speak for."""
    compared = contrast(guesses) if guesses else ("visit", "D0", "D8")
    return Answers(title, modality, visits(guesses)[0] if guesses else "D0", compared)


def visits(guesses: Sequence[Guess]) -> list[str]:
    """Give the visits by day."""
    return list(dict.fromkeys(visit for _, visit in sorted({(float(g.day), g.visit) for g in guesses})))


def ask(answers: Answers, guesses: Sequence[Guess]) -> Answers:
    """Ask at the terminal; Enter takes what is proposed.

    Parameters
    ----------
    answers
        What is proposed.
    guesses
        What the files' names say; visits and stimuli to choose from.

    Returns
    -------
    The answers given.
    """
    patients, seen = {g.patient for g in guesses}, visits(guesses)
    if guesses:
        typer.echo(f"{len(guesses)} files: {len(patients)} patients, visits {', '.join(seen)} (by the files' names)")
    typer.echo("Enter takes the answer in brackets; everything can be changed in config.yaml later.")
    answers = replace(answers, title=typer.prompt("Title of the study", default=answers.title).strip())
    if answers.modality != RNA:
        answers = replace(answers, modality=_one_of("Assay", (MASS, FLOW), answers.modality))
    if len(seen) > 1:
        baseline = _one_of("Visit that every change is measured from", seen, answers.baseline)
        later = [visit for visit in seen if visit != baseline]
        usual = answers.compared[2] if answers.compared and answers.compared[2] in later else later[0]
        test = _one_of("Visit at which the drug should have worked", later, usual)
        answers = replace(answers, baseline=baseline, compared=("visit", baseline, test))
    elif answers.compared and answers.compared[0] == "stimulus":
        _, *pair = answers.compared
        reference = _one_of("Stimulus that the other is compared with", pair, pair[0])
        answers = replace(answers, compared=("stimulus", reference, next(s for s in pair if s != reference)))
    return replace(answers, blinded=typer.confirm("Is the trial still blinded", default=answers.blinded))


def _one_of(question: str, choices: Sequence[str], default: str) -> str:
    """Ask until the answer is one of the choices."""
    while True:
        answer = str(typer.prompt(f"{question} ({', '.join(choices)})", default=default)).strip()
        if answer in choices:
            return answer
        typer.echo(f"{answer} is none of: {', '.join(choices)}")
