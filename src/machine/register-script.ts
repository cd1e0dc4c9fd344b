// A shell script that registers machines: with vim-cmd on an ESXi host, with govc from anywhere. Rule: nothing in a
// name is ever read by the shell as more than a name, and the script can be read before it is run.
import { posix } from 'node:path';
import { hostPathOf, type HostPath } from './host-path.ts';

export interface RegisteredMachine {
  readonly name: string;
  /** Real path of the .vmx here. */
  readonly vmx: string;
}

/**
 * The script. On the host the .vmx files are looked for where `hostPaths` lead, else below $DATASTORE at the place
 * they have below `root`.
 */
export function registerScript(
  machines: readonly RegisteredMachine[],
  root: string,
  hostPaths: readonly HostPath[] = [],
): string {
  const lines = machines.map(
    ({ name, vmx }) => `${quoted(name)} ${quoted(hostPathOf(vmx, hostPaths) ?? posix.relative(root, vmx))}`,
  );
  return `${HEAD}${lines.map((line) => `register ${line}\n`).join('')}exit $failed\n`;
}

const HEAD = `#!/bin/sh
# Registers the machines below, made by vmdkit. On an ESXi host (vim-cmd), or where govc is set up (GOVC_URL, ...).
#   DATASTORE   the name of their datastore as the host knows it; needed unless the paths below begin with a slash
#   FOLDER      the folder on it that holds theirs, if they are not at its top
#   TOOL        vim-cmd or govc; unless told, the first one that is here
DATASTORE=\${DATASTORE:-}
FOLDER=\${FOLDER:+\${FOLDER%/}/}
if [ -z "\${TOOL:-}" ]; then
  if command -v vim-cmd >/dev/null 2>&1; then TOOL=vim-cmd; else TOOL=govc; fi
fi
failed=0

# register NAME PATH
register() {
  path=$2
  case $path in
  /vmfs/volumes/*) rest=\${path#/vmfs/volumes/}; store=\${rest%%/*}; file=\${rest#*/} ;;
  /*) store=; file=$path ;;
  *)
    if [ -z "$DATASTORE" ]; then echo "$0: set DATASTORE to the name of the datastore" >&2; exit 2; fi
    store=$DATASTORE; file=$FOLDER$path; path=/vmfs/volumes/$store/$file ;;
  esac
  case $TOOL in
  vim-cmd) vim-cmd solo/registervm "$path" "$1" ;;
  govc) govc vm.register -name="$1" \${store:+-ds="$store"} "$file" ;;
  *) echo "$0: TOOL is vim-cmd or govc" >&2; exit 2 ;;
  esac || { echo "$0: $1 could not be registered" >&2; failed=1; }
}

`;

/** For sh: between single quotes nothing has a meaning but the quote itself. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
