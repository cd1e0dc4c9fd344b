// Why a repair leaves a finding, in a sentence that says the way out.
import type { Finding } from '../core/finding.ts';

const REASONS: Readonly<Record<string, string>> = {
  'HDR-MAGIC': 'the file is not what its place needs, or was never finished: nothing in it says what it was',
  'HDR-VERSION': 'what an unknown version means is not known',
  'HDR-FLAGS': 'what the flags should be is not known',
  'HDR-FIELD': 'the header has no copy: vmdkit recover looks for what is behind it',
  NEWLINE: 'the file went through a text-mode transfer: fetch it again in binary mode',
  UNCLEAN: 'the mark stays as long as something is wrong with the file',
  TRUNC: 'what was cut off is not there: fetch the file again, or save the rest with vmdkit recover',
  TAIL: 'what lies behind the disk may be wanted; it does no harm',
  'GD-RANGE': 'neither copy of the directory says where this is',
  'GT-OVERLAP': 'nothing proves which of the two is right',
  'RGD-DIFF': 'nothing proves which copy is right',
  'GTE-RANGE': 'no copy says where the grain is: its data cannot be found',
  'GTE-ALIGN': 'readers do not mind; copying the disk aligns its grains',
  'GRAIN-OVERLAP': 'nothing proves whose data it is: compare what both grains hold',
  'GRAIN-LBA': 'the stream contradicts itself: vmdkit recover goes by its markers',
  'GRAIN-ZLIB': 'the data of the grain is damaged, and there is no other copy',
  FOOTER: 'the stream cannot be followed to its end: vmdkit recover saves what is there',
  MARKER: 'what the marker stood for is not known',
  ORDER: 'grains are put in order by writing the stream anew: vmdkit convert',
  'GTE1-FLAG': 'this format has no way to declare zero grains',
  LEAK: 'lost space is left alone: compacting or copying the disk wins it back, and --cut-leaks cuts off what lies at the end of a sparse file',
  SLACK: 'as long as the size of the disk is in doubt, they may be those of grains',
  FREE: 'the free pointer of this format cannot be proved',
  CAP: 'nothing proves which size is right',
  'EXT-MISSING': 'the file is not there: put it back, or correct its name',
  'EXT-SIZE': 'what is missing from the file is not there: fetch it again',
  'EXT-OUTSIDE': 'the disk leads to where it may not: allow the folder if you trust it',
  'EXT-OVERLAP': 'nothing proves which line is right',
  'DESC-MISSING': 'vmdkit recover makes a descriptor from what the extents say',
  'CHAIN-MISSING': 'vmdkit relink finds parents that moved',
  'CHAIN-CID': 'nothing proves that the parent is unchanged: if you know it is the right one, pass --fit-cid',
  'CHAIN-CAP': 'which of the two sizes is right only their contents can tell',
  'CHAIN-CYCLE': 'a disk of the chain names the wrong parent: vmdkit relink',
  'CHAIN-DEPTH': 'a shorter chain is made by consolidating or copying it',
  'CHAIN-MIX': 'one of the links has to be written anew in the type of the other',
  LOCK: 'locks are never removed: stop who holds it',
  UNCHECKED: 'it could not be looked at',
};

/** `path` is the disk that is mended, `files` are its own. */
export function whyItStays(finding: Finding, path: string, files: readonly string[]): string {
  const { code } = finding;
  if (code !== 'LOCK' && finding.path !== path && !files.includes(finding.path))
    return 'it is a disk below this one: plan a repair of that disk by itself';
  return REASONS[code] ?? 'it takes a decision: edit the descriptor by hand';
}
