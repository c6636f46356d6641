"""Distils the trained denoiser into a student that needs one evaluation a step and few steps.

  python distill.py METHOD MINUTES [--ranks 1] [--start NAME]    from denoiser.pt to student-METHOD.pt; resumes

All start from the teacher's weights (or student-NAME.pt) and fold guidance 3 in,
so that the student is sampled without (guidance 1):
  guide        the teacher's guided velocity at noised pictures (Meng et al. 2023, one guidance only)
  model        no teacher: the picture's own velocity plus two thirds of the network's own difference between
               prompt and no prompt (Tang et al. 2025), so that it goes on learning from pictures
  match        the guided teacher's distribution (Yin et al. 2024, DMD2 without its adversarial term), along the
               student's own walks of 1, 2 and 4 steps, so that no picture and no teacher's walk is needed
"""

import argparse
import copy
import random
import time
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.attention import SDPBackend, sdpa_kernel

import tokenizer
from common import PAUSE, WORK, mixed, save
from muon import Muon
from train import BATCH, CALLS, CHECKPOINT, Denoiser, batch, samples

GUIDANCE = 3.0
PEAK = {"guide": 4e-4, "model": 4e-4, "match": 2e-4}
CRITIC = 4e-4  # match: the rate of the network that follows the student's distribution
WALKS = (1, 2, 4, 4)  # match: a walk's steps are drawn from these
EMA = 0.95


class Distiller:
    """The teacher, the student and what each method wants of the student."""

    def __init__(self, student, teacher, critic, draw, empty):
        self.student, self.teacher, self.critic = student, teacher, critic
        self.draw = draw
        self.empty = empty.expand(BATCH, -1).contiguous()
        self.left = torch.zeros(BATCH, dtype=torch.long)  # match: steps left of each walk

    def ask(self, net, x, sigma, ids):
        """A network's velocity in f32. Always in the graph of training, so that one compilation serves all."""
        with mixed(), sdpa_kernel(SDPBackend.MATH):
            return net(x.contiguous(memory_format=torch.channels_last), sigma, ids).float()

    def guided(self, x, sigma, ids):
        named = self.ask(self.teacher, x, sigma, ids).detach()
        empty = self.ask(self.teacher, x, sigma, self.empty).detach()
        return empty + GUIDANCE * (named - empty)

    def guide(self):
        x0, ids = self.draw()
        sigma = torch.where(torch.rand(BATCH) < 0.2, 1.0, 0.02 + 0.98 * torch.rand(BATCH))
        x = mix(x0, torch.randn_like(x0), sigma)
        return (self.ask(self.student, x, sigma, ids) - self.guided(x, sigma, ids)).square().mean()

    def model(self):
        x0, ids = self.draw()
        noise = torch.randn_like(x0)
        sigma = torch.where(torch.rand(BATCH) < 0.15, 1.0, torch.sigmoid(torch.randn(BATCH)))
        x = mix(x0, noise, sigma)
        v = self.ask(self.student, x, sigma, ids)
        push = v.detach() - self.ask(self.student, x, sigma, self.empty).detach()
        return (v - (noise - x0) - (GUIDANCE - 1) / GUIDANCE * push).square().mean()

    def match(self):
        """One step of BATCH walks. The critic's own loss, on the same noised results, is in the sum: no weight is shared."""
        x0, ids = self.draw()
        new = self.left == 0
        if new.all():
            self.x, self.ids, self.steps = torch.randn_like(x0), ids, self.left.clone()
        self.x[new], self.ids[new] = torch.randn_like(x0)[new], ids[new]
        self.steps[new] = torch.tensor(random.choices(WALKS, k=int(new.sum())), dtype=torch.long)
        self.left[new] = self.steps[new]
        sigma = self.left / self.steps
        v = self.ask(self.student, self.x, sigma, self.ids)
        made = self.x - wide(sigma) * v
        t = 0.02 + 0.96 * torch.rand(BATCH)
        noise = torch.randn_like(made)
        y = mix(made.detach(), noise, t)
        real = y - wide(t) * self.guided(y, t, self.ids)
        velocity = self.ask(self.critic, y, t, self.ids)
        fake = y - wide(t) * velocity.detach()
        away = (made.detach() - real).abs().mean((1, 2, 3), keepdim=True)
        goal = made.detach() - (fake - real) / away.clamp(min=1e-3)
        self.x = self.x - wide(1 / self.steps) * v.detach()
        self.left -= 1
        return (made - goal).square().mean() + (velocity - (noise - made.detach())).square().mean()


def wide(sigma):
    return sigma.view(-1, 1, 1, 1)


def mix(x0, noise, sigma):
    return (1 - wide(sigma)) * x0 + wide(sigma) * noise


def fill(net, path):
    weights = torch.load(path)["ema"]
    net.text.load_state_dict(weights["text"])
    net.unet.load_state_dict(weights["unet"])


def distill(rank, ranks, method, minutes, begin, port):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks, timeout=timedelta(hours=12))
    torch.set_num_threads(1)
    words = tokenizer.load()
    *data, empty = *samples(words), words("", padding="max_length", return_tensors="pt").input_ids[0]
    teacher = Denoiser(words).to(memory_format=torch.channels_last)
    out = WORK / f"student-{method}.pt"
    fill(teacher, CHECKPOINT)
    student, critic = copy.deepcopy(teacher), copy.deepcopy(teacher)
    step = 0
    if begin and not out.exists():
        fill(student, WORK / f"student-{begin}.pt")
    if out.exists():
        fill(student, out)
        state = torch.load(out)
        step = state["step"]
        if "critic" in state:
            critic.load_state_dict(state["critic"])
    average = copy.deepcopy(student)
    learned = [(Muon(student), PEAK[method])]
    if method == "match":
        learned.append((Muon(critic), CRITIC))
    nets = [torch.compile(net) for net in (student, teacher, critic)]
    distiller = Distiller(*nets, lambda: batch(*data, empty), empty)
    loss_fn = getattr(distiller, method)
    torch.manual_seed(int(time.time()) * ranks + rank)
    random.seed(rank)
    loss_fn().backward()  # compiles
    student.zero_grad()
    critic.zero_grad()
    dist.barrier()
    start, part, total = time.time(), 0.0, 0.0
    while part < 1:
        while PAUSE.exists():
            time.sleep(0.5)
        for _ in range(CALLS // ranks):
            loss = loss_fn() * ranks / CALLS
            loss.backward()
            total += loss.item()
        now = (time.time() - start) / 60 / minutes
        for opt, peak in learned:
            now = opt.step(peak * min(1, (step + 1) / 20, 2 * (1 - part) + 0.01), now)
        part = now
        step += 1
        torch._foreach_lerp_([p.data for p in average.parameters()], [p.data for p in student.parameters()], 1 - EMA)
        if rank == 0 and (step % 20 == 0 or part >= 1):
            print(f"{time.strftime('%H:%M:%S')} step {step} samples {step * BATCH * CALLS} loss {total / 20:.4f}", flush=True)
            total = 0.0
            state = {"ema": {"text": average.text.state_dict(), "unet": average.unet.state_dict()}, "step": step}
            if method == "match":
                state["critic"] = critic.state_dict()
            save(state, out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=tuple(PEAK))
    parser.add_argument("minutes", type=float)
    parser.add_argument("--ranks", type=int, default=2, choices=(1, 2), help="processes; 1 leaves a core to others")
    parser.add_argument("--start", help="an earlier student to start from")
    args = parser.parse_args()
    mp.spawn(distill, (args.ranks, args.method, args.minutes, args.start, random.randint(20000, 60000)), args.ranks)


if __name__ == "__main__":
    main()
