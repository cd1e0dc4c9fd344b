// Every descriptor of the corpus: what is known of it, and that it prints back byte for byte.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { canonicalEncoding } from '../../src/format/text-encoding.ts';
import { NO_PARENT_CID, parseCid, printCid } from '../../src/format/content-id.ts';
import { assertSoundDescriptor, parseDescriptor, type Descriptor } from '../../src/format/descriptor.ts';
import { editDescriptor, rollContentId } from '../../src/format/edit-descriptor.ts';
import { detectFileKind } from '../../src/format/file-kind.ts';
import { printDescriptor } from '../../src/format/print-descriptor.ts';
import { parseSparseHeader } from '../../src/format/sparse-header.ts';
import { describeWithCorpus } from '../support/peer-tools.ts';

interface Expected {
  readonly file?: string;
  readonly name?: string;
  readonly role?: string;
  readonly createType: string | null;
  readonly encoding: string | null;
  readonly crlf?: boolean;
  readonly parent?: boolean;
  readonly extents: readonly string[] | null;
  readonly CID?: string;
  readonly parentCID?: string;
}

/** The texts that name no readable disk, and what is to be said about them. */
const UNSOUND: Readonly<Record<string, string>> = {
  '74-monolithicSparse.vmdk': 'desc-disk-empty',
  '109-vmfs.vmdk': 'desc-bad-cid',
  '111-monolithicFlat.vmdk': 'desc-doubled-quotes',
};

describeWithCorpus('descriptors of the corpus', (folder) => {
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
    descriptors: Expected[];
    files: Expected[];
  };
  const texts = expected.descriptors.filter(({ file }) => existsSync(join(folder, 'descriptors', file!)));

  it('are there', () => expect(texts.length).toBeGreaterThan(70));

  for (const facts of texts) {
    const bytes = readFileSync(join(folder, 'descriptors', facts.file!));
    it(`${facts.file} is read as recorded and printed byte for byte`, () => {
      expect(detectFileKind(bytes)).toBe('descriptor');
      const descriptor = parseDescriptor(bytes, facts.file!);
      expectFacts(descriptor, facts);
      expect(bytes.includes('\r\n')).toBe(facts.crlf);
      expect(printDescriptor(descriptor).equals(bytes)).toBe(true);
      const code = UNSOUND[facts.file!];
      if (code === undefined) assertSoundDescriptor(descriptor);
      else expect(() => assertSoundDescriptor(descriptor)).toThrow(expect.objectContaining({ code }));
    });

    it(`${facts.file} keeps its length when the content id rolls`, () => {
      const descriptor = parseDescriptor(bytes, facts.file!);
      const rolled = rollContentId(descriptor, 0xabc, '0123456789abcdef01234567');
      expect(rolled.cid).toBe(0xabc);
      if (descriptor.cid === undefined) return;
      expect(printDescriptor(rolled).length).toBe(bytes.length);
      const back = editDescriptor(rolled, {
        cid: descriptor.cid,
        longContentId: descriptor.ddb.get('ddb.longcontentid') ?? null,
      });
      const lower = (text: Buffer): string => text.toString('latin1').toLowerCase();
      expect(lower(printDescriptor(back))).toBe(lower(bytes));
    });
  }

  for (const facts of expected.files) {
    const path = join(folder, 'files', facts.name!);
    if (facts.createType === null || facts.createType === undefined || !existsSync(path)) continue;
    it(`${facts.name} carries the descriptor that was recorded`, () => {
      const bytes = descriptorBytes(path);
      const descriptor = parseDescriptor(bytes, path);
      expectFacts(descriptor, facts);
      assertSoundDescriptor(descriptor);
      expect(printDescriptor(descriptor).equals(bytes)).toBe(true);
    });
  }
});

function expectFacts(descriptor: Descriptor, facts: Expected): void {
  expect(descriptor.createType).toBe(facts.createType);
  // Of whole files the header's declaration is recorded; it is empty where the quotes are doubled.
  const declared = facts.file === undefined ? descriptor.header.get('encoding') : descriptor.encoding;
  expect(declared ?? 'UTF-8').toBe(facts.encoding === '' ? 'UTF-8' : (facts.encoding ?? 'UTF-8'));
  expect(descriptor.decodedAs).toBe(canonicalEncoding(descriptor.encoding));
  const { parentCid } = descriptor;
  if (facts.parent !== undefined) {
    expect(parentCid !== NO_PARENT_CID).toBe(facts.parent);
    expect(descriptor.parentFileNameHint !== undefined).toBe(facts.parent);
  }
  if (facts.CID !== undefined) expect(descriptor.cid).toBe(parseCid(facts.CID));
  if (facts.parentCID !== undefined) expect(printCid(parentCid!)).toBe(facts.parentCID);
  // Of some, only the first extents are recorded.
  const recorded = facts.extents ?? [];
  expect(descriptor.extents.slice(0, recorded.length).map(wordsOf)).toEqual(recorded.map(recordedWords));
  const text = printDescriptor(descriptor).toString('latin1');
  expect(descriptor.extents.length).toBe(text.match(/^[A-Z]+ \d+ [A-Z]+/gm)?.length);
}

function wordsOf({
  access,
  sectors,
  type,
  fileName,
  offset,
  hasOffset,
  partitionUuid,
  deviceId,
}: Descriptor['extents'][number]) {
  return [access, sectors, type, fileName, hasOffset ? offset : undefined, partitionUuid, deviceId];
}

/** The recorded line, taken apart by other means. */
function recordedWords(line: string) {
  const [head = '', name, tail = ''] = line.split(/"+/);
  const [access, sectors, type] = head.trim().split(' ');
  const [offset, uuid, device] = tail.trim() === '' ? [] : tail.trim().split(' ');
  return [
    access,
    Number(sectors),
    type,
    name,
    offset === undefined ? undefined : Number(offset),
    uuid,
    device,
  ];
}

function descriptorBytes(path: string): Buffer {
  const bytes = readFileSync(path);
  if (detectFileKind(bytes) === 'descriptor') return bytes;
  const { descriptorOffset, descriptorSize } = parseSparseHeader(bytes, path);
  return bytes.subarray(descriptorOffset * 512, (descriptorOffset + descriptorSize) * 512);
}
