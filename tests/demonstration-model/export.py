"""Writes a training run as one GGUF file: matrices in q8_0, norms in f32, tokenizer and chat template inside.

    python3 export.py RUN-FOLDER weights/freehold-guide.gguf

Needs torch, numpy, sentencepiece and gguf. The same checkpoint gives the same bytes.
"""

import sys
from pathlib import Path

import gguf
import torch
from gguf.quants import quantize

import tokenizer
from network import Shape

Q8_0 = gguf.GGMLQuantizationType.Q8_0


def token_table(tokens):
    pieces = tokens.pieces
    texts, scores, kinds = [], [], []
    for i in range(pieces.vocab_size()):
        texts.append(pieces.id_to_piece(i).encode())
        scores.append(pieces.get_score(i))
        if pieces.is_unknown(i):
            kinds.append(gguf.TokenType.UNKNOWN)
        elif pieces.is_control(i):
            kinds.append(gguf.TokenType.CONTROL)
        elif pieces.is_byte(i):
            kinds.append(gguf.TokenType.BYTE)
        else:
            kinds.append(gguf.TokenType.NORMAL)
    return texts, scores, kinds


def export(folder, path):
    state = torch.load(folder / "checkpoint.pt", map_location="cpu")
    shape, tokens = Shape(**state["shape"]), tokenizer.Tokenizer(folder)
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("freehold-guide")
    out.add_basename("freehold-guide")
    out.add_author("The Freehold project")
    out.add_version("1.0.0")
    out.add_license("Apache-2.0")
    out.add_languages(["en"])
    out.add_description("Tiny demonstration model of the Freehold project. Answers short questions about the box, its "
                        "console and its terms. Not for medical or any other real use.")
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    out.add_quantization_version(gguf.GGML_QUANT_VERSION)
    out.add_context_length(shape.context)
    out.add_embedding_length(shape.width)
    out.add_block_count(shape.layers)
    out.add_feed_forward_length(shape.hidden)
    out.add_head_count(shape.heads)
    out.add_head_count_kv(shape.heads)
    out.add_layer_norm_rms_eps(shape.epsilon)
    out.add_rope_dimension_count(shape.width // shape.heads)
    out.add_rope_freq_base(shape.rope_base)
    out.add_vocab_size(shape.vocabulary)

    texts, scores, kinds = token_table(tokens)
    out.add_tokenizer_model("llama")
    out.add_tokenizer_pre("default")
    out.add_token_list(texts)
    out.add_token_scores(scores)
    out.add_token_types(kinds)
    out.add_bos_token_id(tokens.bos)
    out.add_eos_token_id(tokens.end)
    out.add_eot_token_id(tokens.end)
    out.add_unk_token_id(tokens.pieces.unk_id())
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_add_space_prefix(False)
    out.add_chat_template(tokenizer.CHAT_TEMPLATE)

    for name, tensor in state["weights"].items():
        array = tensor.float().numpy()
        if array.ndim == 2:
            out.add_tensor(name, quantize(array, Q8_0), raw_dtype=Q8_0)
        else:
            out.add_tensor(name, array)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
