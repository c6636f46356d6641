"""Writes cld.json: critically damped Langevin diffusion, the paper's algorithm 1 and Euler-Maruyama in float64.

    python cld.py            # numpy 1.26.4, scipy 1.17.1

The paper's letters (Dockhorn et al. 2021): (x, v), M, Gamma = 2 sqrt(M), beta. The step without the score is solved by
matrix exponentials (van Loan's, for its covariance). The network and its noise are make.py's; they see v / sqrt(M).
"""
import json
import math
import pathlib

import numpy as np
from scipy.linalg import expm

K = np.arange(8)
NOISE = 1.5 * np.sin(12 * K + 1)


def network(u, run):
    return 0.5 * np.sin(u + run) + 0.1 * np.cos(7 * K)


def fresh(run):
    return 1.4 * np.cos(5 * K + 3 * run)


def free(dt, beta, M):
    """Mean and root of the covariance of (x, v) after dt of dx = -beta v/M, dv = beta (x - Gamma v/M) + sqrt(2 Gamma beta) dW."""
    gamma = 2 * math.sqrt(M)
    F = beta * np.array([[0, -1 / M], [1, -gamma / M]])
    Q = np.diag([0, 2 * gamma * beta])
    blocks = expm(np.block([[-F, Q], [np.zeros((2, 2)), F.T]]) * dt)
    A = blocks[2:, 2:].T
    return A, np.linalg.cholesky(A @ blocks[:2, 2:])


def walk(kind, steps, beta, m_inv, eps, striding):
    M = 1 / m_inv
    root, gamma = math.sqrt(M), 2 * math.sqrt(M)
    t = np.linspace(0, 1 - eps, steps)
    if striding == "quadratic":
        t = (1 - eps) * np.flip(1 - (t / (1 - eps)) ** 2)
    x, v = NOISE[:4].copy(), root * NOISE[4:]

    def score(run):
        return network(np.concatenate([x, v / root]), run)[4:] / root

    for i in range(steps - 1):
        dt = t[i + 1] - t[i]
        z = fresh(i)
        s = score(i)
        if kind == "cld":
            v = v + 2 * gamma * beta * dt * (s + v / M)
            # its second half, and the next step's first, which follows without another evaluation
            A, L = free(dt / 2 + (t[i + 2] - t[i + 1] if i + 2 < steps else 0) / 2, beta, M)
            x, v = A @ np.stack([x, v]) + L @ np.stack([z[:4], z[4:]])
        else:
            x, v = x - beta * v / M * dt, v + beta * (x + gamma * v / M + 2 * gamma * s) * dt + math.sqrt(2 * gamma * beta * dt) * z[4:]
    s = score(steps - 1)
    x, v = x - beta * v / M * eps, v + beta * (x + gamma * v / M + 2 * gamma * s) * eps
    return np.concatenate([x, v / root])


configs, cases = [], []
for fields in ({}, {"striding": "linear"}, {"beta": 2.0, "m_inv": 9.0, "sampling_eps": 0.01}):
    configs.append({"_class_name": "CLDScheduler", **fields})
    for kind in ("cld", "cld_euler"):
        for steps in (5, 10, 20):
            final = walk(kind, steps, **{"beta": 4.0, "m_inv": 4.0, "eps": fields.get("sampling_eps", 1e-3), "striding": "quadratic"} | {k: v for k, v in fields.items() if k != "sampling_eps"})
            cases.append({"name": kind, "config": len(configs) - 1, "steps": steps, "final": [float(f"{v:.8g}") for v in final]})
text = '{"configs":[\n' + ",\n".join(json.dumps(c) for c in configs) + '],\n"cases":[\n' + ",\n".join(json.dumps(c) for c in cases) + "]}\n"
(pathlib.Path(__file__).parent / "cld.json").write_text(text)
print(len(cases), "cases", len(text), "bytes")
