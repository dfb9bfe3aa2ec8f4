/** Owns what `optimism_*` methods of a node tell of L1 and of the rollup: the verifier's view of both. */
import { genesisJson } from "../protocol/genesis-codec.ts";
import type { RollupView } from "../rpc/services.ts";
import type { Verifier } from "../verifier/verifier.ts";

/** Before L1 was seen, or where it has no such block. */
const NO_BLOCK = { number: 0, hash: new Uint8Array(32), parentHash: new Uint8Array(32), timestamp: 0 };

export function rollupView(verifier: Verifier): RollupView {
  // The genesis document without its allocation, which is state and answered as such.
  const { alloc: _alloc, ...rollupConfig } = JSON.parse(genesisJson(verifier.genesis)) as Record<string, unknown>;
  return {
    l1Heads: () => {
      const heads = verifier.l1Heads();
      const current = heads?.current ?? NO_BLOCK;
      return {
        current,
        head: heads?.head ?? current,
        safe: heads?.safe ?? NO_BLOCK,
        finalized: heads?.finalized ?? NO_BLOCK,
      };
    },
    rollupConfig: () => rollupConfig,
  };
}
