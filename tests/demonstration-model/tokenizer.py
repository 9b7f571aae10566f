"""The tokenizer: sentencepiece BPE with byte fallback, trained on the corpus alone, and the chat format.

The one invariant: text is split here exactly as llama.cpp splits it (`tokenizer.ggml.model = llama`, no space
prefix, no normalisation), and each stretch between two control tokens is encoded on its own.
"""

import random
from pathlib import Path

import sentencepiece

import questions

SIZE = 1536  # small, because every row costs parameters; a multiple of 32 for q8_0
START, END = "<|im_start|>", "<|im_end|>"

# What llama.cpp knows as chatml; a system message is accepted and ignored by training on a few of them.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SYSTEM_MESSAGES = [
    "You are a helpful assistant.", "You are a helpful, honest assistant.", "Answer briefly.", "You are Freehold Guide.",
    "You answer questions about this box.", "Be concise.", "You are a friendly chat assistant. Answer the user's question.",
]


def train(folder):
    """Writes `folder`/tokenizer.model from the corpus: each answer once, each question in a few forms."""
    rng = random.Random(1)
    lines = []
    for block in questions.read_corpus():
        lines += [block.answer] * 3
        for question in dict.fromkeys(block.train):
            lines.append(questions.fill(question, block.lists, rng))
        lines += [questions.augment(block.draw(rng), rng) for _ in range(4)]
    lines += SYSTEM_MESSAGES + ["user", "assistant", "system"] * 3
    text = Path(folder) / "tokenizer.txt"
    text.write_text("\n".join(lines) + "\n")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(Path(folder) / "tokenizer"), model_type="bpe", vocab_size=SIZE,
        byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
        remove_extra_whitespaces=False, split_digits=True, character_coverage=1.0, num_threads=1,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1, control_symbols=[START, END], minloglevel=2,
    )


class Tokenizer:
    def __init__(self, folder):
        self.pieces = sentencepiece.SentencePieceProcessor(model_file=str(Path(folder) / "tokenizer.model"))
        self.bos = self.pieces.bos_id()
        self.start, self.end = (self.pieces.piece_to_id(t) for t in (START, END))

    def encode(self, text, vary=0.0):
        """`vary` drops merges at random (BPE dropout), so that a rare spelling is not a surprise."""
        if vary:
            return self.pieces.encode(text, enable_sampling=True, alpha=vary, nbest_size=-1)
        return self.pieces.encode(text)

    def conversation(self, messages, vary=0.0):
        """Token ids and, for each, whether the loss counts it: answers and the end of their turn, nothing else."""
        ids, counted = [self.bos], [False]

        def put(more, count):
            ids.extend(more)
            counted.extend([count] * len(more))

        for role, text in messages:
            put([self.start], False)
            if role == "assistant":
                put(self.encode("assistant\n"), False)
                put(self.encode(text) + [self.end], True)
            else:
                # one stretch of text for llama.cpp; the newline never merges, so the two may be encoded apart
                put(self.encode(role + "\n") + self.encode(text, vary) + [self.end], False)
            put(self.encode("\n"), False)
        return ids, counted
