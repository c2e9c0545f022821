// A Worker of Node works as many of our jobs as it is told, and says what it saw of each.
import { Worker } from 'bullmq';
import { args, connection, prefix, QUEUE, say } from './common.mjs';

let left = Number(args[0]);
const worker = new Worker(QUEUE, async (job) => {
  await job.log(`Node saw stream ${job.data.streamId}`);
  return `worked by Node for stream ${job.data.streamId}`;
}, { connection, prefix, concurrency: 1 });
worker.on('error', (error) => { console.error(error); process.exit(1); });
worker.on('completed', async ({ id, name, data, opts, returnvalue }) => {
  say({ id, name, data, priority: opts.priority ?? 0, deduplication: opts.deduplication, returnvalue });
  left -= 1;
  if (left === 0) { await worker.close(); process.exit(0); }
});
