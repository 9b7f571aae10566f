# Three ways to build: unpack a set, run a script inside the toolbox, run one inside the Rust box.
{ system, inputs, toolbox, rust }:
let
  # What files are dated, and what programs that ask for the time are told. Also the floor of a box's clock.
  epoch = "1763683200";
  bb = "${inputs.seed}/bin/busybox";
  enter = box: { name, script, ... }@arguments: derivation ({
    inherit system bb box epoch;
    builder = bb;
    args = [ "sh" ./enter.sh ];
  } // arguments);
in {
  inherit epoch;

  unpack = { name, set }: derivation {
    inherit name system bb;
    builder = bb;
    args = [ "sh" ./unpack.sh ];
    debs = inputs.packages-of set;
  };

  run = enter toolbox;
  run-rust = enter rust;
}
