/** Properties of the backlog: it is the sum it claims to be, and admission keeps it below its bound. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { admissionShare, Backlog } from "./backlog.ts";

test("its bytes are those of the blocks above the newest posted, through rewinds, reorgs and restarts", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("seal" as const), size: fc.nat(1_000) }),
    fc.record({ kind: fc.constant("quiet seal" as const), size: fc.nat(1_000) }),
    fc.record({ kind: fc.constant("rewind" as const), depth: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant("post" as const), count: fc.integer({ min: 0, max: 8 }) }),
    fc.record({ kind: fc.constant("l1 reorg" as const), count: fc.integer({ min: 1, max: 8 }) }),
    fc.constant({ kind: "restart" as const }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const sizes = [0]; // by block number
      let posted = 0;
      let backlog = new Backlog();
      for (const s of steps) {
        if (s.kind === "seal") {
          sizes.push(s.size);
          backlog.sealed(sizes.length - 1, s.size);
        } else if (s.kind === "quiet seal") sizes.push(s.size);
        else if (s.kind === "rewind") sizes.length = Math.max(1, sizes.length - s.depth);
        else if (s.kind === "restart") backlog = new Backlog();
        else posted = s.kind === "post" ? posted + s.count : Math.max(0, posted - s.count);
        posted = Math.min(posted, sizes.length - 1);
        // After a rewind without a new block sizes may be stale until the next look, as for a publisher.
        backlog.cover(posted, sizes.length - 1, (n) => sizes[n] as number);
        if (s.kind === "rewind") {
          sizes.push(7);
          backlog.sealed(sizes.length - 1, 7);
        }
        assert.equal(
          backlog.bytes,
          sizes.slice(posted + 1).reduce((sum, n) => sum + n, 0),
        );
      }
    }),
  );
});

test("the share falls evenly from one to none and never rises with what is behind", () => {
  const share = (bytes: number, windowUsed = 0): number => admissionShare({ bytes, bytesMax: 1_000, windowUsed });
  assert.equal(share(500), 1);
  assert.equal(share(750), 0.5);
  assert.equal(share(1_000), 0);
  assert.equal(share(5_000), 0);
  assert.equal(share(0, 0.5), 1);
  assert.equal(share(0, 0.75), 0);
  fc.assert(fc.property(fc.nat(2_000), fc.nat(2_000), (a, b) => share(Math.max(a, b)) <= share(Math.min(a, b))));
});

test("whatever is offered, the backlog stays below its bound and settles where as much goes out as comes in", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 400 }), fc.integer({ min: 0, max: 100 }), (offered, drained) => {
      const bytesMax = 100_000;
      let bytes = 0;
      for (let second = 0; second < 3_000; second++) {
        bytes += offered * admissionShare({ bytes, bytesMax, windowUsed: 0 });
        bytes = Math.max(0, bytes - drained);
        assert.ok(bytes <= bytesMax, `${bytes} in second ${second}`);
      }
    }),
    { numRuns: 50 },
  );
});
