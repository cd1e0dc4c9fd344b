// Serving over NBD: the same client against us, qemu-nbd, and nbdkit with a raw file, which is what the protocol costs
// at the least. A server stays for all rounds of a case, and what its client takes is measured; starting is a case of its
// own.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { leafOf, makeImages, run } from './images.js';

const command = fileURLToPath(new URL('../bin/vmdkit.js', import.meta.url));
const COPY = 'nbdcopy "$uri" null:';
/** Steps that are no power of two scatter the reads over the whole disk. */
const READS = 'qemu-img bench -f raw -c 10000 -d 16 -s 4096 -S 12345344 "$uri"';
/** The least that a client asks: what a server takes to start. */
const HELLO = 'nbdinfo --size "$uri"';

/** About 1 GiB of data in a disk, and a chain of 32 over it; the disk as a raw file as well. */
export async function makeServedImages(folder, quick) {
  const images = join(folder, 'served');
  mkdirSync(images);
  await makeImages(images, quick ? 256 : 3072, 32);
  run('qemu-img', ['convert', '-O', 'raw', leafOf(images, 1), join(images, 'base.raw')]);
}

export function servedCases(folder) {
  const images = join(folder, 'served');
  if (!existsSync(images)) return [];
  const against = (title, depth, work, target, least) => ({
    title: `serve ${title}, depth ${depth}, against qemu-nbd`,
    target,
    ...servedBy({ peer: qemuNbd(images, depth), ours: vmdkit(images, depth), least }, work),
  });
  const copy = '1 GiB to nbdcopy';
  const reads = '10,000 random reads of 4 KiB, 16 in flight';
  return [
    against(copy, 1, COPY, 3, nbdkit(images)),
    against(copy, 32, COPY, 15),
    {
      title: `serve ${copy}, against nbdkit with a raw file`,
      target: 0.62,
      ...servedBy({ peer: nbdkit(images), ours: vmdkit(images, 1) }, COPY),
    },
    against(reads, 1, READS, 1.3),
    against(reads, 32, READS, 8),
    {
      title: 'start a server and ask it for a size, depth 1, against qemu-nbd',
      target: 0,
      peer: () => stop(start(qemuNbd(images, 1)), HELLO),
      ours: () => stop(start(vmdkit(images, 1)), HELLO),
    },
  ];
}

const socketOf = (images, name) => join(images, `${name}.sock`);
const uriOf = (socket) => `nbd+unix:///?socket=${socket}`;

function qemuNbd(images, depth) {
  const socket = socketOf(images, 'qemu');
  return {
    socket,
    argv: ['qemu-nbd', '-r', '-t', '-e', '8', '-k', socket, '-f', 'vmdk', leafOf(images, depth)],
  };
}

function nbdkit(images) {
  const socket = socketOf(images, 'nbdkit');
  return { socket, argv: ['nbdkit', '-f', '-r', '-U', socket, 'file', join(images, 'base.raw')] };
}

function vmdkit(images, depth) {
  const socket = socketOf(images, 'vmdkit');
  return {
    socket,
    argv: [process.execPath, command, 'serve', leafOf(images, depth), '--nbd', uriOf(socket), '-q'],
  };
}

/** Each server runs from the first round to the last, as servers do; what the client takes is measured. */
function servedBy(servers, work) {
  const running = {};
  const serve = (side) => () => client(running[side].socket, work);
  return {
    starts: false,
    prepare: (side) => (running[side] ??= start(servers[side])),
    peer: serve('peer'),
    ours: serve('ours'),
    least: servers.least && serve('least'),
    done: () => Object.values(running).forEach((server) => stop(server)),
  };
}

/** Starts a server and waits until it can be asked. */
function start({ socket, argv: [program, ...args] }) {
  rmSync(socket, { force: true });
  const child = spawn(program, args, { stdio: 'ignore' });
  while (!existsSync(socket)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
  return { socket, child };
}

function client(socket, work) {
  run('sh', ['-c', `uri="${uriOf(socket)}"; ${work}`]);
}

/** Stops a server, after `work` where that is given. */
function stop({ socket, child }, work) {
  if (work !== undefined) client(socket, work);
  child.kill();
  rmSync(socket, { force: true });
}
