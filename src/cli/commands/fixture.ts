// `vmdkit fixture`: makes test disks from a spec or from the catalogue of faults, and proves those that were made.
import { posix } from 'node:path';
import { usageError, VmdkError } from '../../core/errors.ts';
import type { Fault } from '../../fixture/fault.ts';
import { faultNamed, FAULTS, makeFaultyFixture, makeFixture } from '../../fixture/faults.ts';
import type { Fixture } from '../../fixture/make-fixture.ts';
import { readFixtureSpec } from '../../fixture/read-spec.ts';
import type { FixtureSpec } from '../../fixture/spec.ts';
import { fixtureTar } from '../../fixture/tar.ts';
import { verifyFixture } from '../../fixture/verify.ts';
import { writeFixture } from '../../fixture/write-fixture.ts';
import type { CommandModule } from '../command-module.ts';
import type { CommandContext } from '../context.ts';
import { EXIT } from '../failure.ts';
import { legible } from '../legible.ts';
import { plural, sizeText } from '../numbers.ts';
import type { Arguments } from '../parsed-arguments.ts';
import { shownPath } from '../shown-path.ts';

/** A spec is written by hand or by a program, and neither writes more. */
const MOST_SPEC_BYTES = 16 << 20;

export const run: CommandModule['run'] = async (args, context) => {
  const spec = args.optionalOperand('SPEC');
  const asked = [
    ...(spec === undefined ? [] : ['SPEC']),
    ...['fault', 'list-faults', 'verify'].filter((name) => args.flag(name)).map((name) => `--${name}`),
  ];
  if (asked.length !== 1) {
    const hint = 'Give one of SPEC, --fault NAME, --list-faults, --verify DIR.';
    throw usageError(
      asked.length === 0 ? 'fixture needs SPEC' : `${asked.join(' and ')} do not go together`,
      hint,
    );
  }
  if (args.flag('list-faults')) return listFaults(context);
  const folder = args.text('verify');
  if (folder !== undefined) return verify(folder, context);
  return make(spec, args, context);
};

async function make(spec: string | undefined, args: Arguments, context: CommandContext): Promise<number> {
  const target = args.text('to');
  const dry = args.flag('dry-run');
  if (target === undefined && !dry) throw usageError('fixture needs -o DIR', 'For example: -o chain');
  const name = args.text('fault');
  const fault = name === undefined ? undefined : faultNamed(name);
  const fixture = await context.withProgress(async (task) => {
    if (fault !== undefined) return (await makeFaultyFixture(fault.name)).fixture;
    const folder = spec === '-' ? '.' : posix.dirname(spec!);
    return makeFixture(await readSpec(spec!, context), { fs: context.store, folder, ...task });
  });
  if (!dry && target === '-') {
    for (const piece of fixtureTar(fixture)) await context.stdout.write(piece);
    return EXIT.done;
  }
  if (!dry)
    await context.withProgress((task) => writeFixture(fixture, target!, { fs: context.store, ...task }));
  await report(fixture, fault, dry ? undefined : target, context);
  return EXIT.done;
}

async function readSpec(path: string, context: CommandContext): Promise<FixtureSpec> {
  const text = path === '-' ? await wholeInput(context) : await wholeFile(path, context);
  try {
    return readFixtureSpec(JSON.parse(text));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw usageError(`${path}: the spec is no JSON: ${error.message}`);
  }
}

async function wholeFile(path: string, { store }: CommandContext): Promise<string> {
  const file = await store.open(path, 'read');
  try {
    const size = await file.size();
    if (size > MOST_SPEC_BYTES) throw tooLong(path);
    const bytes = Buffer.alloc(size);
    await file.readExactly(bytes, 0);
    return bytes.toString();
  } finally {
    await file.close();
  }
}

async function wholeInput({ stdin, signal }: CommandContext): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of stdin()) {
    signal.throwIfAborted();
    parts.push(part as Buffer);
    length += (part as Buffer).length;
    if (length > MOST_SPEC_BYTES) throw tooLong('stdin');
  }
  return Buffer.concat(parts).toString();
}

function tooLong(path: string): VmdkError {
  return new VmdkError('usage', 'spec-too-long', 'no spec is so long', {
    path,
    expected: `at most ${MOST_SPEC_BYTES} bytes`,
  });
}

/** `target` is undefined for a dry run. */
async function report(
  { expected }: Fixture,
  fault: Fault | undefined,
  target: string | undefined,
  context: CommandContext,
): Promise<void> {
  const { seed, files, disks, machines } = expected;
  if (context.format !== 'human') {
    await context.printJson({
      schema: 'vmdkit-fixture-made/v1',
      ...(target === undefined ? {} : { filename: target }),
      seed,
      ...(fault === undefined
        ? {}
        : { fault: fault.name, raises: [...new Set([fault.raises, ...fault.check])] }),
      files: files.map(({ filename, size }) => ({ filename, size })),
      disks: disks.map(({ filename }) => filename),
      machines: machines.map(({ filename }) => filename),
    });
    return;
  }
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const what = [
    plural(disks.length, 'disk'),
    ...(machines.length === 0 ? [] : [plural(machines.length, 'machine')]),
    `${plural(files.length, 'file')} of ${sizeText(bytes)}`,
  ];
  const place = target === undefined ? 'would be made' : shownPath(target);
  await context.stdout.line(`${place}: ${what.join(', ')}`);
  for (const { filename, size } of files)
    await context.stdout.line(`  ${legible(filename)}  ${sizeText(size)}`);
  if (fault === undefined) return;
  await context.stdout.line(`broken: ${fault.what}`);
  const found = fault.check.length === 0 ? 'nothing' : fault.check.join(', ');
  const command = fault.on === 'machine' ? 'info' : 'check --deep';
  await context.stdout.line(`${command} finds: ${found}; reading gives: ${fault.read}`);
}

async function listFaults(context: CommandContext): Promise<number> {
  if (context.format !== 'human') {
    await context.printJson({
      schema: 'vmdkit-faults/v1',
      faults: FAULTS.map(({ name, what, attack, on, raises, check, read }) => ({
        name,
        what,
        ...(attack === undefined ? {} : { attack }),
        on,
        raises,
        check,
        read,
      })),
    });
    return EXIT.done;
  }
  const width = Math.max(...FAULTS.map(({ name }) => name.length));
  for (const { name, what, raises } of FAULTS) {
    const raised = context.stdout.paint('dim', raises);
    await context.stdout.line(`${name.padEnd(width)}  ${what}  ${raised}`);
  }
  return EXIT.done;
}

async function verify(folder: string, context: CommandContext): Promise<number> {
  const found = await context.withProgress((task) => verifyFixture(folder, { fs: context.store, ...task }));
  const same = found.verdict === 'as-expected';
  if (context.format !== 'human') await context.printJson(found);
  else {
    const { files, disks, machines } = found;
    const counts = [plural(files, 'file'), plural(disks, 'disk'), plural(machines, 'machine')].join(', ');
    await context.stdout.line(`${shownPath(folder)}: ${same ? 'as expected' : 'DIFFERENT'}: ${counts}`);
    for (const { filename, what, expected, found: actual } of found.differences) {
      await context.stdout.line(
        `  ${legible(filename)}: ${what}: expected ${cut(expected)}, found ${cut(actual)}`,
      );
    }
  }
  return same ? EXIT.done : EXIT.no;
}

/** Maps are long, and JSON has them whole. */
function cut(text: string): string {
  return text.length > 200 ? `${legible(text.slice(0, 200))}…` : legible(text);
}
