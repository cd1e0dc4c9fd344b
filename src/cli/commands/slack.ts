// `vmdkit slack`: what lies in the files of a disk and is no part of what it reads as, listed, hashed and extracted.
import { basename, join } from 'node:path';
import { findSlack, type SlackItem, type SlackKind } from '../../examine/slack.ts';
import { withChainAt, diskOf, readingOptionsOf } from '../chain-read.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../failure.ts';
import { grouped, plural, sizeText } from '../numbers.ts';
import { shownPath } from '../shown-path.ts';

/** Items shown of one kind, unless --verbose asks for all. */
const SHOWN = 20;
const WORDS: Readonly<Record<SlackKind, string>> = {
  unreferenced: 'that nothing refers to',
  behind: 'behind the end',
  'same-as-below': 'that say what the disk below says',
  text: 'in descriptors',
};

interface Listed extends SlackItem {
  readonly extracted?: string;
}

export const run: CommandModule['run'] = async (args, context) => {
  const options = await readingOptionsOf(args, context);
  const disk = await diskOf(args.operand('DISK'), args, options, context);
  const into = args.text('extract');
  if (into !== undefined && !(await context.store.exists(into))) await context.outputs.makeFolder(into);
  const items: Listed[] = [];
  return withChainAt(disk.path, options, context, async (chain) => {
    const report = await context.withProgress((task) =>
      findSlack(chain, {
        ...options,
        ...task,
        fs: context.store,
        async onItem(item, contents) {
          const name = fileFor(items.length, item);
          if (into !== undefined) await extract(join(into, name), contents(), context);
          const listed = { ...item, ...(into === undefined ? {} : { extracted: join(into, name) }) };
          items.push(listed);
          if (context.format === 'ndjson') await context.printJson(itemJson(listed));
        },
      }),
    );
    if (context.format === 'json') {
      await context.printJson({
        schema: 'vmdkit-slack/v1',
        filename: chain.leaf.path,
        items: items.map(itemJson),
        'zero-bytes': report.zeroBytes,
        damaged: report.damaged,
      });
    } else if (context.format === 'human') await print(items, report.zeroBytes, context);
    for (const path of report.damaged)
      context.warn(
        `${path}: its tables are damaged, so that what nothing refers to may be in use; see vmdkit check`,
      );
    return EXIT.done;
  });
};

/** `0001-unreferenced-web-01.vmdk-65536.bin` */
function fileFor(index: number, { kind, path, offset }: SlackItem): string {
  return `${String(index + 1).padStart(4, '0')}-${kind}-${basename(path)}-${offset}.bin`;
}

async function extract(
  path: string,
  contents: AsyncIterable<Uint8Array>,
  { outputs }: CommandContext,
): Promise<void> {
  const file = await outputs.create(path);
  try {
    let at = 0;
    for await (const piece of contents) {
      await file.write(piece, at);
      at += piece.length;
    }
  } finally {
    await file.close();
  }
}

async function print(items: readonly Listed[], zeroBytes: number, context: CommandContext): Promise<void> {
  const { inColumns } = await import('../columns.ts');
  for (const kind of Object.keys(WORDS) as SlackKind[]) {
    const own = items.filter((item) => item.kind === kind);
    if (own.length === 0) continue;
    const bytes = own.reduce((sum, { length }) => sum + length, 0);
    await context.stdout.line(
      `${plural(own.length, 'stretch').replace('stretchs', 'stretches')}, ${sizeText(bytes)}, ${WORDS[kind]}`,
    );
    const shown = context.verbose ? own : own.slice(0, SHOWN);
    const rows = shown.map(({ path, offset, length, sector, sha256, note = '' }) => [
      `  ${grouped(offset)}`,
      grouped(length),
      sector === undefined ? '' : grouped(sector),
      sha256.slice(0, 16),
      shownPath(path),
      note,
    ]);
    const columns = [
      { head: '  OFFSET', align: 'right' as const },
      { head: 'BYTES', align: 'right' as const },
      { head: 'SECTOR', align: 'right' as const },
      { head: 'SHA-256' },
      { head: 'FILE' },
      { head: '' },
    ];
    await context.stdout.line(inColumns(columns, rows).join('\n'));
    if (own.length > shown.length)
      await context.stdout.line(`  and ${grouped(own.length - shown.length)} others: see -v`);
  }
  const zeros = zeroBytes === 0 ? '' : `; ${sizeText(zeroBytes)} that nothing refers to are zeros`;
  await context.stdout.line(
    items.length === 0 ? `no slack${zeros}` : `${plural(items.length, 'item')}${zeros}`,
  );
}

function itemJson({ path, ...item }: Listed) {
  return { filename: path, ...item };
}
