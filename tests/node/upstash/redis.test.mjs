// @upstash/redis against the local Upstash: every method that the client has.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Redis } from "@upstash/redis";

const { UPSTASH_REDIS_REST_URL: url, UPSTASH_REDIS_REST_TOKEN: token } = process.env;
const plain = new Redis({ url, token, retry: false, enableAutoPipelining: false });
const called = new Set();
const redis = new Proxy(plain, {
  get(owner, name) {
    const found = Reflect.get(owner, name, owner);
    if (typeof found === "function") called.add(name);
    return found;
  },
});

const order = (word, body = {}) =>
  fetch(`${url}/__emulator/${word}`, { method: "POST", body: JSON.stringify(body) });
const stats = async () => (await fetch(`${url}/__emulator/stats`)).json();
const unavailable = /ERR Command is not available: '/;
const later = () => Date.now() + 100_000;
const laterInSeconds = () => Math.floor(later() / 1000);

// For what a plain Redis need not have: it answers as expected, or in Upstash's words for a no.
async function perhaps(attempt, expected) {
  let found;
  try {
    found = await attempt();
  } catch (error) {
    assert.match(error.message, unavailable);
    return;
  }
  if (expected !== undefined) assert.deepEqual(found, expected);
}

beforeEach(() => plain.flushall());

test("strings", async () => {
  assert.equal(await redis.set("k", { a: [1, "é😀"] }, { ex: 100 }), "OK");
  assert.deepEqual(await redis.get("k"), { a: [1, "é😀"] });
  assert.equal(await redis.set("k", "x", { nx: true }), null);
  assert.equal(await redis.set("s", "OK"), "OK");
  assert.equal(await redis.get("s"), "OK");
  assert.equal(await redis.getset("s", "text"), "OK");
  assert.equal(await redis.append("s", "!"), 5);
  assert.equal(await redis.strlen("s"), 5);
  assert.equal(await redis.getrange("s", 1, 2), "ex");
  assert.equal(await redis.setrange("s", 0, "T"), 5);
  assert.equal(await redis.getex("s", { ex: 100 }), "Text!");
  assert.equal(await redis.getdel("s"), "Text!");
  assert.equal(await redis.get("s"), null);
  assert.equal(await redis.setnx("n", 1), 1);
  assert.equal(await redis.incr("n"), 2);
  assert.equal(await redis.incrby("n", 5), 7);
  assert.equal(await redis.decr("n"), 6);
  assert.equal(await redis.decrby("n", 5), 1);
  assert.equal(await redis.incrbyfloat("n", 1.5), 2.5);
  assert.equal(await redis.setex("x", 100, "v"), "OK");
  assert.equal(await redis.psetex("y", 100_000, "v"), "OK");
  assert.equal(await redis.mset({ a: 1, b: { c: 2 } }), "OK");
  assert.deepEqual(await redis.mget("a", "b", "none"), [1, { c: 2 }, null]);
  assert.equal(await redis.msetnx({ a: 1, z: 2 }), 0);
  assert.equal(await redis.setbit("bits", 7, 1), 0);
  assert.equal(await redis.getbit("bits", 7), 1);
  assert.equal(await redis.bitcount("bits", 0, -1), 1);
  assert.equal(await redis.bitpos("bits", 1), 7);
  assert.equal(await redis.bitop("or", "or", "bits", "none"), 1);
  assert.deepEqual(await redis.bitfield("bits").get("u8", 0).incrby("u8", 0, 2).exec(), [1, 3]);
});

test("keys", async () => {
  await redis.set("k", "v");
  assert.equal(await redis.exists("k", "none"), 1);
  assert.equal(await redis.type("k"), "string");
  assert.equal(await redis.expire("k", 100), 1);
  assert.equal(await redis.pexpire("k", 100_000), 1);
  assert.equal(await redis.expireat("k", laterInSeconds()), 1);
  assert.equal(await redis.pexpireat("k", later()), 1);
  assert.ok((await redis.ttl("k")) > 0);
  assert.ok((await redis.pttl("k")) > 0);
  assert.equal(await redis.persist("k"), 1);
  assert.equal(await redis.copy("k", "copied"), "COPIED");
  assert.equal(await redis.rename("k", "m"), "OK");
  assert.equal(await redis.renamenx("m", "copied"), 0);
  await perhaps(() => redis.touch("m", "copied"), 2);
  assert.deepEqual((await redis.keys("*")).sort(), ["copied", "m"]);
  assert.deepEqual((await redis.scan(0, { count: 100 }))[1].sort(), ["copied", "m"]);
  assert.equal(await redis.dbsize(), 2);
  assert.ok(["copied", "m"].includes(await redis.randomkey()));
  assert.equal(await redis.unlink("m"), 1);
  assert.equal(await redis.del("copied", "none"), 1);
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.echo("é"), "é");
  assert.equal((await redis.time()).length, 2);
  await perhaps(() => redis.clientSetinfo("lib-name", "x"), "OK");
  assert.deepEqual(await redis.exec(["SET", "raw", "1"]), "OK");
  assert.equal(await redis.flushdb(), "OK");
  assert.equal(await redis.flushall(), "OK");
});

test("hashes", async () => {
  assert.equal(await redis.hset("h", { a: 1, b: { c: 2 } }), 2);
  assert.equal(await redis.hmset("h", { d: "x" }), "OK");
  assert.equal(await redis.hsetnx("h", "a", 5), 0);
  assert.equal(await redis.hget("h", "a"), 1);
  assert.deepEqual(await redis.hmget("h", "a", "none"), { a: 1, none: null });
  assert.deepEqual(await redis.hgetall("h"), { a: 1, b: { c: 2 }, d: "x" });
  assert.equal(await redis.hgetall("none"), null);
  assert.equal(await redis.hexists("h", "a"), 1);
  assert.equal(await redis.hincrby("h", "a", 2), 3);
  assert.equal(await redis.hincrbyfloat("h", "a", 0.5), 3.5);
  assert.deepEqual((await redis.hkeys("h")).sort(), ["a", "b", "d"]);
  assert.equal((await redis.hvals("h")).length, 3);
  assert.equal(await redis.hlen("h"), 3);
  assert.equal(await redis.hstrlen("h", "d"), 1);
  assert.ok(["a", "b", "d"].includes(await redis.hrandfield("h")));
  assert.equal(await redis.hrandfield("none"), null);
  assert.deepEqual((await redis.hscan("h", 0))[1].length, 6);
  assert.equal(await redis.hdel("h", "a"), 1);
});

test("fields that expire, where the Redis behind has them", async () => {
  await redis.hset("h", { a: 1, b: 2 });
  await perhaps(() => redis.hexpire("h", "a", 100), [1]);
  await perhaps(() => redis.hpexpire("h", "a", 100_000), [1]);
  await perhaps(() => redis.hexpireat("h", "a", laterInSeconds()), [1]);
  await perhaps(() => redis.hpexpireat("h", "a", later()), [1]);
  await perhaps(async () => (await redis.httl("h", "a"))[0] > 0, true);
  await perhaps(async () => (await redis.hpttl("h", "a"))[0] > 0, true);
  await perhaps(async () => (await redis.hexpiretime("h", "a"))[0] > 0, true);
  await perhaps(async () => (await redis.hpexpiretime("h", "a"))[0] > 0, true);
  await perhaps(() => redis.hpersist("h", "a"), [1]);
  await perhaps(() => redis.hsetex("h", { expiration: { ex: 100 } }, { c: 3 }), 1);
  await perhaps(() => redis.hgetex("h", { persist: true }, "a"), { a: 1 });
  await perhaps(() => redis.hgetdel("h", "b"), { b: 2 });
});

test("lists", async () => {
  assert.equal(await redis.rpush("l", "a", "b", { c: 1 }), 3);
  assert.equal(await redis.lpush("l", 0), 4);
  assert.equal(await redis.lpushx("none", 1), 0);
  assert.equal(await redis.rpushx("none", 1), 0);
  assert.deepEqual(await redis.lrange("l", 0, -1), [0, "a", "b", { c: 1 }]);
  assert.equal(await redis.lindex("l", 1), "a");
  assert.equal(await redis.linsert("l", "before", "b", "x"), 5);
  assert.equal(await redis.lpos("l", "x"), 2);
  assert.equal(await redis.lset("l", 2, "y"), "OK");
  assert.equal(await redis.lrem("l", 1, "y"), 1);
  assert.equal(await redis.llen("l"), 4);
  assert.deepEqual(await redis.lpop("l", 2), [0, "a"]);
  assert.deepEqual(await redis.rpop("l"), { c: 1 });
  assert.equal(await redis.lmove("l", "m", "left", "right"), "b");
  assert.deepEqual(await redis.lmpop(1, ["m"], "LEFT", 1), ["m", ["b"]]);
  assert.equal(await redis.ltrim("m", 0, 0), "OK");
});

test("sets", async () => {
  assert.equal(await redis.sadd("s", "a", "b", 3), 3);
  assert.equal(await redis.sadd("t", "b", "c"), 2);
  assert.equal(await redis.scard("s"), 3);
  assert.equal(await redis.sismember("s", "a"), 1);
  assert.deepEqual(await redis.smismember("s", ["a", "x"]), [1, 0]);
  assert.deepEqual((await redis.smembers("s")).sort(), [3, "a", "b"]);
  assert.deepEqual((await redis.sdiff("s", "t")).sort(), [3, "a"]);
  assert.deepEqual(await redis.sinter("s", "t"), ["b"]);
  assert.equal(await redis.sintercard(["s", "t"]), 1);
  assert.equal((await redis.sunion("s", "t")).length, 4);
  assert.equal(await redis.sdiffstore("d", "s", "t"), 2);
  assert.equal(await redis.sinterstore("i", "s", "t"), 1);
  assert.equal(await redis.sunionstore("u", "s", "t"), 4);
  assert.equal(await redis.smove("s", "t", "a"), 1);
  assert.ok([3, "b"].includes(await redis.srandmember("s")));
  assert.equal((await redis.sscan("s", 0))[1].length, 2);
  assert.equal(await redis.srem("s", "b"), 1);
  assert.equal(await redis.spop("s"), 3);
});

test("sorted sets", async () => {
  assert.equal(await redis.zadd("z", { score: 1, member: "a" }, { score: 2.5, member: "b" }), 2);
  assert.equal(await redis.zadd("y", { score: 1, member: "b" }, { score: 9, member: "c" }), 2);
  assert.equal(await redis.zcard("z"), 2);
  assert.equal(await redis.zcount("z", "-inf", 2), 1);
  assert.equal(await redis.zscore("z", "b"), 2.5);
  assert.deepEqual(await redis.zmscore("z", ["a", "none"]), [1, null]);
  assert.equal(await redis.zincrby("z", 2, "a"), 3);
  assert.equal(await redis.zrank("z", "a"), 1);
  assert.equal(await redis.zrevrank("z", "a"), 0);
  assert.deepEqual(await redis.zrange("z", 0, -1, { withScores: true }), ["b", 2.5, "a", 3]);
  assert.deepEqual(await redis.zrange("z", "(2.5", "+inf", { byScore: true }), ["a"]);
  assert.equal((await redis.zscan("z", 0))[1].length, 4);
  assert.equal(await redis.zunionstore("u", 2, ["z", "y"]), 3);
  assert.equal(await redis.zinterstore("i", 2, ["z", "y"]), 1);
  assert.equal(await redis.zdiffstore("d", 2, "z", "y"), 1);
  assert.equal((await redis.zunion(2, ["z", "y"])).length, 3);
  assert.deepEqual(await redis.zpopmin("u"), ["a", 3]);
  assert.deepEqual(await redis.zpopmax("u"), ["c", 9]);
  assert.equal(await redis.zrem("z", "a"), 1);
  assert.equal(await redis.zremrangebyrank("z", 0, 0), 1);
  assert.equal(await redis.zremrangebyscore("y", 0, 5), 1);
  assert.equal(await redis.zlexcount("y", "-", "+"), 1);
  assert.equal(await redis.zremrangebylex("y", "-", "+"), 1);
});

test("places and estimates", async () => {
  const palermo = { longitude: 13.361389, latitude: 38.115556, member: "Palermo" };
  const catania = { longitude: 15.087269, latitude: 37.502669, member: "Catania" };
  assert.equal(await redis.geoadd("g", palermo, catania), 2);
  assert.ok(Math.abs((await redis.geodist("g", "Palermo", "Catania", "KM")) - 166.27) < 0.1);
  assert.match((await redis.geohash("g", "Palermo"))[0], /^sqc8b49r/);
  assert.ok(Math.abs((await redis.geopos("g", "Palermo"))[0].lng - 13.361389) < 1e-4);
  const near = [{ type: "FROMMEMBER", member: "Palermo" }, { type: "BYRADIUS", radius: 10, radiusType: "KM" }];
  assert.deepEqual(await redis.geosearch("g", ...near, "ASC"), [{ member: "Palermo" }]);
  assert.equal(await redis.geosearchstore("near", "g", ...near, "ASC"), 1);
  assert.equal(await redis.pfadd("p", "a", "b"), 1);
  assert.equal(await redis.pfadd("q", "b", "c"), 1);
  assert.equal(await redis.pfcount("p", "q"), 3);
  assert.equal(await redis.pfmerge("r", "p", "q"), "OK");
});

test("streams", async () => {
  assert.equal(await redis.xadd("x", "1-1", { a: 1 }), "1-1");
  await redis.xadd("x", "2-1", { b: "two" });
  assert.equal(await redis.xlen("x"), 2);
  assert.deepEqual(await redis.xrange("x", "-", "+"), { "1-1": { a: 1 }, "2-1": { b: "two" } });
  assert.deepEqual(Object.keys(await redis.xrevrange("x", "+", "-")), ["2-1", "1-1"]);
  assert.equal((await redis.xread("x", "0"))[0][1].length, 2);
  assert.equal(await redis.xgroup("x", { type: "CREATE", group: "g", id: "0" }), "OK");
  assert.equal((await redis.xreadgroup("g", "me", "x", ">"))[0][1].length, 2);
  assert.equal((await redis.xpending("x", "g", "-", "+", 10)).length, 2);
  assert.equal((await redis.xinfo("x", { type: "GROUPS" })).length, 1);
  assert.ok(await redis.xclaim("x", "g", "you", 0, "1-1"));
  assert.ok(await redis.xautoclaim("x", "g", "they", 0, "0"));
  assert.equal(await redis.xack("x", "g", "1-1"), 1);
  assert.equal(await redis.xdel("x", "1-1"), 1);
  assert.equal(await redis.xtrim("x", { strategy: "MAXLEN", threshold: 0, exactness: "=" }), 1);
  await perhaps(() => redis.xackdel("x", "g", "KEEPREF", "2-1"));
  await perhaps(() => redis.xdelex("x", "KEEPREF", "2-1"));
});

test("scripts", async () => {
  const flagged = "#!lua flags=allow-key-locking\nreturn {KEYS[1], ARGV[1]}";
  assert.deepEqual(await redis.eval("return {KEYS[1], ARGV[1]}", ["k"], ["v"]), ["k", "v"]);
  assert.deepEqual(await redis.eval(flagged, ["k"], [7]), ["k", 7]);
  const sha = await redis.scriptLoad(flagged);
  assert.deepEqual(await redis.evalsha(sha, ["k"], ["v"]), ["k", "v"]);
  assert.deepEqual(await redis.scriptExists(sha, "0".repeat(40)), [1, 0]);
  await perhaps(() => redis.evalRo("return 1", [], []), 1);
  await perhaps(() => redis.evalshaRo(sha, ["k"], ["v"]), ["k", "v"]);
  assert.equal(await redis.scriptFlush(), "OK");
  await assert.rejects(redis.evalsha(sha, ["k"], ["v"]), /NOSCRIPT/);
  const made = redis.createScript(flagged);
  assert.deepEqual(await made.exec(["k"], ["v"]), ["k", "v"]);
  assert.deepEqual(await made.evalsha(["k"], ["v"]), ["k", "v"]);
});

test("functions, where the Redis behind has them", async () => {
  const code = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)";
  let loaded;
  try {
    loaded = await plain.functions.load({ code, replace: true });
  } catch (error) {
    assert.match(error.message, /not available|Unsupported|not supported/i);
    return;
  }
  assert.equal(loaded, "lib");
  assert.equal(await plain.functions.call("answer", [], []), 42);
  assert.equal(await plain.functions.delete("lib"), "OK");
});

test("JSON and arrays are refused in Upstash's words by a Redis without them", async () => {
  await perhaps(() => plain.json.set("j", "$", { a: 1 }), "OK");
  await perhaps(() => plain.json.get("j", "$.a"), [1]);
  const arrays = Object.keys(plain).filter((name) => /^ar[a-z]/.test(name));
  assert.ok(arrays.length > 10);
  for (const name of arrays) {
    await assert.rejects(async () => {
      await redis[name]("array", 0, 1, 2);
      throw new Error("ERR Command is not available: 'it is, here'");
    }, /^\w*(Error)?:? ?.*(ERR |not iterable|WRONGTYPE)/);
  }
});

test("a pipeline is one call and each of its commands is billed", async () => {
  await order("stats/reset");
  const done = await redis.pipeline().set("n", 1).incr("n").get("n").hgetall("none").exec();
  const kept = await plain.pipeline().set("s", "x").incr("s").exec({ keepErrors: true });

  assert.deepEqual(done, ["OK", 2, 2, null]);
  assert.equal(kept[0].result, "OK");
  assert.match(kept[1].error, /^ERR value is not an integer/);
  const { calls, commands } = await stats();
  assert.deepEqual([calls, commands], [2, 6]);
});

test("a transaction is atomic", async () => {
  assert.deepEqual(await redis.multi().set("n", 1).incr("n").exec(), ["OK", 2]);
  await assert.rejects(plain.multi().set("n", 9).get().exec(), /EXECABORT/);
  assert.equal(await plain.get("n"), 2);
});

test("commands of one turn share a call when asked to", async () => {
  const automatic = new Redis({ url, token, enableAutoPipelining: true });
  await order("stats/reset");
  const found = await Promise.all([
    automatic.set("a", 1), automatic.incr("a"), automatic.hset("h", { x: 1 }), automatic.get("b"),
  ]);

  assert.deepEqual(found, ["OK", 2, 1, null]);
  const { calls, commands } = await stats();
  assert.deepEqual([calls, commands], [2, 4]); // one for writes, one for reads
  assert.equal(await redis.autoPipeline().incr("a"), 3);
});

test("messages reach subscribers of a channel and of a pattern", async () => {
  const one = redis.subscribe(["news.art"]);
  const all = redis.psubscribe(["news.*"]);
  const opened = [one, all].map((subscriber, at) =>
    new Promise((resolve, reject) => {
      subscriber.on(at ? "psubscribe" : "subscribe", resolve);
      subscriber.on("error", reject);
    }));
  const message = new Promise((resolve) => one.on("message", resolve));
  const matched = new Promise((resolve) => all.on("pmessage", resolve));
  assert.deepEqual(await Promise.all(opened), [1, 1]);

  assert.equal(await redis.publish("news.art", { title: "é, ü" }), 2);
  assert.deepEqual(await message, { channel: "news.art", message: { title: "é, ü" } });
  const found = { pattern: "news.*", channel: "news.art", message: { title: "é, ü" } };
  assert.deepEqual(await matched, found);
  await one.unsubscribe();
  await all.unsubscribe();
});

test("the sync token is sent back and moves with writes", async () => {
  await plain.set("a", 1);
  const first = plain.readYourWritesSyncToken;
  await plain.get("a");
  assert.equal(plain.readYourWritesSyncToken, first);
  await plain.set("a", 2);
  assert.notEqual(plain.readYourWritesSyncToken, first);
});

test("errors carry Upstash's texts", async () => {
  await plain.set("s", "x");
  await assert.rejects(plain.lpush("s", 1), /WRONGTYPE/);
  await assert.rejects(new Redis({ url, token: "wrong", retry: false }).get("s"), /WRONGPASS/);
  await assert.rejects(plain.exec(["BLPOP", "s", 1]), /is not allowed in REST/);
  await order("faults", { fault: "limit" });
  await assert.rejects(plain.get("s"), /max daily request limit exceeded/);
  await order("faults", { fault: "nonsense" });
  await assert.rejects(plain.get("s"), /JSON/);
});

test("a connection that died is tried again, and the command may have run twice", async () => {
  const patient = new Redis({ url, token, retry: { retries: 2, backoff: () => 1 } });
  await order("faults", { fault: "dropped" });
  assert.equal(await patient.incr("n"), 1);
  await order("faults", { fault: "lost" });
  assert.equal(await patient.incr("n"), 3);
});

test("text and binary without base64", async () => {
  const raw = new Redis({ url, token, responseEncoding: false, automaticDeserialization: false });
  await raw.set("k", "é");
  assert.equal(await raw.get("k"), "é");
});

test("no method of the client was left out", () => {
  const local = ["addTelemetry", "constructor", "use"];
  const all = Object.keys(plain).filter((name) => typeof plain[name] === "function");
  const left = all.filter((name) => !called.has(name) && !local.includes(name));
  assert.deepEqual(left, ["autoPipelineExecutor"].filter((name) => all.includes(name)));
});
