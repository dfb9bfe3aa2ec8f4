/**
 * What others may ask of the sealer: the chain it has sealed, the block it is building, and news of both.
 */
import type { Block } from "../protocol/block.ts";
import type { Receipt } from "../protocol/receipt.ts";

export type SealedBlock = { readonly block: Block; readonly receipts: readonly Receipt[] };

export type SealEvents = {
  /** Transactions were executed and their place in the order is durable; hashes of the included ones. */
  confirmed?(hashes: readonly Uint8Array[]): void;
  sealed?(sealed: SealedBlock): void;
  /** Blocks above `toBlock` are gone; `removed` in descending order. */
  rewound?(toBlock: number, removed: readonly SealedBlock[]): void;
};

export interface SealerApi {
  readonly head: Block;
  block(number: number): Block | undefined;
  subscribe(events: SealEvents): () => void;
}
