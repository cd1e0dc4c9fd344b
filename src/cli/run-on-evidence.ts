// Runs a command on evidence: with a store that cannot write, and a record of the run where one is asked for. Rule: the
// record is written however the command ends, and says how.
import { createHash } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { dirname } from 'node:path';
import { VmdkError } from '../core/errors.ts';
import { gatherEvidence, type Evidence, type EvidenceItem } from '../examine/evidence.ts';
import type { FileHashing } from '../examine/file-digest.ts';
import type { CommandDeclaration } from './command.ts';
import type { CommandModule } from './command-module.ts';
import type { CommandContext } from './context.ts';
import { digestJson, itemJson, type RunRecord } from './evidence-record.ts';
import { exitCodeOf, failureJson } from './failure.ts';
import { plural } from './numbers.ts';
import type { Output } from './output.ts';
import type { Arguments } from './parsed-arguments.ts';
import { shownPath } from './shown-path.ts';

interface Run {
  readonly command: CommandDeclaration;
  readonly module: CommandModule;
  readonly args: Arguments;
  readonly argv: readonly string[];
}

/** @throws VmdkError `evidence-changed` when anybody changed the evidence meanwhile. */
export async function runOnEvidence(run: Run, outer: CommandContext): Promise<number> {
  const { args, command } = run;
  const manifest = args.text('manifest');
  const started = new Date();
  const evidence = gatherEvidence(outer.store, {
    hashes: manifest === undefined ? undefined : hashingOf(args.text('manifest-hash')),
    besideEvidence: args.flag('beside-evidence'),
    signal: outer.signal,
  });
  await evidence.claim(command.operands.flatMap(({ name }) => args.operands(name)));
  if (manifest !== undefined) await assertManifestFree(manifest, evidence, outer);
  const { output, sum } = summedOutput(outer.stdout);
  const context: CommandContext = {
    ...outer,
    store: evidence.store,
    outputs: evidence.outputs,
    onEvidence: true,
    stdout: output,
    printJson: (value) =>
      output.line(JSON.stringify(value, undefined, outer.format === 'json' ? 2 : undefined)),
  };
  let failure: unknown;
  let code: number;
  try {
    code = await run.module.run(args, context);
  } catch (error) {
    outer.signal.throwIfAborted();
    failure = error;
    code = exitCodeOf(error);
  }
  const items = await outer.withProgress((task) => evidence.conclude(task));
  const changed = items.filter((item) => item.changed);
  if (manifest !== undefined) {
    const record: RunRecord = {
      ...(await recordOf(run, started, outer)),
      'exit-code': changed.length > 0 && failure === undefined ? exitCodeOf(changeError(changed)) : code,
      ...(failure === undefined ? {} : { error: failureJson(failure) }),
      unchanged: changed.length === 0,
      files: items.filter(({ kind }) => kind === 'file').map(itemJson),
      folders: items.filter(({ kind }) => kind === 'folder').map(itemJson),
      output: sum(),
      results: (await evidence.results()).map(({ path, size, ...digest }) => ({
        filename: path,
        size,
        ...digestJson(digest),
      })),
    };
    await writeManifest(manifest, record, evidence, outer);
  }
  if (failure !== undefined) throw failure;
  if (changed.length > 0) throw changeError(changed);
  return code;
}

/** Before the work, not after it. */
async function assertManifestFree(path: string, evidence: Evidence, context: CommandContext): Promise<void> {
  await evidence.assertOutputAllowed(path);
  if (!(await context.store.exists(dirname(path)))) {
    throw new VmdkError('missing', 'folder-missing', 'there is no folder for the manifest', { path });
  }
  if (context.force || !(await context.store.exists(path))) return;
  throw new VmdkError('refused', 'target-exists', 'the manifest exists already', {
    path,
    hint: 'Pass --force to replace it.',
  });
}

async function recordOf({ args, argv }: Run, started: Date, context: CommandContext) {
  const [examiner, name] = [args.text('examiner'), args.text('case')];
  return {
    schema: 'vmdkit-evidence/v1' as const,
    version: await context.version(),
    arguments: argv,
    'working-folder': process.cwd(),
    host: hostname(),
    user: userName(),
    platform: `${process.platform} ${process.arch}, Node ${process.versions.node}`,
    started: started.toISOString(),
    ended: new Date().toISOString(),
    'manifest-hash': hashingOf(args.text('manifest-hash')) ?? ('none' as const),
    ...(examiner === undefined ? {} : { examiner }),
    ...(name === undefined ? {} : { case: name }),
  };
}

/** Undefined when nothing is to be hashed. */
export function hashingOf(how = 'auto'): FileHashing | undefined {
  return how === 'whole' || how === 'sparse' || how === 'auto' ? how : undefined;
}

/** Some containers have a user without a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

async function writeManifest(
  path: string,
  record: RunRecord,
  evidence: Evidence,
  context: CommandContext,
): Promise<void> {
  const text = Buffer.from(`${JSON.stringify(record, undefined, 2)}\n`);
  await evidence.outputs.replace(path, text);
  const sha256 = createHash('sha256').update(text).digest('hex');
  const state = record.unchanged ? 'unchanged' : 'NOT unchanged';
  const sparse = record.files.filter(({ before }) => before['sparse-sha256'] !== undefined).length;
  const said = sparse === 0 ? '' : ` (${sparse} hashed without their zeros: sparse-sha256)`;
  context.talk(
    `${shownPath(path)}: ${plural(record.files.length, 'file')} of evidence ${state}${said}; SHA-256 of this manifest:\n  ${sha256}`,
  );
}

function changeError(changed: readonly EvidenceItem[]): VmdkError {
  const first = changed[0]!;
  const more = changed.length === 1 ? '' : ` (and ${plural(changed.length - 1, 'other')})`;
  return new VmdkError('io', 'evidence-changed', `the evidence changed while it was examined${more}`, {
    path: first.path,
    found: first.after === undefined ? 'it is gone' : 'other bytes, size, times or names than before',
    expected: 'as before',
    hint: 'Somebody else wrote to it: vmdkit does not. Work on a copy, or on a read-only mount.',
  });
}

/** Passes everything on, and knows what it was. */
function summedOutput(inner: Output): { output: Output; sum: () => { bytes: number; sha256: string } } {
  const hash = createHash('sha256');
  let bytes = 0;
  const write = async (data: string | Uint8Array): Promise<void> => {
    const piece = typeof data === 'string' ? Buffer.from(data) : data;
    hash.update(piece);
    bytes += piece.length;
    await inner.write(piece);
  };
  const output: Output = { ...inner, write, line: (text) => write(`${text}\n`) };
  return { output, sum: () => ({ bytes, sha256: hash.copy().digest('hex') }) };
}
