"""Trains the demonstration model from nothing, on the corpus alone.

    python3 train.py RUN-FOLDER [--steps 5500] [--minutes 60]

Needs torch, numpy and sentencepiece; two processor threads are plenty. Everything random comes from one seed.
Writes tokenizer.model, checkpoint.pt (every few minutes, and at the end) and train.log into RUN-FOLDER.
"""

import argparse
import math
import random
import time
from pathlib import Path

import torch

import questions
import tokenizer
from network import Network, Shape

SEED = 20261121
LAST = 3e-5  # the learning rate at the end
WARM_UP = 100
KEEP = 0.998  # what ships is a running mean of the weights, over about the last 500 steps
BEGINNING = 10  # tokens of an answer in a cut row
ROW_TOKENS = 1024  # tokens in one step, padding included


def conversations(blocks, rng):
    """One epoch: every block `draws` times, each question as another person might type it, some after earlier turns."""
    turns = [b for b in blocks for _ in range(int(b.draws + rng.random()))]
    rng.shuffle(turns)
    while turns:
        count = 1 if rng.random() < 0.88 else rng.choice([2, 2, 3, 4])
        messages = []
        if rng.random() < 0.12:
            messages.append(("system", rng.choice(tokenizer.SYSTEM_MESSAGES)))
        for block in turns[:count]:
            messages.append(("user", questions.augment(block.draw(rng), rng)))
            messages.append(("assistant", block.answer))
        del turns[:count]
        yield messages


def cut(ids, counted):
    """The question and the beginning of its answer: where the answers part is what takes longest to learn."""
    length = counted.index(True) + BEGINNING
    return ids[:length], counted[:length]


def batches(blocks, tokens, shape, rng, whole):
    """Rows of like length together, in random order. Once the answers are known, most rows are cut."""
    step = 0
    while True:
        rows = []
        for messages in conversations(blocks, rng):
            row = tokens.conversation(messages, vary=0.1 if rng.random() < 0.4 else 0.0)
            if step > whole and len(messages) <= 2 and rng.random() < 0.75:
                row = cut(*row)
            rows.append((row[0][:shape.context], row[1][:shape.context]))
        rows.sort(key=lambda r: len(r[0]) + rng.random() * 8)
        groups, group = [], []
        for row in rows:
            if group and len(row[0]) * (len(group) + 1) > ROW_TOKENS:
                groups.append(group)
                group = []
            group.append(row)
        groups.append(group)
        rng.shuffle(groups)
        for group in groups:
            length = max(len(i) for i, _ in group)
            ids = torch.tensor([i + [0] * (length - len(i)) for i, _ in group])
            counted = torch.tensor([c + [False] * (length - len(c)) for _, c in group])
            yield ids, counted
            step += 1


def rate(step, steps, peak, spent=0.0):
    """A short rise, then a half cosine over the steps, or over the time where that runs out first (`spent`: 0 to 1)."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    done = min(1.0, max(spent, (step - WARM_UP) / max(1, steps - WARM_UP)))
    return LAST + (peak - LAST) * 0.5 * (1 + math.cos(math.pi * done))


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("folder", type=Path)
    parse.add_argument("--steps", type=int, default=5500)
    parse.add_argument("--minutes", type=float, default=60, help="give up after this long, with what there is")
    parse.add_argument("--whole", type=int, default=1200, help="until this step every answer is trained on as a whole")
    parse.add_argument("--peak", type=float, default=2e-3, help="the highest learning rate")
    parse.add_argument("--threads", type=int, default=1)
    parse.add_argument("--drop", type=float, default=0.0)
    parse.add_argument("--start", type=Path, help="go on from the weights of this checkpoint (same tokenizer)")
    args = parse.parse_args()

    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    args.folder.mkdir(parents=True, exist_ok=True)
    if not (args.folder / "tokenizer.model").exists():
        tokenizer.train(args.folder)
    tokens = tokenizer.Tokenizer(args.folder)
    tokens.pieces.set_random_generator_seed(SEED) if hasattr(tokens.pieces, "set_random_generator_seed") else None
    blocks = questions.read_corpus()
    shape = Shape()
    network = Network(shape, args.drop)
    if args.start:
        network.load_state_dict(torch.load(args.start)["weights"])
    matrices = [p for p in network.parameters() if p.dim() == 2]
    vectors = [p for p in network.parameters() if p.dim() == 1]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=args.peak, betas=(0.9, 0.98))
    log = (args.folder / "train.log").open("a")
    log.write(f"{sum(p.numel() for p in network.parameters())} parameters, {len(blocks)} answers\n")
    begin, saved, mean, seen = time.time(), time.time(), None, 0

    average = {name: p.detach().clone() for name, p in network.state_dict().items()}

    def save(step):
        state = {"shape": shape.as_dict(), "weights": average, "last": network.state_dict(), "step": step,
                 "seconds": time.time() - begin, "tokens": seen}
        torch.save(state, args.folder / "checkpoint.tmp")
        (args.folder / "checkpoint.tmp").replace(args.folder / "checkpoint.pt")

    for step, (ids, counted) in enumerate(batches(blocks, tokens, shape, rng, args.whole)):
        if step >= args.steps or time.time() - begin > args.minutes * 60:
            break
        now = rate(step, args.steps, args.peak, (time.time() - begin) / (args.minutes * 60))
        for group in optimiser.param_groups:
            group["lr"] = now
        loss = network.loss(ids, counted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        seen += ids.numel()
        with torch.no_grad():
            keep = min(KEEP, (step + 1) / (step + 10))
            for name, p in network.state_dict().items():
                average[name].lerp_(p, 1 - keep)
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 50 == 0:
            log.write(f"step {step} loss {mean:.4f} lr {now:.2e} tokens {seen} "
                      f"seconds {time.time() - begin:.0f}\n")
            log.flush()
        if time.time() - saved > 120:
            save(step)
            saved = time.time()
    save(step)


if __name__ == "__main__":
    main()
