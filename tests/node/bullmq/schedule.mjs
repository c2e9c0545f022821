// A scheduler of Node looks at a stream again and again.
import { Queue } from 'bullmq';
import { args, connection, prefix, QUEUE, say } from './common.mjs';

const queue = new Queue(QUEUE, { connection, prefix });
const template = { name: 'sync', data: { streamId: Number(args[0]) } };
await queue.upsertJobScheduler('often', { every: 200 }, template);
say({});
await queue.close();
