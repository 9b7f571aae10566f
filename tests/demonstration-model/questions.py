"""The corpus: reads corpus/*.txt into blocks of questions with one answer.

Line types of a block: `Q:` a question, `H:` a question held out for evaluation, `A:` the answer (ends the block),
`T:` terms, `P:` plural terms, `D:` things to do, `W:` facts to ask the reason of, `C:` refusal codes (these five are
expanded by the templates below, each with templates that are held out), `N:` how often an epoch draws the block. `S:` names a
question of an earlier block; the lines up to the next empty one are further questions to its answer.
`L: name = a | b` defines a list for `{name}` slots of the same file.

Refuses a corpus in which one question has two answers. The one invariant: a held-out question is never trained on.
"""

import math
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

# Training templates first, held-out templates second.
TEMPLATES = {
    "T": (
        ["What is {}?", "What is {}?", "What does {} mean?", "Explain {}", "Tell me about {}", "Define {}", "{}?", "{}",
         "What do you mean by {}?", "Can you explain {}?", "What exactly is {}?", "I do not understand {}",
         "What is meant by {}?", "Describe {}", "Please explain what {} is", "I would like to know what {} is",
         "What's {}?", "How would you define {}?", "Can you tell me what {} means?", "In Freehold, what is {}?",
         "Give me a short explanation of {}", "The meaning of {}", "What do I need to know about {}?",
         "Do you know what {} is?", "What does the word {} mean?"],
        ["Could you describe {} in a few words?", "I have never heard of {}", "So what is {} then?",
         "Please tell me what {} is"],
    ),
    "P": (
        ["What are {}?", "What does {} mean?", "Explain {}", "Tell me about {}", "Define {}", "{}?", "{}",
         "What do you mean by {}?", "Can you explain {}?", "What exactly are {}?", "I do not understand {}"],
        ["Could you describe {} in a few words?", "So what are {} then?"],
    ),
    "D": (
        ["How do I {}?", "How do I {}?", "How can I {}?", "How to {}", "I want to {}", "What do I have to do to {}?",
         "Help me {}", "Can you tell me how to {}?", "What are the steps to {}?", "How does one {}?", "I need to {}",
         "Show me how to {}", "How should I {}?", "What must I do to {}?"],
        ["What is the best way to {}?", "Explain how to {}"],
    ),
    "W": (
        ["Why is it that {}?", "What is the reason that {}?", "How come {}?", "Tell me why {}", "Why: {}"],
        ["Explain why {}"],
    ),
    "C": (
        ["What does {} mean?", "What is {}?", "I see the code {}", "The console says {}", "{}", "My box says {}",
         "What do I do about {}?", "Explain {}", "Refused with {}", "Why {}?", "What is the code {}?"],
        ["I get {}", "It was refused with the code {}, why?"],
    ),
}


@dataclass(eq=False)
class Block:
    place: str
    answer: str = ""
    train: list = field(default_factory=list)
    held_out: list = field(default_factory=list)
    draws: float = 0.0
    lists: dict = field(default_factory=dict)

    def draw(self, rng):
        return fill(rng.choice(self.train), self.lists, rng)


def fill(question, lists, rng):
    return re.sub(r"\{(\w+)\}", lambda m: rng.choice(lists[m[1]]), question)


def slot(question):
    """The name of the first `{name}` in a question, or nothing."""
    found = re.search(r"\{(\w+)\}", question)
    return found and found[1]


def key(question):
    """What makes two questions the same one: letters and digits only."""
    return re.sub(r"[^a-z0-9?]+" if set(question) <= set("? .") else r"[^a-z0-9{}+*()]+", " ", question.lower()).strip()


def without_article(term):
    return re.sub(r"^(a|an|the) ", "", term)


def read_corpus(folder=CORPUS):
    blocks, known = [], {}
    for path in sorted(folder.glob("*.txt")):
        lists, block = {}, None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                if block in blocks:
                    block = None  # the end of more questions to an earlier answer
                continue
            kind, _, text = line.partition(":")
            text = text.strip()
            if kind == "L":
                name, _, items = text.partition("=")
                lists[name.strip()] = [i.strip() for i in items.split("|")]
                continue
            if kind == "S":
                block = known[key(text)]
                continue
            block = block or Block(f"{path.name}:{number}", lists=lists)
            if kind == "A":
                block.answer = text
                blocks.append(block)
                known.update((key(q), block) for q in block.train)
                block = None
            elif kind == "Q":
                block.train += [text, text]  # a hand-written question weighs as two templated ones
            elif kind == "H":
                block.held_out.append(text)
            elif kind == "N":
                block.draws = float(text)
            elif kind in TEMPLATES:
                expand(block, kind, [t.strip() for t in text.split("|")])
            else:
                raise SystemExit(f"{path.name}:{number}: unknown line type `{kind}`")
    for block in blocks:
        finish(block)
    check(blocks)
    return blocks


def expand(block, kind, terms):
    shown, hidden = TEMPLATES[kind]
    forms = list(dict.fromkeys(f for t in terms for f in ([t, without_article(t)] if kind in "TP" else [t])))
    block.train += [s.format(f) for f in forms for s in shown]
    pick = random.Random(block.place)
    block.held_out += [pick.choice(hidden).format(terms[0])]
    if len(terms) > 1:
        block.held_out += [pick.choice(hidden).format(terms[1])]


def finish(block):
    distinct = {key(q) for q in block.train}
    block.draws = block.draws or min(3.0, max(2.0, math.log2(len(distinct)) / 2))


def check(blocks):
    seen, answers = {}, set()
    for block in blocks:
        if block.answer in answers:
            raise SystemExit(f"{block.place}: this answer is given twice")
        answers.add(block.answer)
        for question in block.train + block.held_out:
            other = seen.setdefault(key(question), block)
            if other is not block:
                raise SystemExit(f"`{question}` is asked at {other.place} and at {block.place}")
        trained = {key(q) for q in block.train}
        block.held_out = [q for q in dict.fromkeys(block.held_out) if key(q) not in trained]


PREFIXES = ["Please ", "Hi, ", "Hello, ", "Can you tell me: ", "I have a question: ", "Excuse me, ", "Quick question: ",
            "So, ", "Tell me, ", "I want to know: ", "Hello. ", "Good morning. ", "One question: ", "And ", "Now, ",
            "Please tell me: ", "Could you tell me, ", "Hey, ", "My question is: ", "Ok, "]
SUFFIXES = [" please", ", please", " thanks", " exactly", " then", " Thank you.", " please?", " here",
            " actually"]
SWAPS = [
    (r"^How do I ", ["How can I ", "How to ", "How would I ", "How should I ", "How do we ", "How does one "]),
    (r"^What happens (when|if) ", ["What happens if ", "What happens when ", "What if ", "What will happen if ",
                                   "What would happen if ", "What do you do when "]),
    (r"^What if ", ["What happens if ", "What happens when ", "And if ", "What would happen if "]),
    (r"^(Can|May) I ", ["Can I ", "May I ", "Am I allowed to ", "Is it possible to ", "Could I ", "Can we "]),
    (r"^Why is ", ["Why's ", "How come ", "For what reason is "]),
    (r"^Which ", ["What "]),
    (r"^What is ", ["What's ", "What exactly is ", "Whats "]),
    (r"^Who (may|can) ", ["Who may ", "Who can ", "Who is allowed to ", "Which people may "]),
    (r"^Where (is|are) ", ["Where do I find ", "In which place is "]),
    (r"^Is there ", ["Do you have ", "Does Freehold have ", "Is there any "]),
    (r"\bbox\b", ["machine", "appliance", "box", "Freehold box", "computer"]),
    (r"\bboxes\b", ["machines", "appliances", "boxes", "nodes"]),
    (r"\bthe console\b", ["the fleet console", "the console", "console"]),
    (r"\bstolen\b", ["stolen", "lost", "compromised"]),
    (r"\bsteals\b", ["steals", "takes", "gets"]),
    (r"\bdo not\b", ["don't"]),
    (r"\bcannot\b", ["can't", "can not"]),
    (r"\bI\b", ["I", "we", "i"]),
    (r"\bmy\b", ["my", "our", "the"]),
    (r"\bMy\b", ["My", "Our", "The"]),
    (r"\brefused\b", ["refused", "rejected"]),
    (r"\boperating system\b", ["OS", "system"]),
    (r"\bupdate\b", ["update", "upgrade"]),
    (r"\bfails\b", ["fails", "breaks"]),
]
FILLERS = """so well then now just also maybe really quickly shortly again today here there anyway right honestly basically my our
your this that these some any about with for from and or but if when as by on at it we you they me us please kindly could
would should might do does did is are was be been being have has had get got give tell say know think need want like try
make let see look ask asked wonder wondering question answer word words way best good simple short thing things someone
everybody colleague boss team new people us hear heard never ever always first last more most much many little bit few
describe sentence explain hint idea sure clear curious confused""".split()
SMALL = {"a", "an", "the", "is", "are", "does", "do", "of", "to", "in", "it", "that"}


def augment(question, rng):
    """The same question as another person might type it."""
    for pattern, choices in SWAPS:
        if rng.random() < 0.3:
            question = re.sub(pattern, lambda m: rng.choice(choices), question, count=1)
    if rng.random() < 0.2:
        question = rng.choice(PREFIXES) + (question[0].lower() + question[1:] if rng.random() < 0.7 else question)
    if rng.random() < 0.12:
        mark = "?" if question.endswith("?") else ""
        question = question.rstrip("?") + rng.choice(SUFFIXES) + mark
    if rng.random() < 0.08:
        words = question.split(" ")
        kept = [w for w in words if w.lower() not in SMALL or rng.random() < 0.4]
        question = " ".join(kept) or question
    if rng.random() < 0.12:
        question = " ".join(rng.choices(FILLERS, k=rng.randrange(1, 6))) + rng.choice([" ", " ", ": ", ", "]) + question
    if rng.random() < 0.08:
        question = question.rstrip("?.") + " " + " ".join(rng.choices(FILLERS, k=rng.randrange(1, 4)))
    if rng.random() < 0.10:
        question = loosen(question, rng)
    if rng.random() < 0.15:
        question = typo(question, rng)
        if rng.random() < 0.3:
            question = typo(question, rng)
    draw = rng.random()
    if draw < 0.3:
        question = question.lower()
    elif draw < 0.32:
        question = question.upper()
    draw = rng.random()
    if draw < 0.3:
        question = question.rstrip("?.")
    elif draw < 0.35:
        question = question.rstrip("?.") + rng.choice(["??", ".", " ?", "!", "?!"])
    elif draw < 0.45 and not question.endswith("?"):
        question += rng.choice([".", "?"])
    return question or "?"


def loosen(question, rng):
    """A word more, a word less, or only the words that carry the meaning."""
    kept = question.split(" ")
    draw = rng.random()
    if draw < 0.4:
        kept.insert(rng.randrange(len(kept) + 1), rng.choice(FILLERS))
    elif draw < 0.7 and len(kept) > 3:
        del kept[rng.randrange(len(kept))]
    else:
        asked = {"what", "how", "why", "who", "where", "which", "when", "i", "me", "can"}
        kept = [w for w in kept if w.lower().strip("?.,:") not in SMALL | asked | set(FILLERS)]
    return " ".join(kept) or question


def typo(text, rng):
    if len(text) < 6:
        return text
    i = rng.randrange(1, len(text) - 1)
    return rng.choice([
        text[:i] + text[i + 1:],
        text[:i] + text[i] + text[i:],
        text[:i] + text[i + 1] + text[i] + text[i + 2:],
        text[:i] + rng.choice("abcdefghijklmnopqrstuvwxyz") + text[i + 1:],
    ])


if __name__ == "__main__":
    corpus = read_corpus()
    rng = random.Random(1)
    print(f"{len(corpus)} answers, {sum(len({key(q) for q in b.train}) for b in corpus)} training questions, "
          f"{sum(len(b.held_out) for b in corpus)} held out, {sum(b.draws for b in corpus):.0f} draws an epoch")
    for block in rng.sample(corpus, 12):
        print("Q:", augment(block.draw(rng), rng), "\nA:", block.answer)
