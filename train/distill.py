"""Distils the trained denoiser into a student that needs one evaluation a step and few steps.

  python distill.py METHOD MINUTES    from denoiser.pt to student-METHOD.pt; resumes

All start from the teacher's weights and fold guidance 3 in, so that the student
is sampled without (guidance 1), and all draw x_t from noised pictures:
  guide        the teacher's guided velocity (Meng et al. 2023, one guidance only)
  model        no teacher: the picture's own velocity plus two thirds of the network's own difference between
               prompt and no prompt (Tang et al. 2025), so that it goes on learning from pictures
"""

import argparse
import copy
import random
import time

import torch
import torch.distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel

import tokenizer
from common import PAUSE, WORK, save
from muon import Muon
from train import BATCH, CHECKPOINT, Denoiser, batch, samples

GUIDANCE = 3.0
PEAK = 4e-4
EMA = 0.95


class Distiller:
    """The teacher, the student and what each method wants of the student."""

    def __init__(self, student, teacher, empty):
        self.student, self.teacher = student, teacher
        self.empty = empty.expand(BATCH, -1).contiguous()

    def ask(self, net, x, sigma, ids):
        """A network's velocity in f32. Always in the graph of training, so that one compilation serves all."""
        with torch.autocast("cpu", torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            return net(x.contiguous(memory_format=torch.channels_last), sigma, ids).float()

    def guided(self, x, sigma, ids):
        named = self.ask(self.teacher, x, sigma, ids).detach()
        empty = self.ask(self.teacher, x, sigma, self.empty).detach()
        return empty + GUIDANCE * (named - empty)

    def guide(self, x0, noise, ids):
        sigma = torch.where(torch.rand(BATCH) < 0.2, 1.0, 0.02 + 0.98 * torch.rand(BATCH))
        x = mix(x0, noise, sigma)
        return (self.ask(self.student, x, sigma, ids) - self.guided(x, sigma, ids)).square().mean()

    def model(self, x0, noise, ids):
        sigma = torch.where(torch.rand(BATCH) < 0.15, 1.0, torch.sigmoid(torch.randn(BATCH)))
        x = mix(x0, noise, sigma)
        v = self.ask(self.student, x, sigma, ids)
        push = v.detach() - self.ask(self.student, x, sigma, self.empty).detach()
        return (v - (noise - x0) - (GUIDANCE - 1) / GUIDANCE * push).square().mean()


def wide(sigma):
    return sigma.view(-1, 1, 1, 1)


def mix(x0, noise, sigma):
    return (1 - wide(sigma)) * x0 + wide(sigma) * noise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("method", choices=("guide", "model"))
    parser.add_argument("minutes", type=float)
    args = parser.parse_args()
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{random.randint(20000, 60000)}", rank=0, world_size=1)
    torch.set_num_threads(1)
    words = tokenizer.load()
    *data, empty = *samples(words), words("", padding="max_length", return_tensors="pt").input_ids[0]
    teacher = Denoiser(words).to(memory_format=torch.channels_last)
    out = WORK / f"student-{args.method}.pt"

    def fill(net, path):
        weights = torch.load(path)["ema"]
        net.text.load_state_dict(weights["text"])
        net.unet.load_state_dict(weights["unet"])

    fill(teacher, CHECKPOINT)
    student = copy.deepcopy(teacher)
    step = 0
    if out.exists():
        fill(student, out)
        step = torch.load(out)["step"]
    average = copy.deepcopy(student)
    opt = Muon(student)
    distiller = Distiller(torch.compile(student), torch.compile(teacher), empty)
    loss_fn = getattr(distiller, args.method)
    torch.manual_seed(int(time.time()))
    start, part, total = None, 0.0, 0.0
    while part < 1:
        while PAUSE.exists():
            time.sleep(0.5)
        x0, ids = batch(*data, empty)
        loss = loss_fn(x0, torch.randn_like(x0), ids)
        loss.backward()
        start = start or time.time()  # the first step compiles
        part = (time.time() - start) / 60 / args.minutes
        opt.step(PEAK * min(1, (step + 1) / 20, 2 * (1 - part) + 0.01), part)
        step += 1
        total += loss.item()
        torch._foreach_lerp_([p.data for p in average.parameters()], [p.data for p in student.parameters()], 1 - EMA)
        if step % 20 == 0 or part >= 1:
            print(f"{time.strftime('%H:%M:%S')} step {step} samples {step * BATCH} loss {total / 20:.4f}", flush=True)
            total = 0.0
            save({"ema": {"text": average.text.state_dict(), "unet": average.unet.state_dict()}, "step": step}, out)


if __name__ == "__main__":
    main()
