/**
 * Owns the check that every drill ends with: the one program that decides invariants A to K. It believes no node: the
 * chain is derived again from L1 and its blobs alone, on a line that no fault touched, and everything else is compared
 * with that. Each invariant is answered with figures, or with what contradicts it.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Hex } from "viem";
import { fromHex, toHex, toHexKey } from "../base/bytes.ts";
import type { Clock } from "../base/clock.ts";
import { silentLog } from "../base/log.ts";
import { Metrics } from "../base/metrics.ts";
import { CloseStack } from "../base/service.ts";
import { BeaconBlobs } from "../da/beacon.ts";
import { BlobSources } from "../da/blob-sources.ts";
import { createEngine } from "../execution/engines.ts";
import { readInbox } from "../l1/inbox.ts";
import { JsonRpcClient } from "../l1/json-rpc.ts";
import type { L1Log } from "../l1/l1.ts";
import { readOracle, readOutput } from "../l1/output-oracle.ts";
import { RpcL1 } from "../l1/rpc-l1.ts";
import { isLeaseRecord } from "../log/lease.ts";
import { recordsBehind } from "../log/record-reader.ts";
import { openClusterLogs } from "../node/cluster-logs.ts";
import { VerifierNode } from "../node/verifier-node.ts";
import type { L1Origin } from "../protocol/block.ts";
import { decodeOrderRecord, type OrderRecord } from "../protocol/cut.ts";
import { depositOfLog, l1AttributesSourceHash } from "../protocol/deposit.ts";
import { decodeSegmentPosted, SEGMENT_POSTED_TOPIC, type SegmentPosted } from "../protocol/inbox-events.ts";
import {
  BASE_FEE_VAULT,
  L1_BLOCK,
  L1_FEE_VAULT,
  L2_TO_L1_MESSAGE_PASSER,
  SEQUENCER_FEE_VAULT,
} from "../protocol/predeploys.ts";
import { DEPOSIT_TYPE, decodeTransaction } from "../protocol/transaction-codec.ts";
import { type Load, SINK } from "./load.ts";
import type { ChaosNetwork } from "./network.ts";
import type { NodeProcess } from "./node-process.ts";
import type { Invariant } from "./scenario.ts";
import { readHeads, type Watch } from "./watch.ts";
import { takeHomeOnce } from "./withdrawal.ts";

/** Bound on a node's memory: DESIGN §7 gives 1.5 GB to a devnet of two clusters. */
const MEMORY_MAX_BYTES = 1_500_000_000;
/** What accepted transactions may take to be in the chain, on L1 and under an output, once faults are over. */
const SETTLE_MS = 50_000;
/** What proving and finalizing one withdrawal may take, from there. */
const TAKE_HOME_MS = 50_000;
const SAMPLE_MS = 200;
/** Selector of `number()` of the L1 attributes: the L1 origin of a block. */
const ORIGIN_NUMBER = "0x8381f58a";

export type Finding = { readonly held: boolean; readonly text: string };
export type Findings = Partial<Record<Invariant, Finding>>;

type Checked = {
  readonly network: ChaosNetwork;
  readonly load: Load;
  readonly watch: Watch;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How many times longer than meant may be waited for what must come. */
  readonly patience: number;
  readonly event: (what: string) => void;
};

/** Where a drill ended: who serves, and the newest block that holds something accepted. */
type Settled = {
  readonly node: NodeProcess;
  readonly newest: number;
  /** What did not come in time. */
  readonly missing: string | undefined;
};

const held = (text: string): Finding => ({ held: true, text });
const broken = (text: string): Finding => ({ held: false, text });

/** Checks everything but I, which the steps decide. The load has stopped, faults are healed; the nodes are ended by it. */
export async function checkInvariants(c: Checked): Promise<Findings> {
  const { network, watch, load } = c;
  const close = new CloseStack();
  try {
    const l1 = new RpcL1(new JsonRpcClient({ url: network.l1.rpcUrl, timeoutMs: 60_000 }), {
      chainId: network.l1.chainId,
    });
    const settled = await settle(c, l1);
    if (settled === undefined) {
      const lost = broken("no gateway answers any more");
      return { A: lost, B: lost, C: lost, D: lost, E: lost, F: lost, G: lost, H: lost, J: lost, K: memory(c) };
    }
    const serving = settled.node;
    c.event(settled.missing ?? "everything accepted is on L1, under an output");
    const accepted = await checkAccepted(c, serving);
    const withdrawal = await withdrawOnce(c, serving);
    c.event(withdrawal ?? "a withdrawal was taken home");
    // Nothing seals, posts or proposes any more: what is compared does not move.
    const sealed = await sealedHashes(serving);
    for (const node of network.nodes) if (node !== serving) await node.stop();
    await serving.signal("SIGTERM");
    const { node: derived, cutShort } = await deriveAgain(c, l1, close);
    c.event(`L1 alone gives ${derived.chain.head} blocks`);
    const context = { ...c, l1, derived, cutShort, at: derived.verifier.status().l1Derived };
    const [settlement, segments] = [await checkOutputs(context, sealed, settled), await checkSegments(context)];
    return {
      A: accepted,
      B: await checkLogs(context),
      C: settlement,
      D: await checkEscrow(context),
      E: await checkMessages(context, withdrawal),
      F: fromWatch(watch, "F"),
      G: segments,
      H: await checkForced(context),
      J: fromWatch(watch, "J"),
      K: memory({ network, watch, load }),
    };
  } finally {
    await close.close();
  }
}

function fromWatch(watch: Watch, invariant: "F" | "J"): Finding {
  const found = watch.violations.filter((v) => v.invariant === invariant);
  const [first] = found;
  if (first === undefined) return watch.looks > 0 ? held(`${watch.looks} looks`) : broken("nobody looked");
  return broken(`${first.text}${found.length > 1 ? ` (and ${found.length - 1} more)` : ""}`);
}

function memory({ watch, load }: Pick<Checked, "network" | "watch" | "load">): Finding {
  const megabytes = Math.round(watch.memoryMaxBytes / 1e6);
  const { undocumented, refusals } = load.figures();
  if (watch.memoryMaxBytes === 0 && process.platform === "linux") return broken("nobody looked");
  if (watch.memoryMaxBytes > MEMORY_MAX_BYTES) return broken(`a node took ${megabytes} MB`);
  if (undocumented.length > 0) return broken(`refused without a documented reason: ${undocumented[0]}`);
  const codes = Object.entries(refusals).map(([code, n]) => `${n} x ${code}`);
  return held(`a node took at most ${megabytes} MB; refusals: ${codes.join(", ") || "none"}`);
}

/**
 * Waits until there is something for each invariant to judge: what was accepted is sealed, on L1 and under an output that
 * L1 holds, and so is every deposit. Resolves to what is missing when that does not come; undefined: nobody serves.
 */
async function settle(c: Checked, l1: RpcL1): Promise<Settled | undefined> {
  const { network, load, watch, clock, signal, patience } = c;
  const endMs = clock.nowMs() + patience * SETTLE_MS;
  const oracle = fromHex(network.cluster.contracts.outputOracle);
  const open = new Set(load.accepted.keys());
  let newest = 0;
  const missing = async (node: NodeProcess): Promise<string | undefined> => {
    for (const hash of [...open].slice(0, 2_000)) {
      const receipt = (await load.ask("eth_getTransactionReceipt", [hash])) as { blockNumber: string } | undefined;
      if (receipt === undefined) return `${open.size} accepted transactions have no receipt: ${hash}`;
      newest = Math.max(newest, Number(receipt.blockNumber));
      open.delete(hash);
    }
    if (open.size > 0) return `${open.size} accepted transactions were not asked for yet`;
    const heads = await readHeads(node.rpcUrl);
    if (heads === undefined || heads.safe.number < newest)
      return `block ${newest} holds something accepted and is not on L1, safe is ${heads?.safe.number ?? "not told"}`;
    const deposited = await newestDeposit(c);
    if (deposited === undefined) return "no deposit is on L1";
    const rpc = new JsonRpcClient({ url: node.rpcUrl, timeoutMs: 30_000 });
    const origin = await rpc.call("eth_call", [{ to: toHex(L1_BLOCK), data: ORIGIN_NUMBER }, "safe"]);
    if (Number(origin) < deposited) return `the deposit of L1 block ${deposited} is not in a block that is on L1`;
    const { latest } = await readOracle(l1, oracle, "latest");
    if (latest === undefined || latest.blockNumber < newest)
      return `no output on L1 covers block ${newest}, the newest is ${latest === undefined ? "none" : `of ${latest.blockNumber}`}`;
    return undefined;
  };
  for (;;) {
    const node = network.nodes[watch.leader() ?? -1];
    const words =
      node === undefined
        ? "nobody serves"
        : await missing(node).catch((error: unknown) => (error instanceof Error ? error.message : String(error)));
    if (words !== undefined && clock.nowMs() < endMs && !signal.aborted) {
      await clock.sleep(SAMPLE_MS, signal);
      continue;
    }
    return node === undefined ? undefined : { node, newest, missing: words };
  }
}

/** L1 block of the newest deposit of the load that L1 has not taken back. */
async function newestDeposit({ network, load }: Checked): Promise<number | undefined> {
  for (const hash of [...load.deposits].reverse()) {
    const receipt = (await network.l1.rpc.call("eth_getTransactionReceipt", [hash])) as { blockNumber: string } | null;
    if (receipt !== null) return Number(receipt.blockNumber);
  }
  return undefined;
}

/** A: asked of the gateway, transaction by transaction; and counted by the account that every transfer pays. */
async function checkAccepted({ load }: Checked, node: NodeProcess): Promise<Finding> {
  if (load.accepted.size === 0) return broken("nothing was accepted");
  const rpc = new JsonRpcClient({ url: node.rpcUrl, timeoutMs: 30_000 });
  const hashes = [...load.accepted.keys()];
  const missing: string[] = [];
  const failed: string[] = [];
  for (let at = 0; at < hashes.length; at += 1_000)
    await Promise.all(
      hashes.slice(at, at + 1_000).map(async (hash) => {
        const receipt = (await rpc.call("eth_getTransactionReceipt", [hash])) as { status: string } | null;
        if (receipt === null) missing.push(hash);
        else if (receipt.status !== "0x1") failed.push(hash);
      }),
    );
  if (missing.length > 0)
    return broken(`${missing.length} of ${hashes.length} accepted are not in the chain: ${missing[0]}`);
  const paid = BigInt((await rpc.call("eth_getBalance", [toHex(SINK), "latest"])) as string);
  if (paid !== BigInt(load.transfers)) return broken(`${load.transfers} transfers were accepted, ${paid} arrived`);
  return held(
    `${hashes.length} accepted, all in the chain once${failed.length > 0 ? `, ${failed.length} reverted` : ""}`,
  );
}

/** Resolves to what is wrong; undefined: it was paid once. */
async function withdrawOnce(c: Checked, node: NodeProcess): Promise<string | undefined> {
  const { network, load, clock, patience } = c;
  const first = [...load.accepted].find(([, kind]) => kind === "withdrawal");
  if (first === undefined) return "no withdrawal was accepted";
  const over = new AbortController();
  const late = clock.sleep(patience * TAKE_HOME_MS, over.signal).then(() => {
    throw new Error(`not in ${(patience * TAKE_HOME_MS) / 1_000} s`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([takeHomeOnce(network, node.rpcUrl, first[0] as Hex), late]);
  } catch (error) {
    return `a withdrawal could not be taken home: ${error instanceof Error ? error.message.split("\n")[0] : String(error)}`;
  } finally {
    over.abort();
  }
}

/** Hashes of the sealed blocks, by number. */
async function sealedHashes(node: NodeProcess): Promise<string[]> {
  const rpc = new JsonRpcClient({ url: node.rpcUrl, timeoutMs: 30_000 });
  const head = Number(await rpc.call("eth_blockNumber", []));
  const numbers = Array.from({ length: head + 1 }, (_, n) => n);
  const blocks = (await Promise.all(
    numbers.map((n) => rpc.call("eth_getBlockByNumber", [`0x${n.toString(16)}`, false])),
  )) as { hash: string }[];
  return blocks.map((b) => b.hash);
}

async function deriveAgain(
  { network, clock, signal }: Checked,
  l1: RpcL1,
  close: CloseStack,
): Promise<{ readonly node: VerifierNode; readonly cutShort: ReadonlyMap<number, number> }> {
  const engine = await createEngine("wasm");
  close.add("engine", () => engine.close());
  const path = join(network.folder, "checker");
  rmSync(path, { recursive: true, force: true });
  const node = await VerifierNode.open({
    path,
    l1,
    blobs: new BlobSources({ sources: [new BeaconBlobs({ url: network.l1.beaconUrl })], log: silentLog }),
    inbox: fromHex(network.cluster.contracts.inbox),
    engine,
    env: {},
    log: silentLog,
    metrics: new Metrics().withLabels({ rollup: "chaos", cluster: "checker" }),
    clock,
  });
  close.add("checker", () => node.close());
  const cutShort = new Map<number, number>();
  node.verifier.subscribe({
    consumed: ({ entry, blocksTaken, reason }) => {
      if (reason === "WRONG_ORIGIN") cutShort.set(entry.index, blocksTaken);
    },
  });
  await node.verifier.catchUp(signal);
  return { node, cutShort };
}

type Derived = Checked & {
  readonly l1: RpcL1;
  readonly derived: VerifierNode;
  /** By index of a segment on L1 that holds blocks of a fork that L1 has left: how many of its blocks count. */
  readonly cutShort: ReadonlyMap<number, number>;
  /** How far it is derived: what L1 took in since then, sent before the nodes ended, is not looked at. */
  readonly at: L1Origin;
};

/** C: every output on L1 is what this derivation computes, and every safe block what was sealed. */
async function checkOutputs(
  { network, l1, derived, at }: Derived,
  sealed: readonly string[],
  { newest, missing }: Settled,
): Promise<Finding> {
  if (missing !== undefined) return broken(missing);
  const { verifier, chain } = derived;
  const oracle = fromHex(network.cluster.contracts.outputOracle);
  const { length } = await readOracle(l1, oracle, at.hash);
  for (let i = 0; i < length; i++) {
    const posted = await readOutput(l1, oracle, i, at.hash);
    const own = verifier.outputRootAt(posted.blockNumber)?.outputRoot;
    if (own === undefined || toHex(own) !== toHex(posted.outputRoot))
      return broken(
        `output ${i} of block ${posted.blockNumber} is ${toHex(posted.outputRoot)}, L1 alone gives ${own === undefined ? "nothing" : toHex(own)}`,
      );
  }
  const shared = Math.min(sealed.length - 1, chain.head);
  if (shared < newest) return broken(`L1 gives ${chain.head} blocks, block ${newest} holds something accepted`);
  for (let n = 0; n <= shared; n++) {
    const hash = toHex(chain.blockHash(n) as Uint8Array);
    if (sealed[n] !== hash) return broken(`block ${n} was sealed as ${sealed[n]}, L1 gives ${hash}`);
  }
  const { divergence } = verifier.status();
  if (divergence !== undefined)
    return broken(`derivation diverges: ${divergence.kind} at block ${divergence.blockNumber}`);
  if (length === 0) return broken("no output was posted");
  return held(`${length} outputs and ${shared} blocks recomputed`);
}

/** B: the order log itself, read from its first record: its reader checks every hash link. */
async function checkLogs({ network, derived, clock }: Derived): Promise<Finding> {
  const close = new CloseStack();
  const leader = network.nodes[0] as NodeProcess;
  try {
    const { genesis } = derived.verifier;
    const origin = derived.chain.block(0)?.origin;
    if (origin === undefined) return broken("there is no block 0");
    const { order } = await openClusterLogs(
      {
        dataDir: leader.config.dataDir,
        chainId: genesis.chainId,
        genesisOriginHash: origin.hash,
        env: {
          ...leader.config.env,
          ...(network.logServers === undefined ? {} : { SHEAF_LOG_NATS_SERVERS: network.logServers.servers.join(",") }),
        },
        log: silentLog,
        clock,
      },
      close,
    );
    const records: LogEntry[] = [];
    for await (const { seq, term, payload } of recordsBehind(order, { seq: order.oldestSeq - 1 }))
      records.push({ seq, term, order: isLeaseRecord(payload) ? undefined : decodeOrderRecord(payload) });
    return orderFinding(records);
  } catch (error) {
    return broken(`the order log cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await close.close();
  }
}

export type LogEntry = {
  readonly seq: number;
  readonly term: number;
  /** Undefined: of the log's own, claims and renewals. */
  readonly order: OrderRecord | undefined;
};

/** B, of the records of an order log: terms never fall, and each block is opened once, behind the one before. */
export function orderFinding(records: readonly LogEntry[]): Finding {
  let term = 0;
  let head: number | undefined;
  let open: number | undefined;
  const terms = new Set<number>();
  for (const { seq, term: own, order } of records) {
    if (own < term) return broken(`record ${seq} is of term ${own}, after term ${term}`);
    term = own;
    terms.add(term);
    if (order === undefined) continue;
    if (order.kind === "rewind") {
      head = order.toBlock;
      open = undefined;
      continue;
    }
    if (order.open !== undefined) {
      const { number } = order.open;
      if (open !== undefined || (head !== undefined && number !== head + 1))
        return broken(`record ${seq} opens block ${number} when ${open ?? head} is the newest`);
      open = number;
    } else if (open !== undefined && order.blockNumber !== open)
      return broken(`record ${seq} extends block ${order.blockNumber} when ${open} is open`);
    if (order.close) {
      head = order.blockNumber;
      open = undefined;
    }
  }
  if (head === undefined) return broken(`${records.length} records close no block`);
  return held(`${terms.size} leaderships, terms ${[...terms][0] ?? 0} to ${term}, one block a height`);
}

async function logsOf(l1: RpcL1, address: Uint8Array, toBlock: number): Promise<readonly L1Log[]> {
  const logs: L1Log[] = [];
  for (let from = 0; from <= toBlock; from += 1_000)
    logs.push(
      ...(await l1.logs({ fromBlock: from, toBlock: Math.min(toBlock, from + 999), addresses: [address], topics: [] })),
    );
  return logs;
}

async function segmentsOf({ network, l1, at }: Derived): Promise<{ block: number; posted: SegmentPosted }[]> {
  const logs = await logsOf(l1, fromHex(network.cluster.contracts.inbox), at.number);
  return logs
    .filter(({ topics }) => topics[0] !== undefined && toHexKey(topics[0]) === toHexKey(SEGMENT_POSTED_TOPIC))
    .flatMap((log) => {
      const posted = decodeSegmentPosted(log);
      return posted === undefined ? [] : [{ block: log.blockNumber, posted }];
    })
    .sort((a, b) => a.posted.index - b.posted.index);
}

async function checkSegments(c: Derived): Promise<Finding> {
  const inbox = await readInbox(c.l1, fromHex(c.network.cluster.contracts.inbox), c.at.hash);
  if (inbox.endIndex !== inbox.nextIndex) return broken(`the inbox has a gap at ${inbox.nextIndex}`);
  return segmentFinding(
    (await segmentsOf(c)).map(({ posted }) => posted),
    c.cutShort,
  );
}

/**
 * G, of the segments that L1 holds, by index: no gap and nothing twice, in indexes and in blocks. Of a segment that was
 * sent before L1 left the fork of its blocks, and was taken in after, only those of `cutShort` count.
 */
export function segmentFinding(
  segments: readonly Pick<SegmentPosted, "index" | "firstBlock" | "lastBlock" | "kind">[],
  cutShort: ReadonlyMap<number, number> = new Map(),
): Finding {
  let next = 1;
  for (const [i, posted] of segments.entries()) {
    if (posted.index !== i) return broken(`segment ${posted.index} stands where ${i} should`);
    const taken = cutShort.get(i);
    if (posted.firstBlock !== next && taken !== 0)
      return broken(`segment ${i} begins with block ${posted.firstBlock}, the one before ended with ${next - 1}`);
    next = taken === undefined ? posted.lastBlock + 1 : next + taken;
  }
  if (segments.length === 0) return broken("L1 holds no segment");
  const blobs = segments.filter(({ kind }) => kind === "blobs").length;
  return held(`${segments.length} segments (${blobs} in blobs) hold blocks 1 to ${next - 1}, each once`);
}

/** D: what the portal holds, against every account that anything ever touched. */
async function checkEscrow({ network, l1, derived, at }: Derived): Promise<Finding> {
  const { verifier, chain, view } = derived;
  const derivedTo = at.number;
  const state = view.stateAt(chain.head);
  const touched = new Map<string, Uint8Array>();
  const touch = (address: Uint8Array | undefined): void => {
    if (address !== undefined) touched.set(toHexKey(address), address);
  };
  for (const address of verifier.genesis.alloc.keys()) touch(fromHex(address));
  for (const vault of [SEQUENCER_FEE_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT]) touch(vault);
  let origin = 0;
  for (let n = 0; n <= chain.head; n++) {
    const block = chain.block(n);
    if (block === undefined) continue;
    origin = block.origin.number;
    touch(block.header.coinbase);
    for (const sender of block.senders) touch(sender);
    for (const raw of block.transactions) touch(decodeTransaction(raw).to);
  }
  let supply = 0n;
  for (const address of touched.values()) supply += state.account(address)?.balanceWei ?? 0n;
  const portal = fromHex(network.cluster.contracts.portal);
  const escrow = BigInt(
    (await network.l1.rpc.call("eth_getBalance", [toHex(portal), `0x${derivedTo.toString(16)}`])) as string,
  );
  let inFlight = 0n;
  for (const log of await logsOf(l1, portal, derivedTo))
    if (log.blockNumber > origin) inFlight += depositOfLog(log, log.blockHash)?.mintWei ?? 0n;
  // What was withdrawn lies with the message passer until L1 has paid it.
  const withdrawn = state.account(L2_TO_L1_MESSAGE_PASSER)?.balanceWei ?? 0n;
  const paid = await paidOut(network, derivedTo);
  const expected = supply - paid + inFlight;
  const figures = `escrow ${escrow} wei; supply ${supply - withdrawn}, withdrawals on their way ${withdrawn - paid}, deposits ${inFlight}`;
  return escrow === expected ? held(figures) : broken(`${figures}: ${escrow - expected} wei too much`);
}

/** What finalized withdrawals brought to their target on L1: the load sends them all to one that had nothing. */
async function paidOut(network: ChaosNetwork, at: number): Promise<bigint> {
  return BigInt((await network.l1.rpc.call("eth_getBalance", [toHex(SINK), `0x${at.toString(16)}`])) as string);
}

/** E: deposits by their source hash; one withdrawal that was taken home, and not twice. */
async function checkMessages({ network, l1, derived }: Derived, withdrawal: string | undefined): Promise<Finding> {
  const { chain } = derived;
  const executed = new Map<string, number>();
  const first = chain.block(0)?.origin.number ?? 0;
  let origin = first;
  for (let n = 1; n <= chain.head; n++) {
    const block = chain.block(n);
    if (block === undefined) continue;
    origin = block.origin.number;
    const attributes = toHexKey(l1AttributesSourceHash(block.origin.hash, block.sequenceNumber));
    for (const raw of block.transactions) {
      if (raw[0] !== DEPOSIT_TYPE) continue;
      const tx = decodeTransaction(raw);
      if (tx.type !== 0x7e) continue;
      const source = toHexKey(tx.sourceHash);
      if (source !== attributes) executed.set(source, (executed.get(source) ?? 0) + 1);
    }
  }
  const sent = new Set<string>();
  for (const log of await logsOf(l1, fromHex(network.cluster.contracts.portal), origin)) {
    const deposit = log.blockNumber > first ? depositOfLog(log, log.blockHash) : undefined;
    if (deposit !== undefined) sent.add(toHexKey(deposit.sourceHash));
  }
  const deposits = depositFinding(sent, executed);
  if (!deposits.held) return deposits;
  return withdrawal === undefined ? held(`${deposits.text}; a withdrawal was paid once`) : broken(withdrawal);
}

/** E, of the deposits that L1 holds and how often L2 executed each, by source hash. */
export function depositFinding(sent: ReadonlySet<string>, executed: ReadonlyMap<string, number>): Finding {
  for (const source of sent)
    if (executed.get(source) !== 1)
      return broken(`a deposit is executed ${executed.get(source) ?? 0} times: ${source}`);
  if (sent.size === 0) return broken("L1 holds no deposit");
  for (const source of executed.keys())
    if (!sent.has(source)) return broken(`L2 executed a deposit that L1 does not hold: ${source}`);
  return held(`${sent.size} deposits once each`);
}

/** H: from the L1 block of each deposit to the one whose segment holds its L2 block. */
async function checkForced(c: Derived): Promise<Finding> {
  const { network, l1, derived, at } = c;
  const { chain, verifier } = derived;
  const window = verifier.genesis.sequencingWindow;
  const derivedTo = at.number;
  /** By origin: the first block on it. */
  const firstOn = new Map<number, number>();
  for (let n = chain.head; n >= 1; n--) firstOn.set(chain.block(n)?.origin.number ?? 0, n);
  const segments = await segmentsOf(c);
  let slowest = 0;
  let count = 0;
  for (const log of await logsOf(l1, fromHex(network.cluster.contracts.portal), derivedTo)) {
    if (depositOfLog(log, log.blockHash) === undefined) continue;
    const block = firstOn.get(log.blockNumber);
    if (block === undefined) {
      if (derivedTo - log.blockNumber > window)
        return broken(`the deposit of L1 block ${log.blockNumber} is not in the chain`);
      continue;
    }
    const on = segments.find(({ posted }) => posted.firstBlock <= block && block <= posted.lastBlock);
    const waited = on === undefined ? window : on.block - log.blockNumber;
    count++;
    slowest = Math.max(slowest, waited);
  }
  if (count === 0) return broken("no deposit entered");
  if (slowest > window) return broken(`a deposit waited ${slowest} L1 blocks, the window has ${window}`);
  return held(`${count} deposits, the slowest after ${slowest} of ${window} L1 blocks`);
}
