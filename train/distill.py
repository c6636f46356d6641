"""Distils the trained denoiser into a student that needs one evaluation a step and few steps.

  python distill.py METHOD [--minutes 60] [--device cpu] [--ranks 1] [--start NAME]    from denoiser.pt to student-METHOD.pt; resumes

All start from the teacher's weights (or student-NAME.pt) and fold guidance 3 in,
so that the student is sampled without (guidance 1):
  guide        the teacher's guided velocity at noised pictures (Meng et al. 2023, one guidance only)
  model        no teacher: the picture's own velocity plus two thirds of the network's own difference between
               prompt and no prompt (Tang et al. 2025), so that it goes on learning from pictures
  match        the guided teacher's distribution (Yin et al. 2024, DMD2 without its adversarial term), along the
               student's own walks of 1, 2 and 4 steps, so that no picture and no teacher's walk is needed; from the
               teacher's weights its first part is guide's
"""

import argparse
import copy
import time

import torch

import tokenizer
from common import WORK, Clock, compiled, log, mixed, save
from muon import Muon
from train import CALLS, CHECKPOINT, Denoiser, Samples, arguments, attention, fill, group, spawn, together, weights

GUIDANCE = 3.0
PEAK = {"guide": 4e-4, "model": 4e-4, "match": 2e-4}
CRITIC = 4e-4  # match: the rate of the network that follows the student's distribution
WALKS = (1, 2, 4, 4)  # match: a walk's steps are drawn from these
WARM = 0.2  # match: the part that is guide's
EMA = 0.95


class Distiller:
    """The teacher, the student and what each method wants of the student."""

    def __init__(self, student, teacher, critic, samples):
        self.student, self.teacher, self.critic = student, teacher, critic
        self.draw, self.n, self.device = samples.draw, samples.n, samples.empty.device
        self.empty = samples.empty.expand(self.n, -1).contiguous()
        self.left = torch.zeros(self.n, dtype=torch.long, device=self.device)  # match: steps left of each walk
        self.x = self.ids = None

    def rand(self):
        return torch.rand(self.n, device=self.device)

    def ask(self, net, x, sigma, ids):
        """A network's velocity in f32. Always in the graph of training, so that one compilation serves all."""
        with mixed(self.device.type), attention(self.device.type):
            return net(x.contiguous(memory_format=torch.channels_last), sigma, ids).float()

    def guided(self, x, sigma, ids):
        named = self.ask(self.teacher, x, sigma, ids).detach()
        empty = self.ask(self.teacher, x, sigma, self.empty).detach()
        return empty + GUIDANCE * (named - empty)

    def guide(self):
        x0, ids = self.draw()
        sigma = torch.where(self.rand() < 0.2, 1.0, 0.02 + 0.98 * self.rand())
        x = mix(x0, torch.randn_like(x0), sigma)
        return (self.ask(self.student, x, sigma, ids) - self.guided(x, sigma, ids)).square().mean()

    def model(self):
        x0, ids = self.draw()
        noise = torch.randn_like(x0)
        sigma = torch.where(self.rand() < 0.15, 1.0, torch.sigmoid(torch.randn(self.n, device=self.device)))
        x = mix(x0, noise, sigma)
        v = self.ask(self.student, x, sigma, ids)
        push = v.detach() - self.ask(self.student, x, sigma, self.empty).detach()
        return (v - (noise - x0) - (GUIDANCE - 1) / GUIDANCE * push).square().mean()

    def match(self):
        """One step of n walks. The critic's own loss, on the same noised results, is in the sum: no weight is shared."""
        x0, ids = self.draw()
        new = self.left == 0
        if self.x is None:
            self.x, self.ids, self.steps = torch.randn_like(x0), ids, self.left.clone()
        walks = torch.tensor(WALKS, device=self.device)[torch.randint(len(WALKS), (self.n,), device=self.device)]
        self.x = torch.where(wide(new), torch.randn_like(x0), self.x)
        self.ids = torch.where(new[:, None], ids, self.ids)
        self.steps = torch.where(new, walks, self.steps)
        self.left = torch.where(new, self.steps, self.left)
        sigma = self.left / self.steps
        v = self.ask(self.student, self.x, sigma, self.ids)
        made = self.x - wide(sigma) * v
        t = 0.02 + 0.96 * self.rand()
        noise = torch.randn_like(made)
        y = mix(made.detach(), noise, t)
        real = y - wide(t) * self.guided(y, t, self.ids)
        velocity = self.ask(self.critic, y, t, self.ids)
        fake = y - wide(t) * velocity.detach()
        away = (made.detach() - real).abs().mean((1, 2, 3), keepdim=True)
        goal = made.detach() - (fake - real) / away.clamp(min=1e-3)
        self.x = self.x - wide(1 / self.steps) * v.detach()
        self.left = self.left - 1
        return (made - goal).square().mean() + (velocity - (noise - made.detach())).square().mean()


def wide(sigma):
    return sigma.view(-1, 1, 1, 1)


def mix(x0, noise, sigma):
    return (1 - wide(sigma)) * x0 + wide(sigma) * noise


def distill(rank, count, port, method, minutes, begin, device):
    group(rank, count, port)
    words = tokenizer.load()
    samples = Samples(words, device)
    teacher = Denoiser(words).to(device, memory_format=torch.channels_last)
    out = WORK / f"student-{method}.pt"
    fill(teacher, torch.load(CHECKPOINT, map_location=device)["ema"])
    student, critic = copy.deepcopy(teacher), copy.deepcopy(teacher)
    state = {"step": 0, "minutes": 0.0}
    if out.exists():
        saved = torch.load(out, map_location=device)
        fill(student, saved["ema"])
        state = {k: saved[k] for k in state}
        if "critic" in saved:
            critic.load_state_dict(saved["critic"])
    elif begin:
        fill(student, torch.load(WORK / f"student-{begin}.pt", map_location=device)["ema"])
    if state["minutes"] >= minutes:
        return
    average = copy.deepcopy(student)
    learned = [(Muon(student), PEAK[method])]
    if method == "match":
        learned.append((Muon(critic), CRITIC))
    # on a GPU a compilation takes longer than it wins in a student's minute or two
    distiller = Distiller(*(compiled(net) if device == "cpu" else net for net in (student, teacher, critic)), samples)
    torch.manual_seed(int(time.time()) * count + rank)
    getattr(distiller, method)().backward()  # compiles
    for net in (student, teacher, critic):
        net.zero_grad()
    together()
    clock = Clock(device, minutes, state["minutes"])
    calls, begun, total, part = CALLS[device] // count, state["step"], 0.0, clock.tick()
    while part < 1:
        warm = method == "match" and not begin and part < WARM
        for _ in range(calls):
            loss = (distiller.guide() if warm else getattr(distiller, method)()) / calls
            loss.backward()
            total = total + loss.detach()
        now = clock.tick()
        for opt, peak in learned[:1] if warm else learned:
            now = opt.step((PEAK["guide"] if warm else peak) * min(1, (state["step"] - begun + 1) / 20, 2 * (1 - part) + 0.01), now)
        part = now
        state["step"] += 1
        torch._foreach_lerp_([p.data for p in average.parameters()], [p.data for p in student.parameters()], 1 - EMA)
        if rank == 0 and (state["step"] % 20 == 0 or part >= 1):
            state["minutes"] = minutes if part >= 1 else clock.minutes()
            log(f"student-{method}", f"step {state['step']} {state['minutes']:.1f} min loss {float(total) / ((state['step'] - begun - 1) % 20 + 1):.4f}")
            total = 0.0
            extra = {"critic": critic.state_dict()} if method == "match" else {}
            save({"ema": weights(average), **state, **extra}, out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=tuple(PEAK))
    parser.add_argument("--start", help="an earlier student to start from")
    args = arguments(parser)
    spawn(distill, 1 if args.device == "cuda" else args.ranks, args.method, args.minutes, args.start, args.device)


if __name__ == "__main__":
    main()
