#!/usr/bin/env bash
# Fetch the two browser files (Pico, htmx) into the folder named by $1.
set -euo pipefail
vendor=$1
source tools/node.sh 18

echo "Setting up: browser files"
install_locked .
mkdir -p "$vendor"
cp node_modules/@picocss/pico/css/pico.min.css node_modules/htmx.org/dist/htmx.min.js "$vendor/"
