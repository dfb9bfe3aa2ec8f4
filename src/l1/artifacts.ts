/**
 * Owns reading what scripts/contracts.ts compiled: creation and runtime code by contract name. Read once a process.
 * Fails with CONTRACTS_NOT_BUILT when the contracts were never compiled here.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Abi, Hex } from "viem";
import { defineErrors } from "../base/error.ts";

export const artifactError = defineErrors("Artifact", {
  CONTRACTS_NOT_BUILT: {
    summary: "the compiled contracts are missing or unreadable",
    action: "run: npm run contracts",
    retryable: false,
  },
  UNKNOWN_CONTRACT: {
    summary: "no compiled contract has this name",
    action: "compile again after adding a contract: npm run contracts",
    retryable: false,
  },
});

export type Artifact = {
  readonly abi: Abi;
  readonly creationCode: Hex;
  readonly runtimeCode: Hex;
  /** Name of the immutable → places of its 32-byte words in the runtime code, in bytes. */
  readonly immutables: Readonly<Record<string, readonly { readonly start: number; readonly length: number }[]>>;
};

const FILE = fileURLToPath(new URL("../../contracts/out/artifacts.json", import.meta.url));

let cached: Readonly<Record<string, Artifact>> | undefined;

/**
 * The compiled contract of that name.
 * @throws {ArtifactError} CONTRACTS_NOT_BUILT, UNKNOWN_CONTRACT
 */
export function readArtifact(name: string): Artifact {
  if (cached === undefined) {
    try {
      cached = (JSON.parse(readFileSync(FILE, "utf8")) as { contracts: Record<string, Artifact> }).contracts;
    } catch (cause) {
      throw artifactError("CONTRACTS_NOT_BUILT", "contracts/out/artifacts.json cannot be read", {}, { cause });
    }
  }
  const artifact = cached[name];
  if (artifact === undefined) throw artifactError("UNKNOWN_CONTRACT", `${name} is not among them`, { name });
  return artifact;
}
