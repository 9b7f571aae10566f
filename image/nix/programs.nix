# The Rust programs of a box, from vendored crates. Dependencies are a derivation of their own, keyed by the locks and the
# manifests, so that a change in our code does not build them again.
{ build, inputs, source, version }:
let
  named = names: path: type: type == "directory" || builtins.elem (baseNameOf path) names;
  # A folder that has nothing of Rust in it changes nothing here.
  foreign = [ ".git" "target" "docs" "image" "pictures" "demonstration-model" ];
  ours = keep: path: type:
    if type == "directory" then !(builtins.elem (baseNameOf path) foreign) || baseNameOf path == "image" else keep path type;
  manifests = builtins.path {
    name = "manifests";
    path = source;
    filter = ours (path: type: builtins.elem (baseNameOf path) [ "Cargo.toml" "Cargo.lock" ]);
  };
  sources = builtins.path {
    name = "sources";
    path = source;
    filter = ours (path: type:
      builtins.match ".*/(attestation|appliance|policies|admin-ui|image/tool|tests)/.*" path != null
      && builtins.match ".*/image/(nix|os|initrd|disk|packages)/.*" path == null
      || builtins.elem (baseNameOf path) [ "Cargo.toml" "Cargo.lock" ]);
  };
  common = {
    inherit (inputs) crates;
    inherit version;
    # What runs on a box, one a line. The console's and the publisher's programs are not part of an image.
    wanted = builtins.filter (line: builtins.isString line && line != "") (builtins.split "\n" (builtins.readFile ../programs.txt));
    prepare = ./prepare-crates.sh;
  };
in rec {
  dependencies = build.run-rust (common // {
    name = "freehold-dependencies";
    script = ./dependencies.sh;
    inherit manifests;
  });
  freehold = build.run-rust (common // {
    name = "freehold-${version}";
    script = ./freehold.sh;
    inherit sources dependencies;
  });
}
