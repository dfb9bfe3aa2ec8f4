import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fromHex, toHexKey } from "../base/bytes.ts";
import { CodedError, hasCode } from "../base/error.ts";
import { recoverSender } from "./sender.ts";
import { sharedFolder } from "./testing/shared-vectors.ts";
import { decodeSignedTransaction, decodeTransaction, encodeDeposit, signTransaction } from "./transaction-codec.ts";

const { path: vectors, skip } = sharedFolder("ethereum-tests/TransactionTests");

const KEY = fromHex("4646464646464646464646464646464646464646464646464646464646464646");

type Result = { readonly exception?: string; readonly hash?: string; readonly sender?: string };
type Vector = { readonly txbytes: string; readonly result: Readonly<Record<string, Result>> };

/** Rules of the newest fork the vectors know; those that need chain id, gas schedule or code size are not decoding. */
const NOT_DECODING = /INTRINSIC_GAS_TOO_LOW|INITCODE_SIZE_EXCEEDED/;

const CODES: [RegExp, string][] = [
  [/INVALID_SIGNATURE_VRS/, "BAD_SIGNATURE|UNDECODABLE"],
  [/EC_RECOVERY_FAIL/, "BAD_SIGNATURE"],
  [/PRIORITY_GREATER/, "TIP_ABOVE_FEE"],
  [/PRODUCT_OVERFLOW|NONCE_TOO_BIG/, "FIELD_OUT_OF_RANGE"],
  [/./, "UNDECODABLE"],
];

/** The chain id of a decodable transaction, or the code of its refusal. */
function chainIdOrCode(raw: Uint8Array): number | string | undefined {
  try {
    return decodeSignedTransaction(raw).chainId;
  } catch (error) {
    assert.ok(error instanceof CodedError);
    return error.code;
  }
}

test("the transaction vectors of ethereum/tests decode, hash and recover, or give their code", { skip }, () => {
  let accepted = 0;
  let refused = 0;
  for (const folder of readdirSync(vectors))
    for (const file of readdirSync(join(vectors, folder)))
      for (const [name, vector] of Object.entries(
        JSON.parse(readFileSync(join(vectors, folder, file), "utf8")) as Record<string, Vector>,
      )) {
        // Vectors of malformed envelopes state one result for all forks under the older names only.
        const result = vector.result["Prague"] ?? vector.result["Cancun"] ?? vector.result["Berlin"];
        assert.ok(result, name);
        if (!/^0x([0-9a-fA-F]{2})*$/.test(vector.txbytes)) continue;
        const raw = fromHex(vector.txbytes);
        if (result.exception === undefined || NOT_DECODING.test(result.exception)) {
          const tx = decodeSignedTransaction(raw);
          if (result.exception === undefined) {
            assert.equal(toHexKey(tx.hash), result.hash?.replace("0x", ""), name);
            assert.equal(toHexKey(recoverSender(tx)), result.sender?.replace("0x", "").toLowerCase(), name);
          }
          accepted++;
          continue;
        }
        const exception = result.exception;
        if (exception.includes("INVALID_CHAINID")) {
          assert.notEqual(chainIdOrCode(raw), 1, name);
          continue;
        }
        const codes = CODES.find(([pattern]) => pattern.test(exception))?.[1].split("|") ?? [];
        assert.throws(
          () => recoverSender(decodeSignedTransaction(raw)),
          (error) => {
            assert.ok(error instanceof CodedError, `${name}: ${String(error)}`);
            // Garbled envelopes break several rules at once: which is named first is the decoder's choice.
            if (folder !== "ttWrongRLP")
              assert.ok(codes.includes(error.code), `${name}: ${exception} gave ${error.code}`);
            return true;
          },
        );
        refused++;
      }
  assert.ok(accepted > 50 && refused > 100, `${accepted} accepted, ${refused} refused`);
});

test("the example of EIP-155 has its signing hash, signature and sender", () => {
  const tx = signTransaction(
    {
      type: 0,
      chainId: 1,
      nonce: 9n,
      to: fromHex("3535353535353535353535353535353535353535"),
      valueWei: 10n ** 18n,
      gasLimit: 21_000n,
      maxFeePerGasWei: 20n * 10n ** 9n,
    },
    KEY,
  );
  assert.equal(
    toHexKey(tx.raw),
    "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83",
  );
  assert.equal(toHexKey(recoverSender(tx)), "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
});

test("an unprotected legacy transaction has no chain id and recovers", () => {
  const tx = signTransaction({ type: 0, nonce: 0n, gasLimit: 21_000n, maxFeePerGasWei: 1n }, KEY);
  assert.equal(tx.chainId, undefined);
  assert.equal(tx.to, undefined);
  assert.equal(toHexKey(recoverSender(tx)), "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
});

test("envelopes that are no transaction give their code", () => {
  const signed = signTransaction({ type: 2, chainId: 901, nonce: 0n, gasLimit: 1n, maxFeePerGasWei: 1n }, KEY).raw;
  const retyped = (type: number): Uint8Array => Uint8Array.of(type, ...signed.subarray(1));
  const cases: [Uint8Array, string][] = [
    [new Uint8Array(0), "UNDECODABLE"],
    [Uint8Array.of(0x80), "UNDECODABLE"],
    [Uint8Array.of(0xc0), "UNDECODABLE"],
    [Uint8Array.of(2), "UNDECODABLE"],
    [Uint8Array.of(2, 0xc0), "UNDECODABLE"],
    [retyped(0), "UNSUPPORTED_TYPE"],
    [retyped(5), "UNSUPPORTED_TYPE"],
    [retyped(0x7f), "UNSUPPORTED_TYPE"],
    [retyped(1), "UNDECODABLE"],
    [retyped(0x7e), "UNDECODABLE"],
    [Uint8Array.of(...signed, 0), "UNDECODABLE"],
    [signed.subarray(0, signed.length - 1), "UNDECODABLE"],
    [new Uint8Array(131_073).fill(0xff), "TRANSACTION_TOO_LARGE"],
  ];
  for (const [raw, code] of cases)
    assert.throws(
      () => decodeTransaction(raw),
      (error) => hasCode(error, code),
      `${toHexKey(raw.subarray(0, 8))} gives ${code}`,
    );
});

test("a deposit decodes to what was encoded, and users may not send one", () => {
  const deposit = encodeDeposit({
    sourceHash: new Uint8Array(32).fill(1),
    from: new Uint8Array(20).fill(2),
    to: undefined,
    mintWei: 5n,
    valueWei: 0n,
    gasLimit: 1_000_000n,
    isSystemTx: false,
    data: Uint8Array.of(1, 2, 3),
  });
  assert.deepEqual(decodeTransaction(deposit.raw), deposit);
  assert.throws(
    () => decodeSignedTransaction(deposit.raw),
    (error) => hasCode(error, "UNSUPPORTED_TYPE"),
  );
});
