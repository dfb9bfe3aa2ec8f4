/**
 * Owns key shards behind messages that come late, twice or never, without a link or a clock: every step is a decision of
 * the random numbers, so a seed gives the run again. As on a link, messages keep their order, and what is lost is
 * followed by the loss of the shard: it finds a round missing, the coordinator an answer, or nothing comes any more.
 */
import type { Random } from "../../wasm/testing/random-program.ts";
import type { Epoch } from "../epoch.ts";
import { ShardEpochs } from "../shard-epochs.ts";
import { decodeFromShard } from "../shard-messages.ts";

export type ShardChaos = {
  /** Percent of shards that are elsewhere, not with the coordinator. */
  readonly elsewhere: number;
  /** Percent of messages that are lost, and that come twice; percent of steps at which a shard dies. */
  readonly losses: number;
  readonly repeats: number;
  readonly deaths: number;
};

type Remote = {
  readonly host: ShardEpochs;
  readonly toShard: Uint8Array[];
  readonly fromShard: Uint8Array[];
  isDead: boolean;
};

export class ShardsElsewhere {
  readonly #remotes: readonly (Remote | undefined)[];
  readonly #chaos: ShardChaos;
  readonly #random: Random;

  constructor(count: number, chaos: ShardChaos, random: Random) {
    this.#chaos = chaos;
    this.#random = random;
    this.#remotes = Array.from({ length: count }, () => {
      if (!random.chance(chaos.elsewhere)) return undefined;
      const fromShard: Uint8Array[] = [];
      return { host: new ShardEpochs((answer) => fromShard.push(answer)), toShard: [], fromShard, isDead: false };
    });
  }

  /** Ways to the shards for an {@link Epoch}. */
  get sends(): (((message: Uint8Array) => void) | undefined)[] {
    return this.#remotes.map((remote) => remote && ((message) => this.#carry(remote.toShard, message)));
  }

  #carry(queue: Uint8Array[], message: Uint8Array): void {
    if (this.#random.chance(this.#chaos.losses)) return;
    queue.push(message);
    if (this.#random.chance(this.#chaos.repeats)) queue.push(message.slice());
  }

  /** One message of one shard goes on, or a shard dies. */
  step(epoch: Epoch): void {
    const shard = this.#random.below(this.#remotes.length);
    const remote = this.#remotes[shard];
    if (remote === undefined || remote.isDead) return;
    if (this.#random.chance(this.#chaos.deaths)) return this.#lose(epoch, shard, remote);
    if (this.#random.chance(50)) this.#takeAnswer(epoch, shard, remote);
    else this.#takeRound(epoch, shard, remote);
  }

  #takeRound(epoch: Epoch, shard: number, remote: Remote): void {
    const message = remote.toShard.shift();
    if (message === undefined) return;
    const answers = remote.fromShard.splice(0);
    try {
      remote.host.receive(message);
    } catch (error) {
      if ((error as { code?: string }).code !== "SHARD_ROUND_LOST") throw error;
      this.#lose(epoch, shard, remote);
      return;
    }
    const made = remote.fromShard.splice(0);
    remote.fromShard.push(...answers);
    for (const answer of made) this.#carry(remote.fromShard, answer);
  }

  #takeAnswer(epoch: Epoch, shard: number, remote: Remote): void {
    const message = remote.fromShard.shift();
    const answer = message && decodeFromShard(message);
    if (answer !== undefined && !epoch.received(shard, answer)) this.#lose(epoch, shard, remote);
  }

  /** Everything there is arrives; a shard whose answer is not among it has fallen silent and is lost. */
  settle(epoch: Epoch): void {
    for (const [shard, remote] of this.#remotes.entries()) {
      if (remote === undefined) continue;
      while (!remote.isDead && (remote.toShard.length > 0 || remote.fromShard.length > 0)) {
        this.#takeRound(epoch, shard, remote);
        this.#takeAnswer(epoch, shard, remote);
      }
      if (!remote.isDead && epoch.awaitedRound(shard) !== undefined) this.#lose(epoch, shard, remote);
    }
  }

  #lose(epoch: Epoch, shard: number, remote: Remote): void {
    remote.isDead = true;
    epoch.takeOver(shard);
  }
}
