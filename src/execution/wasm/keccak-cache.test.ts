/** The VM keeps hashes of 64 bytes: whatever stands in the cache, an answer is the hash. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { concatBytes, fromHex, toHex, toHexKey } from "../../base/bytes.ts";
import { keccak256 } from "../../protocol/keccak.ts";
import { testEnv } from "../testing/world.ts";
import { World } from "./testing/world.ts";
import { WasmEngine } from "./wasm.ts";

/** Hashes each 64 bytes of the calldata and returns the hashes: for (i = 0; i < size; i += 64). */
const HASHES = fromHex("5f5b368114601f576040815f3760405f208160011c604001526040016001565b503660011c6040f3");

test("hashes of 64 bytes are right at first sight, again, and after they gave way", async () => {
  const engine = await WasmEngine.create();
  const code = HASHES;
  const codeHash = keccak256(code);
  const at = new Uint8Array(20).fill(7);
  const world = new World();
  world.codes.set(toHexKey(codeHash), code);
  world.accounts.set(toHexKey(at), { nonce: 1n, balanceWei: 0n, codeHash, storage: new Map() });
  const pieces = Array.from({ length: 9_000 }, (_, i) => {
    const piece = new Uint8Array(64);
    // Nothing at all, then mappings as Solidity has them: a key in one word, a small number in the other.
    if (i > 0) new DataView(piece.buffer).setUint32(28, i * 2_654_435_761);
    piece[63] = i % 3;
    return piece;
  });
  const expected = concatBytes(...pieces.map((piece) => keccak256(piece)));
  for (let round = 0; round < 2; round++) {
    const result = engine.callNow(
      testEnv(),
      {
        from: new Uint8Array(20),
        to: at,
        data: concatBytes(...pieces),
        valueWei: 0n,
        gasLimit: 1_000_000_000,
        gasPriceWei: 0n,
        intrinsicGas: false,
      },
      world,
    );
    assert.equal(result.status, "success", result.error);
    assert.equal(toHex(result.output), toHex(expected));
  }
  await engine.close();
});
