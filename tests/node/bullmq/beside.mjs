// A team's own kind of job, on a queue of its own in the same Redis and below the same prefix.
import { Queue, Worker } from 'bullmq';
import { args, connection, prefix, say } from './common.mjs';

const jobs = Number(args[0]);
const queue = new Queue('team-reports', { connection, prefix });
let done = 0;
const worker = new Worker('team-reports', async (job) => `report ${job.data.report} is written`,
  { connection, prefix, concurrency: 2 });
worker.on('error', (error) => { console.error(error); process.exit(1); });
worker.on('completed', async () => {
  done += 1;
  if (done < jobs) return;
  say({ done, counts: await queue.getJobCounts('waiting', 'active', 'completed', 'failed') });
  await worker.close();
  await queue.close();
  process.exit(0);
});
for (let report = 1; report <= jobs; report += 1) {
  await queue.add('report', { report, streamId: report }, { deduplication: { id: `s${report}` }, delay: 20 });
}
