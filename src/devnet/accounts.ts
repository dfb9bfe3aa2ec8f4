/**
 * Owns the keys of the devnet: all derived from the public development mnemonic, so they protect nothing. Accounts 0–9
 * are the users' (funded on L1 and in each cluster); roles have keys of their own, one each, as in production.
 */
import { bytesToHex } from "viem";
import { type HDAccount, mnemonicToAccount } from "viem/accounts";
import { fromHex } from "../base/bytes.ts";
import { DEV_MNEMONIC } from "../l1/anvil.ts";

export type DevAccount = { readonly address: Uint8Array; readonly privateKey: Uint8Array; readonly signer: HDAccount };

const NETWORK_ROLES = ["deployer", "upgrader"] as const;
const CLUSTER_ROLES = ["operator", "guardian", "sequencer", "poster", "proposer", "challenger"] as const;
export type NetworkRole = (typeof NETWORK_ROLES)[number];
export type ClusterRole = (typeof CLUSTER_ROLES)[number];

const USERS = 10;
/** Indexes 10–19 are the network's, then twenty per cluster. */
const CLUSTERS_AT = 20;
const PER_CLUSTER = 20;

function account(index: number): DevAccount {
  const signer = mnemonicToAccount(DEV_MNEMONIC, { addressIndex: index });
  const privateKey = signer.getHdKey().privateKey;
  if (privateKey === null) throw new Error("derived accounts have private keys");
  return { address: fromHex(signer.address), privateKey: fromHex(bytesToHex(privateKey)), signer };
}

export function userAccounts(): DevAccount[] {
  return Array.from({ length: USERS }, (_, i) => account(i));
}

export function networkAccounts(): Record<NetworkRole, DevAccount> {
  return { deployer: account(USERS), upgrader: account(USERS + 1) };
}

/** Accounts of a cluster that post segments side by side; the first is the one of the role. */
const POSTERS = 4;
const POSTERS_AT = 10;

/** The poster accounts of cluster `index` (from 0). */
export function posterAccounts(index: number): DevAccount[] {
  const base = CLUSTERS_AT + index * PER_CLUSTER;
  const first = account(base + CLUSTER_ROLES.indexOf("poster"));
  return [first, ...Array.from({ length: POSTERS - 1 }, (_, i) => account(base + POSTERS_AT + i))];
}

/** The role keys of cluster `index` (from 0). */
export function clusterAccounts(index: number): Record<ClusterRole, DevAccount> {
  const base = CLUSTERS_AT + index * PER_CLUSTER;
  return Object.fromEntries(CLUSTER_ROLES.map((role, i) => [role, account(base + i)])) as Record<
    ClusterRole,
    DevAccount
  >;
}
