// What a thread of deflate-threads.ts runs. The build joins it with libdeflate into a file of its own, which package.json
// names `#deflate-thread`.
import { parentPort } from 'node:worker_threads';
import { zlib } from 'libdeflate';
import type { DeflateOrder } from './deflate-threads.ts';

parentPort!.on('message', ({ level, input, output, lengths }: DeflateOrder) => {
  const into = new Uint8Array(output);
  let [from, to] = [0, 0];
  const made = lengths.map((length) => {
    const stream = zlib(new Uint8Array(input, from, length), level);
    into.set(stream, to);
    from += length;
    to += stream.length;
    return stream.length;
  });
  parentPort!.postMessage(made);
});
