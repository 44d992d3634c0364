"""The notes' equations in plain NumPy, float64: what every kernel is compared with.

`by_example` is a loop over single examples, with vectors and the whole chain
dL/dz = dL/da g'(z), from a; `by_columns` takes all columns of X at once, from z. Nothing here is
shared with the package, nor, beyond g, between the two.

Both take W = [W1, W2, ...] of shape (n_l, n_{l-1}), b = [b1, b2, ...] of shape (n_l, 1), the names
of the activations, one a layer, X (n_x, m), Y (n_y, m), w (m,) and alpha, and return J and the
lists dW and db.
"""

from __future__ import annotations

import numpy as np


def g(name, z, slope=0.01):
    """Return a = g(z) of one layer; softmax over the first axis."""
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0, -z))
    if name == "tanh":
        return np.tanh(z)
    if name == "relu":
        return np.where(z > 0, z, 0.0)
    if name == "leaky_relu":
        return np.where(z > 0, z, slope * z)
    if name == "softplus":
        return np.logaddexp(0, z)
    if name == "elu":
        return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))
    if name == "softmax":
        e = np.exp(z - z.max(axis=0))
        return e / e.sum(axis=0)
    return np.exp(z) if name == "exp" else z + 0.0


def dg(name, z, slope=0.01):
    """Return g'(z), from z; all but softmax."""
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0, -z) - np.logaddexp(0, z))
    if name == "tanh":
        return 1 / np.cosh(z) ** 2
    if name == "relu":
        return np.where(z > 0, 1.0, 0.0)
    if name == "leaky_relu":
        return np.where(z > 0, 1.0, slope)
    if name == "softplus":
        return np.exp(-np.logaddexp(0, -z))
    if name == "elu":
        return np.where(z > 0, 1.0, np.exp(np.minimum(z, 0)))
    return np.exp(z) if name == "exp" else np.ones_like(z)


def y_log_y(y):
    """Return y log y, 0 at y = 0."""
    return np.where(y > 0, y * np.log(np.where(y > 0, y, 1.0)), 0.0)


# One example, from a ------------------------------------------------------------------------


def loss_of_a(output, a, y):
    """Return L(a, y) of one example, as the notes write it."""
    if output == "sigmoid":
        return np.sum(-y * np.log(a) - (1 - y) * np.log(1 - a))
    if output == "softmax":
        return -np.sum(y * np.log(a))
    if output == "exp":
        return np.sum(y_log_y(y) - y * np.log(a) - y + a)
    return np.sum((a - y) ** 2) / 2


def dL_da(output, a, y):
    """Return dL/da of one example."""
    if output == "sigmoid":
        return -y / a + (1 - y) / (1 - a)
    if output == "softmax":
        return -y / a
    if output == "exp":
        return 1 - y / a
    return a - y


def da_dz(output, z, slope=0.01):
    """Return the Jacobian da_j/dz_k of one layer for one example."""
    if output == "softmax":
        a = g(output, z)
        return np.diag(a) - np.outer(a, a)
    return np.diag(dg(output, z, slope))


def by_example(W, b, names, X, Y, w=None, alpha=0.0, slope=0.01):
    """Return J, dW, db by a loop over examples."""
    m = X.shape[1]
    w = np.ones(m) if w is None else w
    J, dW, db = 0.0, [np.zeros_like(W_l) for W_l in W], [np.zeros_like(b_l) for b_l in b]
    for i in range(m):
        z, a = [], [X[:, i]]
        for W_l, b_l, name in zip(W, b, names, strict=True):
            z.append(W_l @ a[-1] + b_l[:, 0])
            a.append(g(name, z[-1], slope))
        J += w[i] * loss_of_a(names[-1], a[-1], Y[:, i])
        da = w[i] * dL_da(names[-1], a[-1], Y[:, i])
        for layer in reversed(range(len(W))):
            dz = da_dz(names[layer], z[layer], slope).T @ da
            dW[layer] += np.outer(dz, a[layer])
            db[layer][:, 0] += dz
            da = W[layer].T @ dz
    return regularized(J, dW, db, W, w.sum(), alpha)


# All columns, from z ------------------------------------------------------------------------


def losses_of_z(output, Z, Y):
    """Return L of every example, (m,), finite for any z."""
    if output == "sigmoid":
        return (np.logaddexp(0, Z) - Y * Z).sum(axis=0)
    if output == "softmax":
        return (Y * (np.logaddexp.reduce(Z, axis=0) - Z)).sum(axis=0)
    if output == "exp":
        return (y_log_y(Y) - Y * Z - Y + np.exp(Z)).sum(axis=0)
    return 0.5 * ((g(output, Z) - Y) ** 2).sum(axis=0)


def forward(W, b, names, X, slope=0.01):
    """Return Z[1] ... Z[L] and A[0] ... A[L]."""
    Z, A = [], [X]
    for W_l, b_l, name in zip(W, b, names, strict=True):
        Z.append(W_l @ A[-1] + b_l)
        A.append(g(name, Z[-1], slope))
    return Z, A


def dZs(W, b, names, X, Y, slope=0.01):
    """Return dZ[1] ... dZ[L], not weighted."""
    Z, A = forward(W, b, names, X, slope)
    dZ = A[-1] - Y
    if names[-1] == "relu":
        dZ = dZ * (Z[-1] > 0)
    result = [dZ]
    for layer in reversed(range(1, len(W))):
        dZ = (W[layer].T @ dZ) * dg(names[layer - 1], Z[layer - 1], slope)
        result.insert(0, dZ)
    return result


def by_columns(W, b, names, X, Y, w=None, alpha=0.0, slope=0.01):
    """Return J, dW, db with all examples at once."""
    w = np.ones(X.shape[1]) if w is None else w
    Z, A = forward(W, b, names, X, slope)
    J = losses_of_z(names[-1], Z[-1], Y) @ w
    dZ = [dZ_l * w for dZ_l in dZs(W, b, names, X, Y, slope)]
    dW = [dZ_l @ A_l.T for dZ_l, A_l in zip(dZ, A, strict=False)]
    db = [dZ_l.sum(axis=1, keepdims=True) for dZ_l in dZ]
    return regularized(J, dW, db, W, w.sum(), alpha)


def regularized(J, dW, db, W, total, alpha):
    """Divide the sums by the sum of the weights, and add the L2 penalty of W."""
    J += 0.5 * alpha * sum(np.sum(W_l**2) for W_l in W)
    dW = [(dW_l + alpha * W_l) / total for dW_l, W_l in zip(dW, W, strict=True)]
    return J / total, dW, [db_l / total for db_l in db]


def descend(W, b, names, X, Y, learning_rate, n_iter, **options):
    """Return the costs of n_iter steps of gradient descent, and the W and b after them."""
    W, b, costs = [W_l.copy() for W_l in W], [b_l.copy() for b_l in b], []
    for _ in range(n_iter):
        J, dW, db = by_columns(W, b, names, X, Y, **options)
        costs.append(J)
        W = [W_l - learning_rate * dW_l for W_l, dW_l in zip(W, dW, strict=True)]
        b = [b_l - learning_rate * db_l for b_l, db_l in zip(b, db, strict=True)]
    return np.array(costs), W, b
