// What the scripts share: the queue's name, where Redis is, and one line of JSON for each fact.
export const QUEUE = 'tallybook-sync';
const url = new URL(process.argv[2]);
export const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
export const prefix = process.argv[3];
export const args = process.argv.slice(4);
export const say = (fact) => console.log(JSON.stringify(fact));
