/**
 * Owns how a verifier's empty database gets its genesis: the document that L1 has, checked against the inbox and the L1
 * it was found on, its block and state, and the place where derivation starts, all in one transaction.
 */
import { assert } from "../base/assert.ts";
import { bytesEqual, toHex } from "../base/bytes.ts";
import { genesisWrites } from "../execution/genesis-state.ts";
import { findGenesis } from "../l1/genesis-source.ts";
import { Derivation, encodeOriginRecord } from "../protocol/derivation.ts";
import type { Genesis } from "../protocol/genesis.ts";
import { genesisBlock } from "../protocol/genesis-codec.ts";
import { encodeCursor } from "./cursor.ts";
import { verifierError } from "./error.ts";
import { feedBlock } from "./l1-feed.ts";
import type { VerifierDeps } from "./verifier.ts";

/** Fills an empty database. @throws {VerifierError} VERIFIER_NO_GENESIS, VERIFIER_WRONG_GENESIS; {L1Error}; {GenesisError} */
export async function storeGenesis(deps: VerifierDeps): Promise<Genesis> {
  const { l1, inbox, config, chain, state, store, database } = deps;
  assert(chain.head === -1 && state.head === -1, "a database without genesis is empty");
  const found = await findGenesis(l1, inbox, config.l1StartBlock);
  if (found === undefined) throw verifierError("VERIFIER_NO_GENESIS", `the inbox ${toHex(inbox)} has no genesis`);
  const { genesis, bytes, origin } = found;
  const l1ChainId = await l1.chainId();
  if (genesis.l1ChainId !== l1ChainId)
    throw verifierError(
      "VERIFIER_WRONG_GENESIS",
      `it is for L1 ${genesis.l1ChainId}, the endpoint serves ${l1ChainId}`,
    );
  checkGenesis(genesis, inbox);
  const logs = await l1.logs({ blockHash: origin.hash, addresses: [inbox], topics: [] });
  const prepared = state.prepare(genesisWrites(genesis.alloc));
  const block = genesisBlock(genesis, prepared.stateRoot, origin);
  const { entries } = feedBlock(origin, logs, genesis.contracts).inputs;
  const machine = Derivation.genesis(
    genesis,
    { hash: block.hash, timestamp: genesis.timestamp, systemConfig: genesis.systemConfig },
    { info: origin, entries },
  );
  const record = machine.origin(origin.number);
  assert(record !== undefined, "the origin of genesis is known");
  database.transaction(() => {
    state.commit(0, prepared);
    chain.append(block, []);
    store.put("genesis", bytes);
    store.putOrigin(origin.number, encodeOriginRecord(record));
    store.put("cursor", encodeCursor({ derivation: machine.save(), outputs: [] }));
  });
  deps.log.info("took the genesis from L1", { name: genesis.name, chainId: genesis.chainId, hash: toHex(block.hash) });
  return genesis;
}

/** @throws {VerifierError} VERIFIER_WRONG_GENESIS */
export function checkGenesis(genesis: Genesis, inbox: Uint8Array): void {
  if (!bytesEqual(genesis.contracts.inbox, inbox))
    throw verifierError("VERIFIER_WRONG_GENESIS", `it names inbox ${toHex(genesis.contracts.inbox)}`, {
      inbox: toHex(inbox),
    });
}
