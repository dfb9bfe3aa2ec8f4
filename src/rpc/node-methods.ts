/** Owns the methods about the node itself: identity, sync state, `net_`, `web3_` and `rpc_modules`. */
import { toHex } from "../base/bytes.ts";
import { keccak256 } from "../protocol/keccak.ts";
import { quantity } from "./encode.ts";
import { forkConfig } from "./fork-config.ts";
import { type Method, method } from "./method.ts";
import { data, required } from "./params.ts";

export const NODE_METHODS: readonly Method[] = [
  method({
    name: "eth_chainId",
    summary: "Chain id.",
    params: [],
    result: "QUANTITY",
    run: (s) => quantity(s.chain.chainId),
  }),
  method({
    name: "eth_config",
    summary:
      "The rules in force: precompiles, system contracts, blob schedule, fork id (EIP-7910). No fork is scheduled.",
    params: [],
    result: "{current, next, last}",
    run: forkConfig,
  }),
  method({
    name: "eth_syncing",
    summary: "False when in sync, else how far.",
    params: [],
    result: "false or SyncStatus",
    run: (s) => {
      const status = s.syncing();
      return status === undefined
        ? false
        : {
            startingBlock: quantity(status.startingBlock),
            currentBlock: quantity(status.currentBlock),
            highestBlock: quantity(status.highestBlock),
          };
    },
  }),
  method({
    name: "eth_accounts",
    summary: "Always empty: nodes hold no keys of users.",
    params: [],
    result: "Array",
    run: () => [],
  }),
  method({
    name: "eth_coinbase",
    summary: "Where tips go: the SequencerFeeVault.",
    params: [],
    result: "DATA, 20 bytes",
    run: (s) => toHex(s.chain.envAt(s.chain.heads().latest).coinbase),
  }),
  method({
    name: "eth_mining",
    summary: "Always false.",
    params: [],
    result: "Boolean",
    run: () => false,
  }),
  method({
    name: "eth_hashrate",
    summary: "Always zero.",
    params: [],
    result: "QUANTITY",
    run: () => "0x0",
  }),
  method({
    name: "eth_protocolVersion",
    summary: "Version of the Ethereum wire protocol that answers of this shape go with.",
    params: [],
    result: "QUANTITY",
    run: () => "0x44",
  }),
  method({
    name: "net_version",
    summary: "Chain id in decimal.",
    params: [],
    result: "String",
    run: (s) => String(s.chain.chainId),
  }),
  method({ name: "net_listening", summary: "Always true.", params: [], result: "Boolean", run: () => true }),
  method({
    name: "net_peerCount",
    summary: "Always zero: there is no peer-to-peer network.",
    params: [],
    result: "QUANTITY",
    run: () => "0x0",
  }),
  method({
    name: "web3_clientVersion",
    summary: "Name and version of this software.",
    params: [],
    result: "String",
    run: (s) => s.clientVersion,
  }),
  method({
    name: "web3_sha3",
    summary: "Keccak-256 of the data.",
    params: [required("data", data)],
    result: "DATA, 32 bytes",
    run: (_s, [bytes]) => toHex(keccak256(bytes)),
  }),
  method({
    name: "rpc_modules",
    summary: "Name spaces served here.",
    params: [],
    result: "Object",
    run: (s) => {
      const modules: Record<string, string> = {};
      for (const name of s.methods.keys()) modules[name.slice(0, name.indexOf("_"))] = "1.0";
      return modules;
    },
  }),
];
