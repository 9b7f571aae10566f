#!/usr/bin/env bash
# Prepares this machine for building the image, and brings every locked input into the Nix store. Quick when all is there.
set -eu
cd "$(dirname "$0")/.."
sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
missing=()
for package in $(sed 's/#.*//' image/packages/host.txt | xargs); do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  tests/step.sh "Reading the package lists" $sudo apt-get update -q
  tests/step.sh "Installing ${#missing[@]} Debian packages" $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
fi
# Debian's nix-bin makes no users, and its default settings have no sandbox.
getent group nixbld > /dev/null || $sudo groupadd -r nixbld
for n in 1 2 3 4; do
  getent passwd "nixbld$n" > /dev/null || $sudo useradd -r -g nixbld -G nixbld -d /var/empty -s /usr/sbin/nologin "nixbld$n"
done
for setting in "experimental-features = nix-command flakes" "build-users-group = nixbld" "sandbox = true" "substituters ="; do
  key=${setting%% =*}
  grep -qxF "$setting" /etc/nix/nix.conf 2>/dev/null && continue
  $sudo mkdir -p /etc/nix; $sudo touch /etc/nix/nix.conf
  $sudo sed -i "/^$key *=/d" /etc/nix/nix.conf
  echo "$setting" | $sudo tee -a /etc/nix/nix.conf > /dev/null
done
exec ${FREEHOLD_IMAGE_TOOL:-target/debug/freehold-image} inputs "$@"
