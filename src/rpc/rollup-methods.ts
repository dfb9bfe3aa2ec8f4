/**
 * Owns the methods of a rollup node that OP tooling asks for: output roots, sync status, configuration. Output roots
 * come from the chain alone; L1 heads and configuration need the role that knows them.
 */
import { toHex } from "../base/bytes.ts";
import { outputRoot } from "../protocol/output-root.ts";
import { L2_TO_L1_MESSAGE_PASSER } from "../protocol/predeploys.ts";
import type { BlockBundle } from "./block-cache.ts";
import type { Json } from "./encode.ts";
import { RpcError } from "./errors.ts";
import { type Method, method } from "./method.ts";
import { blockNumberOrTag, required } from "./params.ts";
import { requireBlock } from "./resolve.ts";
import type { L1BlockRef, RollupView, Services } from "./services.ts";

const OUTPUT_VERSION = new Uint8Array(32);

function l2Ref(bundle: BlockBundle): Json {
  const { block } = bundle;
  return {
    hash: toHex(block.hash),
    number: block.header.number,
    parentHash: toHex(block.header.parentHash),
    timestamp: block.header.timestamp,
    l1origin: { hash: toHex(block.origin.hash), number: block.origin.number },
    sequenceNumber: block.sequenceNumber,
  };
}

function l1Ref(ref: L1BlockRef): Json {
  return { hash: toHex(ref.hash), number: ref.number, parentHash: toHex(ref.parentHash), timestamp: ref.timestamp };
}

function requireRollup(s: Services): RollupView {
  if (s.rollup === undefined) throw new RpcError("METHOD_NOT_SUPPORTED", "this node does not follow L1");
  return s.rollup;
}

function syncStatus(s: Services): Json {
  const l1 = requireRollup(s).l1Heads();
  const heads = s.chain.heads();
  const at = (number: number): Json => l2Ref(requireBlock(s, { number }));
  const safe = at(heads.safe);
  return {
    current_l1: l1Ref(l1.current),
    current_l1_finalized: l1Ref(l1.finalized),
    head_l1: l1Ref(l1.head),
    safe_l1: l1Ref(l1.safe),
    finalized_l1: l1Ref(l1.finalized),
    unsafe_l2: at(heads.latest),
    safe_l2: safe,
    finalized_l2: at(heads.finalized),
    pending_safe_l2: safe,
    cross_unsafe_l2: at(heads.latest),
    local_safe_l2: safe,
  };
}

export const ROLLUP_METHODS: readonly Method[] = [
  method({
    name: "optimism_outputAtBlock",
    summary: "Output root of a block and what it is made of.",
    params: [required("block", blockNumberOrTag)],
    result: "{version, outputRoot, blockRef, withdrawalStorageRoot, stateRoot, syncStatus?}",
    run: async (s, [ref]) => {
      const bundle = requireBlock(s, ref);
      const { stateRoot } = bundle.block.header;
      const { storageRoot } = await s.chain.proof(bundle.number, L2_TO_L1_MESSAGE_PASSER, []);
      return {
        version: toHex(OUTPUT_VERSION),
        outputRoot: toHex(
          outputRoot({ stateRoot, messagePasserStorageRoot: storageRoot, blockHash: bundle.block.hash }),
        ),
        blockRef: l2Ref(bundle),
        withdrawalStorageRoot: toHex(storageRoot),
        stateRoot: toHex(stateRoot),
        ...(s.rollup === undefined ? {} : { syncStatus: syncStatus(s) }),
      };
    },
  }),
  method({
    name: "optimism_syncStatus",
    summary: "Heads of L1 and of this chain as the node sees them.",
    params: [],
    result: "SyncStatus",
    run: (s) => syncStatus(s),
  }),
  method({
    name: "optimism_rollupConfig",
    summary: "Configuration of the rollup.",
    params: [],
    result: "RollupConfig",
    run: (s) => requireRollup(s).rollupConfig(),
  }),
  method({
    name: "optimism_version",
    summary: "Version of this software.",
    params: [],
    result: "String",
    run: (s) => s.clientVersion,
  }),
];
