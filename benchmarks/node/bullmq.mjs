// The rival of the queue: a Worker of Node over jobs like ours, that do nothing.
import { Queue, Worker } from 'bullmq';

const [url, prefix, count, concurrency] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const queue = new Queue('rival', { connection, prefix });
const jobs = Array.from({ length: Number(count) }, (_, n) => ({
  name: 'sync', data: { streamId: n + 1, feed: '' },
  opts: {
    jobId: `s${n + 1}-x`, deduplication: { id: `s${n + 1}`, keepLastIfActive: true }, priority: 10,
    removeOnComplete: { count: 1000, age: 86400 }, removeOnFail: { count: 1000 },
  },
}));
for (let at = 0; at < jobs.length; at += 500) await queue.addBulk(jobs.slice(at, at + 500));
let left = jobs.length;
const worker = new Worker('rival', async () => 'looked at',
  { connection, prefix, concurrency: Number(concurrency), autorun: false });
worker.on('error', (error) => { console.error(error); process.exit(1); });
await worker.waitUntilReady();
const began = performance.now();
worker.on('completed', () => {
  left -= 1;
  if (left === 0) { console.log((performance.now() - began) / 1000); process.exit(0); }
});
await worker.run();
