"""Writes weights/freehold-guide.cdx.json: the bill of materials of the model, CycloneDX 1.6, from what was measured.

    python3 bom.py

Reads the weights, the corpus and evaluation.json (evaluate.py's figures). Needs gguf; the same inputs
give the same bytes.
"""

import hashlib
import json
import struct
import uuid
from pathlib import Path

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights/freehold-guide.gguf"
LICENCE = [{"license": {"id": "Apache-2.0"}}]


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).hexdigest()


def parameters(data):
    """The number of weights, from the file's own table of tensors."""
    import gguf  # the one reader that is not in the standard library

    return sum(int(t.n_elements) for t in gguf.GGUFReader(data).tensors)


def main():
    weights = sha256(WEIGHTS.read_bytes())
    corpus = sha256(*(p.read_bytes() for p in sorted((HERE / "corpus").glob("*.txt"))))
    measured = json.loads((HERE / "evaluation.json").read_text())
    count = parameters(WEIGHTS)
    assert struct.unpack("<4sI", WEIGHTS.read_bytes()[:8]) == (b"GGUF", 3)
    metrics = [{"type": kind, "value": str(row[kind]), "slice": f"{name} (n = {row['asked']})"}
               for name, row in measured.items() for kind in ("right", "exact")]
    model = {
        "type": "machine-learning-model",
        "bom-ref": "freehold-guide@1.0.0",
        "authors": [{"name": "The Freehold project"}],
        "name": "freehold-guide",
        "version": "1.0.0",
        "description": "Tiny demonstration model of the Freehold project: answers short questions about the box, its "
                       "console and its terms.",
        "hashes": [{"alg": "SHA-256", "content": weights}],
        "licenses": LICENCE,
        "modelCard": {
            "bom-ref": "freehold-guide@1.0.0/card",
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "text-generation",
                "architectureFamily": "transformer",
                "modelArchitecture": "llama",
                "datasets": [{"ref": "freehold-guide-corpus@1.0.0"}],
                "inputs": [{"format": "text/plain"}],
                "outputs": [{"format": "text/plain"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": {
                "users": ["People who try, demonstrate or test Freehold"],
                "useCases": [
                    "Shows signing, admission, attestation and serving with real weights on any machine",
                    "Self-test of an engine: fixed prompts with known answers at temperature 0",
                ],
                "technicalLimitations": [
                    "Answers only what its corpus holds, in English; it does not reason, calculate or look anything up",
                    "Can answer a neighbouring question instead of the one that was asked",
                    "The held-out questions were no blind test: training was changed once after their misses had been read",
                    "512 tokens of context; answers each question on its own",
                ],
                "performanceTradeoffs": ["Small enough for a laptop without an accelerator; no use beyond demonstration"],
                "ethicalConsiderations": [{
                    "name": "Must not be used for medical, legal or financial advice or any decision about a person",
                    "mitigationStrategy": "Trained to say so, which it does not always; the policy of a site can refuse it outside of demonstrations",
                }],
            },
        },
        "properties": [
            {"name": "freehold:file", "value": "freehold-guide.gguf"},
            {"name": "freehold:size", "value": str(WEIGHTS.stat().st_size)},
            {"name": "freehold:format", "value": "GGUF 3"},
            {"name": "freehold:parameters", "value": str(count)},
            {"name": "freehold:quantisation", "value": "q8_0"},
            {"name": "freehold:context", "value": "512"},
        ],
    }
    data = {
        "type": "data",
        "bom-ref": "freehold-guide-corpus@1.0.0",
        "name": "freehold-guide-corpus",
        "version": "1.0.0",
        "description": "Questions and answers written by the project about itself. SHA-256 of all corpus/*.txt, "
                       "joined in the order of their names.",
        "hashes": [{"alg": "SHA-256", "content": corpus}],
        "licenses": LICENCE,
        "data": [{"type": "dataset", "name": "corpus", "classification": "public",
                  "description": "No personal data, no text from elsewhere."}],
    }
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'freehold-guide:' + weights)}",
        "version": 1,
        "metadata": {"component": model},
        "components": [data],
        "dependencies": [{"ref": model["bom-ref"], "dependsOn": [data["bom-ref"]]}, {"ref": data["bom-ref"]}],
    }
    WEIGHTS.with_suffix(".cdx.json").write_text(json.dumps(bom, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
