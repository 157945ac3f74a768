#!/bin/bash
# A stand-in for the image python:3.11-slim, made of Debian's packages, for where no image can be pulled:
# base_image.sh OUT.tar. It takes the system's own package sources, and its certificates into the image.
set -euo pipefail
exec mmdebstrap --quiet --variant=minbase --include=python3,python3-pip,python3-venv,ca-certificates \
  --aptopt='Acquire::Languages "none"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook='ln -sf python3 "$1"/usr/bin/python' \
  --customize-hook='rm -rf "$1"/usr/lib/python3*/EXTERNALLY-MANAGED "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
  --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' \
  bookworm "$1"
