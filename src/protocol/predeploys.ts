/**
 * Owns the fixed addresses of the chain: the OP predeploys, the L1-attributes account and the system contracts of the
 * EIPs. What code stands there is the genesis allocation's matter.
 * @see OP Stack specification, predeploys; EIP-4788, EIP-2935
 */
import { fromHex } from "../base/bytes.ts";

/** Address of the OP predeploy with this two-byte number. */
function predeploy(number: string): Uint8Array {
  return fromHex(`420000000000000000000000000000000000${number}`);
}

export const WETH = predeploy("0006");
export const L2_CROSS_DOMAIN_MESSENGER = predeploy("0007");
export const GAS_PRICE_ORACLE = predeploy("000f");
export const L2_STANDARD_BRIDGE = predeploy("0010");
export const SEQUENCER_FEE_VAULT = predeploy("0011");
export const OPTIMISM_MINTABLE_ERC20_FACTORY = predeploy("0012");
export const L1_BLOCK_NUMBER = predeploy("0013");
export const L1_BLOCK = predeploy("0015");
export const L2_TO_L1_MESSAGE_PASSER = predeploy("0016");
export const PROXY_ADMIN = predeploy("0018");
export const BASE_FEE_VAULT = predeploy("0019");
export const L1_FEE_VAULT = predeploy("001a");

/** Sender of every L1-attributes deposit. */
export const L1_ATTRIBUTES_DEPOSITOR = fromHex("deaddeaddeaddeaddeaddeaddeaddeaddead0001");

/** EIP-4788: called at the start of a block with the parent beacon block root. */
export const BEACON_ROOTS = fromHex("000f3df6d732807ef1319fb7b8bb8522d0beac02");
/** EIP-2935: called at the start of a block with the parent hash. */
export const HISTORY_STORAGE = fromHex("0000f90827f1c53a10cb7a02335b175320002935");
/** Caller of the system calls. */
export const SYSTEM_ADDRESS = fromHex("fffffffffffffffffffffffffffffffffffffffe");
