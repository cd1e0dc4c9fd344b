// The journal of an operation that makes many files: one hidden folder beside them, which holds what was promised
// (`journal.json`) and what is made so far (`made/`). Its name says who works in it and how far it is: `.new` is undone
// when its owner dies, `.ready` is finished. Rule: nothing in a journal is believed that was not checked here.
import { VmdkError } from '../core/errors.ts';
import { assertCloneName } from './clone-names.ts';

const SCHEMA = 'vmdkit-journal/v1';
/** 100,000 clones of three split disks are about 30 MiB. */
const MOST_JOURNAL_BYTES = 64 * 1024 * 1024;

/** A process, as far as another one on the same host can recognise it. */
export interface RunOwner {
  /** 8 hex digits that differ from host to host. */
  readonly host: string;
  readonly pid: number;
  /** When the process started, in the system's own count; `0` when the system does not say. */
  readonly started: string;
}

export interface JournalFolder {
  /** Its name in the folder that the operation works in. */
  readonly name: string;
  /** Undefined when it was given up. */
  readonly owner: RunOwner | undefined;
  readonly state: 'new' | 'ready';
}

/** What belongs together: the files of one clone. */
export interface JournalUnit {
  readonly name: string;
  /** Names of files, in the order in which they take their places. */
  readonly files: readonly string[];
}

export interface Journal {
  /** Equal for two runs of the same command. */
  readonly request: string;
  /** `folders`: each unit becomes a folder of its name. `files`: the files go straight into the folder. */
  readonly layout: 'files' | 'folders';
  readonly units: readonly JournalUnit[];
}

export const JOURNAL_FILE = 'journal.json';
export const MADE_FOLDER = 'made';

const FOLDER_NAME = /^\.vmdkit-clone-([0-9a-f]{8})-(\d{1,10})-(\d{1,20})-[0-9a-f]{8}\.(new|ready)$/;

/** `random` is 8 hex digits: two runs of one process must not meet. */
export function journalFolderName({ host, pid, started }: RunOwner, random: string): string {
  return `.vmdkit-clone-${host}-${pid}-${started}-${random}.new`;
}

/** The name that says: all is made, only places are missing. */
export function readyName(name: string): string {
  return name.replace(/\.new$/, '.ready');
}

/** The name of a folder whose owner gave it up and lives on. */
export function releasedName(name: string): string {
  return name.replace(/-\d+-\d+(-[0-9a-f]{8}\.(?:new|ready))$/, '-0-0$1');
}

/** Undefined when the name is no journal folder's. */
export function parseJournalFolder(name: string): JournalFolder | undefined {
  const match = FOLDER_NAME.exec(name);
  if (match === null) return undefined;
  const [, host = '', pid, started = '', state] = match;
  const owner = pid === '0' ? undefined : { host, pid: Number(pid), started };
  return { name, owner, state: state === 'new' ? 'new' : 'ready' };
}

export function encodeJournal(journal: Journal): Buffer {
  return Buffer.from(`${JSON.stringify({ schema: SCHEMA, ...journal })}\n`);
}

/** @throws VmdkError `journal-too-large`: this is checked before a journal is read. */
export function assertJournalSize(size: number, path: string): void {
  if (size <= MOST_JOURNAL_BYTES) return;
  throw new VmdkError('corrupt', 'journal-too-large', 'this is no journal of vmdkit', {
    path,
    found: `${size} bytes`,
    expected: `at most ${MOST_JOURNAL_BYTES}`,
  });
}

/** The journal, or undefined when it was not written to its end. @throws VmdkError `bad-journal` when it is forged. */
export function parseJournal(bytes: Uint8Array, path: string): Journal | undefined {
  const text = Buffer.from(bytes).toString('utf8');
  if (!text.endsWith('\n')) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isJournal(value)) throw badJournal(path, 'other fields', `the fields of ${SCHEMA}`);
  const { request, layout, units } = value;
  for (const unit of units) assertUnit(unit, path);
  return { request, layout, units };
}

function isJournal(value: unknown): value is Journal & { schema: string } {
  if (typeof value !== 'object' || value === null) return false;
  const { schema, request, layout, units } = value as Record<string, unknown>;
  return (
    schema === SCHEMA &&
    typeof request === 'string' &&
    (layout === 'files' || layout === 'folders') &&
    Array.isArray(units) &&
    units.every(isUnit)
  );
}

function isUnit(value: unknown): value is JournalUnit {
  if (typeof value !== 'object' || value === null) return false;
  const { name, files } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    Array.isArray(files) &&
    files.length > 0 &&
    files.every((file) => typeof file === 'string')
  );
}

/** Every name is one that a run could have chosen, so that no journal leads out of its folder. */
function assertUnit({ name, files }: JournalUnit, path: string): void {
  for (const file of files) {
    if (!file.endsWith('.vmdk')) throw badJournal(path, JSON.stringify(file), 'names that end in .vmdk');
  }
  try {
    assertCloneName(name);
    for (const file of files) assertFileOfClone(file);
  } catch (error) {
    if (!(error instanceof VmdkError)) throw error;
    throw badJournal(path, error.message, 'names of clones and their files', error);
  }
}

/** The name without `.vmdk` obeys the rule for names; its companions may be as long as a file name can be. */
function assertFileOfClone(file: string): void {
  const stem = file.slice(0, -'.vmdk'.length);
  assertCloneName(stem.replace(/-(?:delta|sesparse|[sf]\d{3,})$/, ''));
}

function badJournal(path: string, found: string, expected: string, cause?: unknown): VmdkError {
  return new VmdkError(
    'corrupt',
    'bad-journal',
    'the journal of an interrupted run was not written by vmdkit',
    { path, found, expected, hint: 'Nothing was touched. Look at the folder, and remove it by hand.' },
    cause,
  );
}
