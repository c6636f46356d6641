"""Muon (Jordan et al. 2024) over one or several processes, AdamW for the rest.

A hidden weight's momentum is orthogonalised by a Newton-Schulz iteration
before it is applied; the step is scaled by 0.2 sqrt(max(rows, columns)) to the
size AdamW's would have (Liu et al. 2025), so both share one learning rate.
Weights of one shape are orthogonalised together, and each rank does its share.
"""

import torch
import torch.distributed as dist

from common import bfloat16

EDGE = ("embedding", "conv_in", "conv_out", "time_emb")  # first and last layers are no hidden ones


def orthogonal(g, steps=5):
    """The nearest semi-orthogonal matrix to each of g (n, rows, columns), roughly."""
    x = g.to(torch.bfloat16) if bfloat16(g.device.type) else g
    if flip := x.shape[1] > x.shape[2]:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if flip else x).float()


def ranks():
    """This process and how many there are; one where no group was made."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def add_up(x):
    """Sums x over the ranks, in place."""
    if dist.is_initialized():
        dist.all_reduce(x)


class Muon:
    """Holds its state for this rank only; step() does all the talking between ranks."""

    def __init__(self, model, edge=EDGE, momentum=0.95, betas=(0.9, 0.99), weight_decay=0.01):
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        hidden = [p for n, p in named if p.ndim > 1 and not any(e in n for e in edge)]
        known = {id(p) for p in hidden}
        self.rest = [p for _, p in named if id(p) not in known]
        shapes = {}
        for i, p in enumerate(hidden):
            shapes.setdefault((len(p), p[0].numel()), []).append(i)
        self.hidden = [hidden[i] for same in shapes.values() for i in same]  # those of one shape lie together
        self.params = self.hidden + self.rest
        self.momentum, self.decay = momentum, weight_decay
        device = named[0][1].device
        self.adam = torch.optim.AdamW(self.rest, betas=betas, weight_decay=0.0, fused=True)
        # a group is (first, end, rows, columns) of self.hidden; largest first, to the rank with least work so far
        groups, first = [], 0
        for (rows, columns), same in shapes.items():
            groups.append((first, first + len(same), rows, columns))
            first += len(same)
        rank, count = ranks()
        load, self.mine = [0] * count, []
        for a, b, rows, columns in sorted(groups, key=lambda g: -(g[1] - g[0]) * g[2] * g[3] * min(g[2], g[3])):
            least = load.index(min(load))
            load[least] += (b - a) * rows * columns * min(rows, columns)
            if least == rank:
                self.mine.append((a, b, rows, columns))
        self.buffers = {a: torch.zeros(b - a, rows, columns, device=device) for a, b, rows, columns in self.mine}

    def state_dict(self):
        return {"adam": self.adam.state_dict(), "buffers": self.buffers}

    def load_state_dicts(self, states):
        """Takes up what any number of ranks saved; they need not be as many now."""
        for state in states:
            self.adam.load_state_dict(state["adam"])
            for a, buffer in state["buffers"].items():
                if a in self.buffers:
                    self.buffers[a].copy_(buffer)

    @torch.no_grad()
    def step(self, lr, part=0.0):
        """Sums the gradients, updates every rank alike, empties them, and returns rank 0's part."""
        rank, count = ranks()
        flat = torch.cat([p.grad.reshape(-1) if p.grad is not None else torch.zeros_like(p).reshape(-1) for p in self.params])
        if count > 1:
            flat = torch.cat([flat, flat.new_tensor([part if rank == 0 else 0.0])])
            add_up(flat)
            part, flat = flat[-1].item(), flat[:-1] / count
        flat = flat * (1 / (flat.norm() + 1e-6)).clamp(max=1)
        grads = flat.split([p.numel() for p in self.params])
        update = torch.zeros(sum(p.numel() for p in self.hidden), device=flat.device)
        slots = update.split([p.numel() for p in self.hidden])
        for a, b, rows, columns in self.mine:
            g, buffer = torch.stack(grads[a:b]).view(-1, rows, columns), self.buffers[a]
            buffer.lerp_(g, 1 - self.momentum)
            made = orthogonal(torch.lerp(g, buffer, self.momentum)) * (0.2 * max(rows, columns) ** 0.5)
            for slot, u in zip(slots[a:b], made):
                slot.copy_(u.reshape(-1))
        add_up(update)
        if self.hidden:
            torch._foreach_mul_(self.hidden, 1 - lr * self.decay)
            torch._foreach_sub_(self.hidden, [u.view(p.shape) for u, p in zip(slots, self.hidden)], alpha=lr)
        for p, g in zip(self.rest, grads[len(self.hidden):]):
            p.grad = g.view(p.shape).clone()
        self.adam.param_groups[0]["lr"] = lr
        self.adam.step()
        for p in self.params:
            p.grad = None
        return part
