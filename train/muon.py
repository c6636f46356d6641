"""Muon (Jordan et al. 2024) over several processes, AdamW for the rest.

A hidden weight's momentum is orthogonalised by a Newton-Schulz iteration
before it is applied; the step is scaled by 0.2 sqrt(max(rows, columns)) to the
size AdamW's would have (Liu et al. 2025), so both share one learning rate.
Each rank orthogonalises its share of the weights.
"""

import torch
import torch.distributed as dist

from common import HALF


def orthogonal(g, steps=5):
    """The nearest semi-orthogonal matrix to g (rows, columns), roughly."""
    x = g.to(HALF)
    if flip := x.shape[0] > x.shape[1]:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if flip else x).float()


class Muon:
    """Holds its state for this rank only; step() does all the talking between ranks."""

    def __init__(self, model, momentum=0.95, betas=(0.9, 0.99), weight_decay=0.01):
        edge = ("embedding", "conv_in", "conv_out", "time_emb")
        named = list(model.named_parameters())
        self.hidden = [p for n, p in named if p.ndim > 1 and not any(e in n for e in edge)]
        hidden = {id(p) for p in self.hidden}
        self.rest = [p for _, p in named if id(p) not in hidden]
        self.params = self.hidden + self.rest
        self.momentum, self.decay = momentum, weight_decay
        self.adam = torch.optim.AdamW(self.rest, betas=betas, weight_decay=0.0, fused=True)
        # largest first, each to the rank with least work so far
        load = [0] * dist.get_world_size()
        self.owner = {}
        for i in sorted(range(len(self.hidden)), key=lambda i: -self.cost(i)):
            self.owner[i] = load.index(min(load))
            load[self.owner[i]] += self.cost(i)
        self.buffers = {i: torch.zeros_like(self.hidden[i]) for i, r in self.owner.items() if r == dist.get_rank()}

    def cost(self, i):
        p = self.hidden[i]
        return p.numel() * min(p.shape[0], p[0].numel())

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "buffers": self.buffers}

    def load_state_dicts(self, states):
        """Takes up what any number of ranks saved; they need not be as many now."""
        for state in states:
            self.adam.load_state_dict(state["adam"])
            self.buffers.update((i, b) for i, b in state["buffers"].items() if i in self.buffers)

    def step(self, lr, part):
        """Sums the gradients, updates every rank alike and returns rank 0's part."""
        part = part if dist.get_rank() == 0 else 0.0
        grads = [p.grad for p in self.params]
        flat = torch.cat([*(g.reshape(-1) for g in grads), torch.tensor([part])])
        dist.all_reduce(flat)
        part = flat[-1].item()
        flat = flat[:-1] / dist.get_world_size()
        flat *= min(1.0, 1.0 / (flat.norm().item() + 1e-6))
        parts = [f.view(p.shape) for f, p in zip(flat.split([p.numel() for p in self.params]), self.params)]
        update = torch.zeros(sum(p.numel() for p in self.hidden))
        slots = update.split([p.numel() for p in self.hidden])
        for i, buffer in self.buffers.items():
            g = parts[i]
            buffer.lerp_(g, 1 - self.momentum)
            m = torch.lerp(g, buffer, self.momentum).reshape(len(g), -1)
            slots[i].copy_(orthogonal(m).mul_(0.2 * max(m.shape) ** 0.5).view(-1))
        dist.all_reduce(update)
        with torch.no_grad():
            for p, u in zip(self.hidden, slots):
                p.mul_(1 - lr * self.decay).sub_(u.view(p.shape), alpha=lr)
        for p, g in zip(self.rest, parts[len(self.hidden):]):
            p.grad = g
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        for p in self.params:
            p.grad = None
        return part
