# From packages to what a disk holds: the system's tree, the verified root, the initial RAM disk, the kernel image, unsigned.
{ build, source, version, packages-os, toolbox, freehold, engine, programs, spoil ? "" }:
let
  # Units and settings that the appliance brings itself; where a folder is not there yet, nothing is taken from it.
  folder = path: if builtins.pathExists (source + path) then builtins.path { name = builtins.baseNameOf path; path = source + path; } else "";
  common = { tree = packages-os; cut = ./cut.sh; inherit version freehold; };
in rec {
  os = build.run (common // {
    name = "os";
    script = ./os.sh;
    inherit engine spoil;
    self_test = builtins.path { name = "self-test.gguf"; path = source + "/tests/demonstration-model/weights/freehold-guide.gguf"; };
    keep_list = ../os/keep.txt;
    overlay = builtins.path { name = "os-overlay"; path = ../os/root; };
    appliance = folder "/appliance/systemd";
  });

  # The root as an erofs and its hash tree: root.erofs, root.verity, roothash.
  root = build.run { name = "root"; script = ./root.sh; inherit os version; };

  initrd = build.run (common // {
    name = "initrd";
    script = ./initrd.sh;
    keep_list = ../initrd/keep.txt;
    overlay = builtins.path { name = "initrd-overlay"; path = ../initrd/root; };
    appliance = folder "/appliance/initrd";
  });

  # What a kernel image is made of, each part a file, and the whole without a signature.
  uki = build.run { name = "uki"; script = ./uki.sh; tree = packages-os; cmdline = ../os/cmdline; inherit os root initrd version; };

  # Everything that signing and writing a disk need, and nothing secret.
  image = build.run {
    name = "image-${version}";
    script = ./image.sh;
    disk = builtins.path { name = "disk"; path = ../disk; };
    inherit root uki os toolbox version programs;
  };
}
