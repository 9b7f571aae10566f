"""Makes a llama-architecture GGUF with random weights: for speed, never for sense.

Refuses nothing; it is a generator for benchmarks and tests. Invariant: the same arguments give the same bytes.
Needs PyPI gguf and numpy (tests/judges.txt or any virtual environment).

    python3 tests/bench/random_model.py OUT.gguf [--layers 12 --width 768 --heads 12 --inner 2048 --words 32000] [--type q8_0|f16]

The defaults have 134 million parameters.
"""

import argparse

import gguf
import numpy

BYTE, NORMAL, CONTROL, UNKNOWN = 6, 1, 3, 2
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def vocabulary(words):
    """Control tokens, one token per byte, then pronounceable pieces; (text, score, kind) each."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{value:02X}>", 0.0, BYTE) for value in range(256)]
    tokens += [("\u2581", -1.0, NORMAL)]
    tokens += [(chr(code), -2.0, NORMAL) for code in range(ord("!"), ord("~") + 1)]
    first, second = "bcdfghjklmnpqrstvwxz", "aeiou"
    number = 0
    while len(tokens) < words:
        piece, rest = "", number
        for _ in range(3):
            rest, consonant = divmod(rest, len(first))
            rest, vowel = divmod(rest, len(second))
            piece += first[consonant] + second[vowel]
        tokens.append(("\u2581" + piece, -3.0 - number, NORMAL))
        number += 1
    return tokens[:words]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--inner", type=int, default=2048)
    parser.add_argument("--words", type=int, default=32000)
    parser.add_argument("--context", type=int, default=4096)
    parser.add_argument("--type", choices=["q8_0", "f16"], default="q8_0")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    kind = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "f16": gguf.GGMLQuantizationType.F16}[given.type]
    file_kind = {"q8_0": gguf.LlamaFileType.MOSTLY_Q8_0, "f16": gguf.LlamaFileType.MOSTLY_F16}[given.type]
    random = numpy.random.default_rng(given.seed)
    writer = gguf.GGUFWriter(given.out, "llama")
    writer.add_name("random")
    writer.add_description("random weights for speed measurements; says nothing sensible")
    writer.add_context_length(given.context)
    writer.add_embedding_length(given.width)
    writer.add_block_count(given.layers)
    writer.add_feed_forward_length(given.inner)
    writer.add_head_count(given.heads)
    writer.add_head_count_kv(given.heads)
    writer.add_rope_dimension_count(given.width // given.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(given.words)
    writer.add_file_type(file_kind)
    tokens = vocabulary(given.words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([sort for _, _, sort in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    total = 0

    def weight(name, rows, columns):
        nonlocal total
        values = random.standard_normal((rows, columns), dtype=numpy.float32) / numpy.float32(columns**0.5)
        total += values.size
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)

    def ones(name):
        writer.add_tensor(name, numpy.ones(given.width, dtype=numpy.float32))

    weight("token_embd.weight", given.words, given.width)
    for layer in range(given.layers):
        ones(f"blk.{layer}.attn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weight(f"blk.{layer}.{part}.weight", given.width, given.width)
        ones(f"blk.{layer}.ffn_norm.weight")
        weight(f"blk.{layer}.ffn_gate.weight", given.inner, given.width)
        weight(f"blk.{layer}.ffn_up.weight", given.inner, given.width)
        weight(f"blk.{layer}.ffn_down.weight", given.width, given.inner)
    ones("output_norm.weight")
    weight("output.weight", given.words, given.width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(f"{given.out}: {total / 1e6:.1f} million parameters")


if __name__ == "__main__":
    main()
