# All parts of the image, each from locked inputs by one script. Private keys never come here: what is built is unsigned.
{ system, source }:
let
  # For developers: programs that were built outside of Nix, in the folder `bin` of this one. A pure evaluation sees no
  # environment, so that nobody gets it without asking (`make image DEV=1`); the version says it everywhere, the screen, the
  # manifest and the console among them, and `freehold-image sign` takes it only with development keys.
  outside = builtins.getEnv "FREEHOLD_IMAGE_PROGRAMS";
  released = (builtins.fromTOML (builtins.readFile (source + "/Cargo.toml"))).workspace.package.version;
  version = if outside == "" then released else "${released}-dev";
  inputs = import ./nix/inputs.nix { inherit system source; };
  build = import ./nix/build.nix { inherit system inputs toolbox rust; };

  toolbox = build.unpack { name = "toolbox"; set = "toolbox"; };
  rust = build.unpack { name = "rust"; set = "rust"; };
  packages-os = build.unpack { name = "packages-os"; set = "os"; };

  programs = import ./nix/programs.nix { inherit build inputs source version; };
  freehold = if outside == "" then programs.freehold else builtins.path { name = "programs-from-outside"; path = outside; };
  parts-of = more: import ./nix/parts.nix ({
    inherit build source version packages-os toolbox freehold;
    programs = if outside == "" then "locked" else "outside";
    engine = engines.engine-llama-cpu;
  } // more);
  parts = parts-of { };
  # For tests of updates: the same parts under a later version, whole or spoilt in one way each.
  next = spoil: (parts-of { version = "${version}.1"; inherit spoil; }).image;
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
    image-next = next "";
    image-next-panic = next "panic";
    image-next-supervisor = next "supervisor";
    image-next-engine = next "engine";
  };
  # What must hold of the outputs, each a derivation that fails when it does not.
  checks = import ./nix/checks.nix { inherit build source; inherit (parts) os image; };
  apps = {
    # In a checkout: what they make lies in its target folder.
    vm = { type = "app"; program = "${source}/image/app-vm.sh"; };
    inputs = { type = "app"; program = "${source}/image/app-inputs.sh"; };
  };
}
