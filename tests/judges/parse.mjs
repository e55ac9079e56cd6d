// Reads mails with postal-mime: a JSON list of them in base64 on stdin, what was read on stdout.
import PostalMime from "postal-mime";

process.stdin.setEncoding("utf8");
let given = "";
for await (const piece of process.stdin) given += piece;
const read = [];
for (const mail of JSON.parse(given)) {
  const found = await PostalMime.parse(Buffer.from(mail, "base64"));
  read.push({
    subject: found.subject,
    from: found.from,
    to: found.to,
    copies: [...(found.cc ?? []), ...(found.bcc ?? [])],
    message_id: found.messageId,
    date: found.date,
    headers: found.headers.map((header) => header.key),
    text: found.text,
    html: found.html,
    attachments: found.attachments.length,
  });
}
process.stdout.write(JSON.stringify(read));
