import assert from "node:assert/strict";
import { test } from "node:test";
import { Common, Hardfork, Mainnet } from "@ethereumjs/common";
import { createTxFromRLP } from "@ethereumjs/tx";
import * as ethers from "ethers";
import * as fc from "fast-check";
import { parseTransaction } from "viem";
import { toHex } from "../base/bytes.ts";
import { CodedError } from "../base/error.ts";
import { addressOfPrivateKey } from "./secp256k1.ts";
import { recoverAuthority, recoverSender, recoverSenders } from "./sender.ts";
import {
  depositFields,
  edited,
  hasSafeNonces,
  privateKey,
  signedTransaction,
  transactionFields,
} from "./testing/arbitraries.ts";
import {
  decodeSignedTransaction,
  decodeTransaction,
  encodeDeposit,
  signatureV,
  signingHash,
  signingHashOf,
  signTransaction,
} from "./transaction-codec.ts";

const CODES = [
  "UNDECODABLE",
  "UNSUPPORTED_TYPE",
  "BAD_SIGNATURE",
  "FIELD_OUT_OF_RANGE",
  "TIP_ABOVE_FEE",
  "TRANSACTION_TOO_LARGE",
];

test("what is signed decodes to its fields, and its signer recovers", () => {
  fc.assert(
    fc.property(transactionFields, privateKey, (fields, key) => {
      const tx = signTransaction(fields, key);
      const decoded = decodeTransaction(tx.raw);
      assert.deepEqual(decoded, tx);
      const { raw: _raw, hash: _hash, yParity: _y, r: _r, s: _s, ...rest } = tx;
      assert.deepEqual(rest, fields);
      assert.deepEqual(signingHash(tx), signingHashOf(fields));
      assert.deepEqual(recoverSender(tx), addressOfPrivateKey(key));
      assert.deepEqual(recoverSenders([tx, tx]), [addressOfPrivateKey(key), addressOfPrivateKey(key)]);
    }),
    { numRuns: 300 },
  );
});

test("ethers sees the same fields, hash, digest and sender", () => {
  fc.assert(
    fc.property(signedTransaction.filter(hasSafeNonces), (tx) => {
      const theirs = ethers.Transaction.from(toHex(tx.raw));
      assert.equal(theirs.type, tx.type);
      assert.equal(theirs.hash, toHex(tx.hash));
      assert.equal(theirs.unsignedHash, toHex(signingHash(tx)));
      assert.equal(theirs.from?.toLowerCase(), toHex(recoverSender(tx)));
      assert.equal(theirs.chainId, BigInt(tx.chainId ?? 0));
      assert.equal(theirs.gasLimit, tx.gasLimit);
      assert.equal(theirs.value, tx.valueWei);
      assert.equal(theirs.data, toHex(tx.data));
      assert.equal(theirs.to?.toLowerCase(), tx.to === undefined ? undefined : toHex(tx.to));
      assert.deepEqual(
        (theirs.accessList ?? []).map((e) => [e.address.toLowerCase(), e.storageKeys]),
        tx.accessList.map((e) => [toHex(e.address), e.slots.map(toHex)]),
      );
      if (tx.type < 2) assert.equal(theirs.gasPrice, tx.maxFeePerGasWei);
      else {
        assert.equal(theirs.maxFeePerGas, tx.maxFeePerGasWei);
        assert.equal(theirs.maxPriorityFeePerGas, tx.maxPriorityFeePerGasWei);
      }
    }),
    { numRuns: 150 },
  );
});

test("viem sees the same fields and signature value", () => {
  fc.assert(
    fc.property(signedTransaction.filter(hasSafeNonces), (tx) => {
      const theirs = parseTransaction(toHex(tx.raw));
      assert.equal(BigInt(theirs.nonce ?? 0), tx.nonce);
      assert.equal(theirs.chainId, tx.chainId);
      assert.equal(theirs.gas ?? 0n, tx.gasLimit);
      assert.equal(theirs.value ?? 0n, tx.valueWei);
      assert.equal(theirs.to ?? undefined, tx.to === undefined ? undefined : toHex(tx.to));
      assert.equal(BigInt(theirs.r ?? 0), tx.r);
      assert.equal(BigInt(theirs.s ?? 0), tx.s);
      if (tx.type === 0) assert.equal(theirs.v, signatureV(tx));
      else assert.equal(theirs.yParity, tx.yParity);
    }),
    { numRuns: 150 },
  );
});

test("ethereumjs computes the same hash and sender for what it accepts", () => {
  fc.assert(
    fc.property(
      transactionFields.filter((f) => f.type !== 3 && f.gasLimit > 0n),
      privateKey,
      (fields, key) => {
        const chainId = fields.chainId === undefined ? undefined : 901;
        const tx = signTransaction({ ...fields, chainId }, key);
        const common = new Common({ chain: { ...Mainnet, chainId: 901 }, hardfork: Hardfork.Prague });
        const theirs = createTxFromRLP(tx.raw, { common });
        assert.equal(toHex(theirs.hash()), toHex(tx.hash));
        assert.equal(theirs.getSenderAddress().toString(), toHex(recoverSender(tx)));
      },
    ),
    { numRuns: 25 },
  );
});

test("edited transactions decode canonically or give a code, recovery included; ethers agrees on what is accepted", () => {
  let accepted = 0;
  fc.assert(
    fc.property(edited(signedTransaction.map((tx) => tx.raw)), (raw) => {
      try {
        const tx = decodeTransaction(raw);
        if (tx.type === 0x7e) return;
        const sender = recoverSender(tx);
        accepted++;
        if (!hasSafeNonces(tx)) return;
        const theirs = ethers.Transaction.from(toHex(raw));
        assert.equal(theirs.hash, toHex(tx.hash));
        assert.equal(theirs.from?.toLowerCase(), toHex(sender));
        for (const authorization of tx.authorizations) recoverAuthority(authorization);
      } catch (error) {
        assert.ok(error instanceof CodedError && CODES.includes(error.code), String(error));
      }
    }),
    { numRuns: 1500 },
  );
  assert.ok(accepted > 20, `${accepted} edits stayed valid`);
});

test("random bytes give a code", () => {
  fc.assert(
    fc.property(fc.constantFrom(0, 1, 2, 3, 4, 0x7e, 0xc8, 0xf8), fc.uint8Array({ maxLength: 200 }), (first, rest) => {
      assert.throws(
        () => decodeTransaction(Uint8Array.of(first, ...rest)),
        (error) => error instanceof CodedError && CODES.includes(error.code),
      );
    }),
    { numRuns: 2000 },
  );
});

test("deposits round-trip, edited ones decode to themselves or give a code", () => {
  fc.assert(
    fc.property(depositFields, (fields) => {
      const { type, raw, hash: _hash, ...rest } = encodeDeposit(fields);
      assert.equal(type, 0x7e);
      assert.deepEqual(rest, fields);
      assert.deepEqual(decodeTransaction(raw), encodeDeposit(fields));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(edited(depositFields.map((fields) => encodeDeposit(fields).raw)), (raw) => {
      try {
        const tx = decodeTransaction(raw);
        if (tx.type === 0x7e) assert.deepEqual(encodeDeposit(tx).raw, raw);
      } catch (error) {
        assert.ok(error instanceof CodedError && CODES.includes(error.code), String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

test("an authorization names the account that signed it", () => {
  fc.assert(
    fc.property(
      signedTransaction.filter((tx) => tx.type === 4 && hasSafeNonces(tx)),
      (tx) => {
        const theirs = ethers.Transaction.from(toHex(tx.raw)).authorizationList ?? [];
        assert.equal(theirs.length, tx.authorizations.length);
        for (const [i, authorization] of tx.authorizations.entries()) {
          const { chainId, address, nonce, signature } = theirs[i] as ethers.Authorization;
          const signer = ethers.verifyAuthorization({ chainId, address, nonce }, signature);
          const authority = recoverAuthority(authorization);
          assert.equal(authority && toHex(authority), signer.toLowerCase());
          assert.equal(recoverAuthority({ ...authorization, yParity: 2 }), undefined);
        }
      },
    ),
    { numRuns: 30 },
  );
});

test("out-of-range signatures are refused: zero, the order, high s", () => {
  const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const tx = signTransaction(
    { type: 2, chainId: 1, nonce: 0n, gasLimit: 1n, maxFeePerGasWei: 0n },
    new Uint8Array(32).fill(7),
  );
  const from = tx.raw.length - 33;
  const high = Uint8Array.from(tx.raw);
  high.set(ethers.getBytes(ethers.toBeHex(order - tx.s, 32)), from + 1);
  assert.throws(
    () => decodeSignedTransaction(high),
    (error) => error instanceof CodedError && error.code === "BAD_SIGNATURE",
  );
});
