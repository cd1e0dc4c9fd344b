// A remote file of 512 MiB is read in bounded memory: measured in a process of its own, against a stand-in for the network
// that holds nothing itself.
import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { buildCommand } from '../support/command.ts';
import { PEAK_MIB } from '../support/peak-memory.ts';

const SCRIPT = `
  import { readFileSync } from 'node:fs';
  import { createRemoteFileStore } from '${new URL('../../dist/index.js', import.meta.url).href}';
  const MIB = 1 << 20;
  const size = 512 * MIB;
  let asked = 0;
  const piece = Buffer.alloc(64 << 10, 7);
  const fetch = async (url, { headers }) => {
    asked++;
    const [, first, last] = /bytes=(\\d+)-(\\d+)/.exec(headers.range);
    const [start, end] = [Number(first), Math.min(Number(last) + 1, size)];
    let left = end - start;
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(piece.subarray(0, Math.min(left, piece.length)));
        left -= Math.min(left, piece.length);
        if (left === 0) controller.close();
      },
    });
    const answered = { etag: '"1"', 'content-range': 'bytes ' + start + '-' + (end - 1) + '/' + size };
    return new Response(body, { status: 206, headers: answered });
  };
  const store = createRemoteFileStore({ allowOrigins: ['http://x'], fetch });
  const file = await store.open('http://x/disk', 'read');
  const before = ${PEAK_MIB};
  let next = 0;
  const lane = async () => {
    const into = Buffer.alloc(MIB);
    while (next < size) {
      const at = next;
      next += MIB;
      await file.readExactly(into, at);
      if (into[0] !== 7 || into[MIB - 1] !== 7) throw new Error('wrong bytes');
    }
  };
  await Promise.all(Array.from({ length: 8 }, lane));
  await file.close();
  console.log(JSON.stringify({ grownMiB: ${PEAK_MIB} - before, asked }));`;

it('a remote file of 512 MiB is read with less than 200 MiB, in long requests', { timeout: 120_000 }, () => {
  buildCommand();
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', SCRIPT]);
  const { grownMiB, asked } = JSON.parse(String(output)) as { grownMiB: number; asked: number };
  expect(grownMiB).toBeLessThan(200);
  expect(asked).toBeLessThan(600);
});
