// A Queue of Node adds what its arguments say: one JSON array [name, data, options] each.
import { Queue } from 'bullmq';
import { args, connection, prefix, QUEUE, say } from './common.mjs';

const queue = new Queue(QUEUE, { connection, prefix });
for (const [name, data, options] of args.map((each) => JSON.parse(each))) {
  const job = await queue.add(name, data, options);
  say({ id: job.id });
}
await queue.close();
