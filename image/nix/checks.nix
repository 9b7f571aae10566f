# What must hold of the outputs, each a derivation that fails when it does not.
{ build, source, os, image }:
{
  # Every program of the system is on the golden list; nothing is a shell, an interpreter or setuid.
  executables = build.run { name = "check-executables"; script = ./check-executables.sh; inherit os; golden = source + "/tests/image/executables.txt"; };
}
