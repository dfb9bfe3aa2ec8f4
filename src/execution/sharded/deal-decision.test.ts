import assert from "node:assert/strict";
import { test } from "node:test";
import { DealDecision, type Expectation } from "./deal-decision.ts";

const TXS = 1_000;

/** A machine that takes `workMicros` for a transaction and, dealing out over two executors, `costMicros` more. */
class Machine {
  readonly decision = new DealDecision();
  readonly workMicros: number;
  readonly costMicros: number;
  dealt = 0;
  elapsedMicros = 0;

  constructor(workMicros: number, costMicros: number) {
    this.workMicros = workMicros;
    this.costMicros = costMicros;
  }

  /** Runs batches; `believedMicros`: what the planner takes the work for. */
  run(batches: number, workMicros = this.workMicros, believedMicros = workMicros): this {
    for (let n = 0; n < batches; n++) {
      const all = believedMicros * TXS;
      const dealt = believedMicros < this.decision.dealMicrosMin ? 0 : TXS;
      const plan: Expectation = {
        serialMicros: all,
        executorMicros: dealt === 0 ? 0 : all / 2 + 5 * TXS,
        inPlaceMicros: dealt === 0 ? all : 0,
        inPlace: TXS - dealt,
        dealt,
        untimed: 0,
      };
      const isPlanned = this.decision.shouldPlan();
      if (isPlanned && this.decision.isWorthIt(plan)) {
        const micros = Math.max(workMicros / 2, this.costMicros) * TXS;
        this.dealt++;
        this.elapsedMicros += micros;
        this.decision.dealtOut(plan, micros, this.costMicros * TXS);
      } else {
        this.elapsedMicros += workMicros * TXS;
        this.decision.ranInPlace(TXS, workMicros * TXS, isPlanned ? plan : undefined);
      }
    }
    return this;
  }
}

test("heavy work is dealt out from the second batch on, light work never", () => {
  const heavy = new Machine(1_000, 30).run(200);
  assert.ok(heavy.dealt > 190, `${heavy.dealt}`);
  assert.equal(new Machine(10, 30).run(200).dealt, 0);
});

test("where dealing out never pays, whatever is believed, it costs less than a tenth", () => {
  for (const costMicros of [60, 120, 400]) {
    const machine = new Machine(50, costMicros).run(2_000, 50, 200);
    assert.ok(machine.elapsedMicros < 1.1 * 50 * TXS * 2_000, `${costMicros}: dealt ${machine.dealt}`);
  }
});

test("what changes is looked at again at once, in both directions", () => {
  const machine = new Machine(10, 30).run(300);
  machine.run(20, 1_000);
  assert.ok(machine.dealt >= 15, `${machine.dealt}`);
  const { dealt } = machine;
  machine.run(100, 10);
  assert.equal(machine.dealt, dealt);
});
