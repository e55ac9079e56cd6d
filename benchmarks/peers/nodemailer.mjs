// The job with nodemailer: rows in SQLite, one personal mail each over a pool of ten connections,
// the outcome of each committed. Usage: node nodemailer.mjs MODULES FOLDER PORT [CERTIFICATE]
//
// As its documentation advises for bulk: one pooled transporter, fed whenever it says "idle".
// Outcomes are committed in groups every 200 ms, as ours are.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, folder, port, certificate] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const Database = require("better-sqlite3");
const nodemailer = require("nodemailer");

const GROUP_MS = 200;
const PAGE = 2000;
const CONNECTIONS = 10;

const database = new Database(`${folder}/job.db`);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
const page = database.prepare(
  "SELECT id, name, address, outlet FROM recipients WHERE id > ? ORDER BY id LIMIT ?",
);
const outcome = database.prepare("UPDATE recipients SET state = ?, reply = ? WHERE id = ?");

const read = (name) => readFileSync(`${folder}/${name}`, "utf8");
const escaped = (value) =>
  value.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
const compiled = (source) => {
  const pieces = source.split(/\{\{ (\w+) \}\}/);
  return (values) =>
    pieces.map((piece, at) => (at % 2 ? values[piece] : piece)).join("");
};
const subject = read("subject.txt");
const text = compiled(read("text.txt"));
const html = compiled(read("body.html"));

const transporter = nodemailer.createTransport({
  pool: true,
  host: "127.0.0.1",
  port: Number(port),
  secure: Boolean(certificate),
  ignoreTLS: !certificate,
  tls: certificate ? { ca: readFileSync(certificate) } : undefined,
  maxConnections: CONNECTIONS,
  maxMessages: Infinity,
});

let settled = [];
let open = 0;
let last = 0;
let waiting = [];
let exhausted = false;

const commit = database.transaction((group) => {
  for (const [state, reply, id] of group) outcome.run(state, reply, id);
});

function record() {
  if (settled.length) commit(settled);
  settled = [];
  if (exhausted && !open && !waiting.length) {
    clearInterval(ticking);
    transporter.close();
    database.close();
  }
}

function next() {
  if (!waiting.length && !exhausted) {
    waiting = page.all(last, PAGE);
    if (waiting.length) last = waiting[waiting.length - 1].id;
    exhausted = !waiting.length;
  }
  return waiting.shift();
}

function send(row) {
  const plain = { name: row.name, address: row.address, outlet: row.outlet };
  const safe = {
    name: escaped(row.name),
    address: escaped(row.address),
    outlet: escaped(row.outlet),
  };
  open += 1;
  transporter.sendMail(
    {
      from: { name: "Harbour Commission", address: "press@harbours.example" },
      to: { name: row.name, address: row.address },
      subject,
      text: text(plain),
      html: html(safe),
      headers: {
        "List-Unsubscribe": `<mailto:press@harbours.example?subject=unsubscribe%20${row.id}>`,
        "List-Id": "<releases.harbours.example>",
      },
    },
    (error, info) => {
      open -= 1;
      settled.push(
        error ? ["failed", String(error), row.id] : ["accepted", info.response, row.id],
      );
    },
  );
}

transporter.on("idle", () => {
  while (transporter.isIdle()) {
    const row = next();
    if (!row) return;
    send(row);
  }
});
const ticking = setInterval(record, GROUP_MS);
