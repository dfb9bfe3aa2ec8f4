/**
 * Owns what is remembered of contract functions: the gas they use, how long that takes, and the keys over which their
 * transactions really met. A key is learned from a conflict and then measured: in how many of the function's
 * transactions it is touched and written; one that is rare soon counts for nothing, or a single meeting would tie
 * everything to one executor. A key may be relative: the slot of whatever account the call names.
 * Advisory throughout, and bounded.
 */
import { fromHex } from "../../base/bytes.ts";
import { ACCOUNT, ACCOUNT_READ_BALANCE, SLOT } from "../wasm/layout.ts";
import type { TxRecord } from "../wasm/result.ts";
import { fingerprint, mixFingerprints, type TxHint } from "./hints.ts";

/** Contract functions remembered, and keys of each. */
const TEMPLATES_MAX = 20_000;
export const LEARNED_KEYS_MAX = 8;
/** What is assumed of a function not seen yet. */
const UNKNOWN_GAS = 60_000;
const TRANSFER_GAS = 21_000;
/** The gas of transfers and storage costs little time, that of computing much: from 0.0001 to 0.02 was measured. */
const MICROS_PER_GAS = 0.0004;
/** What no transaction escapes: reading it, its sender, its fees. */
export const RUN_MICROS_PER_TX = 3;
/** A function is timed by itself so many times. */
const TIMED_MAX = 8;
/** Weight of the newest observation. */
const GAS_WEIGHT = 0.2;
const TIME_WEIGHT = 0.3;
/** Weight of a time far above the expected one: likely the machine did something else meanwhile. */
const OUTLIER_WEIGHT = 0.1;
const OUTLIER = 2;
/** A measurement further off than this is taken for this much: the machine was busy with something else. */
const RATIO_MAX = 4;
/** Counts are halved when so many runs were seen. */
const SEEN_MAX = 64;
/** A key counts when one transaction in so many touches (or writes) it. */
const RARE = 4;
/** Of a function that was seen often, one result in so many is looked into. */
const SAMPLED = 8;
/** Takes the place of the slot for an account's balance. */
export const BALANCE = 0x9e3779b9 | 0;

type LearnedKey = {
  /** Fingerprint of the account; 0: any that a word of the call names. */
  readonly address: number;
  readonly slot: number;
  seen: number;
  touched: number;
  written: number;
};

/** What is remembered of a function: opaque to whoever plans. */
export type Template = {
  gas: number;
  /** Gas used by gas limit: callers often know what theirs will use better than what others used tells. */
  gasByLimit: number;
  /** How far each of the two was off of late, in gas. */
  gasError: number;
  gasByLimitError: number;
  microsPerGas: number;
  /** How often it was timed by itself. */
  timed: number;
  /** Runs seen, and those of them that stored anything. */
  seen: number;
  stored: number;
  keys: LearnedKey[];
  /** Results since one was looked into. */
  unlooked: number;
};

export class AccessPatterns {
  readonly #templates = new Map<number, Template>();

  /** What is known of the function that a transaction calls: to be found once and asked often. */
  find(hint: TxHint): Template | undefined {
    return hint.template === 0 ? undefined : this.#templates.get(hint.template);
  }

  gasOf(hint: TxHint, template: Template | undefined): number {
    const limit = hint.gasLimit ?? UNKNOWN_GAS;
    if (hint.template === 0) return Math.min(limit, hint.toAt < 0 ? UNKNOWN_GAS : TRANSFER_GAS);
    if (template === undefined) return Math.min(limit, UNKNOWN_GAS);
    if (template.gasByLimitError < template.gasError) return limit * template.gasByLimit;
    return Math.min(limit, template.gas);
  }

  /** Expected time of `gas` of this function where the serial engine runs. */
  microsOf(template: Template | undefined, gas: number): number {
    return RUN_MICROS_PER_TX + gas * (template === undefined ? MICROS_PER_GAS : template.microsPerGas);
  }

  /** Does it store anything? What only reads holds nobody up. */
  isWriter(template: Template | undefined): boolean {
    return template === undefined || template.seen < RARE || template.stored * 2 * RARE >= template.seen;
  }

  /**
   * Writes the learned keys that count to `keys` from `count` on and, of each, whether it is likely written (1) to
   * `written`; where they end.
   */
  addKeys(hint: TxHint, template: Template | undefined, keys: Int32Array, written: Uint8Array, count: number): number {
    if (template === undefined) return count;
    for (const key of template.keys) {
      if (key.touched * RARE < key.seen) continue;
      const isWritten = key.written * RARE >= key.seen ? 1 : 0;
      if (key.address !== 0) {
        written[count] = isWritten;
        keys[count++] = mixFingerprints(key.address, key.slot);
      } else
        for (const word of hint.words) {
          written[count] = isWritten;
          keys[count++] = mixFingerprints(word, key.slot);
        }
    }
    return count;
  }

  /** Learns what a transaction used and touched. */
  observe(hint: TxHint, gasUsed: number, record: TxRecord | undefined): void {
    if (hint.template === 0) return;
    const template = this.#template(hint.template);
    template.gasError += (Math.abs(gasUsed - template.gas) - template.gasError) * GAS_WEIGHT;
    template.gas += (gasUsed - template.gas) * GAS_WEIGHT;
    const limit = hint.gasLimit ?? 0;
    if (limit > 0) {
      const error = Math.abs(gasUsed - limit * template.gasByLimit);
      template.gasByLimitError += (error - template.gasByLimitError) * GAS_WEIGHT;
      template.gasByLimit += (gasUsed / limit - template.gasByLimit) * GAS_WEIGHT;
    }
    if (record === undefined) return;
    if (template.seen > SEEN_MAX / 2) {
      if (template.keys.length === 0 || ++template.unlooked < SAMPLED) return;
      template.unlooked = 0;
    }
    this.#count(template, hint, record);
  }

  #count(template: Template, hint: TxHint, record: TxRecord): void {
    const { keys } = template;
    const touched = keys.map(() => false);
    const written = keys.map(() => false);
    let hasStored = false;
    record.forEachAccount((at, slotsAt, slotCount) => {
      for (let i = 0, slot = slotsAt; i < slotCount; i++, slot += SLOT.size)
        if (record.u32(slot + SLOT.written) !== 0) hasStored = true;
      if (keys.length === 0) return;
      const address = fingerprint(record.slice(at + ACCOUNT.address, at + ACCOUNT.address + 20));
      const isNamed = hint.words.includes(address);
      for (const [k, key] of keys.entries()) {
        if (key.address === 0 ? !isNamed : key.address !== address) continue;
        if (key.slot === BALANCE) {
          const isMoved = !record.sameWord(at + ACCOUNT.balance, at + ACCOUNT.balanceBefore);
          const isRead = (record.u32(at + ACCOUNT.flags) & ACCOUNT_READ_BALANCE) !== 0;
          touched[k] ||= isRead;
          written[k] ||= isMoved;
          continue;
        }
        for (let i = 0, slot = slotsAt; i < slotCount; i++, slot += SLOT.size) {
          if (fingerprint(record.slice(slot + SLOT.key, slot + SLOT.key + 32)) !== key.slot) continue;
          touched[k] = true;
          if (record.u32(slot + SLOT.written) !== 0) written[k] = true;
        }
      }
    });
    template.seen++;
    if (hasStored) template.stored++;
    if (template.seen > SEEN_MAX) {
      template.seen /= 2;
      template.stored /= 2;
    }
    for (const [k, key] of keys.entries()) {
      key.seen++;
      if (touched[k] === true || written[k] === true) key.touched++;
      if (written[k] === true) key.written++;
      if (key.seen <= SEEN_MAX) continue;
      key.seen /= 2;
      key.touched /= 2;
      key.written /= 2;
    }
  }

  /** Is little known of how long it takes? Then it is worth a run by itself. */
  isUntimed(hint: TxHint, template: Template | undefined): boolean {
    return hint.template !== 0 && (template === undefined || template.timed < TIMED_MAX);
  }

  /** Learns how long one transaction took by itself. */
  observeSingle(hint: TxHint, gasUsed: number, micros: number): void {
    if (hint.template === 0 || gasUsed === 0) return;
    const template = this.#template(hint.template);
    const measured = Math.max(0, micros - RUN_MICROS_PER_TX) / gasUsed;
    // The first says most, whatever was assumed; later ones are taken with care.
    const isOutlier = measured > OUTLIER * template.microsPerGas;
    const weight = template.timed === 0 ? 1 : isOutlier ? OUTLIER_WEIGHT : TIME_WEIGHT;
    template.microsPerGas += (measured - template.microsPerGas) * weight;
    template.timed++;
  }

  /**
   * Learns how long transactions took together, in proportion to what was expected of each function. `ratio`: the time
   * over the expected one, on an engine as fast as the serial one.
   */
  observeTime(templates: readonly (Template | undefined)[], gasUsed: readonly number[], ratio: number): void {
    if (!(ratio > 0)) return;
    const bounded = Math.min(RATIO_MAX, Math.max(1 / RATIO_MAX, ratio));
    const parts = new Map<Template | undefined, number>();
    let all = 0;
    for (let i = 0; i < templates.length; i++) {
      const template = templates[i];
      const micros = (gasUsed[i] as number) * (template?.microsPerGas ?? MICROS_PER_GAS);
      parts.set(template, (parts.get(template) ?? 0) + micros);
      all += micros;
    }
    if (all === 0) return;
    for (const [template, part] of parts)
      if (template !== undefined) template.microsPerGas *= 1 + TIME_WEIGHT * (part / all) * (bounded - 1);
  }

  /** Learns that two transactions met on a slot, or on the balance of an account. Keys are hex. */
  learnConflict(reader: TxHint, writer: TxHint | undefined, address: string, slot: string | undefined): void {
    const account = fingerprint(fromHex(address));
    const place = slot === undefined ? BALANCE : fingerprint(fromHex(slot));
    for (const [i, hint] of [reader, writer].entries()) {
      if (hint === undefined || hint.template === 0) continue;
      const template = this.#template(hint.template);
      const by = hint.words.includes(account) ? 0 : account;
      const known = template.keys.find((key) => key.address === by && key.slot === place);
      if (known !== undefined) {
        if (i === 1) known.written = Math.max(1, known.written);
        continue;
      }
      const key = { address: by, slot: place, seen: 1, touched: 1, written: i === 1 ? 1 : 0 };
      // The least used one makes room.
      if (template.keys.length >= LEARNED_KEYS_MAX) {
        const share = (k: LearnedKey): number => k.touched / k.seen;
        template.keys.sort((a, b) => share(b) - share(a));
        template.keys.pop();
      }
      template.keys.push(key);
    }
  }

  #template(print: number): Template {
    let template = this.#templates.get(print);
    if (template === undefined) {
      if (this.#templates.size >= TEMPLATES_MAX) this.#templates.clear();
      template = {
        gas: UNKNOWN_GAS,
        gasByLimit: 1,
        gasError: 0,
        gasByLimitError: 0,
        microsPerGas: MICROS_PER_GAS,
        timed: 0,
        seen: 0,
        stored: 0,
        keys: [],
        unlooked: 0,
      };
      this.#templates.set(print, template);
    }
    return template;
  }
}
