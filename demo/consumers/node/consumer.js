// A consumer of the event log, with pg: node consumer.js NAME
//
// Prints each event after the position of consumer NAME (SELECT anomaly.create_consumer('NAME')) as
// one line of JSON, then says that it has done with it. Killed at any moment it misses nothing and
// may print some events again, with the same seq. Where the database is: PGHOST, PGPORT ...
'use strict';

const { Client } = require('pg');

const name = process.argv[2];
if (!name) {
  console.error('usage: consumer.js NAME');
  process.exit(1);
}

// Handles all there is, a hundred at a time.
async function catchUp(client) {
  for (;;) {
    const { rows } = await client.query(
      'SELECT seq, json_build_array(seq, id, message)::text AS event' +
        ' FROM anomaly.consumer_events($1, 100) ORDER BY seq', [name]);
    if (rows.length === 0) return;
    for (const row of rows) console.log(row.event);
    await client.query('SELECT anomaly.consumer_ack($1, $2)', [name, rows.at(-1).seq]);
  }
}

// Until the connection ends. LISTEN comes first: what happens after it, it hears of.
async function consume() {
  const client = new Client();
  let wake = () => {};
  let hinted = false;
  let failure = null;
  const hint = () => { hinted = true; wake(); };
  const fail = (error) => { failure = failure ?? error; wake(); };
  client.on('notification', hint);
  client.on('error', fail);
  client.on('end', () => fail(new Error('the connection was closed')));
  try {
    await client.connect();
    await client.query('LISTEN anomaly');
    while (!failure) {
      hinted = false;
      await catchUp(client);
      if (hinted || failure) continue;
      // A hint says that there is more; every 5 s it looks without being told.
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, 5000);
        wake = () => { clearTimeout(timer); resolve(); };
      });
    }
  } finally {
    client.end().catch(() => {});
  }
  throw failure;
}

// Errors of the server have a severity, and classes 08 and 57 of them are connections.
function isLostConnection(error) {
  return !error.severity || /^(08|57)/.test(error.code);
}

async function main() {
  for (;;) {
    try {
      await consume();
    } catch (error) {
      if (!isLostConnection(error)) throw error;
      console.error(`lost the connection: ${error.message}`);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
