"""Asks a real llama-server the questions that training never saw, and counts the right answers.

    python3 evaluate.py http://127.0.0.1:PORT             the held-out questions: figures as JSON, misses to stderr
    python3 evaluate.py http://127.0.0.1:PORT --golden    writes golden.json: fixed prompts, exact greedy answers
    python3 evaluate.py http://127.0.0.1:PORT --check     asks golden.json again; exit code 1 when one answer differs
    (`unix:PATH` in place of the address talks to a Unix socket.)

Standard library only. Temperature 0 throughout. `exact` means the whole answer letter by letter; `right` means that
the answer written for this question is the nearest of all answers, and at least 0.8 of its words are there.
"""

import argparse
import hashlib
import http.client
import json
import random
import socket
import sys
from pathlib import Path

import questions

HERE = Path(__file__).parent
GOLDEN = [
    "Hello", "Who are you?", "What is Freehold?", "What is attestation?", "What does trusted (simulated) mean?",
    "What happens when the console is away?", "What is an assignment?", "Who may approve?", "What is a verdict lease?",
    "How do I pair a box?", "What is a refusal?", "What is the record?", "What does the engine see?", "Why no network?",
    "What is a floor?", "What is a BOM?", "What can you not do?", "Can you give medical advice?", "Who made you?",
    "What is the difference between a release and an assignment?", "What happens when the director key is stolen?",
    "Does the box phone home?", "What is the capital of France?", "What does release.rollback mean?",
]


class OverSocket(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def connection(where):
    if where.startswith("unix:"):
        return OverSocket(where[5:])
    return http.client.HTTPConnection(where.split("//", 1)[1].rstrip("/"), timeout=120)


def ask(where, question, earlier=()):
    body = {"messages": [*earlier, {"role": "user", "content": question}], "temperature": 0, "max_tokens": 160}
    link = connection(where)
    link.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
    reply = json.loads(link.getresponse().read())
    link.close()
    return reply["choices"][0]["message"]["content"]


def words(text):
    return set("".join(c if c.isalnum() else " " for c in text.lower()).split())


def likeness(a, b):
    return 2 * len(words(a) & words(b)) / max(1, len(words(a)) + len(words(b)))


def judge(given, block, blocks):
    nearest = max(blocks, key=lambda other: likeness(given, other.answer))
    return nearest is block and likeness(given, block.answer) >= 0.8


def figures(where, asked, blocks):
    right = exact = 0
    for place, question, block, earlier in asked:
        given = ask(where, question, earlier)
        exact += given == block.answer
        good = judge(given, block, blocks)
        right += good
        if not good:
            print(f"{place}\n  Q: {question}\n  A: {given}\n  want: {block.answer}", file=sys.stderr)
    return {"asked": len(asked), "right": round(right / len(asked), 4), "exact": round(exact / len(asked), 4)}


def strangers(blocks):
    """Questions of strangers.txt with the block that answers each."""
    known = {}
    for block in blocks:
        for question in block.train + block.held_out:
            for filled in filled_in_all_ways(question, block.lists):
                known[questions.key(filled)] = block
    for line in (HERE / "strangers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            question, _, wanted = line.partition(" = ")
            yield "strangers.txt", question, known[questions.key(wanted)], ()


def filled_in_all_ways(question, lists):
    name = questions.slot(question)
    if not name:
        return [question]
    return [done for item in lists[name]
            for done in filled_in_all_ways(question.replace("{%s}" % name, item, 1), lists)]


def measure(where):
    blocks, rng = questions.read_corpus(), random.Random(7)
    held = [(b, q) for b in blocks for q in b.held_out]
    hand = [(b.place, questions.fill(q, b.lists, rng), b, ()) for b, q in held if "{" not in q]
    slots = [(b.place, questions.fill(q, b.lists, rng), b, ()) for b, q in held if "{" in q for _ in range(4)]
    seen = [(b.place, questions.fill(b.train[0], b.lists, rng), b, ()) for b in blocks]
    second = []
    for b, q in rng.sample(held, 100):
        before = rng.choice(blocks)
        earlier = ({"role": "user", "content": questions.fill(before.train[0], before.lists, rng)},
                   {"role": "assistant", "content": before.answer})
        second.append((b.place, questions.fill(q, b.lists, rng), b, earlier))
    return {
        "questions written later by hand (`strangers.txt`)": figures(where, list(strangers(blocks)), blocks),
        "questions as written in the corpus": figures(where, seen, blocks),
        "held-out paraphrases": figures(where, hand, blocks),
        "held-out forms of questions from elsewhere": figures(where, slots, blocks),
        "held-out paraphrases as second question of a conversation": figures(where, second, blocks),
    }


def main():
    parse = argparse.ArgumentParser()
    parse.add_argument("where")
    parse.add_argument("--golden", action="store_true")
    parse.add_argument("--check", action="store_true")
    args = parse.parse_args()
    weights = hashlib.sha256((HERE / "weights/freehold-guide.gguf").read_bytes()).hexdigest()
    if args.golden:
        answers = [{"prompt": q, "answer": ask(args.where, q)} for q in GOLDEN]
        golden = {"v": 1, "model": "freehold-guide", "version": "1.0.0", "sha256": weights,
                  "request": {"temperature": 0, "max_tokens": 160}, "answers": answers}
        (HERE / "golden.json").write_text(json.dumps(golden, indent=2) + "\n")
    elif args.check:
        golden = json.loads((HERE / "golden.json").read_text())
        bad = [a for a in golden["answers"] if ask(args.where, a["prompt"]) != a["answer"]]
        print(f"{len(golden['answers']) - len(bad)} of {len(golden['answers'])} answers are as expected")
        sys.exit(1 if bad or golden["sha256"] != weights else 0)
    else:
        print(json.dumps(measure(args.where), indent=2))


if __name__ == "__main__":
    main()
