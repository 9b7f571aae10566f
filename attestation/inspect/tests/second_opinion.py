#!/usr/bin/env python3
"""A second, independent reading of evidence, records, proofs and reports: written from the documents, not from the Rust code.

It is for tests only. It prints `yes` or `no: why` and exits 0 or 1; it needs PyPI `cryptography` and nothing else. What it does
not check (secure boot variables, user space's own log, policies) it does not pretend to: its `yes` is about signature, binding,
quoted registers, replay, manifest, trees and lists.
"""

import base64
import hashlib
import json
import os
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class No(Exception):
    pass


def need(holds, why):
    if not holds:
        raise No(why)


def sha256(data):
    return hashlib.sha256(data).digest()


# --- CBOR, as far as evidence and containers use it: docs/evidence.md, docs/container.md


class Cbor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def head(self):
        need(self.at < len(self.data), "cbor ends early")
        first = self.data[self.at]
        self.at += 1
        kind, low = first >> 5, first & 31
        if low < 24:
            return kind, low
        need(low <= 27, "cbor of another form")
        size = 1 << (low - 24)
        need(self.at + size <= len(self.data), "cbor ends early")
        value = int.from_bytes(self.data[self.at : self.at + size], "big")
        self.at += size
        return kind, value

    def value(self):
        kind, number = self.head()
        if kind == 0:
            return number
        if kind in (2, 3):
            need(self.at + number <= len(self.data), "cbor ends early")
            part = bytes(self.data[self.at : self.at + number])
            self.at += number
            return part.decode() if kind == 3 else part
        if kind == 4:
            return [self.value() for _ in range(number)]
        if kind == 5:
            pairs = {}
            for _ in range(number):
                name = self.value()
                need(name not in pairs, "a key stands twice")
                pairs[name] = self.value()
            return pairs
        need(kind == 7 and number == 22, "cbor of another form")
        return None


# --- evidence


def bound_bytes(evidence):
    """The exact bytes of the bound facts: the value under key 1 of the outer map."""
    reader = Cbor(evidence)
    kind, count = reader.head()
    need(kind == 5 and count in (6, 7), "evidence is a map of six or seven")
    need((reader.value(), reader.value()) == (0, 1), "version 1")
    need(reader.value() == 1, "bound facts come first")
    start = reader.at
    reader.value()
    return evidence[start : reader.at]


def ak_key(public):
    """An ECC P-256 key from TPMT_PUBLIC: its last two sized fields."""
    kind, name_hash, attributes = struct.unpack(">HHI", public[:8])
    need(kind == 0x0023 and name_hash == 0x000B, "an ECC key with SHA-256 names")
    fixed_tpm, fixed_parent, origin, restricted, sign, decrypt = 1 << 1, 1 << 4, 1 << 5, 1 << 16, 1 << 18, 1 << 17
    wanted = fixed_tpm | fixed_parent | origin | restricted | sign
    need(attributes & wanted == wanted and not attributes & decrypt, "attributes of an attestation key")
    rest = public[8:]
    (policy,) = struct.unpack(">H", rest[:2])
    rest = rest[2 + policy :]
    symmetric, scheme = struct.unpack(">HH", rest[:4])
    need(symmetric == 0x0010, "no symmetric part")
    rest = rest[4:]
    if scheme != 0x0010:
        rest = rest[2:]
    curve, kdf = struct.unpack(">HH", rest[:4])
    need(curve == 0x0003, "the curve is P-256")
    rest = rest[4 + (0 if kdf == 0x0010 else 2) :]
    (length,) = struct.unpack(">H", rest[:2])
    x, rest = rest[2 : 2 + length], rest[2 + length :]
    (length,) = struct.unpack(">H", rest[:2])
    y = rest[2 : 2 + length]
    numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
    return numbers.public_key()


def check_signature(public, message, signature):
    algorithm, digest = struct.unpack(">HH", signature[:4])
    need(algorithm == 0x0018 and digest == 0x000B, "ECDSA with SHA-256")
    rest = signature[4:]
    (length,) = struct.unpack(">H", rest[:2])
    r, rest = rest[2 : 2 + length], rest[2 + length :]
    (length,) = struct.unpack(">H", rest[:2])
    s, rest = rest[2 : 2 + length], rest[2 + length :]
    need(rest == b"", "nothing after the signature")
    der = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
    try:
        ak_key(public).verify(der, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise No("the signature is wrong") from None


def quoted(attest, qualifying, values):
    magic, kind = struct.unpack(">IH", attest[:6])
    need(magic == 0xFF544347 and kind == 0x8018, "a quote that the TPM made")
    rest = attest[6:]
    (length,) = struct.unpack(">H", rest[:2])
    rest = rest[2 + length :]
    (length,) = struct.unpack(">H", rest[:2])
    extra, rest = rest[2 : 2 + length], rest[2 + length :]
    need(extra == qualifying, "the quote is bound to other facts")
    rest = rest[17 + 8 :]  # clock info, firmware version
    (count,) = struct.unpack(">I", rest[:4])
    need(count == 1, "one bank is quoted")
    bank, size = struct.unpack(">HB", rest[4:7])
    need(bank == 0x000B, "the SHA-256 bank is quoted")
    bitmap, rest = rest[7 : 7 + size], rest[7 + size :]
    selected = [8 * byte + bit for byte, mask in enumerate(bitmap) for bit in range(8) if mask >> bit & 1]
    (length,) = struct.unpack(">H", rest[:2])
    digest, rest = rest[2 : 2 + length], rest[2 + length :]
    need(rest == b"", "nothing after the quote")
    need(selected == sorted(values), "the claimed registers are those that were quoted")
    need(digest == sha256(b"".join(values[index] for index in selected)), "the quoted digest is over the claimed values")


def events(log):
    """Register, type and SHA-256 digest of each event of a crypto-agile log, after its header."""
    register, kind = struct.unpack("<II", log[:8])
    (length,) = struct.unpack("<I", log[28:32])
    header, at = log[32 : 32 + length], 32 + length
    need(kind == 3 and header.startswith(b"Spec ID Event03\0"), "a crypto-agile log")
    (count,) = struct.unpack("<I", header[24:28])
    sizes = {}
    for place in range(count):
        algorithm, size = struct.unpack("<HH", header[28 + 4 * place : 32 + 4 * place])
        sizes[algorithm] = size
    found = []
    while at < len(log):
        if not log[at:].strip(b"\0") or not log[at:].strip(b"\xff"):
            break
        register, kind, count = struct.unpack("<III", log[at : at + 12])
        at += 12
        digest = None
        for _ in range(count):
            (algorithm,) = struct.unpack("<H", log[at : at + 2])
            size = sizes[algorithm]
            if algorithm == 0x000B:
                digest = log[at + 2 : at + 2 + size]
            at += 2 + size
        (length,) = struct.unpack("<I", log[at : at + 4])
        data = log[at + 4 : at + 4 + length]
        at += 4 + length
        found.append((register, kind, digest, data))
    return found


def replay(found):
    values = {index: bytes(32) for index in range(24)}
    for register, kind, digest, data in found:
        if kind == 3:  # EV_NO_ACTION
            if register == 0 and data.startswith(b"StartupLocality\0"):
                values[0] = bytes(31) + data[16:17]
            continue
        values[register] = sha256(values[register] + digest)
    return values


def rule_holds(rule, phase, own, value):
    if "events" in rule:
        return [bytes.fromhex(event["digest"]) for event in rule["events"]] == own
    if "value" in rule:
        return bytes.fromhex(rule["value"]) == value
    return any(one["phase"] == phase and bytes.fromhex(one["value"]) == value for one in rule["phases"])


def evidence(package):
    need(package["v"] == 1, "version 1")
    raw = base64.b64decode(package["evidence"])
    whole = Cbor(raw)
    parts = whole.value()
    need(whole.at == len(raw), "nothing after the evidence")
    bound = parts[1]
    challenge = package["challenge"]
    nonce = challenge["nonce"]
    nonce = bytes(nonce) if isinstance(nonce, list) else bytes.fromhex(nonce)
    need(bound[1] == nonce, "the evidence answers the challenge")
    need(challenge["issued"] <= package["at"] <= challenge["expires"], "the challenge was open")
    need(bound[2] == package["box"], "the evidence is about this box")
    need(bound[3].hex() == package["tls"], "the evidence is bound to the enrolled key")
    log, values = parts[5], parts[4]
    need(bound[7][2] == sha256(log), "the log is the one that is bound")
    need(sorted(values) == sorted(package["pcrs"]), "the registers are those that were asked for")
    qualifying = sha256(b"freehold evidence binding v1\0" + bound_bytes(raw))
    check_signature(base64.b64decode(package["ak_public"]), parts[2], parts[3])
    quoted(parts[2], qualifying, values)
    found = events(log)
    replayed = replay(found)
    named = [m for m in package["manifests"] if (m["release"], m["version"]) == (bound[7][0], bound[7][1])]
    need(len(named) == 1, "one manifest is of the release that was booted")
    manifest = named[0]
    for index, value in values.items():
        need(replayed[index] == value, f"the log leads to register {index}")
        rule = manifest["pcrs"].get(str(index))
        own = [digest for register, kind, digest, _ in found if register == index and kind != 3]
        need(rule is None or rule_holds(rule, manifest["phase"], own, value), f"register {index} is as the manifest says")
    for index in manifest["pcrs"]:
        need(int(index) in values, f"register {index} is quoted")


# --- notes, trees, proofs: C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-proof; RFC 6962


def note_key(text):
    name, key_id, encoded = text.split("+", 2)
    raw = base64.b64decode(encoded)
    need(raw[0] in (1, 4) and len(raw) == 33, "an ed25519 key")
    need(sha256(name.encode() + b"\n" + raw)[:4].hex() == key_id, "the key's hash")
    return name, raw, bytes.fromhex(key_id)


def note_text(note, key):
    name, raw, key_id = key
    text, _, lines = note.rpartition(b"\n\n")
    text += b"\n"
    seen = False
    for line in lines.decode().splitlines():
        dash, who, encoded = line.split(" ", 2)
        need(dash == "\u2014", "a signature line")
        signature = base64.b64decode(encoded)
        if who == name and signature[:4] == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signature[4:], text)
            except InvalidSignature:
                raise No("the note's signature is wrong") from None
            seen = True
    need(seen, "the note is signed by this key")
    return text.decode()


def checkpoint(note, key):
    origin, size, root = note_text(note, key).splitlines()[:3]
    need(origin == key[0], "the checkpoint is of this log")
    need(str(int(size)) == size, "a plain size")
    return int(size), base64.b64decode(root, validate=True)


def leaf(entry):
    return sha256(b"\0" + entry)


def node(left, right):
    return sha256(b"\1" + left + right)


class Tree:
    """Leaves one after the other; `roots` are the complete subtrees, largest first, with their sizes."""

    def __init__(self, size=0, roots=()):
        self.size, self.stack = size, []
        sizes = [1 << bit for bit in range(63, -1, -1) if size >> bit & 1]
        need(len(sizes) == len(roots), "one root for each bit of the size")
        self.stack = list(zip(sizes, roots))

    def push(self, digest):
        width = 1
        while self.stack and self.stack[-1][0] == width:
            digest, width = node(self.stack.pop()[1], digest), 2 * width
        self.stack.append((width, digest))
        self.size += 1

    def root(self):
        if not self.stack:
            return sha256(b"")
        digest = self.stack[-1][1]
        for _, left in reversed(self.stack[:-1]):
            digest = node(left, digest)
        return digest


def fold(digest, index, size, path):
    """RFC 6962, 2.1.1, recursively: the root that a path leads to."""
    path = list(path)

    def climb(index, size):
        if size == 1:
            return digest
        split = 1 << (size - 1).bit_length() - 1
        need(path, "the path is long enough")
        sibling = path.pop()
        if index < split:
            return node(climb(index, split), sibling)
        return node(sibling, climb(index - split, size - split))

    need(0 <= index < size, "the index is in the tree")
    root = climb(index, size)
    need(not path, "the path is not longer than it must be")
    return root


def proof(text, entry, key):
    head, _, note = text.partition(b"\n\n")
    lines = head.decode().split("\n")
    need(lines.pop(0) == "c2sp.org/tlog-proof@v1", "a tlog-proof")
    if lines and lines[0].startswith("extra "):
        lines.pop(0)
    need(lines and lines[0].startswith("index "), "an index")
    number = lines.pop(0)[6:]
    need(number.isdecimal() and str(int(number)) == number, "a plain index")
    path = [base64.b64decode(line, validate=True) for line in lines]
    need(all(len(digest) == 32 for digest in path), "hashes of 32 bytes")
    size, root = checkpoint(note, key)
    need(fold(leaf(entry), int(number), size, path) == root, "the path leads to the signed root")


def bundles(folder, size):
    for bundle in range((size + 255) // 256):
        width = min(256, size - 256 * bundle)
        digits = f"{bundle % 1000:03}"
        rest = bundle // 1000
        while rest:
            digits = f"x{rest % 1000:03}/{digits}"
            rest //= 1000
        name = os.path.join(folder, "tile/entries", digits)
        if width < 256:
            name = os.path.join(f"{name}.p", str(width))
        need(os.path.exists(name), f"{name} is there")
        with open(name, "rb") as file:
            data = file.read()
        at, entries = 0, []
        while at < len(data):
            (length,) = struct.unpack(">H", data[at : at + 2])
            need(at + 2 + length <= len(data), "an entry ends inside of its bundle")
            entries.append(data[at + 2 : at + 2 + length])
            at += 2 + length
        need(len(entries) == width, "as many entries as the tree has")
        yield from entries


def record(folder, key):
    with open(os.path.join(folder, "checkpoint"), "rb") as file:
        size, root = checkpoint(file.read(), key)
    tree = Tree()
    for entry in bundles(folder, size):
        tree.push(leaf(entry))
    need(tree.size == size and tree.root() == root, "the entries lead to the signed root")


# --- reports: docs/container.md, docs/audit.md


def container(data):
    need(data[:8] == b"\x89FHZ\r\n\x1a\n", "the mark of a container")
    (length,) = struct.unpack(">I", data[8:12])
    index = data[44 : 44 + length]
    need(sha256(index) == data[12:44], "the index is the one that was written")
    parts = Cbor(index).value()
    need(parts[0] == 1 and parts[1] == "report", "a report")
    need((parts[3], parts[4]) == (1, 1), "in one part")
    at, files = 44 + length, {}
    for name, whole, start, size, digest, chunks in parts[5]:
        need(whole == size and start == 0, "whole files")
        content = data[at : at + size]
        need(sha256(content) == digest, f"{name} is the one that was written")
        need(name not in files, f"{name} stands once")
        files[name] = content
        at += size
    need(at == len(data), "nothing after the last file")
    return files


def report(data, key):
    files = container(data)
    manifest = files["manifest"]
    need(note_text(files["manifest.note"], key) == f"freehold/report/v1\n{sha256(manifest).hex()}\n", "the list is signed")
    listed = dict(line.split("  ", 1)[::-1] for line in manifest.decode().splitlines())
    for name, digest in listed.items():
        need(name in files and sha256(files[name]).hex() == digest, f"{name} is the one that was signed")
    need(set(files) - set(listed) == {"manifest", "manifest.note"}, "no file that nobody signed")
    about = json.loads(files["report.json"])
    place = about["record"]
    need(place["origin"] == key[0], "the record is this key's")
    size, root = checkpoint(files["record/checkpoint"], key)
    tree = Tree(place["first"], [bytes.fromhex(digest) for digest in place["before"]])
    for entry in files["record/entries.jsonl"].split(b"\n"):
        if entry:
            tree.push(leaf(entry))
    need(tree.size == size and tree.root() == root, "the entries of the period lead to the signed root")
    for one in about["boxes"]:
        box = one["box"]
        package = json.loads(files[f"evidence/{box}.json"]) if f"evidence/{box}.json" in files else None
        if package and one.get("verdict", "").startswith("trusted"):
            evidence(package)
        if f"proofs/{box}.tlog-proof" in files:
            entry = files[f"proofs/{box}.json"]
            proof(files[f"proofs/{box}.tlog-proof"], entry, key)
            told = json.loads(entry)
            digest = sha256(base64.b64decode(package["evidence"])).hex()
            need((told["what"], told["about"], told["evidence"]) == ("verdict.reached", box, digest), "the entry is about it")


def main(arguments):
    verb, path, rest = arguments[0], arguments[1], arguments[2:]
    if verb == "record":
        return record(path, note_key(rest[0]))
    with open(path, "rb") as file:
        data = file.read()
    if verb == "evidence":
        return evidence(json.loads(data))
    if verb == "proof":
        with open(rest[0], "rb") as file:
            return proof(data, file.read(), note_key(rest[1]))
    if verb == "report":
        return report(data, note_key(rest[0]))
    if verb == "proofs":
        # Many at once: lines of JSON {entry, proof, key, holds}; how many it disagrees about.
        wrong = 0
        for line in data.splitlines():
            one = json.loads(line)
            try:
                proof(one["proof"].encode(), one["entry"].encode(), note_key(one["key"]))
                holds = True
            except (No, ValueError, IndexError, struct.error):
                holds = False
            wrong += holds != one["holds"]
        return need(wrong == 0, f"{wrong} proofs are judged otherwise")
    raise SystemExit(f"no verb {verb}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except No as why:
        print(f"no: {why}")
        sys.exit(1)
    except (ValueError, KeyError, IndexError, TypeError, struct.error, InvalidSignature) as error:
        print(f"no: {type(error).__name__}: {error}")
        sys.exit(1)
    print("yes")
