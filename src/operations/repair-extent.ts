// Mends one extent over a scratch store: checks it, mends what was found, and looks again, since what was wrong with a
// header or a directory may have hidden more. Rule: the mark of an unclean end goes last, and only when nothing is
// left that is wrong.
import type { Finding } from '../core/finding.ts';
import type { TaskOptions } from '../core/task.ts';
import { CowdHeaderStruct } from '../format/cowd-header.ts';
import { SparseExtentHeader } from '../format/sparse-header.ts';
import { checkExtentFile, type CheckedExtent } from '../grain/check-extent-file.ts';
import { FindingLog } from '../grain/check-findings.ts';
import type { WritableFile } from '../storage/file-store.ts';
import { changeHeader, hasCode, type ExtentMend } from './repair-context.ts';
import { mendCowd, mendSeSparse } from './repair-cowd.ts';
import { cutLeakedTail, type CutLeaks } from './repair-leaks.ts';
import { mendSparse } from './repair-sparse.ts';
import { mendStream } from './repair-stream.ts';
import type { ScratchStore } from './scratch-store.ts';

const MOST_ROUNDS = 4;

export interface ExtentRepair {
  readonly scratch: ScratchStore;
  readonly task: TaskOptions;
  readonly noteContent: () => void;
  /** Lost space at the end of the file that is cut off, once nothing else is wrong: none, zeros alone, or all. */
  readonly cutLeaks: CutLeaks;
}

/** `lineSectors`: what the descriptor says; undefined when there is none. */
export async function mendExtent(
  { scratch, task, noteContent, cutLeaks }: ExtentRepair,
  path: string,
  lineSectors: number | undefined,
): Promise<void> {
  const file = await scratch.open(path, 'update');
  try {
    for (let round = 0; ; round++) {
      const log = new FindingLog();
      const fileBytes = await file.size();
      const checked = await checkExtentFile({ file, fileBytes, log, deep: false, task }, lineSectors);
      const mend: ExtentMend = { file, findings: mendable(log.findings), task, noteContent };
      const [before, mark] = [scratch.changes, scratch.mark()];
      if (round < MOST_ROUNDS) await mendOnce(mend, checked, cutLeaks);
      if (scratch.changes > before) {
        if (await isBetter(file, lineSectors, { log, checked }, task)) continue;
        scratch.rollBack(mark);
      }
      if (round >= MOST_ROUNDS || log.errors > 0 || log.unchecked > 0) return;
      if (!hasCode(mend, 'UNCLEAN')) return;
      await markClean(mend, checked.kind);
      if (scratch.changes === before) return;
    }
  } finally {
    await file.close();
  }
}

/** Where the size is in doubt, entries behind the end may be those of grains. */
function mendable(findings: readonly Finding[]): readonly Finding[] {
  const doubted = findings.some(({ code }) => code === 'CAP');
  return doubted ? findings.filter(({ code }) => code !== 'SLACK') : findings;
}

async function mendOnce(
  mend: ExtentMend,
  { kind, grains }: CheckedExtent,
  cutLeaks: CutLeaks,
): Promise<void> {
  if (kind === 'sparse') {
    await mendSparse(mend);
    await cutLeakedTail(mend, grains.imageEnd, cutLeaks);
  } else if (kind === 'stream') await mendStream(mend);
  else if (kind === 'cowd') await mendCowd(mend, grains.imageEnd);
  else if (kind === 'sesparse') await mendSeSparse(mend);
}

/**
 * A change is kept when it leaves fewer errors, or as many and fewer findings in all: lost space, which is told only
 * once there are no errors, counts when all else is the same. A mended directory may bring to light what it hid; that is
 * fewer no more.
 */
async function isBetter(
  file: WritableFile,
  lineSectors: number | undefined,
  before: { readonly log: FindingLog; readonly checked: CheckedExtent },
  task: TaskOptions,
): Promise<boolean> {
  const log = new FindingLog();
  const check = { file, fileBytes: await file.size(), log, deep: false, task };
  const { grains } = await checkExtentFile(check, lineSectors);
  if (log.errors !== before.log.errors) return log.errors < before.log.errors;
  const others = ({ counts }: FindingLog): number =>
    counts.reduce((sum, { code, count }) => (code === 'LEAK' || code === 'TAIL' ? sum : sum + count), 0);
  const tails = (one: FindingLog): number =>
    one.findings.filter(({ code, severity }) => code === 'TAIL' && severity !== 'info').length;
  const [now, then] = [others(log) + tails(log), others(before.log) + tails(before.log)];
  return now === then ? grains.leakedBytes < before.checked.grains.leakedBytes : now < then;
}

async function markClean(mend: ExtentMend, kind: CheckedExtent['kind']): Promise<void> {
  const clean = () => ({ uncleanShutdown: 0 });
  if (kind === 'sparse' || kind === 'stream') await changeHeader(mend.file, SparseExtentHeader, clean);
  if (kind === 'cowd') await changeHeader(mend.file, CowdHeaderStruct, clean);
}
