/**
 * Story: everybody means harm. Clients send rubbish, transactions are made to be refused, contracts burn what a block
 * has, deposits come with nonsense from L1. Each gets its documented error, the memory of the process stays bounded, and
 * the chain goes on: after every attack new blocks come and an ordinary user is served; at the end the verifier has
 * derived the same hashes.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { encodeFunctionData, getAddress, type Hex, parseAbi } from "viem";
import { getL2TransactionHashes } from "viem/op-stack";
import { WebSocket } from "ws";
import { concatBytes, fromHex, toHex } from "../../src/base/bytes.ts";
import { systemClock } from "../../src/base/clock.ts";
import { keccak256 } from "../../src/protocol/keccak.ts";
import { encodeRlp } from "../../src/protocol/rlp.ts";
import { encodeDeposit, signTransaction, type TransactionFields } from "../../src/protocol/transaction-codec.ts";
import { clientsOf, NetworkProcess, until } from "./fixture.ts";

type Answer = { id?: unknown; result?: unknown; error?: { code: number; message: string; data?: unknown } };

/** What the process may grow by under all attacks together. */
const GROWTH_MAX_BYTES = 1_000 * 1_048_576;
const GWEI = 10n ** 9n;
const BLOCK_GAS = 59_000_000n;

test("nobody stops the chain or fills its memory", async (t) => {
  const network = new NetworkProcess(mkdtempSync(join(tmpdir(), "sheaf-hostile-")));
  t.after(async () => {
    await network.stop();
    rmSync(network.dataDir, { recursive: true, force: true });
  });
  const endpoints = await network.start(true);
  const { l1, l2, verifier, cluster } = clientsOf(endpoints);
  const url = cluster.rpcUrl;
  const chainId = cluster.chainId;
  const keys = endpoints.accounts.map((a) => fromHex(a.privateKey));
  const addresses = endpoints.accounts.map((a) => a.address);

  const residentBytes = (): number => {
    const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${network.pid}/status`, "utf8"));
    return Number(line?.[1]) * 1024;
  };
  const startBytes = residentBytes();
  let peakBytes = startBytes;
  const watch = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes());
  }, 100);
  t.after(() => clearInterval(watch));

  const post = async (body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: body as string });
  const postJson = async (body: string | Uint8Array): Promise<Answer | Answer[]> =>
    (await (await post(body)).json()) as Answer | Answer[];
  const request = async (method: string, params: readonly unknown[] = []): Promise<Answer> =>
    (await postJson(JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }))) as Answer;
  const result = async (method: string, params: readonly unknown[] = []): Promise<unknown> => {
    const answer = await request(method, params);
    assert.equal(answer.error, undefined, `${method}: ${JSON.stringify(answer.error)}`);
    return answer.result;
  };
  const batch = async (method: string, paramsList: readonly (readonly unknown[])[]): Promise<Answer[]> =>
    (await postJson(
      JSON.stringify(paramsList.map((params, id) => ({ jsonrpc: "2.0", id, method, params }))),
    )) as Answer[];
  const code = (answer: Answer): number | undefined => answer.error?.code;
  const reason = (answer: Answer): string | undefined =>
    (answer.error?.data as { reason?: string } | undefined)?.reason;

  const nonces = keys.map(() => 0);
  const sign = (account: number, fields: Partial<TransactionFields> & { nonce?: bigint }): Uint8Array =>
    signTransaction(
      {
        type: 2,
        chainId,
        nonce: BigInt(nonces[account] as number),
        to: new Uint8Array(20).fill(0xee),
        valueWei: 0n,
        data: new Uint8Array(0),
        gasLimit: 21_000n,
        maxFeePerGasWei: 10n * GWEI,
        maxPriorityFeePerGasWei: GWEI,
        ...fields,
      } as TransactionFields,
      keys[account] as Uint8Array,
    ).raw;
  const send = async (account: number, fields: Partial<TransactionFields>): Promise<Hex> => {
    const raw = toHex(sign(account, fields));
    nonces[account] = (nonces[account] as number) + 1;
    return (await result("eth_sendRawTransaction", [raw])) as Hex;
  };
  type Receipt = { status: Hex; gasUsed: Hex; contractAddress: Hex | null; blockNumber: Hex; logs: unknown[] };
  const receipt = (hash: Hex): Promise<Receipt> =>
    until(`receipt of ${hash}`, async () => {
      const found = (await result("eth_getTransactionReceipt", [hash])) as Receipt | null;
      return found ?? undefined;
    });

  /** Two more blocks, and an ordinary user's transfer is in one. */
  const goesOn = async (): Promise<void> => {
    const head = Number(await result("eth_blockNumber"));
    const done = await receipt(await send(9, { valueWei: 1n }));
    assert.equal(done.status, "0x1");
    await until("two more blocks", async () => Number(await result("eth_blockNumber")) >= head + 2);
  };
  const story = (name: string, body: () => Promise<void>): Promise<void> =>
    t.test(name, async (s) => {
      const startMs = systemClock.nowMs();
      await body();
      await goesOn();
      s.diagnostic(
        `${((systemClock.nowMs() - startMs) / 1_000).toFixed(1)} s, ${Math.round(residentBytes() / 1_048_576)} MiB`,
      );
    });

  await story("bodies that are not requests", async () => {
    const whole = '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}';
    const malformed: (string | Uint8Array)[] = [
      "",
      "{",
      `${whole}}`,
      "undefined",
      "[1,",
      '"\\ud800',
      Uint8Array.of(0xff, 0xfe, 0x7b),
      new Uint8Array(4_096).fill(0x7b),
    ];
    for (const body of malformed)
      assert.equal(code((await postJson(body)) as Answer), -32700, String(body).slice(0, 30));
    const wrong = [
      "[]",
      "1",
      "null",
      '"eth_chainId"',
      "{}",
      '{"jsonrpc":"1.0","id":1,"method":"eth_chainId"}',
      '{"jsonrpc":"2.0","id":{},"method":"eth_chainId"}',
      '{"jsonrpc":"2.0","id":1,"method":7}',
      `[${`${whole},`.repeat(2_000)}${whole}]`,
    ];
    for (const body of wrong) assert.equal(code((await postJson(body)) as Answer), -32600, body.slice(0, 60));
    for (const open of ["[", '{"a":', '[{"params":['])
      for (const depth of [5_000, 500_000]) {
        const answer = await postJson(open.repeat(depth));
        assert.ok([-32700, -32600].includes(code(answer as Answer) as number), open);
      }
    const nested = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    const deep = (await postJson(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":${nested}}`)) as Answer;
    assert.ok([-32700, -32600, -32602].includes(code(deep) as number));
    const large = await post(new Uint8Array(11_000_000).fill(0x20)).catch(() => undefined);
    assert.ok(large === undefined || large.status === 413);
    assert.equal((await post(whole, { "content-type": "text/html" })).status, 415);
    assert.equal((await fetch(url)).status, 405);
  });

  await story("methods and parameters that do not exist", async () => {
    for (const method of [
      "eth_sendTransaction",
      "admin_addPeer",
      "debug_setHead",
      "engine_newPayloadV4",
      "__proto__",
      "",
    ])
      assert.equal(code(await request(method)), -32601, method);
    assert.equal(code(await request("eth_subscribe", ["newHeads"])), -32601);
    const address = addresses[0] as Hex;
    const outOfRange: [string, unknown[]][] = [
      ["eth_getBlockByNumber", ["-0x1", false]],
      ["eth_getBlockByNumber", [-1, false]],
      ["eth_getBlockByNumber", ["0x00", false]],
      ["eth_getBlockByNumber", [`0x${"f".repeat(17)}`, false]],
      ["eth_getBlockByNumber", ["0x1", "yes"]],
      ["eth_getBalance", [`${address}00`, "latest"]],
      ["eth_getBalance", [address, { blockHash: "0x12" }]],
      ["eth_getStorageAt", [address, `0x${"1".repeat(65)}`, "latest"]],
      ["eth_getTransactionByHash", ["0x"]],
      ["eth_call", [{ to: address, value: `0x1${"0".repeat(64)}` }]],
      ["eth_call", [{ to: address, gas: "0x10000000000000000" }]],
      ["eth_call", [{ to: address, data: "0x123" }]],
      ["eth_call", [{ to: address }, "latest", { [address]: { balance: "-0x1" } }]],
      ["eth_estimateGas", ["0x"]],
      ["eth_feeHistory", ["0x1", "latest", [50, 10]]],
      ["eth_feeHistory", ["0x1", "latest", [101]]],
      ["eth_getLogs", [{ topics: [[], [], [], [], []] }]],
      ["eth_getLogs", [{ fromBlock: "0x5", toBlock: "0x1" }]],
      ["eth_getLogs", [{ blockHash: `0x${"00".repeat(32)}`, fromBlock: "0x0" }]],
      ["eth_getProof", [address, ["0xzz"], "latest"]],
      ["eth_sendRawTransaction", [7]],
    ];
    for (const [method, params] of outOfRange)
      assert.equal(code(await request(method, params)), -32602, `${method} ${JSON.stringify(params)}`);
    assert.equal(await result("eth_getBlockByNumber", ["0xfffffff", false]), null);
    assert.equal(code(await request("eth_getBalance", [address, "0xfffffff"])), -32001);
    const wide = await request("eth_getLogs", [{ fromBlock: "0x0", toBlock: "0xffffff" }]);
    assert.ok(code(wide) === -32005 || code(wide) === -32602 || Array.isArray(wide.result), JSON.stringify(wide));
    const history = (await result("eth_feeHistory", ["0x400", "latest", []])) as { gasUsedRatio: number[] };
    assert.ok(history.gasUsedRatio.length <= 1_024);
    assert.equal(
      code(await request("eth_getProof", [address, Array.from({ length: 5_000 }, () => "0x1"), "latest"])),
      -32602,
    );
  });

  await story("transactions that are none", async () => {
    const good = sign(0, {});
    let seed = 0x5eaf;
    const next = (bound: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
      return seed % bound;
    };
    const rubbish: Uint8Array[] = [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(2), Uint8Array.of(0xc0)];
    for (let i = 0; i < 400; i++) {
      const kind = next(4);
      if (kind === 0) rubbish.push(good.subarray(0, next(good.length)));
      else if (kind === 1) rubbish.push(Uint8Array.from({ length: next(300) }, () => next(256)));
      else if (kind === 2) rubbish.push(concatBytes(good, Uint8Array.of(next(256))));
      else {
        const flipped = Uint8Array.from(good);
        flipped[1 + next(12)] = next(256);
        if (toHex(flipped) !== toHex(good)) rubbish.push(flipped);
      }
    }
    // RLP that nests, and lengths that lie.
    rubbish.push(
      new Uint8Array(100_000).fill(0xc1),
      Uint8Array.of(2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
    );
    rubbish.push(concatBytes(Uint8Array.of(2), encodeRlp(Array.from({ length: 12 }, () => new Uint8Array(0)))));
    const answers = await batch(
      "eth_sendRawTransaction",
      rubbish.map((raw) => [toHex(raw)]),
    );
    assert.equal(answers.length, rubbish.length);
    // A changed transaction that still decodes comes from a stranger without funds.
    for (const answer of answers)
      assert.ok(
        (code(answer) === -32602 && reason(answer) === "UNDECODABLE") ||
          (code(answer) === -32000 && reason(answer) !== undefined),
        JSON.stringify(answer),
      );
  });

  await story("transactions that are refused", async () => {
    const deposit = encodeDeposit({
      sourceHash: new Uint8Array(32),
      from: fromHex(addresses[0] as Hex),
      to: fromHex(addresses[0] as Hex),
      mintWei: 10n ** 24n,
      valueWei: 0n,
      gasLimit: 21_000n,
      isSystemTx: false,
      data: new Uint8Array(0),
    }).raw;
    const highS = Uint8Array.from(sign(0, {}));
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    const s = BigInt(toHex(highS.subarray(highS.length - 32)));
    highS.set(fromHex((order - s).toString(16).padStart(64, "0")), highS.length - 32);
    /** What no honest signer makes: a type 2 transaction with a signature of nobody. */
    const forged = (p: { tip?: number; data?: Uint8Array }): Uint8Array => {
      const byte = (n: number): Uint8Array => Uint8Array.of(n);
      const none = new Uint8Array(0);
      const to = new Uint8Array(20).fill(1);
      const fields = [fromHex("0385"), none, byte(p.tip ?? 1), byte(2), fromHex("5208"), to, none, p.data ?? none, []];
      return concatBytes(byte(2), encodeRlp([...fields, none, byte(1), byte(1)]));
    };
    const refusals: [string, Uint8Array][] = [
      ["WRONG_CHAIN", sign(0, { chainId: 1 })],
      ["WRONG_CHAIN", sign(0, { type: 0, chainId: 902 })],
      ["INVALID_SENDER", highS],
      ["UNSUPPORTED_TYPE", deposit],
      ["GAS_LIMIT_EXCEEDED", sign(0, { gasLimit: 60_000_001n })],
      ["GAS_LIMIT_EXCEEDED", sign(0, { gasLimit: 2n ** 64n - 1n, maxFeePerGasWei: 0n, maxPriorityFeePerGasWei: 0n })],
      ["INTRINSIC_GAS", sign(0, { gasLimit: 20_999n })],
      ["INTRINSIC_GAS", sign(0, { gasLimit: 21_000n, data: new Uint8Array(100).fill(1) })],
      ["INSUFFICIENT_FUNDS", sign(0, { valueWei: 2n ** 256n - 1n })],
      ["FEE_TOO_HIGH", sign(0, { maxFeePerGasWei: 2n ** 240n })],
      ["TIP_ABOVE_FEE", forged({ tip: 3 })],
      ["TX_TOO_LARGE", forged({ data: new Uint8Array(140_000) })],
      ["FEE_TOO_HIGH", sign(0, { gasLimit: 50_000_000n, maxFeePerGasWei: 21n * GWEI })],
      ["NONCE_TOO_FAR", sign(0, { nonce: 10_000n })],
      ["NONCE_TOO_FAR", sign(0, { nonce: 2n ** 64n - 2n })],
      ["INIT_CODE_TOO_LARGE", sign(0, { to: undefined, data: new Uint8Array(49_153), gasLimit: 50_000_000n })],
    ];
    const answers = await batch(
      "eth_sendRawTransaction",
      refusals.map(([, raw]) => [toHex(raw)]),
    );
    for (const [i, [expected]] of refusals.entries()) {
      const answer = answers[i] as Answer;
      assert.equal(reason(answer), expected, JSON.stringify(answer));
      assert.equal(code(answer), -32000);
    }
    const raw = toHex(sign(0, {}));
    const twice = await batch("eth_sendRawTransaction", [[raw], [raw]]);
    assert.deepEqual(twice.map(reason), [undefined, "ALREADY_KNOWN"]);
    nonces[0] = 1;
  });

  await story("ten thousand pending transactions of one sender", async () => {
    // Below any base fee: they stay.
    const many = Array.from({ length: 10_000 }, (_, i) => [
      toHex(sign(1, { nonce: BigInt(i), maxFeePerGasWei: 0n, maxPriorityFeePerGasWei: 0n })),
    ]);
    const reasons = new Map<string, number>();
    for (let i = 0; i < many.length; i += 2_000)
      for (const answer of await batch("eth_sendRawTransaction", many.slice(i, i + 2_000))) {
        const outcome = reason(answer) ?? "accepted";
        reasons.set(outcome, (reasons.get(outcome) ?? 0) + 1);
      }
    assert.deepEqual(Object.fromEntries(reasons), { accepted: 4_096, SENDER_LIMIT: 5_904 });
    const content = (await result("txpool_content")) as {
      pending: Record<string, object>;
      queued: Record<string, object>;
    };
    const shown = [content.pending, content.queued].flatMap((of) => Object.values(of)).flatMap((of) => Object.keys(of));
    assert.ok(shown.length <= 1_000);
    // The first is replaced by one that pays, and is gone from the chain's way.
    const paying = toHex(sign(1, { nonce: 0n }));
    assert.equal((await receipt((await result("eth_sendRawTransaction", [paying])) as Hex)).status, "0x1");
  });

  /** Initialization code that deploys `runtime`. */
  const creation = (runtime: string): Uint8Array =>
    concatBytes(fromHex(`61${(runtime.length / 2).toString(16).padStart(4, "0")}80600a5f395ff3`), fromHex(runtime));
  const deploy = async (account: number, runtime: string): Promise<Hex> => {
    const done = await receipt(await send(account, { to: undefined, data: creation(runtime), gasLimit: 10_000_000n }));
    assert.equal(done.status, "0x1");
    return done.contractAddress as Hex;
  };

  const burned: Hex[] = [];
  await story("contracts that burn, recurse, create, destroy, and write until the block is full", async () => {
    const burners: Record<string, string> = {
      spin: "5b5f56",
      recurse: "5b5f5f5f5f5f305af1505f56",
      create: "5b5f5f5ff0505f56",
      write: "5f5b600101808055600156",
      read: "5f5b600101805450600156",
      touch: "5f5b600101803150600156",
      log: "5b5f5f5f5f60ff5fa45f56",
      grow: "5f5b61ffff0180515060015600",
      hash: "5b620fffff5f20505f56",
      copy: "5b620fffff5f5f395f56",
    };
    const names = Object.keys(burners);
    const deployed = await Promise.all(
      names.map(
        async (name) =>
          [
            name,
            await send(2, { to: undefined, data: creation(burners[name] as string), gasLimit: 1_000_000n }),
          ] as const,
      ),
    );
    const targets = new Map<string, Hex>();
    for (const [name, hash] of deployed) targets.set(name, (await receipt(hash)).contractAddress as Hex);
    for (const [name, target] of targets) {
      const startMs = systemClock.nowMs();
      const hash = await send(3, { to: fromHex(target), gasLimit: BLOCK_GAS });
      const done = await receipt(hash);
      burned.push(hash);
      assert.equal(done.status, "0x0", name);
      assert.equal(BigInt(done.gasUsed), BLOCK_GAS, name);
      t.diagnostic(`${name}: ${systemClock.nowMs() - startMs} ms to the receipt`);
    }
    const dead = await deploy(2, "33ff");
    assert.equal((await receipt(await send(3, { to: fromHex(dead), gasLimit: 100_000n, valueWei: 5n }))).status, "0x1");
    assert.notEqual(await result("eth_getCode", [dead, "latest"]), "0x");
    const stillborn = await receipt(await send(2, { to: undefined, data: fromHex("33ff"), gasLimit: 1_000_000n }));
    assert.equal(await result("eth_getCode", [stillborn.contractAddress, "latest"]), "0x");
    const tooLarge = await receipt(
      await send(2, { to: undefined, data: fromHex("6160015ff3"), gasLimit: 20_000_000n }),
    );
    assert.equal(tooLarge.status, "0x0");
    const range = { fromBlock: "0x0", toBlock: "latest" };
    const logs = await request("eth_getLogs", [range]);
    assert.ok(code(logs) === -32005 || code(logs) === -32003 || Array.isArray(logs.result), JSON.stringify(logs.error));
  });

  await story("traces of whole blocks that were burned, all at once", async () => {
    const configs = [{ enableMemory: true }, { tracer: "callTracer", tracerConfig: { withLog: true } }];
    const answers = await Promise.all(
      burned
        .filter((_, i) => i % 2 === 1)
        .flatMap((hash) =>
          configs.map((config) => request("debug_traceTransaction", [hash, { ...config, timeout: "800ms" }])),
        ),
    );
    for (const answer of answers)
      assert.ok(
        answer.result !== undefined || [-32002, -32003, -32005].includes(code(answer) as number),
        JSON.stringify(answer.error),
      );
    const ordinary = (await result("debug_traceCall", [{ to: addresses[1] }, "latest", { tracer: "callTracer" }])) as {
      gasUsed: Hex;
    };
    assert.equal(ordinary.gasUsed, "0x5208");
  });

  await story("calls that burn, return megabytes and revert with them", async () => {
    const contracts = {
      spin: "0x5b5f56",
      recurse: "0x5b5f5f5f5f5f305af1505f56",
      big: "0x623000005ff3",
      bigRevert: "0x623000005ffd",
      deepRevert: "0x5f5f5f5f5f305af13d5f5f3e3d5ffd",
    };
    const call = (name: keyof typeof contracts, method = "eth_call"): Promise<Answer> => {
      const target = toHex(keccak256(Buffer.from(name)).subarray(12));
      return request(method, [{ to: target }, "latest", { [target]: { code: contracts[name] } }]);
    };
    assert.equal(code(await call("spin")), -32000);
    assert.equal(code(await call("spin", "eth_estimateGas")), -32000);
    assert.equal(((await call("big")).result as string).length, 2 + 2 * 0x300000);
    const reverted = await call("bigRevert");
    assert.equal(code(reverted), 3);
    assert.equal(String(reverted.error?.data).length, 2 + 2 * 0x300000);
    assert.equal(code(await call("deepRevert")), 3);
    const storm = await Promise.all(Array.from({ length: 40 }, (_, i) => call(i % 2 === 0 ? "big" : "recurse")));
    for (const answer of storm)
      assert.ok(
        answer.result !== undefined || [-32000, -32002, -32005, -32003].includes(code(answer) as number),
        JSON.stringify(answer.error),
      );
    // Answers of a batch are bounded in sum.
    const target = toHex(new Uint8Array(20).fill(0xb1));
    const params = [{ to: target }, "latest", { [target]: { code: contracts.big } }];
    const answers = await batch(
      "eth_call",
      Array.from({ length: 12 }, () => params),
    );
    assert.ok(answers.some((a) => code(a) === -32003));
  });

  await story("sockets that flood, dawdle and hang up", async () => {
    const { hostname, port } = new URL(url);
    const slow = Array.from({ length: 200 }, () => {
      const socket = connect(Number(port), hostname);
      socket.on("error", () => undefined);
      socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n[");
      return socket;
    });
    const open = (): Promise<WebSocket> =>
      new Promise((done, fail) => {
        const ws = new WebSocket(cluster.wsUrl);
        ws.on("error", fail);
        ws.on("open", () => done(ws));
      });
    const ask = (ws: WebSocket, body: string | Uint8Array): Promise<Answer> =>
      new Promise((done) => {
        ws.once("message", (data: Buffer) => done(JSON.parse(data.toString()) as Answer));
        ws.send(body);
      });
    const ws = await open();
    assert.equal(code(await ask(ws, "}")), -32700);
    assert.equal(code(await ask(ws, Uint8Array.of(0, 1, 2))), -32700);
    assert.equal(code(await ask(ws, "[]")), -32600);
    const codes: (number | undefined)[] = [];
    for (let i = 0; i < 200; i++)
      codes.push(
        code(await ask(ws, '{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newPendingTransactions"]}')),
      );
    assert.ok(codes.includes(undefined) && codes.includes(-32005));
    ws.terminate();
    // Readers that do not read, asking for much.
    const deaf = await Promise.all(Array.from({ length: 10 }, open));
    const full = '{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0x1",true]}';
    const heavy = `[${`${full},`.repeat(1_999)}${full}]`;
    for (const socket of deaf) {
      socket.pause();
      for (let i = 0; i < 30; i++) socket.send(heavy);
    }
    await goesOn();
    for (const socket of deaf) socket.terminate();
    for (const socket of slow) socket.destroy();
  });

  await story("deposits with nonsense", async () => {
    const stranger = endpoints.accounts[5]?.address as Hex;
    const portalAbi = parseAbi([
      "function depositTransaction(address to, uint256 value, uint64 gasLimit, bool isCreation, bytes data) payable",
    ]);
    const zero: Hex = `0x${"00".repeat(20)}`;
    const garbage = toHex(Uint8Array.from({ length: 40_000 }, (_, i) => (i * 37 + 0xfe) & 255));
    const l1Block: Hex = "0x4200000000000000000000000000000000000015";
    const passer: Hex = "0x4200000000000000000000000000000000000016";
    const attributes = (await result("eth_getBlockByNumber", ["latest", true])) as { transactions: { input: Hex }[] };
    const attributesData = attributes.transactions[0]?.input as Hex;
    const cases: { to: Hex; value: bigint; mint: bigint; gas: bigint; creation: boolean; data: Hex; status: Hex }[] = [
      { to: stranger, value: 0n, mint: 0n, gas: 21_000n, creation: false, data: "0x", status: "0x1" },
      { to: stranger, value: 10n ** 30n, mint: 7n, gas: 50_000n, creation: false, data: "0x", status: "0x0" },
      { to: stranger, value: 2n ** 256n - 1n, mint: 0n, gas: 50_000n, creation: false, data: "0x", status: "0x0" },
      { to: stranger, value: 0n, mint: 0n, gas: 2_000_000n, creation: false, data: garbage, status: "0x1" },
      { to: passer, value: 1n, mint: 1n, gas: 2_000_000n, creation: false, data: garbage, status: "0x0" },
      { to: l1Block, value: 0n, mint: 0n, gas: 1_000_000n, creation: false, data: attributesData, status: "0x0" },
      { to: zero, value: 0n, mint: 0n, gas: 21_000n, creation: true, data: "0x", status: "0x0" },
      { to: zero, value: 0n, mint: 3n, gas: 2_000_000n, creation: true, data: garbage, status: "0x0" },
      { to: zero, value: 0n, mint: 0n, gas: 2_000_000n, creation: true, data: toHex(creation("00")), status: "0x1" },
      { to: zero, value: 0n, mint: 0n, gas: 1_000_000n, creation: true, data: "0x5b5f56", status: "0x0" },
      {
        to: "0x0000000000000000000000000000000000000005",
        value: 0n,
        mint: 0n,
        gas: 100_000n,
        creation: false,
        data: "0xff",
        status: "0x0",
      },
      {
        to: "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
        value: 0n,
        mint: 1n,
        gas: 50_000n,
        creation: false,
        data: "0x",
        status: "0x1",
      },
    ];
    const from = await l1.getTransactionCount({ address: l1.account.address });
    const hashes = await Promise.all(
      cases.map((c, i) =>
        l1.sendTransaction({
          nonce: from + i,
          to: getAddress(cluster.contracts.portal),
          value: c.mint,
          gas: 6_000_000n,
          data: encodeFunctionData({
            abi: portalAbi,
            functionName: "depositTransaction",
            args: [c.to, c.value, c.gas, c.creation, c.data],
          }),
        }),
      ),
    );
    for (const [i, hash] of hashes.entries()) {
      const onL1 = await l1.waitForTransactionReceipt({ hash });
      assert.equal(onL1.status, "success", `deposit ${i} is taken by the portal`);
      const [l2Hash] = getL2TransactionHashes({ logs: onL1.logs });
      const done = await receipt(l2Hash as Hex);
      assert.equal(done.status, cases[i]?.status, `deposit ${i}`);
      assert.ok(BigInt(done.gasUsed) <= (cases[i]?.gas as bigint));
    }
    // Below the least gas the portal does not take it.
    await assert.rejects(
      l1.simulateContract({
        address: cluster.contracts.portal,
        abi: portalAbi,
        functionName: "depositTransaction",
        args: [stranger, 0n, 0n, false, "0x"],
      } as never),
    );
    // Nobody but the depositor account writes the attributes.
    const forged = await receipt(
      await send(4, { to: fromHex(l1Block), data: fromHex(attributesData), gasLimit: 1_000_000n }),
    );
    assert.equal(forged.status, "0x0");
  });

  await t.test("the verifier has derived the same chain, and memory was bounded", async (s) => {
    const head = await l2.getBlock();
    const derived = await until("the verifier follows", () =>
      verifier.getBlock({ blockNumber: head.number }).catch(() => undefined),
    );
    assert.equal(derived.hash, head.hash);
    const growth = peakBytes - startBytes;
    s.diagnostic(`start ${Math.round(startBytes / 1_048_576)} MiB, peak ${Math.round(peakBytes / 1_048_576)} MiB`);
    assert.ok(growth < GROWTH_MAX_BYTES, `grew by ${Math.round(growth / 1_048_576)} MiB`);
  });
});
