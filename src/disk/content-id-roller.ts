// Gives a disk its new content id, once, before the first change of an opening (VMware, Virtual Disk Format 5.0).
// A text descriptor is replaced whole; an embedded one is changed within its sectors, at unchanged length if at all
// possible, so that no loss of power leaves half a text.
import { VmdkError } from '../core/errors.ts';
import { SECTOR_BYTES } from '../core/units.ts';
import { newCid, NO_PARENT_CID } from '../format/content-id.ts';
import type { Descriptor } from '../format/descriptor.ts';
import { cidWidth, editDescriptor, rollContentId } from '../format/edit-descriptor.ts';
import { printDescriptor } from '../format/print-descriptor.ts';
import type { FileStore, WritableFile } from '../storage/file-store.ts';

interface EmbeddedText {
  readonly file: WritableFile;
  readonly offset: number;
  readonly length: number;
}

export class ContentIdRoller {
  readonly #store: FileStore;
  readonly #descriptor: Descriptor;
  readonly #embedded: EmbeddedText | undefined;
  readonly #random: (length: number) => Uint8Array;
  #rolling: Promise<void> | undefined;
  #cid: number;

  constructor(
    store: FileStore,
    descriptor: Descriptor,
    embedded: EmbeddedText | undefined,
    random: (length: number) => Uint8Array,
  ) {
    this.#store = store;
    this.#descriptor = descriptor;
    this.#embedded = embedded;
    this.#random = random;
    this.#cid = descriptor.cid ?? NO_PARENT_CID;
  }

  get cid(): number {
    return this.#cid;
  }

  /** Durable after it returns; further calls do nothing. */
  roll(): Promise<void> {
    this.#rolling ??= this.#rollNow();
    return this.#rolling;
  }

  async #rollNow(): Promise<void> {
    const old = this.#descriptor;
    const cid = newCid(this.#random, cidWidth(old));
    const untracked =
      old.changeTrackPath === undefined ? old : editDescriptor(old, { changeTrackPath: null, version: 1 });
    const rolled = rollContentId(untracked, cid, Buffer.from(this.#random(12)).toString('hex'));
    const text = printDescriptor(rolled);
    if (this.#embedded === undefined) await this.#store.replace(old.path, text);
    else await this.#writeEmbedded(this.#embedded, text);
    this.#cid = cid;
  }

  /** Writes only the sectors that changed. */
  async #writeEmbedded({ file, offset, length }: EmbeddedText, text: Buffer): Promise<void> {
    if (text.length > length) {
      throw new VmdkError(
        'refused',
        'descriptor-too-full',
        'the embedded descriptor has no room for a new content id',
        {
          path: file.path,
          offset,
          found: `${text.length} bytes needed`,
          expected: `at most ${length} bytes, where the grain directory begins`,
          hint: 'Make a delta of the disk and write into that.',
        },
      );
    }
    const before = Buffer.alloc(length);
    await file.readExactly(before, offset);
    const after = Buffer.alloc(length);
    after.set(text);
    for (let at = 0; at < length; at += SECTOR_BYTES) {
      const sector = after.subarray(at, at + SECTOR_BYTES);
      if (!sector.equals(before.subarray(at, at + SECTOR_BYTES))) await file.write(sector, offset + at);
    }
    await file.sync();
  }
}
