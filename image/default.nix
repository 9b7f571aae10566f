# All parts of the image, each from locked inputs by one script. Private keys never come here: what is built is unsigned.
{ system, source }:
let
  version = (builtins.fromTOML (builtins.readFile (source + "/Cargo.toml"))).workspace.package.version;
  inputs = import ./nix/inputs.nix { inherit system source; };
  build = import ./nix/build.nix { inherit system inputs toolbox rust; };

  toolbox = build.unpack { name = "toolbox"; set = "toolbox"; };
  rust = build.unpack { name = "rust"; set = "rust"; };
  packages-os = build.unpack { name = "packages-os"; set = "os"; };

  programs = import ./nix/programs.nix { inherit build inputs source version; };
  parts = import ./nix/parts.nix { inherit build source version packages-os toolbox; freehold = programs.freehold; engine = engines.engine-llama-cpu; };
  engines = import ./nix/engines.nix { inherit build; };
  sbom = build.run {
    name = "sbom";
    script = ./nix/sbom.sh;
    program = ./nix/sbom.py;
    lock = ./inputs.lock;
    debs = inputs.packages-of "os" ++ inputs.packages-of "engine-llama-cpu" ++ inputs.packages-of "engine-llama-vulkan";
    inherit (parts) os;
    inherit version;
    cargo_lock = source + "/Cargo.lock";
  };
in {
  packages = {
    inherit toolbox rust sbom;
    inherit (programs) freehold dependencies;
    inherit (parts) os root initrd uki image;
    inherit (engines) engine-llama-cpu engine-llama-vulkan;
  };
  # What must hold of the outputs, each a derivation that fails when it does not.
  checks = import ./nix/checks.nix { inherit build source; inherit (parts) os image; };
  apps = {
    vm = { type = "app"; program = "${source}/tests/image/vm.sh"; };
    inputs = { type = "app"; program = "${source}/image/inputs.sh"; };
  };
}
