// Bull Board over our queue and a team's own one, until the end of its input.
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue } from 'bullmq';
import express from 'express';
import { connection, prefix, QUEUE, say } from './common.mjs';

const queues = [QUEUE, 'team-reports'].map((name) => new Queue(name, { connection, prefix }));
const serverAdapter = new ExpressAdapter();
serverAdapter.setBasePath('/admin/queues');
createBullBoard({ queues: queues.map((queue) => new BullMQAdapter(queue)), serverAdapter });
const app = express();
app.use('/admin/queues', serverAdapter.getRouter());
const server = app.listen(0, '127.0.0.1', () => say({ port: server.address().port }));
process.stdin.on('end', () => process.exit(0)).resume();
