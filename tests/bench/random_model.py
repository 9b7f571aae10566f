#!/usr/bin/env python3
"""Writes a llama-architecture GGUF of about 119 million random parameters (q8_0).

For timing the gateway beside the bare engine: what it says means nothing, how long a token takes is real.
Usage: random_model.py FILE   (needs numpy and gguf, see tests/judges.txt)
"""

import sys

import gguf
import numpy as np

LAYERS, WIDTH, HEADS, INNER, VOCABULARY, CONTEXT = 16, 768, 12, 2048, 4096, 2048

# A chat template that llama-server knows without a Jinja engine of ours.
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def main(path):
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("random-119m")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("llama")
    special = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
    tokens = special + [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [f"\u2581w{index}" for index in range(VOCABULARY - len(tokens))]
    kinds = [gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 4 + [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * (VOCABULARY - len(kinds))
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(index) for index in range(VOCABULARY)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_eot_token_id(4)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)

    def matrix(name, rows, columns):
        values = (random.standard_normal((rows, columns)) * 0.02).astype(np.float32)
        if name == "output.weight":
            # Never the special tokens and bytes: a run shall not end by chance.
            values[: len(special) + 256] = 0.0
        quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, quantised, raw_dtype=gguf.GGMLQuantizationType.Q8_0)

    def norm(name):
        writer.add_tensor(name, np.ones(WIDTH, dtype=np.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        norm(block + "attn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{part}.weight", WIDTH, WIDTH)
        norm(block + "ffn_norm.weight")
        matrix(block + "ffn_gate.weight", INNER, WIDTH)
        matrix(block + "ffn_up.weight", INNER, WIDTH)
        matrix(block + "ffn_down.weight", WIDTH, INNER)
    norm("output_norm.weight")
    matrix("output.weight", VOCABULARY, WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
