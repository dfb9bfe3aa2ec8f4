/** Owns the token of the benchmarks: an OpenZeppelin ERC-20, compiled here with the optimizer, and where its balances lie. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { concatBytes, fromHex, padLeft, toHexKey } from "../../src/base/bytes.ts";
import { keccak256 } from "../../src/protocol/keccak.ts";

const SOURCE = `// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
contract Token is ERC20 { constructor() ERC20("Token", "TOK") {} }`;

/** Runtime code of the token. */
export function tokenCode(): Uint8Array {
  const require = createRequire(import.meta.url);
  const solc = require("solc") as { compile(input: string, callbacks: object): string };
  const output = JSON.parse(
    solc.compile(
      JSON.stringify({
        language: "Solidity",
        sources: { "Token.sol": { content: SOURCE } },
        settings: {
          optimizer: { enabled: true, runs: 200 },
          evmVersion: "cancun",
          outputSelection: { "Token.sol": { Token: ["evm.deployedBytecode.object"] } },
        },
      }),
      { import: (path: string) => ({ contents: readFileSync(require.resolve(path), "utf8") }) },
    ),
  ) as { contracts: { "Token.sol": { Token: { evm: { deployedBytecode: { object: string } } } } } };
  return fromHex(output.contracts["Token.sol"].Token.evm.deployedBytecode.object);
}

/** Slot of `balances[address]`, the first mapping of the token, as hex without 0x. */
export const balanceSlot = (address: Uint8Array): string =>
  toHexKey(keccak256(concatBytes(padLeft(address, 32), new Uint8Array(32))));
