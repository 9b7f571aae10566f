"""What the system and each engine are made of: CycloneDX 1.6, from the locked packages themselves.

usage: sbom.py LOCK CARGO_LOCK VERSION OUT DEBS [SYSTEM]

Refuses a package that the lock does not name, a crate in a program that Cargo.lock does not name, and, when the system's tree is
given, a file that belongs to no component. Invariant: the same inputs give the same bytes.
"""

import hashlib
import io
import json
import lzma
import os
import re
import struct
import sys
import tarfile
import tomllib
import zlib

lock = json.load(open(sys.argv[1]))
crates = {(c["name"], c["version"]): c for c in tomllib.load(open(sys.argv[2], "rb"))["package"]}
version, out, debs = sys.argv[3], sys.argv[4], sys.argv[5]
system = sys.argv[6] if len(sys.argv) > 6 else ""
packages = {p["path"].rsplit("/", 1)[-1].replace("%3a", ":"): p for p in lock["packages"]}

# Short names of copyright files (DEP-5) that are SPDX's; anything else is a name.
LICENCES = {
    "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0", "artistic-2": "Artistic-2.0",
    "bsd-2-clause": "BSD-2-Clause", "bsd-3-clause": "BSD-3-Clause", "bsl-1.0": "BSL-1.0", "cc0-1.0": "CC0-1.0", "expat": "MIT",
    "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "isc": "ISC", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only", "lgpl-3+": "LGPL-3.0-or-later",
    "mit": "MIT", "mpl-2.0": "MPL-2.0", "unlicense": "Unlicense", "zlib": "Zlib", "curl": "curl",
}


def fail(what):
    sys.exit(f"error: {what}")


def escaped(text):
    return "".join(c if c.isalnum() or c in ".-_~" else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


def members(path):
    """The members of a .deb: an ar archive."""
    data = open(path, "rb").read()
    if data[:8] != b"!<arch>\n":
        fail(f"{path} is no package")
    at = 8
    while at + 60 <= len(data):
        name, size = data[at:at + 16].decode().strip().rstrip("/"), int(data[at + 48:at + 58])
        yield name, data[at + 60:at + 60 + size]
        at += 60 + size + size % 2


def unpacked(path, part):
    for name, data in members(path):
        if name.startswith(part + ".tar"):
            data = lzma.decompress(data) if name.endswith(".xz") else zlib.decompress(data, 47) if name.endswith(".gz") else data
            return tarfile.open(fileobj=io.BytesIO(data))
    fail(f"{path} has no {part}")


def control(archive):
    text = next(archive.extractfile(m).read().decode() for m in archive if m.name.lstrip("./") == "control")
    return dict(re.findall(r"^([A-Za-z-]+): (.*)$", text, re.M))


def licences(text):
    """What a copyright file declares: SPDX identifiers where it is machine readable, its first line where it is not."""
    found = []
    for line in re.findall(r"^License:[ \t]*(\S.*)$", text, re.M):
        for word in re.split(r"\s+(?:and|or|AND|OR|,)\s+|\s*,\s*", line.strip()):
            word = re.sub(r"^(?:and|or)\s+", "", word.strip())
            name = LICENCES.get(word.lower(), word)
            if name and name not in found:
                found.append(name)
    return found[:32]


def licence_choices(names):
    spdx = set(LICENCES.values())
    return [{"license": {"id": n}} if n in spdx else {"license": {"name": n}} for n in names]


def package(path):
    """A package as a component, and the files that it brings."""
    # Files of the Nix store have their hash in front; the lock's name stands behind it.
    name = re.sub(r"^[0-9a-z]{32}-", "", os.path.basename(path))
    entry = packages.get(name) or packages.get(name.replace("%3a", ":"))
    if entry is None:
        digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
        entry = next((p for p in lock["packages"] if p["sha256"] == digest), None) or fail(f"{name} is not in the lock")
    fields = control(unpacked(path, "control"))
    source = fields.get("Source", fields["Package"])
    match = re.fullmatch(r"(\S+)(?: \((\S+)\))?", source)
    # A rebuild of the same source ("+b1") has the source's version.
    source = (match[1], match[2] or re.sub(r"\+b[0-9]+$", "", fields["Version"]))
    files, texts = {}, []
    with unpacked(path, "data") as data:
        for member in data:
            file = member.name.removeprefix(".").removeprefix("/")
            if member.isfile() or member.issym() or member.islnk():
                files[file] = entry["name"]
            if member.isfile() and re.fullmatch(r"usr/share/doc/[^/]+/copyright", file):
                texts += licences(data.extractfile(member).read().decode(errors="replace"))
    purl = (f"pkg:deb/debian/{escaped(entry['name'])}@{escaped(entry['version'])}"
            f"?arch={entry['architecture']}&distro={entry['suite']}")
    component = {
        "type": "library", "bom-ref": purl, "name": entry["name"], "version": entry["version"], "purl": purl,
        "supplier": {"name": "Debian"}, "hashes": [{"alg": "SHA-256", "content": entry["sha256"]}],
        "properties": [{"name": "freehold:source", "value": " ".join(source)}],
    }
    texts = list(dict.fromkeys(texts))
    # A copyright file without short names is a text: the bill says where it is.
    component["licenses"] = licence_choices(texts) or [{"license": {"name": f"see /usr/share/doc/{entry['name']}/copyright"}}]
    return component, files


def crate(name, number):
    entry = crates.get((name, number)) or fail(f"the crate {name} {number} is in a program and not in Cargo.lock")
    purl = f"pkg:cargo/{escaped(name)}@{escaped(number)}"
    component = {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}
    if "checksum" in entry:
        component["hashes"] = [{"alg": "SHA-256", "content": entry["checksum"]}]
    return component


def audited(path):
    """The crates that cargo-auditable put into a program: section .dep-v0 of the ELF file, zlib, JSON."""
    data = open(path, "rb").read()
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    table, = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    section = lambda i: struct.unpack_from("<IIQQQQ", data, table + i * size)
    strings = section(names)[4] if count else 0
    for i in range(count):
        name, _, _, _, offset, length = section(i)
        if data[strings + name:].split(b"\0", 1)[0] == b".dep-v0":
            listed = json.loads(zlib.decompress(data[offset:offset + length]))["packages"]
            # Only what ships: crates that merely built it are marked.
            return [(p["name"], p["version"]) for p in listed if p.get("kind", "runtime") == "runtime"]
    return None


def write(name, kind, about, components):
    components = sorted({c["bom-ref"]: c for c in components}.values(), key=lambda c: c["bom-ref"])
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "metadata": {"component": {"type": kind, "bom-ref": about, "name": about, "version": version, "supplier": {"name": "Freehold"},
                                   "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": components,
        "dependencies": [{"ref": about, "dependsOn": [c["bom-ref"] for c in components if c["type"] == "library"]}],
    }
    with open(os.path.join(out, name), "w") as file:
        json.dump(bill, file, indent=1, sort_keys=True)


found = [os.path.join(debs, n) for n in sorted(os.listdir(debs))] if os.path.isdir(debs) else open(debs).read().split()
by_name, owners = {}, {}
for path in found:
    component, files = package(path)
    by_name[component["name"]] = component
    # Two packages may bring one file; the later one in the lock's order is the one that was unpacked over it.
    owners.update(files)


def of_set(test):
    return [by_name[p["name"]] for p in lock["packages"] if test(p["sets"]) and p["name"] in by_name]


components = of_set(lambda sets: "os" in sets or "seed" in sets)
programs = set()
if system:
    ours = "freehold"
    own = {"type": "application", "bom-ref": ours + "-programs", "name": "freehold-programs", "version": version,
           "licenses": [{"license": {"id": "Apache-2.0"}}]}
    made = {"type": "application", "bom-ref": ours + "-settings", "name": "freehold-settings", "version": version,
            "description": "units, rules and tables that the build writes", "licenses": [{"license": {"id": "Apache-2.0"}}]}
    nested = {c["bom-ref"]: [] for c in components + [own, made]}
    refs = {c["name"]: c["bom-ref"] for c in components}
    strangers = []
    for folder, folders, names in os.walk(system):
        for name in sorted(names + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
            path = os.path.join(folder, name)
            file = os.path.relpath(path, system)
            real = file if file in owners else "usr/" + file if "usr/" + file in owners else file
            regular = os.path.isfile(path) and not os.path.islink(path)
            listed = audited(path) if regular and os.access(path, os.X_OK) else None
            if name.startswith("freehold-") and "/bin/" in "/" + file and listed is None and regular:
                fail(f"{file} does not say which crates are in it")
            if listed is not None:
                programs |= set(listed)
                ref = own["bom-ref"]
            elif real in owners and owners[real] in refs:
                ref = refs[owners[real]]
            elif re.match(r"(etc|usr/lib/(systemd|udev|sysusers\.d|tmpfiles\.d|sysctl\.d|modules|modules-load\.d|freehold|repart\.d|os-release|clock-epoch)|usr/share/freehold|usr/sbin/init|lib|lib64|bin|sbin|init)", file):
                ref = made["bom-ref"]
            else:
                strangers.append(file)
                continue
            digest = hashlib.sha256(open(path, "rb").read()).hexdigest() if regular else None
            entry = {"type": "file", "bom-ref": f"file:/{file}", "name": f"/{file}"}
            if digest:
                entry["hashes"] = [{"alg": "SHA-256", "content": digest}]
            nested[ref].append(entry)
    if strangers:
        fail("these files belong to no component:\n  " + "\n  ".join(strangers))
    for component in components + [own, made]:
        if nested[component["bom-ref"]]:
            component["components"] = nested[component["bom-ref"]]
    components += [own, made]
    components += [crate(*one) for one in sorted(programs)]
else:
    # Before anything is built: every crate that may be in a program.
    components += [crate(*key) for key, entry in sorted(crates.items()) if "checksum" in entry]
write("freehold.cdx.json", "operating-system", "freehold", components)
for engine in sorted({s for p in lock["packages"] for s in p["sets"] if s.startswith("engine-")}):
    parts = of_set(lambda sets: engine in sets)
    if parts:
        write(f"{engine}.cdx.json", "application", engine, parts)
