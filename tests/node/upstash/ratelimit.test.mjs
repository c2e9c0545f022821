// @upstash/ratelimit against the local Upstash: every algorithm, and what it builds on them.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { MultiRegionRatelimit, Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";

const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = process.env;
const redis = new Redis({ url, token, retry: false });

const order = (word, body = {}) =>
  fetch(`${url}/__emulator/${word}`, { method: "POST", body: JSON.stringify(body) });
const stats = async () => (await fetch(`${url}/__emulator/stats`)).json();
const made = (limiter, more = {}) =>
  new Ratelimit({ redis, limiter, ephemeralCache: false, timeout: 60_000, ...more });

beforeEach(() => redis.flushall());

const single = {
  "fixed window": () => Ratelimit.fixedWindow(3, "1 h"),
  "sliding window": () => Ratelimit.slidingWindow(3, "1 h"),
  "token bucket": () => Ratelimit.tokenBucket(1, "1 h", 3),
};

for (const [name, limiter] of Object.entries(single)) {
  test(`${name}: three pass, the fourth does not, and a reset gives them back`, async () => {
    const limit = made(limiter());
    const passed = [];
    for (let at = 0; at < 4; at += 1) passed.push((await limit.limit("somebody")).success);

    assert.deepEqual(passed, [true, true, true, false]);
    assert.equal((await limit.limit("another")).remaining, 2);
    assert.equal((await limit.getRemaining("somebody")).remaining, 0);
    await limit.resetUsedTokens("somebody");
    assert.equal((await limit.getRemaining("somebody")).remaining, 3);
  });

  test(`${name}: callers at once share the tokens`, async () => {
    const limit = made(limiter());
    const found = await Promise.all(Array.from({ length: 20 }, () => limit.limit("somebody")));

    assert.equal(found.filter(({ success }) => success).length, 3);
  });

  test(`${name}: a dynamic limit wins over the configured one`, async () => {
    const limit = made(limiter(), { dynamicLimits: true });
    await limit.setDynamicLimit({ limit: 1 });

    assert.equal((await limit.limit("somebody")).success, true);
    assert.equal((await limit.limit("somebody")).success, false);
  });

  test(`${name}: a script cache that was lost is filled again`, async () => {
    const limit = made(limiter());
    await limit.limit("somebody");
    await order("faults", { fault: "scripts_gone", only: "EVALSHA" });

    assert.equal((await limit.limit("somebody")).remaining, 1);
  });
}

test("one decision is one command", async () => {
  const limit = made(single["sliding window"]());
  await limit.limit("somebody");
  await order("stats/reset");
  await limit.limit("somebody");

  const { calls, commands } = await stats();
  assert.deepEqual([calls, commands], [1, 1]);
});

test("a cached fixed window asks once and then knows", async () => {
  const limit = made(Ratelimit.cachedFixedWindow(3, "1 h"), { ephemeralCache: new Map() });
  const passed = [];
  for (let at = 0; at < 4; at += 1) {
    const { success, pending } = await limit.limit("somebody");
    await pending;
    passed.push(success);
  }

  assert.deepEqual(passed, [true, true, true, false]);
});

test("who waits gets the next window", async () => {
  const limit = made(Ratelimit.fixedWindow(1, "200 ms"));
  await limit.limit("somebody");

  assert.equal((await limit.blockUntilReady("somebody", 10_000)).success, true);
});

test("a denied address does not pass", async () => {
  const limit = made(single["fixed window"](), { enableProtection: true, analytics: true });
  await redis.sadd("@upstash/ratelimit:denyList:all", "10.0.0.1");
  // Without this it fetches a list of addresses from the internet.
  await redis.set("@upstash/ratelimit:ipDenyListStatus", "valid", { ex: 100 });

  const denied = await limit.limit("somebody", { ip: "10.0.0.1" });
  const free = await limit.limit("somebody", { ip: "10.0.0.2" });
  await Promise.allSettled([denied.pending, free.pending]);

  assert.deepEqual([denied.success, denied.reason], [false, "denyList"]);
  assert.equal(free.success, true);
});

for (const [name, limiter] of Object.entries({
  "fixed window": () => MultiRegionRatelimit.fixedWindow(3, "1 h"),
  "sliding window": () => MultiRegionRatelimit.slidingWindow(3, "1 h"),
})) {
  test(`${name} over several regions`, async () => {
    const limit = new MultiRegionRatelimit({
      redis: [redis, new Redis({ url, token })],
      limiter: limiter(),
      ephemeralCache: false,
      timeout: 60_000,
    });
    const passed = [];
    for (let at = 0; at < 4; at += 1) {
      const { success, pending } = await limit.limit("somebody");
      await pending;
      passed.push(success);
    }

    assert.equal(passed[0], true);
    assert.equal(passed[3], false);
  });
}
