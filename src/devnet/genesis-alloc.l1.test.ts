/** The genesis allocation against what the constructors really leave, and the preinstalls against what L1 has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concatHex,
  createPublicClient,
  createWalletClient,
  encodeAbiParameters,
  getAddress,
  type Hex,
  http,
  toFunctionSelector,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { foundry } from "viem/chains";
import { fromHex, toHex, toHexKey } from "../base/bytes.ts";
import { Anvil, DEV_MNEMONIC } from "../l1/anvil.ts";
import { readArtifact } from "../l1/artifacts.ts";
import { applyL1ToL2Alias } from "../protocol/deposit.ts";
import { keccak256 } from "../protocol/keccak.ts";
import * as predeploys from "../protocol/predeploys.ts";
import { buildGenesisAlloc, fillImmutables, type GenesisAllocOptions } from "./genesis-alloc.ts";
import {
  CREATE2_DEPLOYER,
  EIP_2935_HISTORY,
  EIP_4788_BEACON_ROOTS,
  installOnDevnetL1,
  MULTICALL3,
} from "./preinstalls.ts";

const address = (n: number): Uint8Array => new Uint8Array(20).fill(n);
const options: GenesisAllocOptions = {
  contracts: { l1CrossDomainMessenger: address(0xa1), l1StandardBridge: address(0xa2) },
  timelock: address(0xa3),
  feeVaults: { recipient: address(0xa4), minWithdrawalWei: 10n ** 18n, network: "l1" },
  funded: [{ address: address(0xf1), balanceWei: 5n }],
};
const SLOTS = 64;

const encodeAddress = (a: Uint8Array): Hex => encodeAbiParameters([{ type: "address" }], [getAddress(toHex(a))]);
const vaultArguments = encodeAbiParameters(
  [{ type: "address" }, { type: "uint256" }, { type: "uint8" }],
  [getAddress(toHex(address(0xa4))), 10n ** 18n, 0],
);

/** Contract, constructor arguments, predeploys whose implementation it is. */
const IMPLEMENTATIONS: readonly (readonly [string, Hex, readonly Uint8Array[]])[] = [
  ["L2CrossDomainMessenger", encodeAddress(address(0xa1)), [predeploys.L2_CROSS_DOMAIN_MESSENGER]],
  ["GasPriceOracle", "0x", [predeploys.GAS_PRICE_ORACLE]],
  ["L2StandardBridge", encodeAddress(address(0xa2)), [predeploys.L2_STANDARD_BRIDGE]],
  ["FeeVault", vaultArguments, [predeploys.SEQUENCER_FEE_VAULT, predeploys.BASE_FEE_VAULT, predeploys.L1_FEE_VAULT]],
  ["OptimismMintableERC20Factory", "0x", [predeploys.OPTIMISM_MINTABLE_ERC20_FACTORY]],
  ["L1Block", "0x", [predeploys.L1_BLOCK]],
  ["L2ToL1MessagePasser", "0x", [predeploys.L2_TO_L1_MESSAGE_PASSER]],
];

test("every account of the allocation is what its constructor leaves", async (t) => {
  const anvil = await Anvil.start();
  t.after(() => anvil.kill());
  const transport = http(anvil.rpcUrl);
  const client = createPublicClient({ chain: foundry, transport, pollingInterval: 20 });
  const wallet = createWalletClient({ chain: foundry, transport, account: mnemonicToAccount(DEV_MNEMONIC) });
  const deploy = async (name: string, constructorArguments: Hex) => {
    const data = concatHex([readArtifact(name).creationCode, constructorArguments]);
    const hash = await wallet.sendTransaction({ data, to: null });
    const at = (await client.waitForTransactionReceipt({ hash })).contractAddress;
    assert.ok(at);
    const storage = new Map<string, string>();
    for (let i = 0; i < SLOTS; i++) {
      const value = await client.getStorageAt({ address: at, slot: `0x${i.toString(16)}` });
      if (value !== undefined && BigInt(value) !== 0n) storage.set(i.toString(16).padStart(64, "0"), value.slice(2));
    }
    return { at, code: (await client.getCode({ address: at })) ?? "0x", storage };
  };
  const alloc = buildGenesisAlloc(options);
  const storageOf = (key: string): Map<string, string> =>
    new Map([...(alloc.get(key)?.storage ?? [])].map(([slot, value]) => [slot, toHexKey(value)]));

  for (const [name, constructorArguments, predeployAddresses] of IMPLEMENTATIONS) {
    const real = await deploy(name, constructorArguments);
    assert.equal(real.storage.size, 0, `${name} sets no storage`);
    for (const predeploy of predeployAddresses) {
      const implementation = `${"c0d3".repeat(9)}${toHexKey(predeploy).slice(36)}`;
      const account = alloc.get(implementation);
      assert.ok(account);
      assert.equal(toHex(account.code), real.code, name);
      assert.equal(account.storage.size, 0);
    }
  }

  const weth = await deploy("WETH", "0x");
  assert.equal(toHex(alloc.get(toHexKey(predeploys.WETH))?.code ?? new Uint8Array(0)), weth.code);
  assert.equal(weth.storage.size, 0);

  const admin = await deploy("ProxyAdmin", encodeAddress(applyL1ToL2Alias(options.timelock)));
  const adminKey = toHexKey(predeploys.PROXY_ADMIN);
  assert.equal(toHex(alloc.get(adminKey)?.code ?? new Uint8Array(0)), admin.code);
  assert.deepEqual(storageOf(adminKey), admin.storage);

  // A proxy makes its own admin; but for that address it must be the same code and the same two words.
  const slots = [
    "360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc",
    "b53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103",
  ] as const;
  const proxy = await deploy(
    "TransparentUpgradeableProxy",
    encodeAbiParameters(
      [{ type: "address" }, { type: "address" }, { type: "bytes" }],
      // A proxy wants to be initialized at once; any call does.
      [weth.at, wallet.account.address, toFunctionSelector("deposit()")],
    ),
  );
  const words = await Promise.all(slots.map((s) => client.getStorageAt({ address: proxy.at, slot: `0x${s}` })));
  assert.equal(BigInt(words[0] ?? "0x0"), BigInt(weth.at));
  const ownAdmin = fromHex(words[1] ?? "0x");
  assert.equal(toHex(fillImmutables(readArtifact("TransparentUpgradeableProxy"), { _admin: ownAdmin })), proxy.code);
  for (const predeploy of IMPLEMENTATIONS.flatMap((i) => i[2])) {
    const account = alloc.get(toHexKey(predeploy));
    assert.ok(account);
    const expected = new Uint8Array(32);
    expected.set(predeploys.PROXY_ADMIN, 12);
    assert.equal(
      toHex(account.code),
      toHex(fillImmutables(readArtifact("TransparentUpgradeableProxy"), { _admin: expected })),
    );
    assert.deepEqual(
      storageOf(toHexKey(predeploy)),
      new Map([
        [slots[0], `${"0".repeat(24)}${"c0d3".repeat(9)}${toHexKey(predeploy).slice(36)}`],
        [slots[1], toHexKey(expected)],
      ]),
    );
  }

  // Nothing else is there.
  const known = 2 * IMPLEMENTATIONS.flatMap((i) => i[2]).length + 2 + 4 + 1;
  assert.equal(alloc.size, known);
  assert.deepEqual(alloc.get(toHexKey(address(0xf1))), {
    balanceWei: 5n,
    nonce: 0n,
    code: new Uint8Array(0),
    storage: new Map(),
  });
});

test("preinstalls have the code that other chains have at their addresses", async (t) => {
  const anvil = await Anvil.start();
  t.after(() => anvil.kill());
  for (const { address: at, code } of [CREATE2_DEPLOYER, EIP_2935_HISTORY])
    assert.equal(await anvil.rpc.call("eth_getCode", [toHex(at), "latest"]), toHex(code));
  assert.equal(toHex(keccak256(MULTICALL3.code)), "0xd5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891");
  assert.equal(
    toHex(keccak256(EIP_4788_BEACON_ROOTS.code)),
    "0xf57acd40259872606d76197ef052f3d35588dadf919ee1f0e3cb9b62d3f4b02c",
  );
  await installOnDevnetL1(anvil.rpc);
  assert.equal(await anvil.rpc.call("eth_getCode", [toHex(MULTICALL3.address), "latest"]), toHex(MULTICALL3.code));
});

test("an account is allocated once, and a predeploy may hold ETH", () => {
  const twice = { ...options, funded: [...options.funded, ...options.funded] };
  assert.throws(() => buildGenesisAlloc(twice), /funded once/);
  const alloc = buildGenesisAlloc({ ...options, funded: [{ address: predeploys.WETH, balanceWei: 7n }] });
  assert.equal(alloc.get(toHexKey(predeploys.WETH))?.balanceWei, 7n);
  assert.ok((alloc.get(toHexKey(predeploys.WETH))?.code.length ?? 0) > 0);
});
