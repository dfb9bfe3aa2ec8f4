/**
 * Owns the state a cluster starts with: predeploys where OP Stack tools look for them, preinstalls, funded accounts.
 * Each account is what running the contract's constructor would leave: immutables are filled into the runtime code, and
 * storage a constructor sets is set (a test deploys the same contracts on L1 and compares).
 * Invariant: a predeploy 0x4200…00XX is a proxy of 0xc0D3…00XX whose admin, 0x4200…0018, is owned by the alias of the
 * L1 timelock, so upgrades of both layers have one authority. WETH is not upgradeable.
 * @see https://specs.optimism.io/protocol/predeploys.html
 */
import { assert } from "../base/assert.ts";
import { concatBytes, fromHex, toHexKey } from "../base/bytes.ts";
import { type Artifact, readArtifact } from "../l1/artifacts.ts";
import { applyL1ToL2Alias } from "../protocol/deposit.ts";
import type { ClusterContracts, GenesisAccount } from "../protocol/genesis.ts";
import {
  BASE_FEE_VAULT,
  GAS_PRICE_ORACLE,
  L1_BLOCK,
  L1_FEE_VAULT,
  L2_CROSS_DOMAIN_MESSENGER,
  L2_STANDARD_BRIDGE,
  L2_TO_L1_MESSAGE_PASSER,
  OPTIMISM_MINTABLE_ERC20_FACTORY,
  PROXY_ADMIN,
  SEQUENCER_FEE_VAULT,
  WETH,
} from "../protocol/predeploys.ts";
import { PREINSTALLS } from "./preinstalls.ts";

export type GenesisAllocOptions = {
  readonly contracts: Pick<ClusterContracts, "l1CrossDomainMessenger" | "l1StandardBridge">;
  /** Owns, through its alias, what is upgradeable on the cluster. */
  readonly timelock: Uint8Array;
  /** Where the three fee vaults send what they hold; `network` says on which layer that address is. */
  readonly feeVaults: {
    readonly recipient: Uint8Array;
    readonly minWithdrawalWei: bigint;
    readonly network: "l1" | "l2";
  };
  readonly funded: readonly { readonly address: Uint8Array; readonly balanceWei: bigint }[];
};

/** keccak256("eip1967.proxy.implementation") - 1 */
const IMPLEMENTATION_SLOT = "360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc";
/** keccak256("eip1967.proxy.admin") - 1 */
const ADMIN_SLOT = "b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103";
const SLOT_0 = "0".repeat(64);

/** Hex key of the address → account, complete. */
export function buildGenesisAlloc(options: GenesisAllocOptions): Map<string, GenesisAccount> {
  const alloc = new Map<string, GenesisAccount>();
  const { contracts, feeVaults } = options;
  const vault = fillImmutables(readArtifact("FeeVault"), {
    RECIPIENT: word(feeVaults.recipient),
    MIN_WITHDRAWAL_AMOUNT: wordOf(feeVaults.minWithdrawalWei),
    WITHDRAWAL_NETWORK: wordOf(feeVaults.network === "l1" ? 0n : 1n),
  });
  const implementations: readonly (readonly [Uint8Array, Uint8Array])[] = [
    [
      L2_CROSS_DOMAIN_MESSENGER,
      fillImmutables(readArtifact("L2CrossDomainMessenger"), {
        OTHER_MESSENGER: word(contracts.l1CrossDomainMessenger),
      }),
    ],
    [GAS_PRICE_ORACLE, fillImmutables(readArtifact("GasPriceOracle"), {})],
    [
      L2_STANDARD_BRIDGE,
      fillImmutables(readArtifact("L2StandardBridge"), { OTHER_BRIDGE: word(contracts.l1StandardBridge) }),
    ],
    [SEQUENCER_FEE_VAULT, vault],
    [OPTIMISM_MINTABLE_ERC20_FACTORY, fillImmutables(readArtifact("OptimismMintableERC20Factory"), {})],
    [L1_BLOCK, fillImmutables(readArtifact("L1Block"), {})],
    [L2_TO_L1_MESSAGE_PASSER, fillImmutables(readArtifact("L2ToL1MessagePasser"), {})],
    [BASE_FEE_VAULT, vault],
    [L1_FEE_VAULT, vault],
  ];
  const proxy = fillImmutables(readArtifact("TransparentUpgradeableProxy"), { _admin: word(PROXY_ADMIN) });
  for (const [address, code] of implementations) {
    const implementation = codeNamespace(address);
    put(alloc, implementation, contractAccount(code));
    put(
      alloc,
      address,
      contractAccount(proxy, [
        [IMPLEMENTATION_SLOT, word(implementation)],
        [ADMIN_SLOT, word(PROXY_ADMIN)],
      ]),
    );
  }
  put(
    alloc,
    PROXY_ADMIN,
    contractAccount(fillImmutables(readArtifact("ProxyAdmin"), {}), [
      [SLOT_0, word(applyL1ToL2Alias(options.timelock))],
    ]),
  );
  put(alloc, WETH, contractAccount(fillImmutables(readArtifact("WETH"), {})));
  for (const { address, code } of PREINSTALLS) put(alloc, address, contractAccount(code));

  for (const { address, balanceWei } of options.funded) {
    assert(balanceWei > 0n, "a funded account gets ETH");
    const key = toHexKey(address);
    const before = alloc.get(key);
    assert(before === undefined || before.code.length > 0, "each account is funded once");
    alloc.set(
      key,
      before === undefined
        ? { balanceWei, nonce: 0n, code: new Uint8Array(0), storage: new Map() }
        : { ...before, balanceWei },
    );
  }
  return alloc;
}

/** Runtime code of an artifact with the given 32-byte words in the places of its immutables. Exactly all must be given. */
export function fillImmutables(artifact: Artifact, words: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const code = fromHex(artifact.runtimeCode);
  const names = Object.keys(artifact.immutables).sort();
  assert(names.join() === Object.keys(words).sort().join(), `exactly the immutables ${names.join()} are given`);
  for (const [name, places] of Object.entries(artifact.immutables)) {
    const value = words[name] as Uint8Array;
    for (const { start, length } of places) {
      assert(length === 32 && value.length === 32, "an immutable is one word");
      code.set(value, start);
    }
  }
  return code;
}

function put(alloc: Map<string, GenesisAccount>, address: Uint8Array, account: GenesisAccount): void {
  const key = toHexKey(address);
  assert(!alloc.has(key), "each address is allocated once");
  alloc.set(key, account);
}

/** A contract's nonce starts at 1 (EIP-161). */
function contractAccount(code: Uint8Array, storage: readonly (readonly [string, Uint8Array])[] = []): GenesisAccount {
  return { balanceWei: 0n, nonce: 1n, code, storage: new Map(storage) };
}

/** Where the OP Stack puts the implementation behind a predeploy. */
function codeNamespace(predeploy: Uint8Array): Uint8Array {
  return concatBytes(fromHex("c0d3".repeat(9)), predeploy.subarray(18));
}

/** An address as a 32-byte word. */
function word(address: Uint8Array): Uint8Array {
  assert(address.length === 20, "an address has 20 bytes");
  const out = new Uint8Array(32);
  out.set(address, 12);
  return out;
}

function wordOf(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, "0"));
}
