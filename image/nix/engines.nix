# Engines: images of their own, each an erofs and a hash tree, with its own libc. An engine is started with RootImage=.
{ build }:
let
  engine = name: rec {
    tree = build.unpack { name = "packages-${name}"; set = name; };
    image = build.run { inherit name tree; script = ./engine.sh; };
  };
in {
  engine-llama-cpu = (engine "engine-llama-cpu").image;
  engine-llama-vulkan = (engine "engine-llama-vulkan").image;
}
