# What the image is made of, as CycloneDX 1.6: each Debian package of the set `os` and each crate, with its digest.
mkdir -p "$out"
python3 - "$lock" "$cargo_lock" "$version" > "$out/freehold.cdx.json" <<'PYTHON'
import json, sys, tomllib
lock = json.load(open(sys.argv[1]))
crates = tomllib.load(open(sys.argv[2], "rb"))["package"]
components = []
for package in lock["packages"]:
    if not {"os", "seed"} & set(package["sets"]) and not any(s.startswith("engine-") for s in package["sets"]):
        continue
    name, version, architecture = package["name"], package["version"], package["architecture"]
    purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A')}?arch={architecture}&distro={package['suite']}"
    components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
                       "hashes": [{"alg": "SHA-256", "content": package["sha256"]}]})
for crate in crates:
    if "checksum" in crate:
        purl = f"pkg:cargo/{crate['name']}@{crate['version'].replace('+', '%2B')}"
        components.append({"type": "library", "bom-ref": purl, "name": crate["name"], "version": crate["version"], "purl": purl,
                           "hashes": [{"alg": "SHA-256", "content": crate["checksum"]}]})
components.sort(key=lambda one: one["bom-ref"])
json.dump({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
           "metadata": {"component": {"type": "operating-system", "name": "freehold", "version": sys.argv[3]}},
           "components": components}, sys.stdout, indent=1)
PYTHON
