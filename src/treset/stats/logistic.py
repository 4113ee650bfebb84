"""Four-parameter logistics fitted many at a time: the solver under ``dose_response``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]

#: Slopes outside of these are steps or straight lines: the doses tested cannot tell them apart.
HILL_BOUNDS = (0.3, 4.0)
#: log10 units by which an EC50 may lie beyond the tested doses before it stops moving (it is then censored anyway).
BEYOND = 2.0


@dataclass(frozen=True)
class Problem:
    """Curves of one family, that share bottom and top.

    Attributes
    ----------
    log_dose
        log10 of the dose, shape (points,); -inf for the unstimulated control.
    curve
        Which curve a point belongs to, shape (points,): 0 ... curves - 1.
    curves
        Number of curves. Parameters: bottom, top, log10 EC50 of each curve, log10 Hill slope of each curve.
    """

    log_dose: Array
    curve: NDArray[np.int64]
    curves: int

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest parameters; bottom and top are free."""
        tested = self.log_dose[np.isfinite(self.log_dose)]
        low, high = tested.min() - BEYOND, tested.max() + BEYOND
        slope = np.log10(HILL_BOUNDS)
        each = np.ones(self.curves)
        return (
            np.concatenate([[-np.inf, -np.inf], low * each, slope[0] * each]),
            np.concatenate([[np.inf, np.inf], high * each, slope[1] * each]),
        )


def predict(problem: Problem, parameters: Array, jacobian: bool = False) -> tuple[Array, Array | None]:
    """Predicted responses, shape (fits, points), of parameters of shape (fits, 2 + 2 curves); and the derivatives."""
    g = problem.curves
    bottom, top = parameters[:, :1], parameters[:, 1:2]
    slope = 10.0 ** parameters[:, 2 + g :][:, problem.curve]
    away = problem.log_dose[None, :] - parameters[:, 2 : 2 + g][:, problem.curve]
    # the share of the range at this dose; away = -inf is the control, whose share is 0
    with np.errstate(over="ignore"):
        share = 1 / (1 + 10.0 ** np.clip(-slope * away, -300, 300))
    fitted = bottom + (top - bottom) * share
    if not jacobian:
        return fitted, None
    steep = (top - bottom) * share * (1 - share) * np.log(10)
    finite = np.where(np.isfinite(away), away, 0.0)
    own = problem.curve[None, :] == np.arange(g)[:, None]
    by_ec50 = (-steep * slope)[:, :, None] * own.T[None]
    by_slope = (steep * finite * slope * np.log(10))[:, :, None] * own.T[None]
    return fitted, np.concatenate([(1 - share)[:, :, None], share[:, :, None], by_ec50, by_slope], axis=2)


def robust_cost(residuals: Array, scale: float) -> Array:
    """Soft-L1 cost, shape (fits,): squares near 0, absolute values beyond ``scale``."""
    return (2 * scale**2 * (np.sqrt(1 + (residuals / scale) ** 2) - 1)).sum(axis=1)


def solve(
    problem: Problem, responses: Array, start: Array, scale: float, iterations: int = 300, frozen: int | None = None
) -> tuple[Array, Array]:
    """Robust least squares (soft-L1) by Levenberg-Marquardt with bounds, all fits at once.

    Parameters
    ----------
    problem
        The doses.
    responses
        Shape (fits, points).
    start
        Shape (fits, parameters).
    scale
        Residual from which a point counts less.
    iterations
        At most so many steps.
    frozen
        A parameter that stays where it starts.

    Returns
    -------
    Parameters, shape (fits, parameters), and whether each fit came to rest.

    References
    ----------
    Marquardt DW (1963), doi:10.1137/0111030; the loss is ``soft_l1`` of ``scipy.optimize.least_squares``.
    """
    low, high = problem.bounds
    if frozen is not None:
        low, high = low.copy(), high.copy()
        low[frozen], high[frozen] = -np.inf, np.inf
    found = np.clip(start, low, high).astype(np.float64)
    damping = np.full(len(found), 1e-3)
    cost = robust_cost(responses - predict(problem, found)[0], scale)
    at_rest = np.zeros(len(found), dtype=bool)
    for _ in range(iterations):
        moving = np.flatnonzero(~at_rest)
        if not moving.size:
            break
        now = found[moving]
        fitted, slopes = predict(problem, now, jacobian=True)
        assert slopes is not None
        residual = responses[moving] - fitted
        weight = 1 / np.sqrt(1 + (residual / scale) ** 2)
        weighted = slopes * weight[:, :, None]
        gradient = np.einsum("bnp,bn->bp", weighted, residual)
        # a parameter at its bound that wants further out stands still
        stuck = ((now <= low) & (gradient < 0)) | ((now >= high) & (gradient > 0))
        if frozen is not None:
            stuck[:, frozen] = True
        normal = np.einsum("bnp,bnq->bpq", weighted, slopes)
        normal[stuck[:, :, None] | stuck[:, None, :]] = 0.0
        diagonal = np.einsum("bpp->bp", normal)
        ridge = np.where(stuck, 1.0, diagonal * damping[moving, None] + 1e-12)
        normal = normal + ridge[:, :, None] * np.eye(now.shape[1])
        step = np.linalg.solve(normal, np.where(stuck, 0.0, gradient)[:, :, None])[:, :, 0]
        tried = np.clip(now + step, low, high)
        new = robust_cost(responses[moving] - predict(problem, tried)[0], scale)
        better = new <= cost[moving]
        small = np.abs(tried - now).max(axis=1) < 1e-7
        flat = better & (cost[moving] - new <= 1e-10 * (cost[moving] + 1e-30))
        found[moving[better]] = tried[better]
        cost[moving[better]] = new[better]
        damping[moving] = np.where(better, damping[moving] / 5, damping[moving] * 6)
        at_rest[moving] = flat | small | (damping[moving] > 1e12)
    return found, at_rest


def _starts(problem: Problem, y: Array) -> Array:
    """A grid of EC50s and slopes; bottom and top from the ends."""
    tested = problem.log_dose[np.isfinite(problem.log_dose)]
    ec50 = np.linspace(tested.min() - 0.5, tested.max() + 0.5 * BEYOND, 9)
    slopes = np.log10([0.6, 1.0, 2.0])
    g = problem.curves
    order = np.argsort(problem.log_dose, kind="stable")
    ends = max(1, y.size // 5)
    low, high = np.median(y[order[:ends]]), np.median(y[order[-ends:]])
    rows = [[low, high, *[e] * g, *[s] * g] for e in ec50 for s in slopes]
    own = [float(np.median(problem.log_dose[(problem.curve == i) & np.isfinite(problem.log_dose)])) for i in range(g)]
    return np.array([*rows, [low, high, *own, *[0.0] * g]])


@dataclass(frozen=True)
class Solution:
    """A fitted family of curves; responses of range 1.

    Attributes
    ----------
    best, drawn
        Parameters, shape (parameters,), and of the bootstrap, shape (bootstrap, parameters).
    sd, scale
        Residual standard deviation (robust), and the residual from which a point counts less.
    converged
        Whether the best fit came to rest.
    """

    best: Array
    drawn: Array
    sd: float
    scale: float
    converged: bool


def estimate(problem: Problem, y: Array, bootstrap: int, seed: int) -> Solution:
    """Fit a family of curves from a grid of starts; responses of range 1."""
    starts = _starts(problem, y)
    copies = np.tile(y, (len(starts), 1))
    scale = 0.1
    for _ in range(3):
        found, at_rest = solve(problem, copies, starts, scale)
        cost = robust_cost(copies - predict(problem, found)[0], scale)
        best = int(cost.argmin())
        residual = y - predict(problem, found[best : best + 1])[0][0]
        freedom = max(1, y.size - found.shape[1])
        sd = 1.4826 * float(np.median(np.abs(residual))) * math.sqrt(y.size / freedom)
        scale = max(1.345 * sd, 1e-3)
        starts = np.vstack([found, _starts(problem, y)])[: len(copies)]
    chosen = found[best]
    fitted = predict(problem, chosen[None])[0][0]
    rng = np.random.default_rng(seed)
    noise = (residual - residual.mean()) * math.sqrt(y.size / freedom)
    drawn = fitted + rng.choice(noise, (bootstrap, y.size))
    resampled, _ = solve(problem, drawn, np.tile(chosen, (bootstrap, 1)), scale, 40)
    return Solution(chosen, resampled, sd, scale, bool(at_rest[best]))


def profile_limits(
    problem: Problem, y: Array, solution: Solution, curve: int, confidence: float
) -> tuple[float, float]:
    """Profile-likelihood limits of one curve's log10 EC50; -inf or inf where nothing within reach is excluded.

    Parameters
    ----------
    problem, y
        As fitted.
    solution
        The fit.
    curve
        Which curve's EC50.
    confidence
        Level.

    Notes
    -----
    An EC50 is excluded where the best curve through it loses so much fit that the robust likelihood ratio exceeds the F
    quantile with 1 and n - p degrees of freedom. Unlike the bootstrap of residuals this knows that near the highest
    dose the top, and with it the EC50, is open.

    References
    ----------
    Ronchetti E (1982), Robust testing in linear models: the infinitesimal approach, thesis 7084, ETH Zurich,
    doi:10.3929/ethz-a-000273823; Bates DM, Watts DG (1988), Nonlinear Regression Analysis, 6.1,
    doi:10.1002/9780470316757.
    """
    at, freedom = 2 + curve, max(1, y.size - solution.best.size)
    low, high = (limits[at] for limits in problem.bounds)
    steps = np.geomspace(2e-3, high - low, 28)
    sides = [np.minimum(solution.best[at] + steps, high), np.maximum(solution.best[at] - steps, low)]
    grid = np.concatenate(sides)
    starts = np.tile(solution.best, (2 * grid.size, 1))
    starts[:, at] = np.tile(grid, 2)
    slope = 2 + problem.curves + curve
    starts[:, slope] = np.repeat([solution.best[slope], 0.0], grid.size)
    copies = np.tile(y, (len(starts), 1))
    found, _ = solve(problem, copies, starts, solution.scale, 80, frozen=at)
    cost = robust_cost(copies - predict(problem, found)[0], solution.scale).reshape(2, -1).min(axis=0)
    residual = (y - predict(problem, solution.best[None])[0][0]) / solution.scale
    lowest = float(robust_cost(residual[None] * solution.scale, solution.scale)[0])
    pull = (residual * solution.scale) ** 2 / (1 + residual**2)
    unit = float(pull.sum()) / freedom / float(((1 + residual**2) ** -1.5).mean())
    loss = (cost - min(lowest, float(cost.min()))) / max(unit, 1e-12)
    threshold = float(stats.f.isf(1 - confidence, 1, freedom))
    upper, lower = (_crossing(steps, part, threshold) for part in np.split(loss, 2))
    upper, lower = solution.best[at] + upper, solution.best[at] - lower
    return float(lower if lower > low else -math.inf), float(upper if upper < high else math.inf)


def _crossing(steps: Array, loss: Array, threshold: float) -> float:
    """Step from which on the loss stays above the threshold; inf where it does not."""
    inside = np.flatnonzero(loss <= threshold)
    if not inside.size:
        return float(steps[0])
    last = int(inside[-1])
    if last + 1 == steps.size:
        return math.inf
    share = (threshold - loss[last]) / (loss[last + 1] - loss[last])
    return float(steps[last] + share * (steps[last + 1] - steps[last]))
