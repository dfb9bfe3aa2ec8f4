/**
 * Owns how a node finds the genesis of a cluster knowing L1 and the inbox address alone (decision 0002). The contract
 * publishes it once, so the first event is the only one.
 */
import { bytesEqual } from "../base/bytes.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { parseGenesis } from "../protocol/genesis-codec.ts";
import { decodeGenesisPublished, GENESIS_PUBLISHED_TOPIC } from "../protocol/inbox-events.ts";
import type { L1BlockInfo } from "../protocol/system-config.ts";
import { type L1Reader, l1Error } from "./l1.ts";

export type PublishedGenesis = {
  readonly genesis: Genesis;
  /** The document as published. */
  readonly bytes: Uint8Array;
  /** The L1 block of the event: origin of block 0. */
  readonly origin: L1BlockInfo;
};

/**
 * Undefined when nothing is published yet.
 * @throws {L1Error} retryable ones; {GenesisError} GENESIS_MALFORMED
 */
export async function findGenesis(
  l1: L1Reader,
  inbox: Uint8Array,
  fromBlock = 0,
): Promise<PublishedGenesis | undefined> {
  const head = await l1.head();
  const [event] = await l1.logs({
    fromBlock,
    toBlock: head.number,
    addresses: [inbox],
    topics: [[GENESIS_PUBLISHED_TOPIC]],
  });
  if (event === undefined) return undefined;
  const origin = await l1.block(event.blockNumber);
  if (origin === undefined || !bytesEqual(origin.hash, event.blockHash))
    throw l1Error("L1_INCONSISTENT", `the genesis event's block ${event.blockNumber} changed meanwhile`, {});
  const bytes = decodeGenesisPublished(event);
  if (bytes === undefined) throw l1Error("L1_ENDPOINT_MALFORMED", "the genesis event holds no document", {});
  return { genesis: parseGenesis(bytes), bytes, origin };
}
