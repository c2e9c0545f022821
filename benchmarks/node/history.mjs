// The rival: what a careful Node team writes for the same page of history, with prepared statements.
import Fastify from 'fastify';
import pg from 'pg';

const CHECK = `SELECT address_id, chain_ids FROM tallybook.wallet WHERE id = $1 AND owner = 'local'`;
const PAGE = `
SELECT s.chain_id, x.block, x.at, encode(x.tx_hash, 'hex') AS tx_hash, x.kind, x.amount::text AS amount_raw,
  encode(x.counterparty, 'hex') AS counterparty, encode(a.contract, 'hex') AS contract, a.symbol, a.decimals,
  a.token_id::text AS token_id, x.pos::text AS pos, x.stream_id
FROM tallybook.stream s
CROSS JOIN LATERAL (SELECT * FROM tallybook.movement m WHERE m.stream_id = s.id
  AND (m.block, m.pos) < ($2, $3) ORDER BY m.block DESC, m.pos DESC LIMIT $4) x
JOIN tallybook.asset a ON a.id = x.asset_id
WHERE s.address_id = $1 AND s.live
ORDER BY x.at DESC, s.chain_id, x.block DESC, x.pos DESC, x.stream_id LIMIT $4`;
const KINDS = [null, 'transfer', 'fee', 'internal', 'erc20', 'erc721', 'erc1155', 'withdrawal', 'genesis'];
const text = { type: 'string', nullable: true };
const schema = { response: { 200: { type: 'object', properties: {
  items: { type: 'array', items: { type: 'object', properties: {
    chain_id: { type: 'integer' }, block: { type: 'integer' }, at: { type: 'string' }, tx_hash: text,
    kind: { type: 'string' }, direction: text, counterparty: text, contract: text, symbol: text,
    decimals: { type: 'integer', nullable: true }, token_id: text, amount_raw: { type: 'string' } } } },
  next_cursor: text } } } };

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 8 });
pg.types.setTypeParser(20, Number);
const app = Fastify();
const hex = (value) => (value === null ? null : '0x' + value);

app.get('/api/wallets/:id/history', { schema }, async (request, reply) => {
  const limit = Number(request.query.limit ?? 100);
  const { rows: [wallet] } = await pool.query({ name: 'check', text: CHECK, values: [request.params.id] });
  if (!wallet) return reply.code(404).send({});
  const top = '9223372036854775807';
  const { rows } = await pool.query({ name: 'page', text: PAGE, values: [wallet.address_id, top, top, limit + 1] });
  const last = rows.length > limit ? rows[limit - 1] : null;
  return {
    items: rows.slice(0, limit).map((row) => ({
      ...row, at: row.at.toISOString(), tx_hash: hex(row.tx_hash), counterparty: hex(row.counterparty),
      contract: hex(row.contract), kind: KINDS[row.kind], direction: row.amount_raw.startsWith('-') ? 'out' : 'in' })),
    next_cursor: last && Buffer.from(JSON.stringify([last.block, last.pos])).toString('base64url'),
  };
});
const address = await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
console.log(address);
