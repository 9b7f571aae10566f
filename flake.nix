# The image and its parts. No inputs: every byte comes from image/inputs.lock and Cargo.lock, and must be in the Nix store
# before (`freehold-image inputs`). What is built and how: image/default.nix, docs/image.md.
{
  description = "Freehold: an operating system image that runs AI models and never phones home";

  outputs = { self }:
    let
      system = "x86_64-linux";
      image = import ./image { inherit system; source = ./.; };
    in {
      packages.${system} = image.packages // { default = image.packages.image; };
      checks.${system} = image.checks;
      apps.${system} = image.apps;
      nixosModules.default = import ./image/nixos-module.nix self;
    };
}
