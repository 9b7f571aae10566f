# The locks as store paths. Nothing here is ever built: each is a fixed output that `freehold-image inputs` has put into the
# store; the builder does not exist, and its name says what to run.
{ system, source }:
let
  lock = builtins.fromJSON (builtins.readFile ../inputs.lock);
  missing = "/not-in-the-store/run--make-inputs";

  # The same mapping as image/tool/src/store.rs: only these characters may stand in a store name.
  allowed = builtins.match "[A-Za-z0-9+._?=-]";
  characters = text: builtins.genList (n: builtins.substring n 1 text) (builtins.stringLength text);
  store-name = text: builtins.concatStringsSep "" (map (c: if allowed c == null then "_" else c) (characters text));

  fixed = mode: name: sha256: derivation {
    inherit name system;
    builder = missing;
    outputHashMode = mode;
    outputHashAlgo = "sha256";
    outputHash = sha256;
    preferLocalBuild = true;
  };
  file-name = path: builtins.baseNameOf path;
in rec {
  # One static busybox.
  seed = fixed "recursive" "freehold-seed" lock.seed;

  # The .deb files of a set, sorted by name as in the lock.
  packages-of = set: map
    (package: fixed "flat" (store-name (file-name package.path)) package.sha256)
    (builtins.filter (package: builtins.elem set package.sets) lock.packages);

  # The .crate files of Cargo.lock.
  crates = map
    (entry: fixed "flat" (store-name "${entry.name}-${entry.version}.crate") entry.checksum)
    (builtins.filter (entry: entry ? checksum)
      (builtins.fromTOML (builtins.readFile (source + "/Cargo.lock"))).package);
}
