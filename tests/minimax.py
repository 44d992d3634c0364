"""Coefficients of the polynomials of `fastshallow.simd.elementary`, by the algorithm of Remez.

    python tests/minimax.py

prints them as they stand there, with the logarithm to base 2 of the largest weighted error.
"""

from __future__ import annotations

import mpmath as mp

DIGITS = 60  # of the arithmetic in which they are computed


def exp_tail(r):
    """Return (e^r - 1 - r) / r^2, without cancellation."""
    return mp.hyp1f1(1, 3, r) / 2


def log_tail(t):
    """Return (t - log(1 + t)) / t^2, without cancellation."""
    return mp.hyp2f1(1, 2, 3, -t) / 2


def log1p_tail(u):
    """Return the same of t = u + 1/2: its powers stay small where t is near 1."""
    return log_tail(u + mp.mpf(0.5))


def tanh_tail(s):
    """Return (tanh(r) - r) / r^3 of s = r^2."""
    r = mp.sqrt(s)
    return (mp.tanh(r) / r - 1) / s if s else mp.mpf(-1) / 3


# Function, interval (computed in the precision of the moment), weight of the error, number of
# coefficients in float32 and float64. The weights make it the error of e^r, and the relative error
# of log(1 + t), but for a factor of 1.4, and of tanh(r).
FITS = {
    "EXP": (exp_tail, lambda: (-mp.log(2) / 2, mp.log(2) / 2), lambda r: r * r, (5, 10)),
    "LOG": (log_tail, lambda: (mp.sqrt(0.5) - 1, mp.sqrt(2) - 1), abs, (9, 20)),
    "LOG1P": (log1p_tail, lambda: (mp.mpf(-0.5), mp.mpf(0.5)), lambda u: u + 0.5, (9, 20)),
    "TANH": (tanh_tail, lambda: (mp.mpf(0), (mp.log(2) / 4) ** 2), lambda s: s, (2, 6)),
}


def value(coefficients, x):
    """Return the polynomial, its coefficients from the constant term on."""
    result = mp.mpf(0)
    for c in reversed(coefficients):  # mp.polyval is about to change its order of coefficients
        result = result * x + c
    return result


def fit(function, interval, weight, n, rounds=6, mesh=60):
    """Return n coefficients, and the error whose largest weighted magnitude they make least.

    In each round n + 1 points are found where the weighted error alternates and is largest, and
    the coefficients solved for that make it equal there.
    """
    a, b = interval()

    def spread(u):
        return (a + b) / 2 - (b - a) / 2 * mp.cos(u * mp.pi)

    # not quite symmetric: none may be 0, where the weight is
    nodes = [spread((i + mp.mpf(0.4)) / (n + 1)) for i in range(n + 1)]
    points = [spread(mp.mpf(i) / (mesh * n)) for i in range(mesh * n + 1)]
    exact = [function(x) for x in points]
    for _ in range(rounds):
        rows = [[x**k for k in range(n)] + [(-1) ** i / weight(x)] for i, x in enumerate(nodes)]
        solved = mp.lu_solve(mp.matrix(rows), mp.matrix([function(x) for x in nodes]))
        coefficients = list(solved)[:n]
        error = [
            weight(x) * (f - value(coefficients, x)) for x, f in zip(points, exact, strict=True)
        ]
        # the largest of every run of one sign
        largest = [0]
        for p in range(1, len(points)):
            if error[p] * error[largest[-1]] <= 0 and error[p] != 0 and error[largest[-1]] != 0:
                largest.append(p)
            elif abs(error[p]) > abs(error[largest[-1]]):
                largest[-1] = p
        while len(largest) > n + 1:
            ends = (0, -1)
            largest.pop(min(ends, key=lambda end: abs(error[largest[end]])))
        nodes = [points[p] for p in largest]
    return coefficients, max(abs(e) for e in error)


if __name__ == "__main__":
    with mp.workdps(DIGITS):
        for name, (function, interval, weight, counts) in FITS.items():
            for bits, n in zip((32, 64), counts, strict=True):
                coefficients, error = fit(function, interval, weight, n)
                print(f"{name}{bits}: error 2^{mp.nstr(mp.log(error, 2), 4)}")
                for c in coefficients:
                    print(f"    {float(c)!r},")
