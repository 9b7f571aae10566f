#!/usr/bin/env bash
# Runs a command with the rights that network namespaces need; asks for them when we are not root.
set -eu
if [ "$(id -u)" = 0 ]; then exec "$@"; fi
echo "This makes network namespaces of its own; that needs root. sudo asks for your password now." >&2
exec sudo --preserve-env=PATH,HOME,TERM,TSS2_LOG,FREEHOLD_IMAGE_KEYS,FREEHOLD_VM_LIMIT,FREEHOLD_KVM "$@"
