// Other people's programs that vmdkit is checked against, and the corpus of disks that others made.
// Rule: on a user's machine a missing one is named in one line and the suite still passes; in CI it fails.
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { spawnApart, type Spawned } from './spawner.ts';

/** Each peer with the Debian package that holds it. */
const PACKAGES = {
  'qemu-img': 'qemu-utils',
  'qemu-io': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  vmdkinfo: 'libvmdk-utils',
  '7zz': '7zip',
  curl: 'curl',
  nbdkit: 'nbdkit',
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  nbdfuse: 'libnbd-bin',
  nbdsh: 'python3-libnbd',
  openssl: 'openssl',
  mke2fs: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  mmls: 'sleuthkit',
  img_stat: 'sleuthkit',
  img_cat: 'sleuthkit',
  fls: 'sleuthkit',
  icat: 'sleuthkit',
  istat: 'sleuthkit',
  tsk_recover: 'sleuthkit',
  'mkfs.fat': 'dosfstools',
  mcopy: 'mtools',
  hexdump: 'bsdextrautils',
  chromium: 'chromium',
  uuidgen: 'uuid-runtime',
  hashdeep: 'hashdeep',
  md5sum: 'coreutils',
  sha256sum: 'coreutils',
} as const;

/** What QEMU loads when it is asked for, from a folder of its own, each with its package. */
const QEMU_MODULES = { 'block-curl.so': 'qemu-block-extra' } as const;

export type PeerName = keyof typeof PACKAGES;
export type QemuModule = keyof typeof QEMU_MODULES;

export type PeerResult = Spawned;

export interface PeerOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string | Uint8Array;
  /** Milliseconds; 60,000 unless told. */
  readonly timeout?: number;
}

export interface Peer {
  readonly name: PeerName;
  readonly path: string;
  /** Runs it and gives what it printed and its exit code, whatever that is. */
  run(args: readonly string[], options?: PeerOptions): Promise<PeerResult>;
  /** Runs it, expects exit code 0 and gives its stdout. */
  ok(args: readonly string[], options?: PeerOptions): Promise<string>;
}

export const inCi: boolean = /^(?:1|true)$/.test(process.env['CI'] ?? '');

/** The peer as the PATH has it, or undefined. */
export function findPeer(name: PeerName, path = process.env['PATH'] ?? ''): Peer | undefined {
  const file = path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isProgram);
  if (file === undefined) return undefined;
  const run = (args: readonly string[], options: PeerOptions = {}) => runProgram(file, args, options);
  return {
    name,
    path: file,
    run,
    async ok(args, options) {
      const result = await run(args, options);
      if (result.code !== 0) {
        throw new Error(`${name} ${args.join(' ')}: exit code ${result.code}: ${result.stderr.trim()}`);
      }
      return result.stdout;
    },
  };
}

/** Whether QEMU would find it: on Debian below a folder for the machine's kind, elsewhere directly below. */
export function hasQemuModule(name: QemuModule, libraries: readonly string[] = LIBRARIES): boolean {
  return libraries
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => ['', ...readdirSync(folder)].map((kind) => join(folder, kind, 'qemu', name)))
    .some((file) => existsSync(file));
}

const LIBRARIES = ['/usr/lib', '/usr/lib64'];

/** A `describe` that needs these peers, which it hands to `fn` by name, and these modules. */
export function describeWithPeer<Name extends PeerName>(
  names: Name | readonly (Name | QemuModule)[],
  title: string,
  fn: (peers: Readonly<Record<Name, Peer>>) => void,
): void {
  const wanted = typeof names === 'string' ? [names] : names;
  const found = wanted.flatMap((name) => (isModule(name) ? [] : (findPeer(name) ?? [])));
  const missing = wanted.filter((name) =>
    isModule(name) ? !hasQemuModule(name) : !found.some((peer) => peer.name === name),
  );
  if (missing.length === 0) {
    const peers = Object.fromEntries(found.map((peer) => [peer.name, peer])) as Record<Name, Peer>;
    describe(title, () => fn(peers));
  } else {
    const why = missingPeers(missing);
    console.log(why);
    standIn(title, why);
  }
}

/** A `describe` that needs the corpus, whose folder it hands to `fn`. */
export function describeWithCorpus(title: string, fn: (folder: string) => void): void {
  const folder = corpusFolder();
  if (folder === undefined) standIn(title, NO_CORPUS);
  else describe(title, () => fn(folder));
}

/** The corpus: the folder named by VMDKIT_CORPUS, else ../shared/corpus beside the checkout; in CI it must exist. */
export function corpusFolder(environment = process.env, mustExist = inCi): string | undefined {
  const folder =
    environment['VMDKIT_CORPUS'] ?? fileURLToPath(new URL('../../../shared/corpus', import.meta.url));
  if (existsSync(join(folder, 'expected.json'))) return folder;
  if (mustExist) throw new Error(`${NO_CORPUS} (looked in ${folder})`);
  console.log(NO_CORPUS);
  return undefined;
}

const NO_CORPUS = 'corpus: no folder of real disks here; name one with VMDKIT_CORPUS';

/** What is missing and what installs it, in one line. */
export function missingPeers(names: readonly (PeerName | QemuModule)[]): string {
  const packages = [...new Set(names.map((name) => (isModule(name) ? QEMU_MODULES[name] : PACKAGES[name])))];
  const are = names.length === 1 ? 'is' : 'are';
  const them = names.length === 1 ? 'it' : 'them';
  return `interop: ${names.join(', ')} ${are} missing; install ${them} with: apt-get install ${packages.join(' ')}`;
}

/** Stands in for tests that cannot run here: says why, passes on a user's machine and fails in CI. */
function standIn(title: string, why: string): void {
  describe(title, () => {
    it(why, () => expect(inCi ? why : 'not CI').toBe('not CI'));
  });
}

function isModule(name: PeerName | QemuModule): name is QemuModule {
  return Object.hasOwn(QEMU_MODULES, name);
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function runProgram(file: string, args: readonly string[], options: PeerOptions): Promise<PeerResult> {
  return spawnApart(file, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C', ...options.env },
    input: options.input,
    timeout: options.timeout ?? 60_000,
    maxBuffer: 64 * 1024 * 1024,
  });
}
