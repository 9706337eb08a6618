"""What a bench can see: how large a loss the exact McNemar test on n paired tasks calls, and how often.

All chances are sums over the binomial distribution of flips, not approximations: Miettinen 1968, and Duffy 1984 on the
exact power of McNemar's test. A loss is called where `paired.p_regression` is alpha at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import floor, fsum


def smallest_called_loss(n: int, alpha: float) -> int | None:
    """The fewest lost tasks, with none gained, that are called on n tasks; None where all n would not be."""
    critical = _critical(n, alpha)
    return next((lost for lost in range(1, n + 1) if critical[lost] <= lost), None)


def power_of_rates(n: int, lost: float, gained: float, alpha: float) -> float:
    """How likely a loss is called where each of n tasks is lost, or gained, with these chances, on its own.

    ValueError unless both are chances that sum to 1 at most.
    """
    if lost < 0 or gained < 0 or lost + gained > 1:
        raise ValueError(f"a task is lost or gained with chances that sum to 1 at most; got {lost} and {gained}")
    flipping = lost + gained
    if flipping == 0:
        return 0.0
    return _called(n, flipping, lost / flipping, 0, alpha)


def power_of_loss(loss: int, flaky: int, alpha: float) -> float:
    """How likely a loss is called where so many tasks are surely lost and so many others are coin flips each time.

    A coin-flip task differs between two runs with a chance of 1/2, and is then lost as often as gained. The rest of the
    bench does not flip, so its size does not matter. ValueError for counts below 0.
    """
    if loss < 0 or flaky < 0:
        raise ValueError(f"tasks are counted from 0; got {loss} lost and {flaky} flaky")
    return _called(flaky, 0.5, 0.5, loss, alpha)


def smallest_visible_loss(n: int, discordance: float, alpha: float, power: float = 0.8) -> int | None:
    """The smallest net loss in tasks (lost minus gained, on average) that is called with a chance of `power` at least.

    `discordance` is the share of the n tasks that flip, on average. None where even flips that are all losses are
    called more rarely. ValueError unless 0 <= discordance <= 1.
    """
    if not 0 <= discordance <= 1:
        raise ValueError(f"discordance is a share of the tasks; got {discordance}")
    for net in range(1, floor(n * discordance) + 1):
        lost = (discordance + net / n) / 2
        if power_of_rates(n, lost, max(0.0, discordance - lost), alpha) >= power:
            return net
    return None


def power_line(n: int, alpha: float) -> str:
    """In one sentence, what a bench of n tasks can see at best: where nothing is gained beside the loss."""
    loss = smallest_called_loss(n, alpha)
    if loss is None:
        return f"this bench of {n} tasks can see no loss at alpha {alpha:g}: not even all of its tasks"
    return f"this bench can see a loss of {loss} or more tasks"


def _called(flippable: int, flips: float, loses: float, sure: int, alpha: float) -> float:
    """The chance of a call, where each of the flippable flips, each flip loses, with its chance; and `sure` do both."""
    from scipy.special import bdtrc

    critical = _critical(flippable + sure, alpha)
    chances = _binomial(flippable, flips)
    called = []
    for flipped, chance in enumerate(chances):
        wanted = critical[flipped + sure] - sure
        above = 1.0 if wanted <= 0 else 0.0 if wanted > flipped else float(bdtrc(wanted - 1, flipped, loses))
        called.append(chance * above)
    return min(1.0, fsum(called))


def _binomial(n: int, p: float) -> list[float]:
    """The chances of 0 to n successes."""
    import numpy as np
    from scipy.special import betaln, xlog1py, xlogy

    k = np.arange(n + 1)
    # C(n, k) by the beta function, in logarithms: the coefficient itself overflows beyond a thousand tasks.
    logarithms = xlogy(k, p) + xlog1py(n - k, -p) - betaln(n - k + 1, k + 1) - np.log(n + 1)
    return [float(chance) for chance in np.exp(logarithms)]


@lru_cache(maxsize=64)
def _critical(most: int, alpha: float) -> Sequence[int]:
    """For 0 to `most` flips, the fewest losses among them that are called; one more than the flips where none are."""
    if most < 0 or not 0 < alpha < 1:
        raise ValueError(f"tasks are counted from 0 and alpha lies between 0 and 1; got {most} and {alpha}")
    # Whole numbers, carried from one flip to the next: `tail` of the 2^flips ways have so many losses or more, `ways`
    # have one fewer. `p_regression` anew for each takes half a minute for a few thousand tasks.
    wanted, tail, ways, critical = 1, 0, 1, []
    for flips in range(most + 1):
        while tail / (1 << flips) > alpha:
            ways = ways * (flips - wanted + 1) // wanted
            tail -= ways
            wanted += 1
        critical.append(wanted)
        tail = 2 * tail + ways
        ways = ways * (flips + 1) // (flips + 2 - wanted)
    return tuple(critical)
