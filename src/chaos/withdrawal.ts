/** Owns taking one withdrawal of a drill's load home, as a user of viem/op-stack would, and trying to do it twice. */
import { createPublicClient, createWalletClient, defineChain, type Hex, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { chainConfig, getWithdrawals, publicActionsL1, publicActionsL2, walletActionsL1 } from "viem/op-stack";
import { toHex } from "../base/bytes.ts";
import { L1_CHAIN_ID } from "../devnet/deployment.ts";
import type { ChaosNetwork } from "./network.ts";

/** The user that proves; it neither sends nor deposits. */
const PROVER = 8;
const POLL_MS = 100;

/** Proves and finalizes the withdrawal of an L2 transaction. Resolves to what is wrong; undefined: it executed once. */
export async function takeHomeOnce(network: ChaosNetwork, rpcUrl: string, l2Hash: Hex): Promise<string | undefined> {
  const account = privateKeyToAccount(toHex(network.users()[PROVER] as Uint8Array));
  const nativeCurrency = { name: "Ether", symbol: "ETH", decimals: 18 };
  const { contracts } = network.cluster;
  const l1Chain = defineChain({
    ...{ id: L1_CHAIN_ID, name: "L1", nativeCurrency },
    rpcUrls: { default: { http: [network.l1.rpcUrl] } },
    contracts: { multicall3: { address: "0xca11bde05977b3631167028862be2a173976ca11" } },
  });
  const l2Chain = defineChain({
    ...chainConfig,
    ...{ id: network.chainId, name: "L2", nativeCurrency, sourceId: L1_CHAIN_ID },
    rpcUrls: { default: { http: [rpcUrl] } },
    contracts: {
      ...chainConfig.contracts,
      portal: { [L1_CHAIN_ID]: { address: contracts.portal } },
      l2OutputOracle: { [L1_CHAIN_ID]: { address: contracts.outputOracle } },
    },
  });
  const l1 = createWalletClient({ chain: l1Chain, account, transport: http(), pollingInterval: POLL_MS })
    .extend(publicActions)
    .extend(publicActionsL1())
    .extend(walletActionsL1());
  const l2 = createPublicClient({ chain: l2Chain, transport: http(), pollingInterval: POLL_MS }).extend(
    publicActionsL2(),
  );
  const receipt = await l2.getTransactionReceipt({ hash: l2Hash });
  const [sent] = getWithdrawals(receipt);
  if (sent === undefined) return `${l2Hash} is in the chain and holds no withdrawal`;
  const { output, withdrawal } = await l1.waitToProve({ receipt, targetChain: l2Chain });
  const args = await l2.buildProveWithdrawal({ account, output, withdrawal });
  const before = await l1.getBalance({ address: withdrawal.target });
  const proven = await l1.proveWithdrawal({ ...args, targetChain: l2Chain } as never);
  await l1.waitForTransactionReceipt({ hash: proven });
  await l1.waitToFinalize({ targetChain: l2Chain, withdrawalHash: withdrawal.withdrawalHash });
  const finalize = (): Promise<Hex> => l1.finalizeWithdrawal({ targetChain: l2Chain, withdrawal, account } as never);
  let hash: Hex | undefined;
  for (let tries = 0; hash === undefined; tries++)
    hash = await finalize().catch(async (error: unknown) => {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      return undefined;
    });
  const finalized = await l1.waitForTransactionReceipt({ hash });
  if (finalized.status !== "success") return `the withdrawal of ${l2Hash} does not finalize`;
  const got = (await l1.getBalance({ address: withdrawal.target })) - before;
  if (got !== withdrawal.value) return `the withdrawal of ${l2Hash} paid ${got} wei instead of ${withdrawal.value}`;
  return finalize().then(
    () => `the withdrawal of ${l2Hash} finalizes twice`,
    () => undefined,
  );
}
