// The library. Open a disk or a chain, read it as bytes, as a stream or as a map; make disks, deltas and clones; check
// them. Units are branded: 512-byte sectors (`Sectors`) or bytes (`Bytes`). Failures are VmdkErrors.

// Opening and reading.
export { openChain } from './chain/open-chain.ts';
export type { Chain } from './chain/chain.ts';
export type { WritableChain } from './chain/writable-chain.ts';
export type { ChainOptions, PathMapping } from './chain/chain-options.ts';
export { MOST_LINKS, MOST_SUPPORTED_LINKS } from './chain/chain-options.ts';
export { openDisk } from './disk/open-disk.ts';
export type { OpenOptions } from './disk/open-options.ts';
export type { Disk, PlacedExtent, WritableDisk } from './disk/disk.ts';
export type { Extent, ExtentKind } from './extent/extent.ts';

// What is where, bytes, streams.
export type { PlannedSource, SectorSource, SectorTarget } from './block/sector-source.ts';
export { sectorRange, type SectorRange } from './block/sector-range.ts';
export type { GrainColumn, GrainTables } from './block/grain-fold.ts';
export { RunList, type DataOrigin, type SectorRun, type SectorState } from './block/run-list.ts';
export { walkRuns, wholeOf } from './block/read-runs.ts';
export { readBytes, writeBytes } from './block/byte-access.ts';
export {
  createReadStream,
  createWriteStream,
  type ReadStreamOptions,
  type WriteStreamOptions,
} from './block/streams.ts';
export { copySectors, type CopyOptions, type WriteAt } from './block/copy-sectors.ts';

// Making disks, deltas and clones.
export { createDisk, type CreateDiskOptions } from './operations/create-disk.ts';
export { createDelta, type CreateDeltaOptions } from './operations/create-delta.ts';
export type { DiskPlan, ParentFacts, PlannedFile, PlannedFill, PlannedPart } from './operations/disk-plan.ts';
export { ADAPTER_TYPES, NEW_BASE_TYPES, type DiskRequest } from './operations/plan-disk.ts';
export { NEW_DELTA_TYPES, type DeltaRequest } from './operations/plan-delta.ts';
export type { HintStyle } from './operations/parent-hint.ts';
export { planClones } from './operations/clone-plan.ts';
export { cloneDisks } from './operations/clone-disks.ts';
export type {
  ClonedDisk,
  CloneLayout,
  CloneOptions,
  ClonePlan,
  CloneProblem,
  CloneRequest,
  CloneResult,
  CloneWarning,
  PlannedBase,
  PlannedClone,
} from './operations/clone-types.ts';
export type { BaseOptions as CloneBaseOptions } from './operations/clone-bases.ts';
export type { CloneName, NameRequest } from './operations/clone-names.ts';
export { applyChangeSet, type ChangeSet, type ChangeSetOptions } from './operations/change-set.ts';
export { foretell, type Fate } from './operations/foresee-run.ts';
export {
  findInterrupted,
  settleChangeSets,
  type InterruptedChanges,
  type SettledChanges,
  type SettleOptions,
} from './operations/settle-changes.ts';
export type {
  CreateChange,
  CreateTogetherChange,
  FileChange,
  FileContent,
  FolderChange,
  NewFile,
  PatchChange,
  RemoveChange,
  RemoveFolderChange,
  RenameChange,
  ReplaceChange,
} from './operations/file-change.ts';
export type { Runs } from './operations/run-owner.ts';
export type { RunOwner } from './operations/journal.ts';

// Whole machines: clones.
export { cloneMachine } from './machine/clone-machine.ts';
export { planMachineClones } from './machine/plan-machine-clones.ts';
export { machineResult, requestOfMachinePlan } from './machine/machine-clone-types.ts';
export type {
  IndependentRule,
  MachineClonedDisk,
  MachineCloneOptions,
  MachineClonePlan,
  MachineCloneRequest,
  MachineCloneResult,
  PlannedAddress,
  PlannedFork,
  PlannedMachine,
  PlannedSourceDisk,
} from './machine/machine-clone-types.ts';
export type { MediaRule } from './machine/clone-vmx.ts';
export { registerScript, type RegisteredMachine } from './machine/register-script.ts';
export type { HostPath } from './machine/host-path.ts';

// Describing, checking, converting.
export { describeChain, describeDisk, describeLinks } from './operations/describe-chain.ts';
export type { ChainReport, FoundBy, LinkReport } from './operations/describe-chain.ts';
export type { DiskReport, ExtentReport, Trouble } from './operations/describe-disk.ts';
export {
  checkDisk,
  type CheckOptions,
  type CheckReport,
  type LinkCheck,
  type Verdict,
} from './operations/check-disk.ts';
export {
  planRepair,
  type LeftFinding,
  type PlannedFileRepair,
  type PlannedPatch,
  type RepairOptions,
  type RepairPlan,
} from './operations/plan-repair.ts';
export {
  applyRepair,
  parseRepairPlan,
  undoRepair,
  type AppliedRepair,
  type ApplyRepairOptions,
} from './operations/apply-repair.ts';
export { recoverDisk, type RecoverOptions, type RecoverReport } from './operations/recover.ts';
export { recoverFolder, type RecoverFolderReport } from './operations/recover-folder.ts';
export type { LostPart } from './operations/recover-stream.ts';
export type { ChainCheckOptions } from './chain/check-chain.ts';
export type { FindingCount } from './grain/check-findings.ts';
export {
  convertDisk,
  convertToStream,
  type ConvertedDisk,
  type ConvertOptions,
} from './operations/convert-disk.ts';
export { measureDisk, type MeasuredDisk, type MeasureOptions } from './operations/measure-disk.ts';
export type { SourceFormat } from './operations/convert-source.ts';
export type { ByteStream } from './operations/spool-input.ts';
export type { FilledFile } from './operations/fill-disk.ts';
export type { ConversionShape } from './operations/plan-conversion.ts';
export type { LostRange } from './block/salvage.ts';
export type { Append } from './extent/build-stream.ts';

// Comparing.
export { compareChains, type CompareOptions, type Comparison } from './operations/compare-chains.ts';
export {
  differences,
  joined as joinedDifferences,
  type Difference,
  type DifferenceOptions,
} from './operations/differences.ts';
export { hashContents, hashSparse, type SparseBytes } from './operations/content-hash.ts';
export { writePatch, type DifferenceWritten, type PatchWritten } from './operations/write-patch.ts';
export { applyPatch, type ApplyOptions, type PatchApplied } from './operations/apply-patch.ts';
export { createDifferenceDelta, type DifferenceDeltaOptions } from './operations/difference-delta.ts';

// Another size, and no more space than needed.
export { resizeDisk, type ResizedDisk, type ResizeOptions } from './operations/resize-disk.ts';
export { compactDisk, type CompactedDisk, type CompactOptions } from './operations/compact-disk.ts';
export { commitDisk, type CommitOptions } from './machine/commit-disk.ts';
export { consolidateDisk, type ConsolidateOptions } from './machine/consolidate-disk.ts';
export { patchDisk, type PatchDiskOptions, type PatchedDisk } from './machine/patch-disk.ts';
export { promoteDisk, type PromoteOptions } from './machine/promote-disk.ts';
export { rebaseDisk, type RebaseOptions } from './machine/rebase-disk.ts';
export { shadowDisk, type ShadowOptions } from './machine/shadow-disk.ts';
export { lineageOf, type Lineage } from './format/lineage.ts';
export type {
  KeptDisk,
  ReparentedDisk,
  TreeAction,
  TreeOptions,
  TreeReport,
  WrittenDisk,
} from './machine/tree-types.ts';
export { resizeTree, type ResizedTree, type ResizeTreeOptions } from './machine/resize-tree.ts';
export type { RenamedReference } from './machine/rename-references.ts';
export { renameDisk, type RenamedDisk, type RenameOptions } from './machine/rename-disk.ts';
export type { StageOptions } from './operations/stage-changes.ts';
export type { ExtentShape } from './operations/disk-plan.ts';

// Descriptors as text.
export { createTypeOf, parseDescriptor } from './format/descriptor.ts';
export type {
  CreateType,
  Descriptor,
  DescriptorLine,
  DescriptorProblem,
  ExtentLine,
} from './format/descriptor.ts';
export type { ReadExtent, ReadLine } from './format/descriptor-reading.ts';
export type { RuleProblem } from './format/descriptor-rules.ts';
export type { ExtentAccess, ExtentFields } from './format/extent-line.ts';
export type { NewExtent } from './format/compose-descriptor.ts';
export { printDescriptor } from './format/print-descriptor.ts';
export { editDescriptor, type DescriptorEdits } from './format/edit-descriptor.ts';
export { NO_PARENT_CID, parseCid, printCid, UNWRITTEN_CID, type RandomBytes } from './format/content-id.ts';

// Machines: .vmx and .vmsd, and the whole.
export { openMachine, type OpenMachineOptions } from './machine/open-machine.ts';
export {
  assertMachineUsable,
  disksAt,
  isMachinePath,
  type Machine,
  type MachineDisk,
  type MachineLink,
  type MachinePower,
  type MachinePurpose,
  type NamedDisk,
} from './machine/machine.ts';
export { findSnapshot, snapshotShown } from './machine/find-snapshot.ts';
export {
  describeMachine,
  type MachineDiskReport,
  type MachineLinkReport,
  type MachineReport,
  type MachineSnapshotReport,
} from './machine/describe-machine.ts';
export { limitsOf, machineLimits, type LimitFacts, type MachineLimit } from './machine/limits.ts';
export {
  parseDictionary,
  printDictionary,
  type Dictionary,
  type DictionaryEntry,
  type DictionaryLine,
  type DictionaryProblem,
} from './format/dictionary.ts';
export { composeDictionary, editDictionary, reencodeDictionary } from './format/edit-dictionary.ts';
export {
  readVmx,
  type VmxController,
  type VmxDevice,
  type VmxEthernet,
  type VmxReading,
  type VmxRemovable,
} from './format/vmx.ts';
export {
  readSnapshotDatabase,
  type Snapshot,
  type SnapshotDatabase,
  type SnapshotDisk,
} from './format/vmsd.ts';
export type { FindLocksOptions, LockFinding } from './storage/lock-state.ts';

// Snapshots of a machine.
export { consolidateSnapshots } from './machine/consolidate-machine.ts';
export { createSnapshot, type NewSnapshotRequest } from './machine/snapshot-create.ts';
export { deleteSnapshot, type DeleteSnapshotOptions } from './machine/snapshot-delete.ts';
export {
  listSnapshots,
  type ListedDisk,
  type ListedSnapshot,
  type SnapshotListing,
} from './machine/snapshot-list.ts';
export { renameSnapshot, type RenameRequest } from './machine/snapshot-rename.ts';
export { revertSnapshot } from './machine/snapshot-revert.ts';
export type {
  KeptLink,
  MergedLinks,
  MovedDisk,
  NamedSnapshot,
  SnapshotOptions,
  SnapshotReport,
} from './machine/snapshot-types.ts';

// Scanning folders: the forest of disks and machines, and who shares what.
export { scanFolder, type ScanOptions } from './machine/scan-folder.ts';
export { chainOf, dependantsOf, diskAt } from './machine/forest.ts';
export type {
  BrokenHint,
  ChangedBase,
  DiskUse,
  Forest,
  ForestDisk,
  ForestMachine,
  ForestSnapshot,
  HintCandidate,
  LongChain,
  MachineDiskUse,
  Orphan,
  SkippedPath,
} from './machine/forest.ts';
export { isLinkedClone, type CloneAnswer } from './machine/forest-queries.ts';
export { forestAsDot, forestAsMermaid } from './machine/forest-graph.ts';
export { forestAsSvg } from './machine/forest-svg.ts';
export {
  scanReport,
  type ScannedDisk,
  type ScannedMachine,
  type ScannedMachineDisk,
  type ScanReport,
} from './machine/forest-report.ts';
export {
  assertNoSharers,
  findSharers,
  forgetSharers,
  rebuildRegisters,
  recordSharers,
  type Recorded,
  type SharerOptions,
  type Sharers,
} from './machine/sharers.ts';

// Bases that nobody should write to.
export { checkGuard, releaseGuard, restoreCid, setGuard } from './machine/guard.ts';
export type {
  GuardedChild,
  GuardOptions,
  GuardRange,
  GuardReport,
  GuardVerdict,
} from './machine/guard-types.ts';

// Deleting clones.
export { removeClones } from './machine/remove.ts';
export type { ForgottenClone, KeptFile, RemoveOptions, RemoveReport } from './machine/remove-types.ts';

// Disks that moved.
export { planRelink, relink, type RelinkPlan } from './machine/relink.ts';
export type {
  RelinkedDisk,
  RelinkedName,
  RelinkOptions,
  RelinkProblem,
  RelinkReport,
  RelinkRequest,
} from './machine/relink-types.ts';
export type { WalkOptions } from './machine/scan-walk.ts';

// Looking into what disks hold.
export { readPartitions } from './examine/partitions.ts';
export type { PartitionRow, PartitionTable } from './examine/partition-types.ts';
export {
  chooseFileSystem,
  findFileSystems,
  type FoundFileSystems,
  type FoundVolume,
} from './examine/find-file-systems.ts';
export type {
  FileContents,
  FileNode,
  FileStretchOnDisk,
  FileSystem,
  FileSystemKind,
  NodeKind,
} from './examine/file-system.ts';
export { findFile, readFile } from './examine/read-file.ts';
export { walkFiles, type WalkedFile, type WalkFilesOptions } from './examine/walk-files.ts';
export { FileIndex, fileRanges, type FileRangesOptions, type MappedFile } from './examine/file-ranges.ts';

// File systems to work on.
export { createNodeFileStore, type NodeFileStoreOptions } from './storage/node-file-store.ts';
export { createMemoryFileStore } from './storage/memory-file-store.ts';
export { createRemoteFileStore, type RemoteStoreOptions } from './storage/remote-file-store.ts';
export type { RemoteAnswer } from './storage/remote-answer.ts';
export type { RemoteFetch } from './storage/remote-client.ts';
export type { S3Settings } from './storage/remote-s3.ts';
export {
  type AnyFs,
  createFileStore,
  type PromisesFileHandle,
  type PromisesFs,
  type PromisesStats,
} from './storage/promises-file-store.ts';
export type {
  FileStore,
  FileStretch,
  FileTimes,
  RandomAccessFile,
  ResolvedPath,
  StoredKind,
  WritableFile,
} from './storage/file-store.ts';
export type { LockHost } from './storage/node-lock-host.ts';

// Errors, findings, tasks, units.
export { isVmdkError, VmdkError, type ErrorContext, type ErrorKind } from './core/errors.ts';
export type { Finding, OnFinding, Severity } from './core/finding.ts';
export type { Progress, TaskOptions } from './core/task.ts';
export { bytes, SECTOR_BYTES, sectors, type Bytes, type Sectors } from './core/units.ts';

// Examining: evidence that is only read, and what it is.
export { gatherEvidence, type Evidence, type EvidenceItem } from './examine/evidence.ts';
export type { EvidenceOptions, EvidenceResult, EvidenceState } from './examine/evidence.ts';
export { digestFile, type FileDigest, type FileHashing } from './examine/file-digest.ts';
export { ALGORITHMS, parseAlgorithm, type Algorithm, type DigestSet } from './examine/digests.ts';
export { hashBytes, hashFile, ownData, wholeDisk, wholeFile } from './examine/hash-bytes.ts';
export type { ByteStretch, HashBytesOptions, HashedBytes, HashedSource } from './examine/hash-bytes.ts';
export { createPieceDigester, type PieceDigester, type PieceHash } from './examine/piece-digests.ts';
export { hashDisk, type HashDiskOptions } from './examine/hash-disk.ts';
export type { DiskHash, FileHash, LinkHash } from './examine/hash-disk.ts';
export { whichLink, type LinkSector, type SectorAnswer } from './examine/which.ts';
export { filesOfSector, type FileOfSector, type FilesOfSector } from './examine/which-file.ts';
export { findSlack, type SlackOptions, type SlackReport } from './examine/slack.ts';
export type { SlackItem, SlackKind } from './examine/slack.ts';
export { readTimeline, type Timeline, type TimelineRequest } from './examine/timeline.ts';
export type { EventKind, TimelineEvent, TimelineLink } from './examine/timeline.ts';
export { findSigns, findSnapshotSigns, type LinkHistory, type SignsRequest } from './examine/signs.ts';
export { lostRanges, type KnownLoss } from './block/lost-ranges.ts';
export { findPoint, type MachinePoint } from './machine/point-at.ts';
