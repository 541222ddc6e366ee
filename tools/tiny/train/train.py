"""Trains the tiny EXAONE 4.5 model on the synthetic tasks.

  python train.py --out DIR --minutes 60                 from scratch; the learning rate follows the clock
  python train.py --out DIR --minutes 30 --resume DIR/last.pt --rate 0.12
  python train.py --out DIR --minutes 8 --resume DIR/last.pt --only-mtp       draft module alone, trunk frozen

Writes DIR/last.pt every few minutes (weights, optimiser, step) and DIR/log.txt. Matrices are trained with Muon, the rest
with AdamW. The figures in the log are on training batches, which are drawn fresh and never repeated.

An auxiliary loss teaches the vision tower directly: a linear head on the visual features names the characters or the
object of each 28 x 28 cell. The head is not part of the model.

--ranks N runs N processes of one thread each that share every step (gradients averaged, Muon's matrices split): on a CPU
this is faster and steadier than one process of N threads.
"""

import argparse
import multiprocessing
import os
import random
import tempfile
import time
from collections import defaultdict

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from batches import START, TASKS, Stream
from draw import CLASSES, SLOTS
from tiny_model import Config, TinyExaone, patches

MIX = {
    "ocr": 0.34,
    "shapes": 0.13,
    "multiturn": 0.11,
    "video": 0.08,
    "arith": 0.11,
    "tools": 0.08,
    "facts": 0.05,
    "recall": 0.10,
}


def orthogonal(g, steps=5):
    """Newton-Schulz iteration of Muon: the nearest semi-orthogonal matrix, roughly."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g / (g.norm() + 1e-7)
    flip = x.shape[0] > x.shape[1]
    if flip:
        x = x.T
    for _ in range(steps):
        m = x @ x.T
        x = a * x + (b * m + c * m @ m) @ x
    return x.T if flip else x


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr, momentum=0.95, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        rank, ranks = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        for gr in self.param_groups:
            ps = [p for p in gr["params"] if p.grad is not None]
            ups = torch.zeros(sum(p.numel() for p in ps))
            views = ups.split([p.numel() for p in ps])
            for i, (p, out) in enumerate(zip(ps, views)):
                g = p.grad.flatten(1)
                buf = self.state[p].setdefault("m", torch.zeros_like(g))
                buf.lerp_(g, 1 - gr["momentum"])
                if i % ranks == rank:
                    out.copy_(orthogonal(g.lerp(buf, gr["momentum"])).flatten())
            if ranks > 1:
                dist.all_reduce(ups)
            for p, u in zip(ps, views):
                p.mul_(1 - gr["lr"] * gr["weight_decay"])
                p.add_(u.view_as(p), alpha=-gr["lr"] * max(1, p.shape[0] * p.shape[0] / p.numel()) ** 0.5)


def optimisers(model, a):
    groups = {"muon": [], "adam": [], "gain": []}
    for n, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if p.dim() < 2:
            groups["gain"].append(p)
        elif "embed_tokens" in n or "lm_head" in n or a.adam:
            groups["adam"].append(p)
        else:
            groups["muon"].append(p)
    opts = [
        torch.optim.AdamW(
            [{"params": groups["adam"], "weight_decay": 0.01}, {"params": groups["gain"], "weight_decay": 0.0}],
            lr=a.adam_lr,
            betas=(0.9, 0.95),
            eps=1e-8,
            fused=True,
        )
    ]
    if groups["muon"]:
        opts.append(Muon(groups["muon"], lr=a.muon_lr, weight_decay=a.decay))
    for o in opts:
        for gr in o.param_groups:
            gr["base"] = gr["lr"]
    return opts


def tensors(b):
    ids = torch.from_numpy(b["ids"]).long()
    weight = torch.from_numpy(b["weight"])
    frames = grid = None
    if b["frames"] is not None:
        f = torch.from_numpy(b["frames"])
        frames, grid = patches(f.expand(-1, 2, -1, -1, -1) if f.shape[1] == 1 else f)
    return ids, weight, frames, grid


def cell_loss(aux, features, cells):
    """Mean loss over the characters and objects to find, plus a little for the empty slots; and the share found."""
    want = torch.from_numpy(cells).long().flatten()
    logits = aux(features).view(want.shape[0], -1)
    loss = F.cross_entropy(logits, want, reduction="none")
    some = want > 0
    return loss[some].mean() + 0.3 * loss[~some].mean(), (logits[some].argmax(-1) == want[some]).float().mean().item()


def trunk_loss(model, b):
    """Weighted sum of token losses, and per conversation whether every token was the argmax."""
    ids, weight, frames, grid = tensors(b)
    h, x = model.hidden(ids, frames, grid)
    at = weight > 0
    logits = model.lm_head(h[at])
    want = ids.roll(-1, 1)[at]
    loss = (F.cross_entropy(logits, want, reduction="none") * weight[at]).sum()
    with torch.no_grad():
        wrong = torch.zeros(ids.shape[0]).index_add_(0, at.nonzero()[:, 0], (logits.argmax(-1) != want).float())
    return loss, wrong == 0, ids, weight, h, x


def mtp_loss(model, ids, weight, h, x, drafts=3):
    """Losses of 1..drafts drafts. The chain that starts at t predicts token t+1+k with draft k, fed the true tokens.

    x: the rows the trunk read (token embeddings, picture features), h: its hidden states after the final norm.
    """
    lm = model.model.language_model
    total, right, cache = 0.0, [], []
    for k in range(1, drafts + 1):
        h = model.mtp.draft(F.pad(x[:, k:], (0, 0, 0, k)), h, k, cache, lm.freq, model.c.sliding_window)
        w = F.pad(weight[:, k:], (0, k))
        at = w > 0
        want = ids.roll(-1 - k, 1)[at]
        logits = F.linear(h[at], model.lm_head.weight.detach())
        total = total + (F.cross_entropy(logits, want, reduction="none") * w[at]).sum() * (1.0, 0.7, 0.5)[k - 1]
        right.append((logits.argmax(-1) == want).float().mean().item())
    return total, right


def average(params, extra):
    """Averages gradients over the ranks; returns the average of the number `extra` too."""
    flat = torch.cat([p.grad.flatten() for p in params] + [torch.tensor([extra])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for p, g in zip(params, flat.split([p.numel() for p in params] + [1])):
        p.grad.copy_(g.view_as(p))
    return float(flat[-1])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", required=True)
    ap.add_argument(
        "--tokenizer",
        default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../models/tiny/tokenizer.json"),
    )
    ap.add_argument("--minutes", type=float, default=60)
    ap.add_argument("--steps", type=int, default=0, help="stop after this many steps even if time is left")
    ap.add_argument("--resume", help="checkpoint to start from")
    ap.add_argument("--rate", type=float, default=0.35, help="multiplies the learning rates (1.0 proved far too high)")
    ap.add_argument("--micro", type=int, default=2, help="micro-batches per step and rank")
    ap.add_argument("--warmup", type=int, default=60)
    ap.add_argument("--cooldown", type=float, default=0.4, help="share of the time over which the rate falls to zero")
    ap.add_argument("--climb", type=float, default=0.015, help="how much a task's level rises per batch it does well on")
    ap.add_argument("--levels", default="", help="task=level,... to start from")
    ap.add_argument("--top", default="", help="task=level,... highest levels, where not --level")
    ap.add_argument("--aux", type=float, default=0.5, help="weight of the auxiliary loss")
    ap.add_argument("--level", type=float, default=0.69, help="highest curriculum level")
    ap.add_argument("--muon-lr", type=float, default=0.02)
    ap.add_argument("--adam-lr", type=float, default=3e-3)
    ap.add_argument("--decay", type=float, default=0.05)
    ap.add_argument("--adam", action="store_true", help="AdamW for everything")
    ap.add_argument("--only-mtp", action="store_true")
    ap.add_argument("--mix", default="", help="task=share,... replaces the mixture")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--threads", type=int, default=1, help="per rank")
    ap.add_argument("--ranks", type=int, default=2)
    ap.add_argument("--workers", type=int, default=1)
    ap.add_argument("--save-every", type=float, default=3.0, help="minutes")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    if a.ranks == 1:
        return run(a, 0)
    meet = tempfile.mktemp()
    ps = [multiprocessing.Process(target=run, args=(a, r, meet)) for r in range(a.ranks)]
    for p in ps:
        p.start()
    for p in ps:
        p.join()


def run(a, rank, meet=None):
    if meet:
        dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=a.ranks)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    random.seed(a.seed)
    mix = dict((k, float(v)) for k, v in (e.split("=") for e in a.mix.split(","))) if a.mix else MIX

    model = TinyExaone(Config())
    step0 = 0
    if a.resume:
        ck = torch.load(a.resume, map_location="cpu")
        model.load_state_dict(ck["model"])
        step0 = ck["step"]
    for n, p in model.named_parameters():
        p.requires_grad_(n.startswith("mtp.") == a.only_mtp)
    opts = optimisers(model, a)
    aux = torch.nn.Linear(model.c.hidden_size, SLOTS * (len(CLASSES) + 1))
    if a.resume and "aux" in ck:
        aux.load_state_dict(ck["aux"])
    if not a.only_mtp:
        opts.append(torch.optim.AdamW(aux.parameters(), lr=a.adam_lr, betas=(0.9, 0.95), weight_decay=0.01))
        opts[-1].param_groups[0]["base"] = a.adam_lr
    if a.resume and not a.only_mtp and not ck.get("only_mtp") and "opts" in ck:
        for o, s in zip(opts, ck["opts"]):
            base = [g["base"] for g in o.param_groups]
            o.load_state_dict(s)
            for g, b in zip(o.param_groups, base):
                g["base"] = b
    trained = [p for p in model.parameters() if p.requires_grad] + ([] if a.only_mtp else list(aux.parameters()))

    stream = Stream(a.tokenizer, mix, a.seed + step0 * 7 + int(time.time()) % 100000 + 500000 * rank, a.workers)
    log = open(os.path.join(a.out, "log.txt"), "a")

    for t in START:
        if a.only_mtp:
            stream.levels[TASKS.index(t)] = a.level
    for e in filter(None, a.levels.split(",")):
        stream.levels[TASKS.index(e.split("=")[0])] = float(e.split("=")[1])
    top = {k: float(v) for k, v in (e.split("=") for e in filter(None, a.top.split(",")))}
    doing = defaultdict(float)

    def say(s):
        if rank:
            return
        print(s, flush=True)
        log.write(s + "\n")
        log.flush()

    say(f"start {time.strftime('%H:%M:%S')} {vars(a)}")
    t0 = last_save = last_say = time.time()
    acc, los, found, draft = defaultdict(list), defaultdict(list), defaultdict(list), []
    step, seen = step0, 0
    wait = done = 0.0

    def save():
        if rank:
            return
        tmp = os.path.join(a.out, "last.pt.tmp")
        torch.save(
            {
                "model": model.state_dict(),
                "opts": [o.state_dict() for o in opts],
                "step": step,
                "aux": aux.state_dict(),
                "only_mtp": a.only_mtp,
            },
            tmp,
        )
        os.replace(tmp, os.path.join(a.out, "last.pt"))

    while True:
        if done >= 1 or (a.steps and step - step0 >= a.steps):
            break
        rate = a.rate * min(1.0, (step - step0 + 1) / a.warmup) * min(1.0, (1 - done) / max(1e-9, a.cooldown))
        for o in opts:
            for g in o.param_groups:
                g["lr"] = g["base"] * rate
        w0 = time.time()
        micro = [stream.get() for _ in range(a.micro)]
        wait += time.time() - w0
        norm = sum(float(b["weight"].sum()) for b in micro)
        for b in micro:
            seen += int((b["ids"] != 0).sum())
            if a.only_mtp:
                ids, weight, frames, grid = tensors(b)
                with torch.no_grad():
                    h, x = model.hidden(ids, frames, grid)
                loss, right = mtp_loss(model, ids, weight, h, x)
                draft.append(right)
                los[b["task"]].append(loss.item() / float(b["weight"].sum()))
            else:
                loss, ok, *_ = trunk_loss(model, b)
                t, i = b["task"], TASKS.index(b["task"])
                acc[t].append(ok.float().mean().item())
                doing[t] += 0.15 * (acc[t][-1] - doing[t])
                if t in START and doing[t] > 0.45:
                    stream.levels[i] = max(stream.levels[i], min(top.get(t, a.level), stream.levels[i] + a.climb))
                los[b["task"]].append(loss.item() / float(b["weight"].sum()))
            loss = loss / norm
            if b["cells"] is not None and not a.only_mtp and a.aux > 0:
                extra, share = cell_loss(aux, model.features, b["cells"])
                loss = loss + extra * (a.aux / a.micro)
                found[t].append(share)
            loss.backward()
        done = (time.time() - t0) / (a.minutes * 60)
        if meet:
            for p in trained:
                if p.grad is None:
                    p.grad = torch.zeros_like(p)
            done = average(trained, done)
        torch.nn.utils.clip_grad_norm_([p for g in opts[0].param_groups for p in g["params"]], 1.0)
        for o in opts:
            o.step()
            o.zero_grad(set_to_none=True)
        step += 1
        now = time.time()
        if now - last_say > 30:
            s = " ".join(
                f"{k}:{np.mean(los[k]):.2f}" + (f"/{np.mean(acc[k]) * 100:.0f}%" if acc[k] else "") for k in mix if los[k]
            )
            if draft:
                s += " drafts " + " ".join(f"{v:.3f}" for v in np.mean(draft, 0))
            lv = " ".join(f"{stream.levels[TASKS.index(t)]:.2f}" for t in START)
            say(f"{(now - t0) / 60:5.1f}m step {step} tok {seen * a.ranks} wait {wait:.0f}s lr {rate:.2f} levels {lv} {s}")
            if found:
                s += " found " + " ".join(f"{k}:{np.mean(v) * 100:.0f}%" for k, v in found.items())
            found.clear(), acc.clear(), los.clear(), draft.clear()
            last_say = now
        if now - last_save > a.save_every * 60:
            save()
            last_save = now
    save()
    say(f"end {time.strftime('%H:%M:%S')} step {step} tokens {seen * a.ranks}")
    stream.close()


if __name__ == "__main__":
    main()
